"""What clipping did in a run: how often it acted, how much it took, and whether that was an explosion.

Clipping by the global norm cures what explodes. Where it acts at every step it is only a smaller rate, and it
gives nothing back to what vanishes. *Source:* Pascanu, Mikolov and Bengio 2013, arXiv:1211.5063, section 3.2.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sortal.errors import InputError
from sortal.train.loop import Moment

__all__ = ["Clipping", "ClippingReport", "clipping_report"]

SPIKE = 10.0  # times the lower quartile of the run


@dataclass(frozen=True)
class ClippingReport:
    """Shares: of steps that were cut, of all length that was taken, of what was taken that was of spikes.

    A spike is a gradient over ten times the lower quartile of the run's lengths: neither a time in which all
    were long nor a limit that is too low hides or makes one. NaN and infinity outweigh all others.
    """

    limit: float
    steps: int
    acted: float
    taken: float
    spikes: float

    @property
    def words(self) -> str:
        if not self.acted:
            return f"Clipping at {self.limit:g} never acted in {self.steps:,} steps."
        what = "it cut explosions" if self.spikes > 0.5 else (
            "it worked as a smaller rate"
        )  # fmt: skip
        return (
            f"Clipping at {self.limit:g} acted in {self.acted:.0%} of {self.steps:,} steps and took "
            f"{self.taken:.0%} of all length, {self.spikes:.0%} of that from spikes: {what}."
        )


class Clipping:
    """A watcher that notes the whole gradient's length at each step; `limit` is the plan's clip_norm."""

    def __init__(self, limit: float) -> None:
        if not limit > 0:
            raise InputError(f"limit must be above 0, as the plan's clip_norm; got {limit}.")
        self.limit = limit
        self._norms: list[Tensor] = []  # stay on their device: a GPU waits for nobody

    def __call__(self, moment: Moment) -> None:
        held = [p.grad for p in moment.net.parameters() if p.grad is not None]
        self._norms.append(torch.stack(torch._foreach_norm(held)).norm())

    @property
    def norms(self) -> np.ndarray:
        """The length at each step, before it was cut."""
        return np.array([float(norm) for norm in self._norms])

    @property
    def report(self) -> ClippingReport:
        return clipping_report(self.norms, self.limit)


def clipping_report(norms: np.ndarray, limit: float) -> ClippingReport:
    """What clipping at `limit` did to gradients of these lengths, step by step."""
    if not len(norms):
        raise InputError("norms must hold a step; none was seen.")
    cut = ~(norms <= limit)  # NaN and infinity are cut too
    finite = norms[np.isfinite(norms)]
    usual = float(np.quantile(finite, 0.25)) if len(finite) else 0.0
    over, total = np.maximum(finite - limit, 0), float(finite.sum())
    of_spikes = float(over[finite > SPIKE * usual].sum() / over.sum()) if over.any() else 0.0
    return ClippingReport(
        limit, len(norms), float(cut.mean()), float(over.sum() / total) if total else 0.0,
        of_spikes if len(finite) == len(norms) else 1.0,
    )  # fmt: skip
