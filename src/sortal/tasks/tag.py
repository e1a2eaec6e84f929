"""Many to many, aligned: one name for each step."""

from typing import Any

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from sortal.tasks.task import Answer, Batch, Task

__all__ = ["Tag"]


class Tag(Task):
    """Batches hold `words`, `spellings`, `tags` and `lengths`; a tag of 0 is asked of nobody."""

    def loss(self, net: nn.Module, batch: Batch) -> Answer:
        logits, tags = self.logits(net, batch).flatten(0, 1), batch["tags"].flatten()
        n = int((batch["tags"] != 0).sum())
        right = (logits.detach().argmax(1) == tags) & (tags != 0)
        total = cross_entropy(logits.float(), tags, ignore_index=0, reduction="sum")
        return Answer(total / max(n, 1), n, right.sum())

    judge = loss

    def logits(self, net: nn.Module, batch: Batch) -> Tensor:
        scores: Tensor = net(batch["words"], batch["spellings"], batch["lengths"])
        return scores

    def score(self, loss: float, right: float) -> float:
        return right

    def as_json(self) -> dict[str, Any]:
        return {"task": "tag"}
