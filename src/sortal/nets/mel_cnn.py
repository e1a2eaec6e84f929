"""A small convolutional network on a picture of sound, beside recurrent ones.

Three convolutions of 3 x 3 with batch norm, each followed by a maximum over 2 x 2, then the mean over what is
left of time and pitch. Where a clip has ended, its map counts in no mean.
"""

import itertools

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, relu

from sortal.nets.first_weights import first_weights

__all__ = ["MelCNN"]


class MelCNN(nn.Module):
    """Log-mel steps (B, T, m) in, one score an answer out."""

    def __init__(
        self, answers: int, *, width: int = 24, dropout: float = 0.2, seed: int | None = None
    ) -> None:
        super().__init__()
        with first_weights(seed):
            widths = (1, width, 2 * width, 4 * width)
            self.convolutions = nn.ModuleList(
                nn.Sequential(nn.Conv2d(a, b, 3, padding=1, bias=False), nn.BatchNorm2d(b))
                for a, b in itertools.pairwise(widths)
            )
            self.drop = nn.Dropout(dropout)
            self.head = nn.Linear(4 * width, answers)

    def embed(self, inputs: Tensor, lengths: Tensor | None = None) -> Float[Tensor, "B d"]:
        x = inputs[:, None]
        for layer in self.convolutions:
            x = max_pool2d(relu(layer(x)), 2, ceil_mode=True)
        by_time = x.mean(3)
        if lengths is None:
            return by_time.mean(2)
        left = (lengths + 7) // 8
        here = torch.arange(by_time.shape[2], device=x.device) < left[:, None]
        mean: Tensor = (by_time * here[:, None]).sum(2) / left.clamp(min=1)[:, None]
        return mean

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Float[Tensor, "B k"]:
        scores: Tensor = self.head(self.drop(self.embed(inputs, lengths)))
        return scores
