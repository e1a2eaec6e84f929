"""Pairs that belong together: no names, the others in the batch are what not to be like."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from sortal.errors import InputError
from sortal.tasks.task import Answer, Batch, Task

__all__ = ["Contrast", "nt_xent"]


class Contrast(Task):
    """Batches hold `inputs` and `positives`, pair by pair; `right` counts who is nearest to its partner."""

    def __init__(self, *, temperature: float = 0.3) -> None:
        if not temperature > 0:
            raise InputError(f"temperature must be above 0; got {temperature}.")
        self.temperature = temperature

    def loss(self, net: nn.Module, batch: Batch) -> Answer:
        return nt_xent(net(torch.cat([batch["inputs"], batch["positives"]])), self.temperature)

    judge = loss

    def score(self, loss: float, right: float) -> float:
        return -loss

    def as_json(self) -> dict[str, Any]:
        return {"task": "contrast", "temperature": self.temperature}


def nt_xent(projections: Tensor, temperature: float) -> Answer:
    """Of 2b projections, i and i + b a pair: cross-entropy of finding the partner among the 2b - 1 others.

    The scores are cosines divided by `temperature`. Source: Chen et al. 2020, arXiv:2002.05709, equation 1.
    """
    unit = normalize(projections.float())
    n = len(unit)
    itself = torch.eye(n, dtype=torch.bool, device=unit.device)
    with torch.autocast(unit.device.type, enabled=False):  # bfloat16 knows cosines near 1 to .004
        scores = (unit @ unit.T / temperature).masked_fill(itself, -torch.inf)
    partner = torch.arange(n, device=unit.device).roll(n // 2)
    return Answer(cross_entropy(scores, partner), n, (scores.detach().argmax(1) == partner).sum())
