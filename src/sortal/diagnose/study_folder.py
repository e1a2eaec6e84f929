"""What a study leaves on disk: a page, its pictures, all records.

index.html     verdict in words, pictures, tables; one file, asks nothing of any network
NAME.png       each picture
runs.csv       one line a network trained
study.json     everything, as `--json` prints it
"""

import csv
import io
import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sortal.diagnose import plots
from sortal.diagnose.degradation import Degradation
from sortal.diagnose.filter_sizes import FilterSizes
from sortal.diagnose.regularisation import WAYS, Regularisation
from sortal.diagnose.window import FARTHEST, WindowStudy
from sortal.errors import StoreError
from sortal.page import Picture, Section, Table, page
from sortal.progress import counted
from sortal.whole import write_whole

__all__ = ["Study", "check_folder", "made_folder", "study_record", "write_study"]

Study = Degradation | Regularisation | FilterSizes | WindowStudy
TITLES = {
    Degradation: "Do deeper networks learn worse?",
    Regularisation: "What keeps test error near training error?",
    FilterSizes: "One size of filter, or several?",
    WindowStudy: "A window, or a memory?",
}


def study_record(study: Study) -> dict[str, Any]:
    """All of a study as plain JSON values, its verdict first."""
    return {"verdict": list(study.verdict), **asdict(study), "plan": study.plan.as_json()}


def check_folder(folder: str | os.PathLike[str]) -> Path:
    """`StoreError` where `folder` cannot be, `MissingExtra` where plots cannot; nothing is made yet.

    To be asked before the work whose result it takes.
    """
    plots.check_plots()
    path = Path(folder)
    nearest = next(one for one in (path, *path.parents) if os.path.lexists(one))
    if not (nearest.is_dir() and os.access(nearest, os.W_OK)):
        raise StoreError(f"{path} cannot be made: {nearest} is no folder to write in; choose another place.")
    return path


