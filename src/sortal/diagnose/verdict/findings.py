"""Everything that is found out about one network's gradient, and what is left on disk of it.

index.html        verdicts and cures, charts that tell their values, pictures; asks nothing of any network
NAME.png .svg     each picture
gradients.json    everything, as `--json` prints it
"""

import json
import math
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sortal.diagnose import gradient_plots as plots
from sortal.diagnose.chart import Chart, drawing
from sortal.diagnose.depth.coherence import coherence
from sortal.diagnose.depth.profile import Profile, layer_profile
from sortal.diagnose.study_folder import made_folder
from sortal.diagnose.time.products import horizon
from sortal.diagnose.verdict.cures import Trial, try_cures
from sortal.diagnose.verdict.examination import Examination, ask, examine
from sortal.diagnose.verdict.opened import Opened
from sortal.page import Picture, Section, Table, page
from sortal.progress import Progress
from sortal.whole import write_whole

__all__ = ["Findings", "findings", "findings_record", "write_findings"]


@dataclass(frozen=True)
class Findings:
    """`severed` is the depth with shortcuts cut, None where it has none; `coherent` by pair of blocks."""

    subject: Opened
    seen: Examination
    severed: Profile | None
    coherent: dict[tuple[str, str], float]
    trials: tuple[Trial, ...]

    @property
    def table(self) -> tuple[tuple[str, str, str, str], ...]:
        """Subject, condition, how sure, in words."""
        return tuple((one.subject, one.condition, one.sure, one.sign.words) for one in self.seen.verdicts)

    @property
    def best(self) -> Trial | None:
        """The cure after which the loss was lowest, if any beats the untreated."""
        if not self.trials:
            return None
        untreated, *others = self.trials
        found = min(others, key=lambda trial: trial.loss, default=untreated)
        return found if found.loss < untreated.loss or math.isnan(untreated.loss) else None

    @property
    def verdict(self) -> tuple[str, ...]:
        said = [f"{name}: {condition} ({sure}); {words}." for name, condition, sure, words in self.table]
        if self.trials:
            untreated, best = self.trials[0], self.best
            said.append(
                f"What helped most in {untreated.steps} steps: {best.cure}, loss {best.loss:.3g} where the "
                f"untreated has {untreated.loss:.3g}."
                if best
                else "No cure that was tried did better than leaving it alone."
            )
        return tuple(said)


def findings(
    subject: Opened, *, steps: int = 200, lr: float | None = None,
    progress: Progress = Progress(),  # noqa: B008 (has no state)
) -> Findings:  # fmt: skip
    """Examine the network, cut its shortcuts, and try the cures of the first condition that is found.

    Nothing of the network moves. `lr` is the rate of the trials: the run's own, or .05.
    """
    net, task, first = subject.net, subject.task, subject.batches[0]
    progress.say(f"{subject.name}: {len(subject.batches)} batches")
    seen = examine(net, task, subject.batches)
    severed = layer_profile(net, partial(ask, net, task, first), severed=True)
    coherent = coherence(net, partial(ask, net, task, first))
    trials: tuple[Trial, ...] = ()
    if not seen.healthy and steps:
        progress.say(f"{seen.worst.condition}: trying its cures for {steps} steps each")
        rate = lr or subject.lr or 0.05
        trials = try_cures(net, task, subject.batches, seen.worst.condition, lr=rate, steps=steps)
    return Findings(subject, seen, severed if severed.n_shortcuts else None, coherent, trials)


