"""sortal organize"""

from typing import TYPE_CHECKING

import click

from sortal.cli.method import METHOD, PARAM, SUGGEST, Number, method_text, wanted_k
from sortal.progress import counted

if TYPE_CHECKING:
    from sortal.pile import Pile

STOPPED = "stopped; what was finished is stored, the same command goes on from there."


@click.command()
@click.argument("source", type=click.Path())
@click.option("--into", type=click.Path(), help="The pile; by default NAME.sortal beside the source.")
@click.option(
    "--encoder",
    default="auto",
    show_default=True,
    help="auto, hog, pixels, self (trained on the pile itself), self-photos (the same in colour, for a GPU), "
    "an ONNX file, a network such as resnet50, "
    "resnet20=FILE with its weights, or a model folder.",
)
@click.option(
    "--preprocess",
    multiple=True,
    metavar="KEY=VALUE,...",
    help="Of an ONNX file: size, crop, resample, range, mean, std, channels, layout, output (images, also "
    "NETWORK=FILE); rate, mels, floor (sound), channels (series), tokenizer (text), scale, length, pool, ...",
)
@click.option("-k", "--groups", "k", type=Number(), help="The number of groups, or auto for a guess.")
@METHOD
@PARAM
@SUGGEST
@click.option("--seed", type=int, help="Same seed, same groups.  [default: 0]")
@click.option(
    "--names-from",
    type=click.Choice(["folders"]),
    help="Take sub-folders (or files of many items) as names of their items.",
)
@click.option(
    "--kind",
    type=click.Choice(["image", "sound", "series", "text"]),
    help="What the items are; by default what the files say.",
)
@click.option(
    "--read",
    multiple=True,
    metavar="KEY=VALUE,...",
    help="How files become items: cut, channels (sound), missing (series), by, column (text).",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def organize(  # noqa: PLR0917 - one parameter an option
    source: str,
    into: str | None,
    encoder: str,
    preprocess: tuple[str, ...],
    k: int | str | None,
    method: str | None,
    params: tuple[str, ...],
    suggested: bool,
    seed: int | None,
    names_from: str | None,
    kind: str | None,
    read: tuple[str, ...],
    as_json: bool,
) -> None:
    """Read images, sounds, time series or texts, embed them, group them.

    SOURCE is a folder, a zip, a CSV or Parquet list of paths, a file of many items (.ts, .csv, .npy, .txt,
    .jsonl, .conllu), or a pile to read and group again: vectors are reused and names stay.

    \b
    sortal organize photos/
    sortal organize photos.sortal -k 12
    sortal organize photos.sortal --suggest
    sortal organize photos.sortal --method sklearn.cluster.HDBSCAN --param min_cluster_size=20
    sortal organize photos/ --encoder self
    sortal organize photos/ --encoder resnet50
    sortal organize recordings/ --read cut=silence
    sortal organize reviews.csv --read column=review
    sortal organize photos/ --encoder net.onnx --preprocess range=255,mean=128,std=128
    """
    from sortal import pile as library
    from sortal.cli.output import print_candidates, print_json, progress
    from sortal.cli.shapes import summary_shape
    from sortal.data import shown

    asked, number = method_text(method, params), wanted_k(k, suggested)
    try:
        with progress() as shower:
            pile = library.organize(
                source, into, encoder=encoder, preprocess=_pairs(preprocess, "--preprocess"), k=number,
                method=asked, seed=seed, names_from=names_from, kind=kind, read=_pairs(read, "--read"),
                progress=shower,
            )  # fmt: skip
    except KeyboardInterrupt as e:  # a training says after which step
        raise click.Abort(str(e) or STOPPED) from None
    with pile:
        if as_json:
            print_json(summary_shape(pile))
            return
        where = shown(str(pile.path))
        if pile.grouping is not None and pile.grouping.evidence["candidates"]:
            print_candidates(pile.grouping.evidence["candidates"], len(pile.groups))
        click.echo(_found(pile))
        click.echo(f"pile: {where}\nlook: sortal show {where} --html report.html")


def _found(pile: "Pile") -> str:
    """Items are fewer than files where some are copies of others or could not be read."""
    copies = sum(len(paths) - 1 for paths in pile.all_paths)
    parts = [f"{counted(len(pile), 'item')} in {counted(len(pile.groups), 'group')}"]
    if left_out := int((pile.labels < 0).sum()):
        parts[0] += f", {left_out:,} of them left out"
    inside = any("#" in row.path for row in pile.quarantine) or any("#" in p[0] for p in pile.all_paths)
    what = "item" if inside else "file"  # `words.txt#17` is an item of a file
    if copies:
        parts.append(f"{counted(copies, what)} more {'is a copy' if copies == 1 else 'are copies'}")
    if pile.quarantine:
        parts.append(f"{counted(len(pile.quarantine), what)} could not be read (--quarantine lists them)")
    return "; ".join(parts)


_TEXTS = ("output", "column", "tokenizer", "letters")


def _pairs(given: tuple[str, ...], option: str) -> dict[str, object] | None:
    """KEY=VALUE pairs divided by commas; a value may be a number or several divided by colons.

    An output or a column is called as its file calls it: `495` and `Identity:0` are names. None where the
    option was not given; given several times, all of it counts.
    """
    pairs: dict[str, object] = {}
    for part in ",".join(given).split(",") if given else ():
        key, equals, value = part.partition("=")
        if not equals:
            raise click.UsageError(f"{option} wants KEY=VALUE pairs divided by commas; got {part[:60]!r}.")
        key = key.strip()
        if key in pairs:
            raise click.UsageError(f"{option} wants each key once; got {key[:60]} twice.")
        values = [value] if key in _TEXTS else [_number(one) for one in value.split(":")]
        pairs[key] = values if len(values) > 1 else values[0]
    return pairs or None


def _number(text: str) -> float | int | str | None:
    if text == "none":
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
