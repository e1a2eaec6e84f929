"""sortal predict"""

import click


@click.command()
@click.argument("model", type=click.Path())
@click.argument("sources", nargs=-1, required=True, type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def predict(model: str, sources: tuple[str, ...], as_json: bool) -> None:
    """Name images with a trained model: name, confidence, and "like nothing I was shown" where that is so.

    SOURCES is a folder, a zip, a list, or one or more image files.

    \b
    sortal predict thumbs.model new/ --json
    sortal predict thumbs.model a.jpg b.jpg
    """
    import sortal
    from sortal.cli.output import print_json, progress
    from sortal.cli.shapes import prediction_shape
    from sortal.data import shown

    with progress() as shower:
        found = sortal.load(model).predict(sources, shower)
    if as_json:
        print_json(prediction_shape(found))
        return
    for one in found.predictions:
        nothing = "  like nothing I was shown" if one.like_nothing_shown else ""
        click.echo(f"{one.confidence:5.1%}  {shown(one.name)}  {shown(one.path)}{nothing}")
    for refused in found.refused:
        click.echo(f"cannot read {shown(refused.path)}: {shown(refused.reason)}", err=True)
