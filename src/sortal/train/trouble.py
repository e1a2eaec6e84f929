"""What goes wrong in training, said so that a person can act on it."""

from collections import deque

import torch
from torch import Tensor, nn

from sortal.errors import Diverged
from sortal.tasks import Batch, Task

__all__ = ["LossWatch", "explain_memory"]

_REMEMBERED = 20  # losses before the bad one, to see whether they were growing


class LossWatch:
    """Reads each loss one step late, when it has long been computed, and raises `Diverged` for a bad one."""

    def __init__(self) -> None:
        self._unread: tuple[int, float, Tensor, Batch] | None = None
        self._losses: deque[float] = deque(maxlen=_REMEMBERED)

    def note(self, step: int, rate: float, loss: Tensor, batch: Batch) -> None:
        self._unread = step, rate, loss, batch

    def check(self) -> None:
        if self._unread is None:
            return
        step, rate, loss, batch = self._unread
        self._unread = None
        value = float(loss)
        if value - value != 0:  # NaN or infinite
            raise Diverged(
                step, f"the loss of step {step} is {value}; {self._cause(step, rate, batch)} The last good "
                "weights are kept."
            )  # fmt: skip
        self._losses.append(value)

    def _cause(self, step: int, rate: float, batch: Batch) -> str:
        for name, tensor in batch.items():
            if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
                return f"its batch holds NaN or infinity in {name!r}: mend or leave out those items."
        if not self._losses:
            return "it is the first one: the network gives it for finite input, so look at its weights."
        low, last = min(self._losses), self._losses[-1]
        if last > 2 * low:
            return (
                f"it had grown from {low:.3g} to {last:.3g} within {len(self._losses)} steps, so the steps "
                f"are too long: lower peak_lr (the rate was {rate:.3g}), add warm-up or set clip_norm."
            )
        return (
            f"the one before was {last:.3g}, so one step was too long or an operation has no value there: "
            f"set clip_norm, lower peak_lr (the rate was {rate:.3g}), look for log or division by 0."
        )


def explain_memory(net: nn.Module, task: Task, batch: Batch) -> str:
    """What to say when a batch did not fit: the largest half, quarter, ... of it that was tried and did."""
    n = max(len(tensor) for tensor in batch.values())
    size = n // 2
    while size and not _fits(net, task, {name: tensor[:size] for name, tensor in batch.items()}):
        size //= 2
    if not size:
        return f"the device has not enough memory for this network, not even for one item of a batch of {n}."
    return (
        f"batch_size must fit the device's memory; {n} does not, {size} does (tried). Set batch_size={size}."
    )


def _fits(net: nn.Module, task: Task, batch: Batch) -> bool:
    net.zero_grad()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    try:
        task.loss(net, batch).loss.backward()  # type: ignore[no-untyped-call]
    except torch.OutOfMemoryError:
        return False
    return True
