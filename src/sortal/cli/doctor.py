"""sortal doctor"""

import click


@click.command()
@click.argument("pile", type=click.Path(), required=False)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def doctor(pile: str | None, as_json: bool) -> None:
    """Say what this installation has; with a PILE, check every byte of it.

    \b
    sortal doctor
    sortal doctor photos.sortal
    """
    import sortal
    from sortal.cli.output import print_json
    from sortal.doctor import diagnose

    if pile is None:
        record = diagnose()
        if as_json:
            print_json(record)
            return
        for title, rows in record.items():
            click.echo(f"{title}")
            for key, value in rows.items():
                click.echo(f"  {key:<14} {value if value is not None else '-'}")
        return
    with sortal.open(pile) as opened:
        problems = opened.verify()
    if as_json:
        print_json({"pile": pile, "problems": [{"file": one.file, "what": one.what} for one in problems]})
    for one in problems if not as_json else []:
        click.echo(f"{one.file}: {one.what}")
    if problems:
        raise sortal.StoreError(f"{pile}: {len(problems)} problems; restore the files above from a copy.")
    if not as_json:
        click.echo("every byte is as it was written.")
