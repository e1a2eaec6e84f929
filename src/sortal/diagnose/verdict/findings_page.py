"""The page of what was found: charts that tell their values, tables, cures."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from sortal.diagnose.chart import Chart, Points, ValueMap, drawing, map_drawing, points_drawing
from sortal.diagnose.depth.profile import Layer, Profile
from sortal.diagnose.gradient_plots import log_grid
from sortal.diagnose.microscope import Sample
from sortal.diagnose.time.lags import Lags
from sortal.diagnose.verdict.cures import Trial
from sortal.page import Drawing, Section, Table

__all__ = ["cures_section", "depth_sections", "time_section", "watched_section"]


def depth_sections(
    profiles: Mapping[str, Profile], coherent: Mapping[tuple[str, str], float]
) -> list[Section]:
    """The first of `profiles` is the network as it is; others are drawn beside it."""
    profile = next(iter(profiles.values()))
    names = tuple(layer.name or layer.kind for layer in profile.reached)
    lines = tuple((name, tuple(layer.signal for layer in one.reached)) for name, one in profiles.items())
    chart = Chart(
        "The gradient on its way down: length of the loss's gradient by each layer's output.",
        lines, names, "layer, from input to loss", "|dL/d output|",
    )  # fmt: skip
    sections = [Section("Through depth", table=_layers(profile), drawings=(drawing(chart),))]
    if profile.activations:
        text = "Idle: units that give 0 for the whole batch (relu), values where the slope is under 5 %."
        sections.append(Section("Activation functions", (text,), table=_activations(profile)))
    if coherent:
        rows = tuple((below, above, _number(cosine)) for (below, above), cosine in coherent.items())
        text = "Mean cosine between the gradients by the outputs of two blocks: near 1 with shortcuts."
        sections.append(
            Section(
                "Do neighbouring blocks hear the same?",
                (text,),
                table=Table(("block", "next", "cosine"), rows),
            )
        )
    return sections


def time_section(lags: Sequence[Lags]) -> Section:
    drawings = [_influence(lags)]
    for one in lags:
        drawings.append(points_drawing(Points(
            f"{one.name or one.kind}: eigenvalues of the recurrent matrices; outside the circle W^k grows.",
            tuple((name.removeprefix("weight_hh_"), found.values) for name, found in one.spectra.items()),
        )))  # fmt: skip
        if one.gates:
            drawings.append(_gates(one))
    return Section("Through time", table=_gate_table(lags), drawings=tuple(drawings))


def _influence(lags: Sequence[Lags]) -> Drawing:
    lines = tuple(
        (f"{one.name or one.kind} {k}" if len(one.log_influence) > 1 else one.name or one.kind, _exp(row))
        for one in lags for k, row in enumerate(one.log_influence)
    )  # fmt: skip
    caption = "What is left of a past state's influence on the present one."
    return drawing(Chart(caption, lines, _lag_names(lines), "steps back", "|dh_T/dh_(T-lag)|"))


def _exp(logs: np.ndarray) -> tuple[float, ...]:
    with np.errstate(over="ignore"):
        return tuple(np.exp(logs).tolist())


def _lag_names(lines: Sequence[tuple[str, Sequence[float]]]) -> tuple[str, ...]:
    return tuple(f"lag {lag}" for lag in range(max(len(line) for _, line in lines)))


def _gates(one: Lags) -> Drawing:
    lines = tuple(
        (f"{gate.name} {gate.layer}{' back' if gate.reverse else ''}", tuple(gate.mean.tolist()))
        for gate in one.gates
    )
    names = tuple(f"step {step + 1}" for step in range(len(lines[0][1])))
    caption = f"{one.name or one.kind}: how far the gates are open, mean of units and items."
    return drawing(Chart(caption, lines, names, "step of the sequence", "open", log=False))


def watched_section(samples: Sequence[Sample], curves: Mapping[str, Mapping[str, np.ndarray]]) -> Section:
    """`curves` by recurrent layer: |dL/dh| by lag, by epoch; `samples` of a run that was watched, or none."""
    drawings = []
    for name, by_epoch in curves.items():
        lines = tuple((epoch, tuple(row.tolist())) for epoch, row in by_epoch.items())
        chart = Chart(
            f"{name or 'the network'}: the loss's gradient by the state, steps back from the end.",
            lines, _lag_names(lines), "steps back", "|dL/dh|", ordered=True,
        )  # fmt: skip
        drawings.append(drawing(chart))
        seen = [one for one in samples if name in one.reach]
        if seen:
            rows = [one.reach[name].gradient[0][::-1] for one in seen]
            of = f"{name or 'the network'}: |dL/dh| by lag and step of training; blank where none arrives."
            drawings.append(_map(of, rows, seen, "lag {}".format, "|dL/dh|"))
    if samples:
        layers = samples[0].profile.layers
        rows = [np.array([layer.gradient_norm for layer in one.profile.layers]) for one in samples]
        of = "The length of each layer's gradient by step of training."
        drawings.append(_map(of, rows, samples, lambda i: _layer(layers, i), "|gradient|"))
        return Section("While it learned", drawings=tuple(drawings))
    text = "The run was not watched: this is the first batch, now. Train with --watch 50 for every epoch."
    return Section("How far back the loss reaches", (text,), drawings=tuple(drawings))


def _layer(layers: Sequence[Layer], i: int) -> str:
    return layers[i].name if i < len(layers) else ""


def _map(
    caption: str, rows: Sequence[np.ndarray], samples: Sequence[Sample], name: Callable[[int], str], of: str
) -> Drawing:
    grid = log_grid(rows)
    across = tuple(name(i) for i in range(grid.shape[1]))
    return map_drawing(ValueMap(caption, grid, across, tuple(one.step for one in samples), of))


def cures_section(trials: Sequence[Trial]) -> Section:
    rows = tuple(
        (one.cure, str(one.steps), _number(one.loss_before), _number(one.loss), one.condition, one.words)
        for one in trials
    )
    columns = ("cure", "steps", "loss before", "loss after", "then", "in words")
    return Section("Cures, each tried on a copy", table=Table(columns, rows))


def _layers(profile: Profile) -> Table:
    columns = (
        "layer", "kind", "|dL/d output|", "|gradient|", "|weights|", "update / weights", "mean", "variance"
    )  # fmt: skip
    rows = tuple(
        (one.name, one.kind, *(_number(x) for x in (
            one.signal, one.gradient_norm, one.weight_norm, one.update_ratio, one.mean, one.variance
        )))
        for one in profile.layers
    )  # fmt: skip
    return Table(columns, rows)


def _activations(profile: Profile) -> Table:
    rows = tuple(
        (one.name, one.kind, f"{one.idle:.1%}", _number(one.mean), _number(one.variance))
        for one in profile.activations
    )
    return Table(("in", "kind", "idle", "mean", "variance"), rows)


def _gate_table(lags: Sequence[Lags]) -> Table | None:
    """Units that never open stay under .1 for the whole batch, those that never close over .9."""
    rows = tuple(
        (f"{one.name} {gate.name}", str(gate.layer), "back" if gate.reverse else "forth",
         f"{gate.mean.mean():.2f}", f"{gate.spread.mean():.2f}", str(len(gate.never_open)),
         str(len(gate.never_closed)), "yes" if gate.keeps else "no")
        for one in lags for gate in one.gates
    )  # fmt: skip
    columns = (
        "gate", "layer", "reads", "mean", "spread", "never open", "never closed", "keeps the state"
    )  # fmt: skip
    return Table(columns, rows) if rows else None


def _number(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else ""
