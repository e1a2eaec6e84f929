"""Tests of memory, with nothing to know but what stood far back.

Source: Hochreiter and Schmidhuber 1997, Long short-term memory, sections 5.4 (adding) and, for copying,
Arjovsky, Shah and Bengio 2016, arXiv:1511.06464, section 5.1.
"""

from typing import Any

from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from sortal.tasks.task import Answer, Batch, Task

__all__ = ["Adding", "Copying"]


class Adding(Task):
    """`inputs` (B, T, 2): numbers in 0 to 1 and marks on two of them; `targets` (B,): the sum of those two.

    The loss is the squared error; who always answers 1 has 1/6. Right is an error below .04.
    """

    def loss(self, net: nn.Module, batch: Batch) -> Answer:
        said, wanted = net(batch["inputs"])[:, 0].float(), batch["targets"]
        right = (said.detach() - wanted).abs() < 0.04
        return Answer(mse_loss(said, wanted), len(wanted), right.sum())

    judge = loss

    def score(self, loss: float, right: float) -> float:
        return -loss

    def as_json(self) -> dict[str, Any]:
        return {"task": "adding"}


class Copying(Task):
    """`inputs` (B, T) of symbols; `targets` (B, m): what stood first, to be said at the last m steps.

    The loss is over those; who forgets it all has ln 8.
    """

    def loss(self, net: nn.Module, batch: Batch) -> Answer:
        targets = batch["targets"]
        logits: Tensor = net(batch["inputs"])[0][:, -targets.shape[1] :].flatten(0, 1)
        right = logits.detach().argmax(1) == targets.flatten()
        return Answer(cross_entropy(logits.float(), targets.flatten()), targets.numel(), right.sum())

    judge = loss

    def score(self, loss: float, right: float) -> float:
        return -loss

    def as_json(self) -> dict[str, Any]:
        return {"task": "copying"}
