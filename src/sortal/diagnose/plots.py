"""The pictures of the studies, as PNG. Needs the extra `plot`."""

import io
import math
from importlib.util import find_spec
from typing import Any

from sortal.diagnose.degradation import Degradation
from sortal.diagnose.filter_sizes import FilterSizes
from sortal.diagnose.regularisation import WAYS, Regularisation
from sortal.diagnose.window import WindowStudy
from sortal.errors import MissingExtra

__all__ = [
    "bits_by_parameters",
    "check_plots",
    "errors_by_depth",
    "errors_by_epoch",
    "errors_by_filters",
    "gaps_by_size",
    "gradients_by_depth",
]

PAPER = "#fbfaf7"  # of the page
PLAIN, RESIDUAL = "#c2410c", "#1769aa"
OF_WAY = {"none": "#5f5c55", "L2": "#1769aa", "dropout": "#c2410c", "both": "#7c3aed"}


def check_plots() -> None:
    """`MissingExtra` where nothing can be drawn."""
    if find_spec("matplotlib") is None:
        raise MissingExtra("Drawing plots", "plot")


def errors_by_epoch(study: Degradation) -> bytes:
    """Training error by epoch, plain on the left, residual on the right, deeper is darker."""
    figure, panels = _figure(1, 2, sharey=True)
    depths = sorted({run.depth for run in study.runs})
    for axes, residual in zip(panels, (False, True)):
        for run in study.runs:
            if run.residual == residual:
                axes.plot(
                    range(1, len(run.train_error) + 1), [100 * e for e in run.train_error],
                    color=_shade(residual, depths.index(run.depth), len(depths)),
                    label=f"{run.depth} layers" if run.seed == 0 else None,
                )  # fmt: skip
        axes.set(title="residual" if residual else "plain", xlabel="epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(frameon=False)
    _from_zero(panels[0])  # of both
    panels[0].set_ylabel("training error, %")
    return _png(figure)


def errors_by_depth(study: Degradation) -> bytes:
    """Training error of the last epoch by depth."""
    figure, axes = _figure(1, 1)
    depths = sorted({run.depth for run in study.runs})
    for residual, color in ((False, PLAIN), (True, RESIDUAL)):
        wrong = [100 * study.error(residual, depth) for depth in depths]
        axes.plot(depths, wrong, color=color, marker="o", label="residual" if residual else "plain")
    axes.set(xlabel="layers", ylabel="training error, %", xticks=depths)
    _from_zero(axes)
    axes.legend(frameon=False)
    return _png(figure)


def gradients_by_depth(study: Degradation) -> bytes:
    """Mean length of each layer's gradient in the first epoch, from the image to the answer."""
    figure, panels = _figure(1, 2, sharey=True)
    depths = sorted({run.depth for run in study.runs})
    for axes, residual in zip(panels, (False, True)):
        for run in study.runs:
            if run.residual == residual and run.seed == 0:
                axes.plot(
                    range(1, len(run.layers) + 1), run.first_gradients, linewidth=1.2,
                    color=_shade(residual, depths.index(run.depth), len(depths)), label=f"{run.depth} layers",
                )  # fmt: skip
        axes.set(title="residual" if residual else "plain", xlabel="layer", yscale="log")
        axes.legend(frameon=False)
    panels[0].set_ylabel("length of the gradient")
    return _png(figure)


def gaps_by_size(study: Regularisation) -> bytes:
    """The gap between test and training error, and the test error, by the number of images."""
    figure, panels = _figure(1, 2)
    titles = {"gap": "test error less training error", "test_error": "test error"}
    for axes, (what, title) in zip(panels, titles.items()):
        for i, way in enumerate(WAYS):
            points = [study.mean(what, way, n) for n in study.sizes]
            axes.errorbar(
                [n * 1.03 ** (i - 1.5) for n in study.sizes], [100 * mean for mean, _ in points],
                [_width(half) for _, half in points], color=OF_WAY[way], marker="o", markersize=4,
                capsize=2, label=way,
            )  # fmt: skip
        axes.set(title=title, xlabel="images to learn from", xscale="log")
        axes.set_ylim(bottom=min(0, axes.get_ylim()[0]))
        axes.set_xticks(study.sizes, [f"{n:,}" for n in study.sizes], minor=False)
        axes.minorticks_off()
        axes.legend(frameon=False)
    panels[0].set_ylabel("%")
    return _png(figure)


def errors_by_filters(study: FilterSizes) -> bytes:
    """Training and test error of each network, seeds as dots."""
    figure, axes = _figure(1, 1)
    names = [cost.filters for cost in study.costs]
    for shift, what, color in ((-0.12, "train_error", "#8b877d"), (0.12, "test_error", RESIDUAL)):
        at = [i + shift for i in range(len(names))]
        mean, halves = zip(*(study.mean(what, name) for name in names))
        axes.bar(
            at, [100 * m for m in mean], 0.22, yerr=[_width(half) for half in halves], capsize=3, color=color,
            alpha=0.55, label="training" if what == "train_error" else "test",
        )  # fmt: skip
        for x, name in zip(at, names):
            dots = [100 * getattr(run, what) for run in study.runs if run.filters == name]
            axes.plot([x] * len(dots), dots, "o", color="#1f1e1b", markersize=3)
    axes.set_xticks(range(len(names)), names)
    axes.set_ylabel("wrong, %")
    _from_zero(axes)
    axes.legend(frameon=False)
    return _png(figure)


def bits_by_parameters(study: WindowStudy) -> bytes:
    """Bits a symbol of held-out text by parameters: windows as a line, recurrent networks as points."""
    figure, axes = _figure(1, 1)
    line = [name for name in study.networks if study.of(name)[0].window]
    at = [study.of(name)[0].parameters for name in line]
    bits = [study.mean("test_bits", name)[0] for name in line]
    axes.plot(at, bits, color=PLAIN, marker="o", label="windows")
    for name, x, y in zip(line, at, bits):
        axes.annotate(str(study.of(name)[0].window), (x, y), (4, 4), textcoords="offset points")
    for name, color in zip([name for name in study.networks if name not in line], (OF_WAY["none"], RESIDUAL)):
        mean, half = study.mean("test_bits", name)
        width = _width(half) / 100
        axes.errorbar([study.of(name)[0].parameters], [mean], [width], marker="s", color=color, label=name)
    axes.set(xlabel="parameters", ylabel="bits a symbol", xscale="log")
    axes.legend(frameon=False)
    return _png(figure)


def _from_zero(axes: Any) -> None:
    """Once all is drawn, as a limit ends the growth with it; room above, or markers at the top are cut."""
    axes.set_ylim(0, 1.04 * axes.get_ylim()[1])


def _figure(rows: int, columns: int, **shared: Any) -> tuple[Any, Any]:
    from matplotlib.figure import Figure  # no pyplot: no window, no global state

    figure = Figure(figsize=(4.6 * columns, 3.4), layout="constrained", dpi=110, facecolor=PAPER)
    panels = figure.subplots(rows, columns, **shared)
    for axes in figure.axes:
        axes.set_facecolor(PAPER)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelleft=True)
    return figure, panels


def _width(half: float) -> float:
    """Half of an interval in per cent; none is drawn where one seed gives none."""
    return 100 * half if math.isfinite(half) else 0.0


def _shade(residual: bool, place: int, n: int) -> tuple[float, ...]:
    """Light for the shallowest, full colour for the deepest."""
    from matplotlib.colors import to_rgb

    share = 0.35 + 0.65 * (place / max(n - 1, 1))
    return tuple(1 - share * (1 - part) for part in to_rgb(RESIDUAL if residual else PLAIN))


def _png(figure: Any) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()