def findings_record(found: Findings) -> dict[str, Any]:
    """All of it as plain JSON values; what is not finite is null."""
    profile = found.seen.profiles[0]
    return {
        "subject": found.subject.name,
        "healthy": found.seen.healthy,
        "verdict": list(found.verdict),
        "verdicts": [
            {"subject": one.subject, "condition": one.condition, "where": one.sign.where,
             "agree": one.agree, "of": one.of, "value": _plain(one.sign.value), "limit": one.sign.limit}
            for one in found.seen.verdicts
        ],
        "layers": [{key: _plain(value) for key, value in vars(one).items()} for one in profile.layers],
        "activations": [vars(one) for one in profile.activations],
        "decay": _plain(profile.decay),
        "decay_without_shortcuts": _plain(found.severed.decay) if found.severed else None,
        "coherence": [{"below": a, "above": b, "cosine": _plain(c)} for (a, b), c in found.coherent.items()],
        "lags": [
            {"layer": one.name, "cell": one.kind, "horizon": [horizon(row) for row in one.log_influence],
             "log_influence": [[_plain(x) for x in row] for row in one.log_influence.tolist()],
             "radius": {name: spectrum.radius for name, spectrum in one.spectra.items()}}
            for one in found.seen.lags[0]
        ],
        "trials": [{key: _plain(value) for key, value in vars(one).items()} for one in found.trials],
    }  # fmt: skip


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_findings(folder: str | os.PathLike[str], found: Findings) -> Path:
    """Write all files into `folder`, which is made; the path of the page."""
    path = made_folder(folder)
    drawn = _drawn(found)
    for name, one in drawn.items():
        write_whole(path / f"{name}.png", one.png)
        write_whole(path / f"{name}.svg", one.svg)
    record = json.dumps(findings_record(found), indent=1) + "\n"
    write_whole(path / "gradients.json", record.encode())
    target = path / "index.html"
    facts = [("network", type(found.subject.net).__name__), ("batches", str(len(found.subject.batches)))]
    title = f"Does the gradient of {found.subject.name} get there?"
    write_whole(target, page(title, found.verdict, _sections(found, drawn), facts).encode())
    return target


def _drawn(found: Findings) -> dict[str, plots.Drawn]:
    lags = found.seen.lags[0]
    drawn = {"depth": plots.depth_profile(_profiles(found))}
    if lags:
        drawn["influence"] = plots.influence_by_lag(lags)
    for i, one in enumerate(lags):
        drawn[f"spectrum-{i}"] = plots.spectra(one.spectra)
        if one.gates:
            drawn[f"gates-{i}"] = plots.gates_over_time(one.gates)
    return drawn


def _profiles(found: Findings) -> dict[str, Profile]:
    whole = {"as it is": found.seen.profiles[0]}
    return whole | ({"shortcuts cut": found.severed} if found.severed else {})


CAPTIONS = {
    "depth": "The gradient on its way down: length of the loss's gradient by each layer's output.",
    "influence": "What is left of a past state's influence on the present one.",
    "spectrum": "Eigenvalues of the recurrent matrices; outside the circle W^k grows, inside it dies away.",
    "gates": "How far the gates are open, the mean of units and items with one standard deviation.",
}


def _sections(found: Findings, drawn: dict[str, plots.Drawn]) -> list[Section]:
    profile = found.seen.profiles[0]
    names = tuple(layer.name for layer in profile.reached)
    lines = tuple((name, tuple(one.signal for one in it.reached)) for name, it in _profiles(found).items())
    chart = Chart("Point at a layer.", lines, names, "layer, from input to loss", "|dL/d output|")
    pictures = {
        name: Picture(f"{name}.png", one.png, CAPTIONS[name.split("-")[0]], 560)
        for name, one in drawn.items()
    }
    depth = Section("Through depth", (), (pictures.pop("depth"),), _layers(profile), (drawing(chart),))
    sections = [depth]
    if pictures:
        sections.append(Section("Through time", (), tuple(pictures.values()), _gates(found)))
    if found.trials:
        sections.append(Section("Cures, each tried on a copy", table=_trials(found)))
    return sections


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


def _gates(found: Findings) -> Table | None:
    """Units that never open stay under .1 for the whole batch, those that never close over .9."""
    rows = tuple(
        (f"{lags.name} {gate.name}", str(gate.layer), "back" if gate.reverse else "forth",
         f"{gate.mean.mean():.2f}", f"{gate.spread.mean():.2f}", str(len(gate.never_open)),
         str(len(gate.never_closed)), "yes" if gate.keeps else "no")
        for lags in found.seen.lags[0] for gate in lags.gates
    )  # fmt: skip
    columns = (
        "gate", "layer", "reads", "mean", "spread", "never open", "never closed", "keeps the state"
    )  # fmt: skip
    return Table(columns, rows) if rows else None


def _trials(found: Findings) -> Table:
    rows = tuple(
        (one.cure, str(one.steps), _number(one.loss_before), _number(one.loss), one.condition, one.words)
        for one in found.trials
    )
    return Table(("cure", "steps", "loss before", "loss after", "then", "in words"), rows)


def _number(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else ""
