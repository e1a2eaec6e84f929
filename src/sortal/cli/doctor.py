"""sortal doctor"""

import click

from sortal.progress import counted


@click.command()
@click.argument("path", type=click.Path(), required=False)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def doctor(path: str | None, as_json: bool) -> None:
    """Say what is installed; check a pile or a model.

    Without PATH: versions, cores, GPU, optional parts, where data goes. With one: every byte is checked.

    \b
    sortal doctor
    sortal doctor photos.sortal
    sortal doctor thumbs.model
    """
    import sortal
    from sortal.cli.output import print_json
    from sortal.data import shown
    from sortal.doctor import check, diagnose

    if path is None:
        record = diagnose()
        if as_json:
            print_json(record)
            return
        for title, rows in record.items():
            click.echo(f"{title}")
            for key, value in rows.items():
                click.echo(f"  {key:<14} {value if value is not None else '-'}")
        return
    problems = check(path)
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
