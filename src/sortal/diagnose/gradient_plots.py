"""The pictures of the microscope, as PNG and SVG. Needs the extra `plot`.

Colours of sequences run from dark to light (cividis), which the colour-blind see and grey keeps; lines of
different kinds differ in their dashes too.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import numpy as np

from sortal.diagnose.chart import COLORS
from sortal.diagnose.depth.profile import Profile
from sortal.diagnose.microscope import Sample
from sortal.diagnose.time.gates import Gate
from sortal.diagnose.time.lags import Lags
from sortal.diagnose.time.spectrum import Spectrum

__all__ = [
    "Drawn", "by_epoch", "depth_profile", "gates_over_time", "gradient_by_lag", "influence_by_lag",
    "lag_by_step", "layer_by_step", "log_grid", "powers", "spectra",
]  # fmt: skip

STYLES = ("-", "--", ":", "-.")
MOST_POWERS = 50
PAPER = "#fbfaf7"


@dataclass(frozen=True)
class Drawn:
    png: bytes
    svg: bytes


def depth_profile(profiles: Mapping[str, Profile]) -> Drawn:
    """|dL/d output| of each layer from the input to the loss; one line a profile, by name."""
    figure, axes = _figure()
    for i, (name, profile) in enumerate(profiles.items()):
        lengths = [layer.signal for layer in profile.reached]
        width = 1.5 + 1.5 * max(len(profiles) - 1 - i, 0)  # of two that are equal the first is still seen
        style = {"color": COLORS[i % 5], "linestyle": STYLES[i % 4], "linewidth": width}
        axes.plot(
            range(1, len(lengths) + 1), lengths, **style, marker="os^D"[i % 4], markersize=3, label=name
        )
    axes.set(xlabel="layer, from input to loss", ylabel="|dL/d output|, in units of the loss", yscale="log")
    axes.legend(frameon=False)
    return _drawn(figure)


def influence_by_lag(lags: Sequence[Lags]) -> Drawn:
    """|dh_T/dh_(T-lag)| over that of lag 0, one line a cell, with the line of 1 %."""
    figure, axes = _figure()
    i = 0
    for one in lags:
        for k, row in enumerate(one.log_influence):
            shown = np.where(np.isfinite(row), row / np.log(10), np.nan)
            name = f"{one.name or one.kind} {k}" if len(one.log_influence) > 1 else one.name or one.kind
            axes.plot(shown, STYLES[i % 4], color=COLORS[i % 5], label=name)
            i += 1
    axes.axhline(-2, color="#8b877d", linewidth=0.8)
    axes.annotate("1 %", (0, -2), xytext=(2, 2), textcoords="offset points", fontsize=8)
    axes.set(xlabel="lag, steps", ylabel="influence of the past state, log10")
    axes.legend(frameon=False)
    return _drawn(figure)


def spectra(found: Mapping[str, Spectrum]) -> Drawn:
    """Eigenvalues of the recurrent matrices, with the circle of modulus 1; a panel a cell."""
    cells: dict[str, dict[str, Spectrum]] = {}
    for name, one in found.items():
        cell, _, gate = name.partition("[")
        cells.setdefault(cell, {})[gate.rstrip("]") or cell] = one
    figure, panels = _panels(list(cells), "real part", "imaginary part")
    turn = np.linspace(0, 2 * np.pi, 200)
    for axes, gates in zip(panels, cells.values()):
        for (name, one), marker, color in zip(gates.items(), cycle("o^sx"), cycle(COLORS)):
            axes.plot(
                one.values.real, one.values.imag, marker, color=color, markersize=3.5, label=name, alpha=0.8
            )
        axes.plot(np.cos(turn), np.sin(turn), color="#1f1e1b", linewidth=1)
        # A box that shrinks to one scale and a legend that hangs on it left half of both outside the picture.
        axes.set_aspect("equal", adjustable="datalim")
    _legend(figure, panels[0])
    return _drawn(figure)


def powers(found: Mapping[str, Spectrum]) -> Drawn:
    """log10 |W^k| of the recurrent matrices by k; dotted, what the largest modulus alone would make of it."""
    figure, axes = _figure()
    k = np.arange(MOST_POWERS + 1)
    for (name, one), style, color in zip(found.items(), cycle(("-", "--", "-.")), cycle(COLORS)):
        axes.plot(k, one.log_norms(MOST_POWERS) / np.log(10), style, color=color, label=name)
        if one.radius > 0:
            axes.plot(k, k * np.log10(one.radius), ":", color=color, linewidth=0.8)
    axes.set(xlabel="power k, steps", ylabel="|W^k|, log10")
    axes.legend(frameon=False, fontsize=7)
    return _drawn(figure)


def gates_over_time(gates: Sequence[Gate]) -> Drawn:
    """The mean of each gate at each step, with one standard deviation on both sides; a panel a cell."""
    cells: dict[str, list[Gate]] = {}
    for gate in gates:
        cells.setdefault(f"layer {gate.layer}{' back' if gate.reverse else ''}", []).append(gate)
    figure, panels = _panels(
        list(cells), "step of the sequence", "how far open, 0 to 1", sharex=True, sharey=True
    )
    for axes, few in zip(panels, cells.values()):
        for gate, style, color in zip(few, STYLES, COLORS):
            steps = np.arange(1, len(gate.mean) + 1)
            axes.plot(steps, gate.mean, style, color=color, label=gate.name)
            low, high = gate.mean - gate.spread, gate.mean + gate.spread
            axes.fill_between(steps, low, high, color=color, alpha=0.12)
        axes.set_ylim(0, 1)
    _legend(figure, panels[0])
    return _drawn(figure)


def gradient_by_lag(curves: Mapping[str, np.ndarray]) -> Drawn:
    """|dL/dh_(T-lag)| by lag, one curve a name, later ones lighter; see `by_epoch`."""
    figure, axes = _figure()
    for color, (name, lengths) in zip(_cividis(len(curves)), curves.items()):
        axes.plot(np.where(lengths > 0, lengths, np.nan), color=color, label=name)
    axes.set(xlabel="lag, steps back from the end", ylabel="|dL/dh|, in units of the loss", yscale="log")
    if len(curves) <= 8:
        axes.legend(frameon=False, fontsize=7)
    return _drawn(figure)


def by_epoch(samples: Sequence[Sample], name: str) -> dict[str, np.ndarray]:
    """|dL/dh| by lag of the first cell of layer `name` in the last sample of each epoch."""
    last = {sample.epoch: sample for sample in samples if name in sample.reach}
    return {f"epoch {epoch + 1}": one.reach[name].gradient[0][::-1] for epoch, one in last.items()}


def lag_by_step(samples: Sequence[Sample], name: str) -> Drawn:
    """|dL/dh_(T-lag)| of the first cell of layer `name` as a map: lag by step of training."""
    seen = [sample for sample in samples if name in sample.reach]
    rows = [sample.reach[name].gradient[0][::-1] for sample in seen]
    return _map(seen, rows, "lag, steps back from the end", "|dL/dh|, log10")


def layer_by_step(samples: Sequence[Sample]) -> Drawn:
    """The length of each layer's gradient as a map: layer by step of training."""
    rows = [np.array([layer.gradient_norm for layer in sample.profile.layers]) for sample in samples]
    return _map(samples, rows, "layer, from input to loss", "|gradient|, log10", first=1)


