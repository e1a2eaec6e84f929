"""sortal look"""

import click

from sortal.cli.training import need_nets


@click.command()
@click.argument("network")
@click.argument("image", type=click.Path())
@click.option("--weights", help="A file, a model folder, or a published name.  [default: drawn, not learned]")
@click.option("--out", type=click.Path(), required=True, help="page.html, or a folder for page and pictures.")
@click.option("--class", "classes", type=int, multiple=True, help="Evidence for this class, by number.")
@click.option("--layer", help="Where evidence is read, by name.  [default: the last maps with places]")
@click.option("--json", "as_json", is_flag=True, help="Print what was looked at as JSON.")
def look(
    network: str,
    image: str,
    weights: str | None,
    out: str,
    classes: tuple[int, ...],
    layer: str | None,
    as_json: bool,
) -> None:
    """What a network has learned, as pictures: filters, maps by depth, evidence for a class in one image.

    NETWORK is one of sortal.nets.

    \b
    sortal look resnet20 photo.jpg --weights resnet20-12fca82f.th --out look/
    sortal look resnet50 photo.jpg --weights resnet50 --class 281 --out cat.html
    """
    from sortal.cli.output import print_json, progress

    need_nets("sortal look")
    from sortal.diagnose.look_page import look as look_at
    from sortal.diagnose.look_page import write_look
    from sortal.diagnose.subject import subject

    with progress() as shown:
        found = look_at(subject(network, image, weights, progress=shown), classes=classes, layer=layer)
        page = write_look(out, found)
    if as_json:
        print_json(found.as_json() | {"page": str(page)})
        return
    for number in found.evidence:
        click.echo(f"{found.subject.called(number)}: probability {found.answers[number]:.1%}")
    click.echo(f"weights: {found.subject.weights}; layers: {', '.join(found.layers)}")
    click.echo(f"wrote {page}")
