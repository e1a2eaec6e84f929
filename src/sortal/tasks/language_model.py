"""The next symbol of a text: truncated backpropagation with the state carried on; sampling."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from sortal.errors import InputError
from sortal.tasks.task import Answer, Batch, Task

__all__ = ["LanguageModel", "bits", "sample"]


class LanguageModel(Task):
    """Batches hold `inputs` and `targets`, the same one symbol on, and `first`: whether a text begins here.

    The gradient ends where a piece begins; the state does not, until the next text. Source: Williams and Peng
    1990, with as many steps back as forward.
    """

    def __init__(self) -> None:
        self.carried: Any = None
        self._rows = 0

    def loss(self, net: nn.Module, batch: Batch) -> Answer:
        # A part of a batch, tried where the whole did not fit in memory, cannot go on from the whole's state.
        goes_on = not bool(batch["first"].any()) and self._rows in (0, len(batch["inputs"]))
        state, self._rows = self.carried if goes_on else None, len(batch["inputs"])
        logits, state = net(batch["inputs"], state)
        self.carried = _detached(state)
        targets = batch["targets"].flatten()
        logits = logits.flatten(0, 1)
        loss = cross_entropy(logits.float(), targets)
        return Answer(loss, len(targets), (logits.detach().argmax(1) == targets).sum())

    judge = loss

    def score(self, loss: float, right: float) -> float:
        return -loss

    def as_json(self) -> dict[str, Any]:
        return {"task": "language model"}

    def state(self) -> dict[str, Tensor]:
        if self.carried is None:
            return {}
        parts = self.carried if isinstance(self.carried, tuple) else (self.carried,)
        return {f"carried{i}": part for i, part in enumerate(parts)}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        parts = tuple(state[name] for name in sorted(state))
        self._rows = 0  # as many as the batch that goes on has
        self.carried = (parts if len(parts) > 1 else parts[0]) if parts else None


def bits(loss: float) -> float:
    """Bits for each symbol, of a loss in nats."""
    return loss / math.log(2)


@torch.inference_mode()
def sample(
    net: nn.Module,
    start: list[int],
    n: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    seed: int = 0,
) -> list[int]:
    """`n` symbols that go on from `start`, drawn from the network's own shares.

    `temperature` divides the scores: below 1 the likely becomes likelier, 0 takes the likeliest. `top_k`
    draws from that many of the likeliest only. Symbols 0 to 3, which are no text, are never drawn.
    """
    if not start:
        raise InputError("start must hold a symbol to go on from; it is empty.")
    if temperature < 0 or not math.isfinite(temperature):
        raise InputError(f"temperature must be 0 or more; got {temperature}.")
    if top_k is not None and top_k < 1:
        raise InputError(f"top_k must be at least 1; got {top_k}.")
    net.eval()
    device = next(net.parameters()).device
    chance = torch.Generator().manual_seed(seed)
    piece, state, found = torch.tensor([start], device=device), None, []
    for _ in range(n):
        scores, state = net(piece, state)
        found.append(_drawn(scores[0, -1].float().cpu(), temperature, top_k, chance))
        piece = torch.tensor([found[-1:]], device=device)
    return found


def _drawn(scores: Tensor, temperature: float, top_k: int | None, chance: torch.Generator) -> int:
    scores[:4] = -math.inf
    if temperature == 0:
        return int(scores.argmax())
    if top_k is not None and top_k < len(scores):
        scores[scores < scores.topk(top_k).values[-1]] = -math.inf
    # Less the largest first, in float64: a temperature of 1e-40 shall not make NaN of infinities.
    shares = ((scores.double() - scores.max()) / temperature).softmax(0)
    return int(torch.multinomial(shares, 1, generator=chance))


def _detached(state: Any) -> Any:
    return tuple(part.detach() for part in state) if isinstance(state, tuple) else state.detach()
