"""Pixels as a network wants them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Normalize"]

BLOCK = 64  # images counted at once


@dataclass(frozen=True)
class Normalize:
    """Pixels of 0 to 255 become (x / 255 - mean) / std, channel by channel."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, pixels: np.ndarray) -> "Normalize":
        """Mean and deviation of each channel of these images (n h w c), from at most 10,000 of them."""
        some, channels = pixels[:: -(-len(pixels) // 10_000)], pixels.shape[-1]
        # By levels, a block at a time: as floats 10,000 photographs of 224 x 224 would be 12 GB.
        counts = np.zeros((channels, 256), np.int64)
        for block in (some[i : i + BLOCK].reshape(-1, channels) for i in range(0, len(some), BLOCK)):
            counts += [np.bincount(block[:, channel], minlength=256) for channel in range(channels)]
        share, level = counts / counts.sum(axis=1, keepdims=True), np.arange(256) / 255
        mean = share @ level
        std = np.sqrt((share * (level - mean[:, None]) ** 2).sum(axis=1)).clip(1 / 255)
        return cls(tuple(mean.round(4).tolist()), tuple(std.round(4).tolist()))

    def __call__(self, images: "Tensor") -> "Tensor":
        import torch

        mean, std = (torch.tensor(v, device=images.device)[:, None, None] for v in (self.mean, self.std))
        return (images - 255 * mean) / (255 * std)
