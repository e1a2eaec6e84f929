"""sortal sequence"""

from typing import TYPE_CHECKING

import click

from sortal.cli.training import DEVICE, EPOCHS, INTO, SEED, SMOKE, need_nets
from sortal.cli.watch import watch_option, watching

if TYPE_CHECKING:
    from sortal.train.sequence.run import SequenceOutcome

NAMES = (  # those of sortal.train.sequence.recipes
    "names", "fsdd", "fsdd-cnn", "mnist-rows", "mnist-rows-rnn", "mnist-pixels", "mnist-pixels-rnn", "pos",
    "scan", "scan-plain", "scan-length", "scan-length-plain", "shakespeare", "shakespeare-rnn",
    "shakespeare-gpu", "adding", "adding-rnn", "copying", "copying-rnn", "captions", "captions-signs",
    "captions-folder",
)  # fmt: skip


@click.group()
def sequence() -> None:
    """Networks that read and write sequences: sounds, names, sentences, commands, texts, captions.

    \b
    sortal sequence train fsdd --data data/ --into runs/fsdd
    sortal sequence evaluate runs/fsdd --data data/
    sortal sequence sample runs/shakespeare --start "ROMEO:" --temperature 0.8
    """


@sequence.command()
@click.argument("name", type=click.Choice(NAMES), metavar="NAME")
@click.option("--data", type=click.Path(), help="The folder that holds the data.  [not needed for --smoke]")
@SMOKE
@EPOCHS
@SEED
@click.option("--leave-out", metavar="SPEAKER", help="For fsdd: test on all clips of one speaker.")
@DEVICE
@INTO
@watch_option
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def train(
    name: str, data: str | None, smoke: bool, epochs: int | None, seed: int, leave_out: str | None,
    device: str, into: str | None, watch: int | None, as_json: bool,
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
    need_nets("sortal sequence")
    from sortal.train.sequence.run import run_sequence

    with progress() as shown, watching(into, watch, shown) as watchers:
        found = run_sequence(
            replace(asked, plan=plan), data, device=device, folder=into, watchers=watchers, progress=shown,
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
@DEVICE
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def evaluate(run: str, data: str | None, device: str, as_json: bool) -> None:
    """Judge a finished run by its test set again."""
    from sortal.cli.output import print_json

    need_nets("sortal sequence")
    from sortal.train.sequence.run import evaluate as evaluated

    found = evaluated(run, data, device)
    if as_json:
        print_json({"numbers": dict(found.numbers), "lines": list(found.lines)})
        return
    for line in found.lines:
        click.echo(f"  {line}")
    for name, value in found.numbers.items():
        click.echo(f"{name}: {value:.6g}")


@sequence.command()
@click.argument("run", type=click.Path())
@click.option("--start", default="\n", help="What the text begins with.  [default: a new line]")
@click.option("--length", type=click.IntRange(1), default=400, show_default=True, help="Characters to write.")
@click.option("--temperature", type=click.FloatRange(0), default=0.8, show_default=True, help="0: likeliest.")
@click.option("--top-k", type=click.IntRange(1), help="Draw from so many of the likeliest only.")
@click.option("--seed", type=int, default=0, show_default=True, help="Same seed, same text.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def sample(
    run: str, start: str, length: int, temperature: float, top_k: int | None, seed: int, as_json: bool
) -> None:
    """Let a run of shakespeare write on."""
    from sortal.cli.output import print_json

    need_nets("sortal sequence")
    from sortal.train.sequence.characters import sampled
    from sortal.train.sequence.run import open_run

    kept = open_run(run, "characters")
    symbols = kept.symbols["characters"]
    text = sampled(kept.net, symbols, start, length, temperature=temperature, top_k=top_k, seed=seed)
    if as_json:
        print_json({"text": text})
        return
    click.echo(text)


@sequence.command()
@click.argument("run", type=click.Path())
@click.argument("sentences", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def tag(run: str, sentences: tuple[str, ...], as_json: bool) -> None:
    """Say the part of speech of each word, by a run of pos. Words and marks are parted by spaces.

    \b
    sortal sequence tag runs/pos "The old man the boats ."
    """
    from sortal.cli.output import print_json

    need_nets("sortal sequence")
    from sortal.train.sequence.run import open_run
    from sortal.train.sequence.tagging import tagged

    kept, found = open_run(run, "tagging"), []
    for sentence in sentences:
        words = tuple(sentence.split())
        tags = tagged(kept.net, words, kept.symbols)
        n_unknown = kept.symbols["words"].n_unknown([[word.lower() for word in words]])
        found.append({"words": list(words), "tags": tags, "unknown": n_unknown})
        if not as_json:
            click.echo(" ".join(f"{word}/{one}" for word, one in zip(words, tags)))
            _say_unknown(n_unknown, len(words))
    if as_json:
        print_json({"sentences": found})


@sequence.command()
@click.argument("run", type=click.Path())
@click.argument("commands", nargs=-1, required=True)
@click.option("--beam", type=click.IntRange(1), default=1, show_default=True, help="1 writes greedily.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def translate(run: str, commands: tuple[str, ...], beam: int, as_json: bool) -> None:
    """Write the actions of commands, by a run of scan.

    \b
    sortal sequence translate runs/scan "jump twice and turn left"
    """
    from sortal.cli.output import print_json

    need_nets("sortal sequence")
    from sortal.train.sequence.commands import translated
    from sortal.train.sequence.run import open_run

    kept, found = open_run(run, "commands"), []
    for command in commands:
        words = tuple(command.split())
        answer, n_unknown = translated(kept.net, words, kept.symbols, beam)
        found.append({"command": command, "actions": answer, "unknown": n_unknown})
        if not as_json:
            click.echo(" ".join(answer))
            _say_unknown(n_unknown, len(words))
    if as_json:
        print_json({"answers": found})


@sequence.command()
@click.argument("run", type=click.Path())
@click.argument("images", nargs=-1, required=True, type=click.Path())
@click.option("--beam", type=click.IntRange(1), default=4, show_default=True, help="1 writes greedily.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def caption(run: str, images: tuple[str, ...], beam: int, as_json: bool) -> None:
    """Say what is on images, by a run of captions."""
    from sortal.cli.output import print_json

    need_nets("sortal sequence")
    from sortal.data import shown
    from sortal.train.sequence.captioning import caption_files
    from sortal.train.sequence.run import open_run

    kept = open_run(run, "captions", "photographs")
    found = caption_files(kept.net, images, kept.symbols["words"], beam)
    if as_json:
        captions = [{"image": path, "words": list(words)} for path, words in zip(images, found)]
        print_json({"captions": captions})
        return
    for path, words in zip(images, found):
        click.echo(f"{shown(path)}: {' '.join(words)}")


def _say_unknown(n: int, total: int) -> None:
    if n:
        click.echo(f"{n:,} of {total:,} words are not in the vocabulary: read as unknown", err=True)


def print_outcome(found: "SequenceOutcome") -> None:
    for line in found.lines:
        click.echo(f"  {line}")
    for name, value in found.numbers.items():
        click.echo(f"{name}: {_figure(name, value)}")
    if found.goal is not None:
        verdict = "reached" if found.reached else "not reached"
        click.echo(f"goal: {found.figure} {_figure(found.figure, found.goal)}, {verdict}")
    last = f"{found.recipe}: {found.trained.stopped}, {found.n_parameters:,} parameters"
    last += f", {found.cpu_s:,.0f} CPU-s"
    if found.clipped is not None:
        last += (
            f"; {found.clipped:.1%} of steps clipped, {found.clipped_away or 0:.1%} of all length cut away"
        )
    click.echo(last)


def _figure(name: str, value: float) -> str:
    return f"{value:.4g}" if "loss" in name or "bits" in name or "bleu" in name else f"{value:.2%}"
