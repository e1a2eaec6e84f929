"""Everything that is found out about one network's gradient, and what is left on disk of it.

index.html        verdicts and cures, charts that tell their values; asks nothing of any network
NAME.png .svg     each picture, by matplotlib
gradients.json    everything, as `--json` prints it
"""

import json
import math
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sortal.diagnose import gradient_plots as plots
from sortal.diagnose.depth.coherence import coherence
from sortal.diagnose.depth.profile import Profile, layer_profile
from sortal.diagnose.study_folder import made_folder
from sortal.diagnose.time.cells import recurrent_layers
from sortal.diagnose.time.products import horizon
from sortal.diagnose.verdict.conditions import sign_in_depth
from sortal.diagnose.verdict.cures import Trial, try_cures
from sortal.diagnose.verdict.examination import Examination, ask, examine
from sortal.diagnose.verdict.findings_page import (
    cures_section,
    depth_sections,
    time_section,
    watched_section,
)
from sortal.diagnose.verdict.opened import Opened
from sortal.page import Section, page
from sortal.progress import Progress
from sortal.whole import write_whole

UNSEEN = "lags not looked at, since it is not called as a layer; its cell may be stepped by hand"

__all__ = ["UNSEEN", "Findings", "findings", "findings_record", "write_findings"]


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
    def unseen(self) -> tuple[str, ...]:
        """Recurrent layers that were not called on the first batch: stepped by hand, or idle."""
        held = recurrent_layers(self.subject.net)
        seen = {one.name for one in self.seen.lags[0]}
        return tuple(name for name in held if name not in seen)

    @property
    def best(self) -> Trial | None:
        """The cure after which the loss was lowest, if any beats the untreated."""
        if not self.trials:
            return None
        untreated, *others = self.trials
        found = min(others, key=lambda trial: trial.loss, default=untreated)
        return found if found.loss < untreated.loss or math.isnan(untreated.loss) else None

    @property
    def _no_better(self) -> str:
        """A layer that is new begins anew: it may be well before its loss is lower."""
        well = [trial.cure for trial in self.trials[1:] if trial.condition == "healthy"]
        said = f"No cure had a lower loss after {self.trials[0].steps} steps than leaving it alone"
        return f"{said}; healthy after it: {', '.join(well)}." if well else f"{said}."

    @property
    def verdict(self) -> tuple[str, ...]:
        said = [f"{name}: {condition} ({sure}); {words}." for name, condition, sure, words in self.table]
        said += [f"{name}: {UNSEEN}." for name in self.unseen]
        if self.trials:
            untreated, best = self.trials[0], self.best
            said.append(
                f"What helped most in {untreated.steps} steps: {best.cure}, loss {best.loss:.3g} where the "
                f"untreated has {untreated.loss:.3g}."
                if best
                else self._no_better
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
    progress.say(f"{subject.name}: {len(subject.batches)} batches of {subject.data}")
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
        "data": found.subject.data,
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
             "gradient": [[_plain(x) for x in row] for row in one.gradient.tolist()],
             "radius": {name: spectrum.radius for name, spectrum in one.spectra.items()}}
            for one in found.seen.lags[0]
        ],
        "watched": [
            {"step": one.step, "epoch": one.epoch, "loss": _plain(one.profile.loss),
             "condition": sign_in_depth(one.profile).condition}
            for one in found.subject.samples
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
    facts = [
        ("network", type(found.subject.net).__name__),
        ("batches", f"{len(found.subject.batches)} of {found.subject.data}"),
        ("pictures", f"{', '.join(drawn)}: as PNG and SVG beside this page"),
    ]  # fmt: skip
    title = f"Does the gradient of {found.subject.name} get there?"
    write_whole(target, page(title, found.verdict, _sections(found), facts).encode())
    return target


def _drawn(found: Findings) -> dict[str, plots.Drawn]:
    lags, samples = found.seen.lags[0], found.subject.samples
    drawn = {"depth": plots.depth_profile(_profiles(found))}
    if samples:
        drawn["layer-by-step"] = plots.layer_by_step(samples)
    if lags:
        drawn["influence"] = plots.influence_by_lag(lags)
    for i, (one, curves) in enumerate(zip(lags, _curves(found).values())):
        drawn[f"gradient-by-lag-{i}"] = plots.gradient_by_lag(curves)
        if any(one.name in sample.reach for sample in samples):
            drawn[f"lag-by-step-{i}"] = plots.lag_by_step(samples, one.name)
        if one.spectra:
            drawn[f"spectrum-{i}"] = plots.spectra(one.spectra)
            drawn[f"powers-{i}"] = plots.powers(one.spectra)
        if one.gates:
            drawn[f"gates-{i}"] = plots.gates_over_time(one.gates)
    return drawn


def _profiles(found: Findings) -> dict[str, Profile]:
    whole = {"as it is": found.seen.profiles[0]}
    return whole | ({"shortcuts cut": found.severed} if found.severed else {})


def _curves(found: Findings) -> dict[str, dict[str, np.ndarray]]:
    """|dL/dh| by lag of each recurrent layer: by epoch where the run was watched, else on the first batch."""
    return {
        one.name: plots.by_epoch(found.subject.samples, one.name) or {"now": one.gradient[0][::-1]}
        for one in found.seen.lags[0]
    }


def _sections(found: Findings) -> list[Section]:
    sections = depth_sections(_profiles(found), found.coherent)
    if found.seen.lags[0]:
        sections.append(time_section(found.seen.lags[0]))
    if found.seen.lags[0] or found.subject.samples:
        sections.append(watched_section(found.subject.samples, _curves(found)))
    if found.trials:
        sections.append(cures_section(found.trials))
    return sections