def made_folder(folder: str | os.PathLike[str]) -> Path:
    """`folder`, made if it is not there. `StoreError` where it cannot be."""
    path = Path(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise StoreError(f"{path} cannot be made: {e.strerror}; choose another place.") from e
    return path


def write_study(folder: str | os.PathLike[str], study: Study) -> Path:
    """Write all files of `study` into `folder`, which is made; the path of the page."""
    folder = made_folder(folder)
    sections = _sections(study)
    for section in sections:
        for picture in section.pictures:
            write_whole(folder / picture.file, picture.png)
    write_whole(folder / "runs.csv", _csv(asdict(run) for run in study.runs).encode())
    write_whole(folder / "study.json", (json.dumps(study_record(study), indent=1) + "\n").encode())
    target = folder / "index.html"
    write_whole(target, page(TITLES[type(study)], study.verdict, sections, _facts(study)).encode())
    return target


def _sections(study: Study) -> tuple[Section, ...]:
    if isinstance(study, Degradation):
        return _of_degradation(study)
    if isinstance(study, WindowStudy):
        return _of_window(study)
    return _of_regularisation(study) if isinstance(study, Regularisation) else _of_filters(study)


def _of_degradation(study: Degradation) -> tuple[Section, ...]:
    rows = tuple(
        (
            run.name, str(run.seed), f"{run.parameters:,}", f"{run.train_error[-1]:.2%}",
            f"{run.test_error:.2%}", f"{run.first_gradients[0]:.3g}", f"{run.first_gradients[-2]:.3g}",
            f"{run.cpu_s:,.0f}",
        )
        for run in study.runs
    )  # fmt: skip
    columns = (
        "network", "seed", "parameters", "training error", "test error", "gradient, first layer",
        "gradient, last convolution", "CPU-s",
    )  # fmt: skip
    by_epoch = Picture("errors-by-epoch.png", plots.errors_by_epoch(study), "Training error by epoch.", 860)
    by_depth = Picture(
        "errors-by-depth.png", plots.errors_by_depth(study), "Training error after the last epoch.", 440
    )
    gradients = Picture(
        "gradients.png", plots.gradients_by_depth(study),
        "Mean length of the gradient in the first epoch, layer by layer from the image to the answer.", 860,
    )  # fmt: skip
    return (
        Section("Error on the training images", pictures=(by_epoch, by_depth)),
        Section(
            "Gradient by depth",
            (
                "Read by a watcher after each backward pass. Towards the left a gradient that vanishes "
                "falls, one that explodes rises.",
            ),
            (gradients,),
        ),
        Section("All networks", table=Table(columns, rows)),
    )


def _of_regularisation(study: Regularisation) -> tuple[Section, ...]:
    def cell(what: str, way: str, n: int) -> str:
        return _share(*study.mean(what, way, n))

    rows = tuple(
        (f"{n:,}", way, *(cell(what, way, n) for what in ("train_error", "test_error", "gap")))
        for n in study.sizes
        for way in WAYS
    )
    linear = tuple(
        (
            f"{one.q:g}", "torch's scaling" if one.scaled else "no rescaling", f"{one.plain_loss:.3f}",
            f"{one.penalty:.3f}", f"{one.by_formula:.3f}", f"{one.by_draws:.3f}",
            f"{one.standard_error:.3f}", f"{one.errors_apart:.2f}",
        )
        for one in study.linear
    )  # fmt: skip
    columns = (
        "dropped", "form", "loss without", "penalty", "formula", "mean of draws", "standard error", "apart"
    )  # fmt: skip
    drawn = Picture(
        "gaps.png", plots.gaps_by_size(study),
        "By the number of images to learn from; bars are 95 % intervals over the seeds.", 860,
    )  # fmt: skip
    return (
        Section("The gap", pictures=(drawn,)),
        Section(
            "All ways", table=Table(("images", "regulariser", "training error", "test error", "gap"), rows)
        ),
        Section(
            "A linear model, exactly",
            (
                "Each input is kept with probability p, or dropped with q = 1 - p. With R of zeros and ones "
                "and G = diag(X'X)^(1/2):",
                "no rescaling: E|y - (R * X)w|^2 = |y - pXw|^2 + p(1 - p) |Gw|^2;",
                "torch's scaling: E|y - dropout(X)w|^2 = |y - Xw|^2 + q/(1 - q) |Gw|^2.",
                f"The mean of {study.linear[0].n_draws:,} draws must lie within a few standard errors.",
            ),
            table=Table(columns, linear),
        ),
    )


def _of_filters(study: FilterSizes) -> tuple[Section, ...]:
    rows = []
    for cost in study.costs:
        (train, _), (test, half) = (study.mean(what, cost.filters) for what in ("train_error", "test_error"))
        rows.append((
            cost.filters, " and ".join(map(str, cost.widths)), f"{cost.macs:,}", f"{cost.parameters:,}",
            f"{cost.receptive_field} pixels", f"{train:.2%}", _share(test, half),
        ))  # fmt: skip
    columns = ("filters", "channels", "MACs", "parameters", "sees", "training error", "test error")
    drawn = Picture(
        "errors.png",
        plots.errors_by_filters(study),
        "Share wrong; dots are seeds, bars their mean with its 95 % interval.",
        440,
    )
    text = (
        "Two stages of two layers, batch norm, ReLU; widths chosen so that the multiply-accumulates agree.",
    )
    return Section("Errors", text, (drawn,)), Section("Cost and error", table=Table(columns, tuple(rows)))


def _of_window(study: WindowStudy) -> tuple[Section, ...]:
    rows = []
    for name in study.networks:
        one, (mean, half) = study.of(name)[0], study.mean("test_bits", name)
        wrong, _ = study.mean("test_error", name)
        spread = f" ± {half:.3f}" if math.isfinite(half) else ""
        far = f"{one.reach} back" + (" and more" if one.reach == FARTHEST else "")
        rows.append((
            name, f"{one.parameters:,}", f"{one.first_weights:,}", far, f"{mean:.3f}{spread}", f"{wrong:.2%}",
        ))  # fmt: skip
    columns = ("network", "parameters", "of them reading", "sees", "bits a symbol", "wrong")
    drawn = Picture(
        "bits.png", plots.bits_by_parameters(study),
        "Bits a symbol of text held out; numbers at the points are windows, bars 95 % intervals.", 440,
    )  # fmt: skip
    text = ("Sees: how many symbols back a change still changed the network's answer, by trying.",)
    return Section("Bits", pictures=(drawn,)), Section(
        "All networks", text, table=Table(columns, tuple(rows))
    )


def _facts(study: Study) -> list[tuple[str, str]]:
    plan = study.plan
    rule = f"rate {plan.peak_lr:g} ({plan.schedule}), momentum {plan.momentum:g}"
    rule += f", gradients cut to {plan.clip_norm:g}" if plan.clip_norm else ""
    items, how = ("characters", "AdamW") if isinstance(study, WindowStudy) else ("images", "SGD")
    facts = [
        (items, f"{study.data}; {study.n_test:,} to be judged by"),
        ("training", f"{counted(plan.epochs, 'epoch')}, batches of {study.batch_size}, {how}, {rule}"),
        ("networks trained", f"{len(study.runs)}"),
        ("cost", f"{sum(run.cpu_s for run in study.runs):,.0f} CPU-seconds"),
        ("device", study.device),
    ]
    if isinstance(study, Regularisation):
        facts.insert(2, (
            "regularisers", f"weight decay {study.weight_decay:g}; dropout of {study.drop:.0%}, no rescaling "
            f"in use; {study.steps:,} steps whatever the number of images",
        ))  # fmt: skip
    else:
        facts.insert(1, ("learned from", f"{study.n_train:,} {items}, no augmentation"))
    return facts


def _csv(rows: Iterable[Mapping[str, Any]]) -> str:
    """A line a record; a curve stands in one cell, its numbers separated by blanks."""
    lines = [{key: _cell(value) for key, value in row.items()} for row in rows]
    out = io.StringIO()
    writer = csv.DictWriter(out, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, tuple):
        return " ".join(str(_cell(one)) for one in value)
    return f"{value:.6g}" if isinstance(value, float) else value


def _share(mean: float, half: float) -> str:
    return f"{mean:.2%}" + (f" ± {half:.2%}" if math.isfinite(half) else "")
