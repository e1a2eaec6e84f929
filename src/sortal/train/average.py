"""A moving average of a network's weights, which is often better than where they stand."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

__all__ = ["Average"]


class Average:
    """Weights and batch-norm statistics, averaged with `decay` after every step.

    Early on the decay is (1 + t) / (10 + t), so that the start is soon forgotten (TensorFlow's
    ExponentialMovingAverage). Refers to the network's own tensors: they may change in place only.
    """

    def __init__(self, net: nn.Module, decay: float) -> None:
        self.decay = decay
        live = {name: value for name, value in net.state_dict().items() if value.is_floating_point()}
        self.live = list(live.values())
        self.mean = {name: value.clone() for name, value in live.items()}
        self._mean = list(self.mean.values())

    @torch.no_grad()
    def update(self, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._mean, self.live, 1 - decay)

    @torch.no_grad()
    def restore(self, saved: Mapping[str, Tensor]) -> None:
        for name, value in self.mean.items():
            value.copy_(saved[name])

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """While inside, the network is the average."""
        before = [value.clone() for value in self.live]
        _fill(self.live, self._mean)
        try:
            yield
        finally:
            _fill(self.live, before)


@torch.no_grad()
def _fill(targets: list[Tensor], values: list[Tensor]) -> None:
    for target, value in zip(targets, values, strict=True):
        target.copy_(value)
