"""A small convolutional network on a picture of sound, beside recurrent ones.

Three convolutions of 3 x 3 with batch norm, each followed by a maximum over 2 x 2, then the mean over what is
left of time and pitch. What pads a clip changes nothing.
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
        x, left = inputs[:, None], torch.full((len(inputs),), inputs.shape[1]) if lengths is None else lengths
        left = left.to(inputs.device)
        for layer in self.convolutions:
            x = relu(layer(x))
            # Behind a clip's end there are zeros for the next layer, as if the picture ended there.
            here = torch.arange(x.shape[2], device=x.device) < left[:, None]
            x = max_pool2d(x * here[:, None, :, None], 2, ceil_mode=True)
            left = (left + 1) // 2
        mean: Tensor = x.mean(3).sum(2) / left.clamp(min=1)[:, None]
        return mean

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Float[Tensor, "B k"]:
        scores: Tensor = self.head(self.drop(self.embed(inputs, lengths)))
        return scores
