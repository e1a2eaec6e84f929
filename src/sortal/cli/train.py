"""sortal train"""

import click


@click.command()
@click.argument("pile", type=click.Path())
@click.option("--into", type=click.Path(), required=True, help="The model folder.")
@click.option("--seed", type=int, default=0, show_default=True, help="Same seed, same split and weights.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def train(pile: str, into: str, seed: int, as_json: bool) -> None:
    """Train a classifier from the named items, and test it.

    A fifth of the named items is held out and only tested. The score counts their names as right: it is as
    good as the names are.

    \b
    sortal train photos.sortal --into thumbs.model
    """
    import sortal
    from sortal.cli.output import print_json
    from sortal.cli.shapes import model_shape
    from sortal.data import shown

    with sortal.open(pile) as opened:
        head = opened.train(into, seed=seed)
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
