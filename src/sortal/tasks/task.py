"""What the loop needs to know of a task, whatever its batches hold: images, sequences, text."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

__all__ = ["Answer", "Batch", "Task"]

Batch = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a network said to one batch.

    `loss` is the mean over what the batch asks, `n` how much that is (images, or tokens where sequences have
    unequal lengths), `right` how many answers were right: both are summed over an epoch.
    """

    loss: Tensor
    n: int
    right: Tensor


class Task:
    """A task is given a network and a batch. It keeps nothing of either but what `state` tells.

    State carried from batch to batch, as that of a recurrent network over a long text, is handed to the
    checkpoint by `state` and comes back by `restore`; most tasks carry none.
    """

    def loss(self, net: nn.Module, batch: Batch) -> Answer:
        """The answer to learn from."""
        raise NotImplementedError

    def judge(self, net: nn.Module, batch: Batch) -> Answer:
        """The answer to be judged by: the same, without what only helps learning (smoothing, weights)."""
        raise NotImplementedError

    def score(self, loss: float, right: float) -> float:
        """What early stopping and the best weights go by, larger is better. `right` is a share."""
        raise NotImplementedError

    def as_json(self) -> dict[str, Any]:
        """All that decides what `loss` gives, for the run folder."""
        raise NotImplementedError

    def state(self) -> dict[str, Tensor]:
        return {}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        pass