def _map(
    samples: Sequence[Sample], rows: Sequence[np.ndarray], across: str, of: str, first: int = 0
) -> Drawn:
    figure, axes = _figure()
    grid = log_grid(rows)
    places, steps = first + np.arange(grid.shape[1]), [sample.step for sample in samples]
    shown = axes.pcolormesh(places, steps, grid, cmap="cividis", shading="nearest")
    figure.colorbar(shown, ax=axes, label=of)
    axes.set(xlabel=across, ylabel="step of training")
    axes.xaxis.get_major_locator().set_params(integer=True)
    return _drawn(figure)


def log_grid(rows: Sequence[np.ndarray]) -> np.ndarray:
    """log10 of rows of unequal length; NaN where there is nothing, or nothing that is finite and above 0."""
    grid = np.full((len(rows), max(map(len, rows))), np.nan)
    for out, row in zip(grid, rows):
        known = (row > 0) & np.isfinite(row)
        out[: len(row)][known] = np.log10(row[known])
    return grid


def _figure() -> tuple[Any, Any]:
    from matplotlib.figure import Figure  # no pyplot: no window, no global state

    figure = Figure(figsize=(5.6, 3.6), layout="constrained", dpi=110, facecolor=PAPER)
    axes = figure.subplots()
    axes.set_facecolor(PAPER)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _panels(names: Sequence[str], across: str, up: str, **shared: Any) -> tuple[Any, list[Any]]:
    """A panel a name, two in a row where there are more than one; names of the axes at the edges."""
    figure, _ = _figure()
    figure.clear()
    columns = min(len(names), 2)
    rows = -(-len(names) // columns)
    grid = figure.subplots(rows, columns, **shared, squeeze=False)
    for axes in grid.flat[len(names) :]:
        axes.set_axis_off()
    for axes, name in zip(grid.flat, names):
        axes.set_facecolor(PAPER)
        axes.spines[["top", "right"]].set_visible(False)
        if len(names) > 1:
            axes.set_title(name, fontsize=8)
    for axes in grid[:, 0]:
        axes.set_ylabel(up, fontsize=10 if rows < 3 else 6)
    for axes in grid[-1]:
        axes.set_xlabel(across)
    return figure, list(grid.flat[: len(names)])


def _legend(figure: Any, panel: Any) -> None:
    """One for all panels, beside them: gates have the same names in each."""
    handles, names = panel.get_legend_handles_labels()
    figure.legend(handles, names, frameon=False, fontsize=8, loc="outside right upper")


def _cividis(n: int) -> Any:
    from matplotlib import colormaps

    return colormaps["cividis"](np.linspace(0, 0.8, max(n, 1)))  # at .9 a line was faint on paper, in grey


def _drawn(figure: Any) -> Drawn:
    from matplotlib import rc_context

    png, svg = io.BytesIO(), io.BytesIO()
    figure.savefig(png, format="png", metadata={"Software": None})
    with rc_context({"svg.hashsalt": "sortal"}):  # the same picture, the same bytes
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    return Drawn(png.getvalue(), svg.getvalue())
