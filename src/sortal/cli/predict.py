"""sortal predict"""

import click

MOST_SHOWN = 20  # of what cannot be read: a file of series of other channels has a thousand


@click.command()
@click.argument("model", type=click.Path())
@click.argument("sources", nargs=-1, required=True, type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def predict(model: str, sources: tuple[str, ...], as_json: bool) -> None:
    """Name new images, sounds, series or texts with a trained model.

    For each its name and how sure that is, or "like nothing I was shown" where it resembles no training item.

    SOURCES are folders, zips, lists or files.

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
        if one.like_nothing_shown:
            click.echo(f"    -   like nothing I was shown  {shown(one.path)}  (nearest: {shown(one.name)})")
        else:
            click.echo(f"{one.confidence:6.1%}  {shown(one.name)}  {shown(one.path)}")
    for refused in found.refused[:MOST_SHOWN]:
        click.echo(f"cannot read {shown(refused.path)}: {shown(refused.reason)}", err=True)
    if (more := len(found.refused) - MOST_SHOWN) > 0:
        click.echo(f"cannot read {more:,} more (--json lists them all)", err=True)
