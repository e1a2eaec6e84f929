"""A watcher of the training loop: how long the gradient is, layer by layer, epoch by epoch."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from sortal.train.loop import Moment

__all__ = ["GradientNorms", "gradient_norms"]


class GradientNorms:
    """Mean length of each layer's gradient in each epoch; give it to `train(..., watchers=[norms])`.

    Layers are those with weights (convolutions, linear maps), in the order of depth. It reads, and never
    asks the loop to stop. `epochs` has one dict an epoch that it saw, layer to mean length.
    """

    def __init__(self) -> None:
        self._epoch = -1
        self._sums: list[Tensor] = []
        self._steps: list[int] = []
        self._layers: tuple[str, ...] = ()

    def __call__(self, moment: Moment) -> None:
        self._layers = tuple(name for name, _ in _weights(moment.net))
        norms = _norms(moment.net)  # stays on its device: a GPU waits for nobody
        if moment.epoch != self._epoch:  # a run that goes on begins with another than 0
            self._epoch = moment.epoch
            self._sums.append(torch.zeros_like(norms))
            self._steps.append(0)
        self._sums[-1] += norms
        self._steps[-1] += 1

    @property
    def epochs(self) -> list[dict[str, float]]:
        return [
            dict(zip(self._layers, (total / steps).tolist())) for total, steps in zip(self._sums, self._steps)
        ]


def gradient_norms(net: nn.Module) -> dict[str, float]:
    """The length of the gradient that lies in each layer's weights now, by depth; 0 where there is none."""
    return dict(zip([name for name, _ in _weights(net)], _norms(net).tolist()))


def _weights(net: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for name, parameter in net.named_parameters():
        if parameter.ndim > 1:
            yield name.removesuffix(".weight"), parameter


def _norms(net: nn.Module) -> Tensor:
    gradients = [p.new_zeros(1) if p.grad is None else p.grad for _, p in _weights(net)]
    return torch.stack(torch._foreach_norm(gradients)).double()
