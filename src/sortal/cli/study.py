"""sortal study"""

from typing import TYPE_CHECKING, Any

import click

from sortal.cli.training import DEVICE, need_nets

if TYPE_CHECKING:
    from sortal.diagnose.study_folder import Study
    from sortal.progress import Progress

NAMES = ("degradation", "regularisation", "filters", "window")
SMOKE: dict[str, dict[str, Any]] = {
    "degradation": {"depths": (8, 14), "epochs": 2, "items": 200, "seeds": 1},
    "regularisation": {"epochs": 1, "items": 100, "seeds": 2},
    "filters": {"epochs": 1, "items": 100, "seeds": 2},
    "window": {"epochs": 1, "items": 6_000, "seeds": 1},
}


@click.command()
@click.argument("name", type=click.Choice(NAMES))
@click.option(
    "--data", type=click.Path(),
    help="Named images: train/ and test/, MNIST's files, or a folder of folders; for window a text.",
)  # fmt: skip
@click.option(
    "--items",
    type=click.IntRange(20),
    help="Learn from at most so many images, or characters.  [default: all]",
)
@click.option("--epochs", type=click.IntRange(1), help="Another number of epochs.")
@click.option("--depths", metavar="20,56", help="Layers of the networks; for degradation.")
@click.option("--seeds", type=click.IntRange(1), help="Trainings of each kind; more make the verdict surer.")
@DEVICE
@click.option("--into", type=click.Path(), help="Folder of the page.  [default: study-NAME]")
@click.option("--smoke", is_flag=True, help="Seconds: shows that it runs, its verdict means nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the study as JSON.")
def study(
    name: str, data: str | None, items: int | None, epochs: int | None, depths: str | None,
    seeds: int | None, device: str, into: str | None, smoke: bool, as_json: bool,
) -> None:  # fmt: skip
    """Train networks that differ in one thing, and say in words what it does: a page, plots, all records.

    degradation: plain against residual networks of growing depth, by training error and gradient.
    regularisation: nothing, L2, dropout, both, by the gap between test and training error.
    filters: one size of filter against several side by side, at equal operations.
    window: a feed-forward network on a fixed window against recurrent ones, on a text.
    Without --data on scikit-learn's digits, or its descriptions of data sets.

    \b
    sortal study degradation
    sortal study degradation --data cifar10-jpeg.zip --items 5000 --epochs 40 --device cuda
    sortal study regularisation --data mnist/ --items 3000
    """
    from sortal.cli.output import print_json, progress

    given = {"items": items, "epochs": epochs, "depths": _depths(depths), "seeds": seeds}
    asked = (SMOKE[name] if smoke else {}) | {key: value for key, value in given.items() if value is not None}
    if "depths" in asked and name != "degradation":
        raise click.UsageError("--depths belongs to degradation.")
    need_nets("sortal study")
    from sortal.diagnose.study_folder import check_folder, study_record, write_study

    folder = check_folder(into or f"study-{name}")
    with progress() as shown:
        found = _run(name, data, asked, device, shown)
        page = write_study(folder, found)
    if as_json:
        print_json(study_record(found) | {"page": str(page)})
        return
    for sentence in found.verdict:
        click.echo(sentence)
    click.echo(f"wrote {page}")


def _run(name: str, data: str | None, asked: dict[str, Any], device: str, shown: "Progress") -> "Study":
    if name == "window":
        return _run_window(data, asked, device, shown)
    from sortal.diagnose.degradation import degradation
    from sortal.diagnose.filter_sizes import filter_sizes
    from sortal.diagnose.regularisation import SIZES, regularisation
    from sortal.diagnose.study_data import study_data

    items = asked.pop("items", None)
    images = study_data(data, items)
    n = len(images.learn)
    shown.say(f"{images.name}: {n:,} images to learn from, {len(images.test):,} to be judged by")
    if name == "regularisation":
        usual = tuple(size for size in SIZES if size < n)
        asked["sizes"] = usual if usual and items is None else (*usual, n)
    run = {"degradation": degradation, "regularisation": regularisation, "filters": filter_sizes}[name]
    found: Study = run(images, **asked, device=device, progress=shown)  # type: ignore[operator]
    return found


def _run_window(data: str | None, asked: dict[str, Any], device: str, shown: "Progress") -> "Study":
    from sortal.data.lines import read_text
    from sortal.diagnose.window import window_study
    from sortal.train.sequence.stand_ins import text

    whole = text() if data is None else read_text(data)
    items = asked.pop("items", None)
    # A tenth is held out.
    whole = whole if items is None else whole[: items * 10 // 9]
    shown.say(f"{len(whole) * 9 // 10:,} characters to learn from")
    name = "scikit-learn's descriptions of its data sets" if data is None else data
    return window_study(whole, name, **asked, device=device, progress=shown)


def _depths(text: str | None) -> tuple[int, ...] | None:
    from sortal.errors import InputError

    if text is None:
        return None
    parts = text.split(",")
    if not all(part.strip().isdecimal() for part in parts):
        raise InputError(f"--depths must be numbers such as 20,32,44,56; got {text[:40]!r}.")
    return tuple(map(int, parts))
