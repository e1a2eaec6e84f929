"""One to many: a small convolutional body sees, a GRU writes what it saw, looking where it needs to.

The body halves an image three times; each place of its last map, with its row and column, is one place of the
writer's memory, and their mean gives the writer's first state. No layer sees all places with weights of their
own: one that did learned layouts by heart.

Source: Vinyals et al. 2015, arXiv:1411.4555, for image and language model in one; Xu et al. 2015,
arXiv:1502.03044, for attention over places of the map.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from sortal.errors import InputError
from sortal.nets.first_weights import first_weights
from sortal.nets.writer import Writer, Written

__all__ = ["Captioner"]

WAVES = 4  # of sine and of cosine, along each axis


class Captioner(nn.Module):
    """Images are square, `size` pixels a side, a multiple of 8."""

    def __init__(
        self,
        symbols: int,
        *,
        size: int,
        in_channels: int = 1,
        width: int = 64,
        hidden: int = 128,
        dropout: float = 0.1,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        if size < 8 or size % 8:
            raise InputError(f"size must be a multiple of 8, at least 8; got {size}.")
        self.size, self.in_channels = size, in_channels
        with first_weights(seed):
            widths = (in_channels, width // 2, width, width, width)
            strides = (2, 2, 2, 1)  # a place sees 31 pixels
            self.body = nn.Sequential(
                *(
                    nn.Sequential(
                        nn.Conv2d(a, b, 3, stride, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU(inplace=True)
                    )
                    for a, b, stride in zip(widths, widths[1:], strides)
                )
            )
            memory_width = width + 2 * (1 + 2 * WAVES)
            self.bridge = nn.Linear(memory_width, hidden)
            self.writer = Writer(symbols, hidden, 32, memory_width, dropout)

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
        seen = self.body(inputs).flatten(2).transpose(1, 2)
        places = _places(self.size // 8).to(seen)
        memory = torch.cat([seen, places.expand(len(seen), -1, -1)], 2)
        h = torch.tanh(self.bridge(memory.mean(1)))
        return {"h": h, "memory": memory}

    def write(self, state: Written, written: Int[Tensor, "B U"]) -> tuple[Float[Tensor, "B U k"], Written]:
        found: tuple[Tensor, Written] = self.writer(state, written)
        return found

    def forward(
        self, inputs: Float[Tensor, "B c h w"], lengths: Tensor | None, written: Int[Tensor, "B U"]
    ) -> Float[Tensor, "B U k"]:
        return self.write(self.read(inputs), written)[0]


def _places(side: int) -> Float[Tensor, "n p"]:
    """Row and column of each place, -1 to 1, and their waves, by which one place is told from the next."""
    at = torch.linspace(-1, 1, side)
    turns = torch.pi * at[:, None] * torch.arange(1, WAVES + 1)
    line = torch.cat([at[:, None], turns.sin(), turns.cos()], 1)
    rows, columns = line.repeat_interleave(side, 0), line.repeat(side, 1)
    return torch.cat([rows, columns], 1)
