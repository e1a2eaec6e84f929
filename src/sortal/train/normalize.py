"""Pixels as a network wants them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Normalize"]


@dataclass(frozen=True)
class Normalize:
    """Pixels of 0 to 255 become (x / 255 - mean) / std, channel by channel."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, pixels: np.ndarray) -> "Normalize":
        """Mean and deviation of each channel of these images (n h w c), from at most 10,000 of them."""
        some = pixels[:: -(-len(pixels) // 10_000)].reshape(-1, pixels.shape[-1]) / 255
        std = np.maximum(some.std(0), 1 / 255)
        return cls(tuple(some.mean(0).round(4).tolist()), tuple(std.round(4).tolist()))

    def __call__(self, images: "Tensor") -> "Tensor":
        import torch

        mean, std = (torch.tensor(v, device=images.device)[:, None, None] for v in (self.mean, self.std))
        return (images - 255 * mean) / (255 * std)
