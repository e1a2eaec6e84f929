"""What goes wrong in training, said so that a person can act on it."""

from collections import deque

import torch
from torch import Tensor, nn

from sortal.errors import Diverged
from sortal.tasks import Batch, Task
from sortal.train.plan import Plan

__all__ = ["SMALLER", "LossWatch", "explain_memory"]

SMALLER = "take a smaller network, smaller images or another device."
_REMEMBERED = 20  # losses before the bad one, to see whether they were growing


class LossWatch:
    """Reads each loss one step late, when it has long been computed, and raises `Diverged` for a bad one."""

    def __init__(self, plan: Plan) -> None:
        self._unread: tuple[int, float, Tensor, Batch] | None = None
        self._losses: deque[float] = deque(maxlen=_REMEMBERED)
        self._last = 0, plan.peak_lr
        lacks = {"set clip_norm": plan.clip_norm is None, "add warm-up": not plan.warmup_epochs}
        self._more = "".join(f", {way}" for way, lacking in lacks.items() if lacking)

    def note(self, step: int, rate: float, loss: Tensor, batch: Batch) -> None:
        self._unread = step, rate, loss, batch
        self._last = step, rate

    def check(self) -> None:
        if self._unread is None:
            return
        step, rate, loss, batch = self._unread
        self._unread = None
        value = float(loss)
        if value - value != 0:  # NaN or infinite
            raise Diverged(
                step, f"the loss of step {step} is {value}; {self._cause(rate, batch)} The last good weights "
                "are kept."
            )  # fmt: skip
        self._losses.append(value)

    def check_weights(self, net: nn.Module) -> None:
        """What the last step made of them: no loss has told of it yet, and they are about to be kept."""
        if all(bool(torch.isfinite(parameter).all()) for parameter in net.parameters()):
            return
        step, rate = self._last
        raise Diverged(
            step, f"step {step} left NaN or infinity in the weights; its gradient was no number, or the step "
            f"too long: {self._shorter(rate)}. The last good weights are kept."
        )  # fmt: skip

    def _shorter(self, rate: float) -> str:
        """The ways out that the plan has not taken yet."""
        return f"lower peak_lr (the rate was {rate:.3g}){self._more}"

    def _cause(self, rate: float, batch: Batch) -> str:
        for name, tensor in batch.items():
            if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
                return f"its batch holds NaN or infinity in {name!r}: mend or leave out those items."
        if not self._losses:
            return "it is the first one: the network gives it for finite input, so look at its weights."
        low, last = min(self._losses), self._losses[-1]
        if last > 2 * low:
            return (
                f"it had grown from {low:.3g} to {last:.3g} within {len(self._losses)} steps, so the steps "
                f"are too long: {self._shorter(rate)}."
            )
        return (
            f"the one before was {last:.3g}, so one step was too long or an operation has no value there: "
            f"{self._shorter(rate)}, look for log or division by 0."
        )


def explain_memory(net: nn.Module, task: Task, batch: Batch) -> str:
    """What to say when a batch did not fit: the largest half, quarter, ... of it that was tried and did."""
    n = max(len(tensor) for tensor in batch.values())
    size = n // 2
    while size > 1 and not _fits(net, task, {name: tensor[:size] for name, tensor in batch.items()}):
        size //= 2
    if size < 2:  # a single item may have no variance to normalise by, and trains nothing
        return (
            f"the device's memory must hold the network and two items; not even those of a batch of {n} fit: "
            f"{SMALLER}"
        )
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
