"""What translating and captioning share: something is shown, an answer is written symbol after symbol."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from sortal.tasks.task import Answer, Batch, Task

__all__ = ["BEGIN", "END", "Write"]

BEGIN, END = 2, 3  # as in every vocabulary of sortal.data; 0 pads


class Write(Task):
    """Batches hold `inputs`, perhaps `lengths`, and `targets`, which end with 3 and are padded with 0.

    The network learns by being shown the right answer up to each symbol. The loss is that of whole answers,
    the sum over their symbols. `right` counts whole answers: if every symbol is the likeliest after the right
    ones before it, then greedy writing gives this very answer, so none has to be written to be judged.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def loss(self, net: nn.Module, batch: Batch) -> Answer:
        targets = batch["targets"]
        logits = net(batch["inputs"], batch.get("lengths"), shifted(targets))
        total = cross_entropy(
            logits.float().flatten(0, 1), targets.flatten(), ignore_index=0, reduction="sum"
        )
        wrong = (logits.detach().argmax(2) != targets) & (targets != 0)
        return Answer(total / len(targets), len(targets), (~wrong.any(1)).sum())

    judge = loss

    def score(self, loss: float, right: float) -> float:
        return right

    def as_json(self) -> dict[str, Any]:
        return {"task": self.name}


def shifted(targets: Tensor) -> Tensor:
    """What is written before each symbol of `targets`: the sign to begin, then all but the last."""
    begin = torch.full_like(targets[:, :1], BEGIN)
    return torch.cat([begin, targets[:, :-1]], 1)
