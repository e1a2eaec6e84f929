"""sortal doctor"""

import click

from sortal.progress import counted


@click.command()
@click.argument("path", type=click.Path(), required=False)
@click.option(
    "--warm", is_flag=True, help="Compile all loops now, 75 s of one core, so that no run waits for it."
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def doctor(path: str | None, warm: bool, as_json: bool) -> None:
    """Say what is installed; check a pile or a model.

    Without PATH: versions, cores, GPU, optional parts, where data goes. With one: every byte is checked.

    \b
    sortal doctor
    sortal doctor photos.sortal
    sortal doctor thumbs.model
    sortal doctor --warm
    """
    import sortal
    from sortal import doctor as library
    from sortal.cli.output import print_json
    from sortal.data import shown

    if warm:
        click.echo(f"compiled in {library.warm():.0f} s", err=True)
    if path is None:
        record = library.diagnose()
        if as_json:
            print_json(record)
            return
        for title, rows in record.items():
            click.echo(f"{title}")
            for key, value in rows.items():
                click.echo(f"  {key:<14} {value if value is not None else '-'}")
        return
    problems = library.check(path)
    if as_json:
        print_json({"path": path, "problems": [{"file": one.file, "what": one.what} for one in problems]})
    for one in problems if not as_json else []:
        click.echo(f"{one.file}: {one.what}")
    if problems:
        raise sortal.StoreError(
            f"{shown(path)}: {counted(len(problems), 'problem')}; restore what is named above from a copy."
        )
    if not as_json:
        click.echo("every byte is as it was written.")
