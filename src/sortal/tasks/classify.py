"""One input, one name: cross-entropy, its smoothing, and weights where names are uneven."""

from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from sortal.errors import InputError
from sortal.tasks.task import Answer, Batch, Task

__all__ = ["Classify", "class_weights"]


class Classify(Task):
    """Batches hold `inputs` and `labels`, 0 to k - 1.

    `label_smoothing` is the share of certainty given to all names alike (Szegedy et al. 2016, section 7).
    `weights` (k numbers) count a name's items more or less in the loss; they do not touch the judgement.
    """

    def __init__(self, *, label_smoothing: float = 0.0, weights: Tensor | None = None) -> None:
        if not 0 <= label_smoothing < 1:
            raise InputError(f"label_smoothing must lie in [0, 1); got {label_smoothing}.")
        self.label_smoothing = label_smoothing
        self.weights = weights

    def loss(self, net: nn.Module, batch: Batch) -> Answer:
        logits, labels = self.logits(net, batch), batch["labels"]
        if self.weights is not None and self.weights.device != labels.device:
            self.weights = self.weights.to(labels.device)
        return _answer(logits, labels, self.label_smoothing, self.weights)

    def judge(self, net: nn.Module, batch: Batch) -> Answer:
        return _answer(self.logits(net, batch), batch["labels"], 0.0, None)

    def logits(self, net: nn.Module, batch: Batch) -> Tensor:
        scores: Tensor = net(batch["inputs"])
        return scores

    def score(self, loss: float, right: float) -> float:
        return right

    def as_json(self) -> dict[str, Any]:
        weights = None if self.weights is None else self.weights.tolist()
        return {"task": "classify", "label_smoothing": self.label_smoothing, "weights": weights}


def class_weights(labels: Int[Tensor, " n"], n_classes: int) -> Tensor:
    """n / (k n_c) for each of k classes: every class counts the same in the loss, a mean item counts 1.

    Source: King and Zeng 2001, section 3.2; scikit-learn's "balanced". A class without items has weight 0.
    """
    counts = torch.bincount(labels, minlength=n_classes).float()
    return torch.where(counts > 0, len(labels) / (n_classes * counts.clamp(min=1)), 0.0)


def _answer(logits: Tensor, labels: Tensor, smoothing: float, weights: Tensor | None) -> Answer:
    # Half precision has 8 to 11 bits: a sum over a batch needs more.
    loss = cross_entropy(logits.float(), labels, weight=weights, label_smoothing=smoothing)
    return Answer(loss, len(labels), (logits.detach().argmax(1) == labels).sum())
