"""sortal transfer"""

from typing import TYPE_CHECKING, Any

import click

from sortal.cli.training import BATCH_SIZE, DEVICE, KIND, PEAK_LR, need_nets

if TYPE_CHECKING:
    from sortal.train.transfer_report import Transfer

STOPPED = "stopped; finished trainings are kept, the same command goes on from there."


@click.command()
@click.argument("data", type=click.Path())
@click.option("--net", required=True, help="A network of sortal.nets, such as resnet20.")
@click.option("--weights", required=True, help="What it learned elsewhere: a file, or a published name.")
@click.option("--epochs", type=click.IntRange(1), required=True, help="The budget of each training.")
@click.option(
    "--per-class", default="5,10,20,50,all", show_default=True, help="How many names of each to learn from."
)
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True, help="Trainings of each kind.")
@click.option(
    "--held-out", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.2, show_default=True,
    help="The share of each name's images that only measures.",
)  # fmt: skip
@click.option("--own-data", type=click.Path(), help="Named images of what the network was trained on.")
@click.option("--size", type=click.IntRange(1), help="Edge of the images.  [default: the network's own]")
@KIND
@BATCH_SIZE
@PEAK_LR
@DEVICE
@click.option("--into", type=click.Path(), help="Where it is kept and goes on.  [default: NAME.transfer]")
@click.option("--html", type=click.Path(), help="Write a page.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def transfer(
    data: str, net: str, weights: str, per_class: str, html: str | None, as_json: bool, **asked: Any
) -> None:
    """Find out what a network that learned elsewhere is worth on your images.

    DATA is a pile with names, or a folder, zip or list of named images. Three ways are compared on the same
    splits, budget and seeds: a frozen body with a new head (P1), fine-tuned, and the same network from
    scratch (P2); with --own-data also how it scores on what it was trained on (P0).

    Killed or stopped, the same command goes on where it was.

    \b
    sortal transfer photos/ --net resnet20 --weights resnet20.th --epochs 10
    sortal transfer photos.sortal --net resnet18 --weights resnet18 --epochs 5 --per-class 10,50,all
    """
    from sortal.cli.output import print_json, progress
    from sortal.whole import checked_target, write_whole

    sizes = _sizes(per_class)
    target = checked_target(html) if html else None
    need_nets("sortal transfer")
    from sortal.transfers import transfer_from

    try:
        with progress() as shown:
            found = transfer_from(data, net, weights, per_class=sizes, progress=shown, **asked)
    except KeyboardInterrupt as e:
        raise click.Abort(str(e) or STOPPED) from None
    if target:
        from sortal.train.transfer_page import transfer_page

        write_whole(target, transfer_page(found).encode())
    if as_json:
        print_json(found.as_json())
        return
    _print(found)
    if html:
        click.echo(f"wrote {html}")


def _print(found: "Transfer") -> None:
    from sortal.cli.output import print_table
    from sortal.train.transfer_page import COLUMNS, rows

    print_table(COLUMNS, rows(found))
    for line in found.verdict:
        click.echo(line)


def _sizes(text: str) -> tuple[int | None, ...]:
    try:
        return tuple(None if part.strip() == "all" else int(part) for part in text.split(","))
    except ValueError:
        raise click.UsageError(
            f"--per-class wants numbers and all, with commas; got {text[:60]!r}."
        ) from None
