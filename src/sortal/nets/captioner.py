"""One to many: a small convolutional body sees, a GRU writes what it saw, glancing where it needs to.

The body is that of Mnih et al. 2015: 8 x 8 pixels every 4, 4 x 4 every 2, 3 x 3; then places are merged until
each stands for `cell` x `cell` pixels, as in Liu et al. 2021. Their mean gives the writer's first state. No
layer sees all places with weights of their own: one that did learned arrangements by heart.

Source: Vinyals et al. 2015, arXiv:1411.4555, for image and language model in one; Xu et al. 2015,
arXiv:1502.03044, for attention over places of the map; Mnih et al. 2015, doi:10.1038/nature14236, and Liu et
al. 2021, arXiv:2103.14030, for the body.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from sortal.errors import InputError
from sortal.nets.first_weights import first_weights
from sortal.nets.glancing_writer import GlancingWriter
from sortal.nets.writer import Written

__all__ = ["Captioner"]


class Captioner(nn.Module):
    """Images are square, `size` pixels a side, a multiple of `cell`, which is one of 8."""

    def __init__(
        self,
        symbols: int,
        *,
        size: int,
        cell: int = 8,
        in_channels: int = 1,
        width: int = 64,
        hidden: int = 128,
        dropout: float = 0.1,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        if cell < 8 or cell % 8:
            raise InputError(f"cell must be a multiple of 8, at least 8; got {cell}.")
        if size < cell or size % cell:
            raise InputError(f"size must be a multiple of {cell}, the size of a place; got {size}.")
        self.size, self.in_channels = size, in_channels
        merged = cell // 8
        with first_weights(seed):
            self.body = nn.Sequential(
                _layer(in_channels, width // 2, 8, 4),
                _layer(width // 2, width, 4, 2),
                _layer(width, width, 3, 1),
                _layer(width, 2 * width, merged, merged),
            )
            self.bridge = nn.Linear(2 * width, hidden)
            self.writer = GlancingWriter(symbols, hidden, 32, 2 * width, size // cell, dropout)

    @property
    def head(self) -> nn.Module:
        return self.writer.head

    def read(self, inputs: Float[Tensor, "B c h w"], lengths: Tensor | None = None) -> Written:
        """The state before the first word. Images have no lengths; None stands for them."""
        if inputs.shape[1:] != (self.in_channels, self.size, self.size):
            raise InputError(
                f"images must have the shape (batch, {self.in_channels}, {self.size}, {self.size}); "
                f"got {tuple(inputs.shape)}."
            )
        memory = self.body(inputs).flatten(2).transpose(1, 2)
        return self.writer.begin(torch.tanh(self.bridge(memory.mean(1))), memory)

    def write(self, state: Written, written: Int[Tensor, "B U"]) -> tuple[Float[Tensor, "B U k"], Written]:
        found: tuple[Tensor, Written] = self.writer(state, written)
        return found

    def forward(
        self, inputs: Float[Tensor, "B c h w"], lengths: Tensor | None, written: Int[Tensor, "B U"]
    ) -> Float[Tensor, "B U k"]:
        return self.write(self.read(inputs), written)[0]


def _layer(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Sequential:
    """The map shrinks by `stride`, its borders padded where kernels overlap."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, (kernel - stride) // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )
