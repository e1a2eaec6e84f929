"""sortal train"""

import click

from sortal.cli.watch import watch_option


@click.command()
@click.argument("pile", type=click.Path())
@click.option("--into", type=click.Path(), required=True, help="The model folder.")
@click.option("--seed", type=int, default=0, show_default=True, help="Same seed, same split and weights.")
@click.option("--net", help="Train a network of sortal.nets, such as resnet20, on the images.")
@click.option("--weights", help="What it learned elsewhere: a file, a published name, a model folder.")
@click.option(
    "--how", type=click.Choice(["auto", "frozen", "fine-tune", "scratch"]), default="auto", show_default=True,
    help="Which parts learn; auto tries and takes the best.",
)  # fmt: skip
@click.option("--epochs", type=click.IntRange(1), default=10, show_default=True, help="Of a network.")
@click.option(
    "--kind", type=click.Choice(["auto", "photographs", "glyphs"]), default="auto", show_default=True,
    help="Glyphs are never mirrored.",
)  # fmt: skip
@click.option("--batch-size", type=click.IntRange(1), default=32, show_default=True, help="Images a step.")
@click.option(
    "--peak-lr", type=click.FloatRange(0, min_open=True),
    help="The largest learning rate.  [default: 0.02 fine-tuned, 0.05 from scratch; 0.01 without batch norm]",
)  # fmt: skip
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@watch_option
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def train(  # noqa: PLR0917 (one argument an option)
    pile: str,
    into: str,
    seed: int,
    net: str | None,
    weights: str | None,
    how: str,
    epochs: int,
    kind: str,
    batch_size: int,
    peak_lr: float | None,
    device: str,
    watch: int | None,
    as_json: bool,
) -> None:
    """Train a classifier from the named items, and test it.

    Without --net a linear head on the pile's own vectors. With it a network learns from the images: only a
    new head (frozen), all of it from --weights on (fine-tune) or from nothing (scratch). Its own vectors then
    group a pile: sortal organize photos.sortal --encoder thumbs.model.

    A fifth of the named items is held out and only tested. The score counts their names as right: it is as
    good as the names are.

    \b
    sortal train photos.sortal --into thumbs.model
    sortal train photos.sortal --into thumbs.model --net resnet20 --weights resnet20.th --how fine-tune
    """
    import sortal
    from sortal.cli.output import print_json, progress
    from sortal.cli.shapes import model_shape
    from sortal.data import shown
    from sortal.errors import MissingExtra

    start = None
    if net is None and (weights is not None or how != "auto" or watch is not None):
        raise click.UsageError("--how, --weights and --watch belong to a network: name it with --net.")
    if net is not None:
        try:
            from sortal.learning import Start
        except ImportError as e:
            raise MissingExtra("sortal train --net", "nets") from e
        start = Start(net, weights, how, epochs, kind, device, batch_size, peak_lr, watch)
    with sortal.open(pile) as opened, progress() as shower:
        head = opened.train(into, seed=seed, start=start, progress=shower)
        by_group = opened.n_named_by_group
    if as_json:
        print_json(model_shape(head, into, by_group))
        return
    report = head.report
    if by_group:
        click.echo(
            f"{by_group:,} of {report.n_items:,} names were given to whole groups: where a group is mixed, "
            "names and score share the mistake"
        )
    low, high = report.interval
    click.echo(
        f"{report.accuracy:.1%} of {report.n_held_out:,} held-out items named right "
        f"(95 % interval {low:.1%} to {high:.1%}); "
        f"always saying the commonest name: {report.majority_share:.1%}"
    )
    for one in report.names:
        click.echo(f"  {one.recall:6.1%} of {one.n_held_out:>5,}  {shown(one.name)}")
    mixed = sorted((count, true, called) for true, called, count in report.confusion if true != called)[::-1]
    for count, true, called in mixed[:5]:
        names = shown(report.names[true].name), shown(report.names[called].name)
        click.echo(f"  {count:,} of {names[0]} called {names[1]}")
    click.echo(
        f"like nothing shown: said of {report.novelty.known:.1%} of the held-out items, wrongly; of "
        f"{report.novelty.left_out:.0%} of the items of a name that was left out, rightly"
    )
    click.echo(f"model: {into} (read {into}/CARD.md)")
