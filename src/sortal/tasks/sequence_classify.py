"""Many to one: a sequence, one name."""

from typing import Any

from torch import Tensor, nn

from sortal.tasks.classify import Classify
from sortal.tasks.task import Batch

__all__ = ["SequenceClassify"]


class SequenceClassify(Classify):
    """Batches hold `inputs` (vectors or symbols), `labels`, and `lengths` where those are unequal."""

    def logits(self, net: nn.Module, batch: Batch) -> Tensor:
        scores: Tensor = net(batch["inputs"], batch.get("lengths"))
        return scores

    def as_json(self) -> dict[str, Any]:
        return super().as_json() | {"task": "sequence classify"}
