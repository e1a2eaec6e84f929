"""What adds up over an epoch: loss, right answers, gradient lengths, seconds."""

import time
from typing import Any

import torch
from torch import Tensor

from sortal.tasks import Answer
from sortal.train.curve import Epoch

__all__ = ["Sums"]

_NAMES = ("loss", "right", "norm", "clipped", "taken")


class Sums:
    """Sums stay on the device in float64 until somebody asks: a GPU waits for nobody at every step."""

    def __init__(self, device: torch.device) -> None:
        self._sums = {name: torch.zeros((), dtype=torch.float64, device=device) for name in _NAMES}
        self.n = self.steps = 0
        self._spent = (0.0, 0.0)
        self._since: tuple[float, float] | None = None

    def add(self, answer: Answer) -> None:
        self._sums["loss"].add_(answer.loss.detach(), alpha=answer.n)
        self._sums["right"].add_(answer.right)
        self.n += answer.n
        self.steps += 1

    def add_norm(self, norm: Tensor, limit: float) -> None:
        """The length of a gradient before it was cut to `limit`."""
        self._sums["norm"].add_(norm)
        self._sums["clipped"].add_(norm > limit)
        self._sums["taken"].add_((norm - limit).clamp(min=0))

    @property
    def loss(self) -> float:
        return float(self._sums["loss"]) / max(self.n, 1)

    @property
    def right(self) -> float:
        return float(self._sums["right"]) / max(self.n, 1)

    def start_clock(self) -> None:
        self._since = (time.process_time(), time.perf_counter())

    def stop_clock(self) -> None:
        self._spent, self._since = self._seconds(), None

    def epoch(self, number: int, rate: float, judged: tuple[float, float] | None, clips: bool) -> Epoch:
        """The line of the curve that they make."""
        norm = float(self._sums["norm"])
        return Epoch(
            epoch=number, steps=self.steps, lr=rate, loss=self.loss, right=self.right,
            valid_loss=judged and judged[0], valid_right=judged and judged[1],
            grad_norm=norm / max(self.steps, 1) if clips else None,
            clipped=float(self._sums["clipped"]) / max(self.steps, 1) if clips else None,
            clipped_away=float(self._sums["taken"]) / norm if clips and norm else (0.0 if clips else None),
            cpu_s=round(self._seconds()[0], 3), wall_s=round(self._seconds()[1], 3),
        )  # fmt: skip

    def as_json(self) -> dict[str, Any]:
        numbers = {name: float(value) for name, value in self._sums.items()}
        return numbers | {"n": self.n, "steps": self.steps, "seconds": list(self._seconds())}

    def restore(self, saved: dict[str, Any]) -> None:
        for name in _NAMES:
            self._sums[name].fill_(saved[name])
        self.n, self.steps, self._spent = saved["n"], saved["steps"], tuple(saved["seconds"])

    def _seconds(self) -> tuple[float, float]:
        if self._since is None:
            return self._spent
        now = time.process_time(), time.perf_counter()
        return self._spent[0] + now[0] - self._since[0], self._spent[1] + now[1] - self._since[1]
