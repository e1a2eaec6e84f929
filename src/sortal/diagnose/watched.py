"""A run that is watched while it learns: samples kept beside it, and at its end what they say."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from sortal.diagnose.clipping import Clipping
from sortal.diagnose.depth.untouched import untouched
from sortal.diagnose.microscope import Microscope, Sample
from sortal.diagnose.samples import kept_samples, write_samples
from sortal.diagnose.verdict.conditions import sign_in_depth
from sortal.diagnose.verdict.examination import examine
from sortal.train.loop import Moment
from sortal.train.optimizer import training_mode

__all__ = ["Watched"]


class Watched:
    """`with Watched(folder) as seen: train(..., watchers=[seen], folder=folder)`; then `seen.verdict()`.

    A `Microscope`, and a `Clipping` where the plan clips. Samples are written into `folder` after each epoch
    and at the end, where `sortal gradients` finds them; those of an earlier part of the run stay. What was
    seen of an epoch is lost if the run is killed in its midst.
    """

    def __init__(self, folder: str | os.PathLike[str] | None, every: int = 50) -> None:
        self.folder = None if folder is None else Path(folder)
        self.microscope = Microscope(every)
        self.clipping: Clipping | None = None
        self._before = () if self.folder is None else kept_samples(self.folder)
        self._last: Moment | None = None

    def __enter__(self) -> "Watched":
        return self

    def __exit__(self, *_: object) -> None:
        self.microscope.close()
        self._keep()

    def __call__(self, moment: Moment) -> str | None:
        if self._last is not None and moment.epoch != self._last.epoch:
            self._keep()
        self._last = moment
        if moment.plan.clip_norm:
            self.clipping = self.clipping or Clipping(moment.plan.clip_norm)
            self.clipping(moment)
        return self.microscope(moment)

    @property
    def samples(self) -> tuple[Sample, ...]:
        """Of the whole run, by step; what was seen again counts as it was seen last."""
        found = {sample.step: sample for sample in (*self._before, *self.microscope.samples)}
        return tuple(found[step] for step in sorted(found))

    def verdict(self) -> tuple[str, ...]:
        """What was seen on the way, and the network as it is now, on the last batch; a sentence each."""
        said = [_history(self.samples, self.microscope.every)]
        if self._last is not None:
            net = self._last.net
            with untouched(net):
                training_mode(net)
                seen = examine(net, self._last.task, [self._last.batch])
            said += [f"{one.subject} at the end: {one.condition}; {one.sign.words}." for one in seen.verdicts]
        if self.clipping is not None:
            said.append(self.clipping.report.words)
        return tuple(said)

    def _keep(self) -> None:
        if self.folder is not None and self.microscope.samples and self.folder.is_dir():
            write_samples(self.folder, self.samples)


def _history(samples: Sequence[Sample], every: int) -> str:
    if not samples:
        return f"gradients were not looked at: the run has fewer than {every + 1} steps."
    signs = [(sample.step, sign_in_depth(sample.profile)) for sample in samples]
    told = []
    for condition, n in Counter(sign.condition for _, sign in signs).most_common():
        step, first = next((step, sign) for step, sign in signs if sign.condition == condition)
        words = "" if condition == "healthy" else f", first at step {step}: {first.words}"
        told.append(f"{condition} at {n} of {len(samples)} samples{words}")
    return f"depth, every {every} steps: {'; '.join(told)}."
