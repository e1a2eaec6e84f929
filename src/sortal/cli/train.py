"""sortal train"""

from typing import TYPE_CHECKING, Any

import click

from sortal.cli.training import BATCH_SIZE, DEVICE, KIND, PEAK_LR, need_nets
from sortal.cli.watch import watch_option

if TYPE_CHECKING:
    from sortal.train import Head

RECURRENT = ("gru", "lstm", "rnn")  # those of sortal.sequence_learning


@click.command()
@click.argument("pile", type=click.Path())
@click.option("--into", type=click.Path(), required=True, help="The model folder.")
@click.option("--seed", type=int, default=0, show_default=True, help="Same seed, same split and weights.")
@click.option("--net", help="Train a network, such as resnet20, on images; gru, lstm, rnn on other kinds.")
@click.option("--weights", help="What it learned elsewhere: a file, a published name, a model folder.")
@click.option(
    "--how", type=click.Choice(["auto", "frozen", "fine-tune", "scratch"]), default="auto", show_default=True,
    help="Which parts learn; auto tries and takes the best.",
)  # fmt: skip
@click.option("--epochs", type=click.IntRange(1), help="Of a network.  [default: 10; of gru, lstm, rnn 40]")
@KIND
@BATCH_SIZE
@PEAK_LR
@DEVICE
@watch_option
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def train(pile: str, into: str, seed: int, net: str | None, as_json: bool, **of_network: Any) -> None:
    """Train a classifier from the named items, and test it.

    Without --net a linear head on the pile's own vectors. With it a network learns from the images: only a
    new head (frozen), all of it from --weights on (fine-tune) or from nothing (scratch). From sounds, series
    and texts a recurrent network learns from nothing, with a peak of 0.003 unless told, and stands beside the
    linear head: take the better one.
    A network's own vectors then group a pile: sortal organize photos.sortal --encoder thumbs.model.

    A fifth of the named items is held out and only tested. The score counts their names as right: it is as
    good as the names are.

    \b
    sortal train photos.sortal --into thumbs.model
    sortal train photos.sortal --into thumbs.model --net resnet20 --weights resnet20.th --how fine-tune
    sortal train words.sortal --into words.model --net gru
    """
    import sortal
    from sortal.cli.output import print_json, progress
    from sortal.cli.shapes import model_shape
    from sortal.data import shown
    from sortal.train import load_model

    start = None
    if net is None:
        _refuse_given(of_network)
    else:
        need_nets("sortal train --net")
        from sortal.learning import Start

        epochs = of_network.pop("epochs") or (40 if net in RECURRENT else 10)
        start = Start(net, epochs=epochs, **of_network)
    with sortal.open(pile) as opened, progress() as shower:
        head = opened.train(into, seed=seed, start=start, progress=shower)
        by_group = opened.n_named_by_group
    compared = load_model(into).beside
    if as_json:
        print_json(model_shape(head, into, by_group, compared))
    else:
        _print(head, by_group)
        if compared is not None:
            click.echo(shown(str(compared)))
        click.echo(f"model: {into} (read {into}/CARD.md)")


def _refuse_given(of_network: dict[str, Any]) -> None:
    """What only a network takes does nothing to a head: whoever gives it expects another training."""
    given = click.get_current_context().get_parameter_source
    for name in of_network:
        if given(name) is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError(
                f"--{name.replace('_', '-')} belongs to a network: name it with --net, or leave it out."
            )


def _print(head: "Head", by_group: int) -> None:
    from sortal.data import shown

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
        click.echo(f"  {count:,} of '{names[0]}' called '{names[1]}'")
    click.echo(
        f"like nothing shown: said of {report.novelty.known:.1%} of the held-out items, wrongly; of "
        f"{report.novelty.left_out:.0%} of the items of a name that was left out, rightly"
    )
