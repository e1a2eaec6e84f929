"""sortal sequence"""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from sortal.train.sequence.run import SequenceOutcome

NAMES = (  # those of sortal.train.sequence.recipes
    "names", "fsdd", "fsdd-cnn", "mnist-rows", "mnist-rows-rnn", "mnist-pixels", "mnist-pixels-rnn", "pos",
    "scan", "scan-plain", "scan-length", "scan-length-plain", "shakespeare", "shakespeare-rnn",
    "shakespeare-gpu", "adding", "adding-rnn", "copying", "copying-rnn", "captions",
)  # fmt: skip


@click.group()
def sequence() -> None:
    """Networks that read and write sequences: sounds, names, sentences, commands, texts, captions.

    \b
    sortal sequence train fsdd --data data/ --into runs/fsdd
    sortal sequence evaluate runs/fsdd --data data/
    """


@sequence.command()
@click.argument("name", type=click.Choice(NAMES), metavar="NAME")
@click.option("--data", type=click.Path(), help="The folder that holds the data.  [not needed for --smoke]")
@click.option("--smoke", is_flag=True, help="Seconds on little: shows that it runs, reaches no goal.")
@click.option("--epochs", type=click.IntRange(1), help="Another number of epochs, as a time budget.")
@click.option("--seed", type=int, default=0, show_default=True, help="Same seed, same weights on CPU.")
@click.option("--leave-out", metavar="SPEAKER", help="For fsdd: test on all clips of one speaker.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option("--into", type=click.Path(), help="A folder for curve, checkpoints and weights; goes on there.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def train(
    name: str, data: str | None, smoke: bool, epochs: int | None, seed: int, leave_out: str | None,
    device: str, into: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Train a recipe and judge it by its test set.

    Killed or stopped, the same command with the same --into goes on where it was.

    NAME is one of names, fsdd, fsdd-cnn, mnist-rows, mnist-pixels, pos, scan, scan-length, shakespeare,
    adding, copying, captions; ...-rnn has a plain recurrent layer, ...-plain no attention, ...-gpu is larger.
    """
    from dataclasses import replace

    from sortal.cli.output import print_json, progress
    from sortal.train.curve import epoch_line
    from sortal.train.sequence import recipes

    asked = recipes.RECIPES[name]()
    if leave_out is not None:
        if asked.kind != "spoken":
            raise click.UsageError("--leave-out belongs to fsdd.")
        asked = replace(asked, options={**asked.options, "leave_out": leave_out}, goal=None)
    asked = recipes.smoke(asked) if smoke else asked
    asked = recipes.within(asked, epochs) if epochs else asked
    plan = replace(asked.plan, seed=seed)
    if data is None and not smoke and asked.kind != "memory":
        raise click.UsageError("--data is needed: the folder that holds the data; or try --smoke.")
    _need_nets()
    from sortal.train.sequence.run import run_sequence

    with progress() as shown:
        found = run_sequence(
            replace(asked, plan=plan), data, device=device, folder=into, progress=shown,
            on_epoch=lambda epoch: shown.say(epoch_line(epoch, plan.epochs)),
        )  # fmt: skip
    if as_json:
        print_json(found.as_json())
        return
    print_outcome(found)
    if into:
        click.echo(f"curve: {into}/curve.html, curve.csv; weights: {into}/weights.safetensors")


@sequence.command()
@click.argument("run", type=click.Path())
@click.option("--data", type=click.Path(), help="The folder that holds the data.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def evaluate(run: str, data: str | None, device: str, as_json: bool) -> None:
    """Judge a finished run by its test set again."""
    from sortal.cli.output import print_json

    _need_nets()
    from sortal.train.sequence.run import evaluate as evaluated

    found = evaluated(run, data, device)
    if as_json:
        print_json({"numbers": dict(found.numbers), "lines": list(found.lines)})
        return
    for line in found.lines:
        click.echo(f"  {line}")
    for name, value in found.numbers.items():
        click.echo(f"{name}: {value:.6g}")


def print_outcome(found: "SequenceOutcome") -> None:
    for line in found.lines:
        click.echo(f"  {line}")
    click.echo(
        f"{found.recipe}: {found.trained.stopped}, {found.n_parameters:,} parameters, {found.cpu_s:,.0f} "
        "CPU-s, "
        f"{found.wall_s:,.0f} s"
    )
    if found.clipped is not None:
        click.echo(
            f"clipping: {found.clipped:.1%} of all steps, {found.clipped_away or 0:.1%} of all gradient "
            "length cut away"
        )
    for name, value in found.numbers.items():
        click.echo(f"{name}: {_figure(name, value)}")
    if found.goal is not None:
        verdict = "reached" if found.reached else "not reached"
        click.echo(f"goal: {found.figure} {_figure(found.figure, found.goal)}, {verdict}")


def _figure(name: str, value: float) -> str:
    return f"{value:.4g}" if "loss" in name or "bits" in name or "bleu" in name else f"{value:.2%}"


def _need_nets() -> None:
    try:
        import torch  # noqa: F401
    except ImportError as e:
        from sortal.errors import MissingExtra

        raise MissingExtra("sortal sequence", "nets") from e
