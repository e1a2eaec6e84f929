"""Oriented gradients: shape without weights. The embedded default."""

from pathlib import Path
from typing import Any

import numpy as np

from sortal.arrays import Images, Vectors
from sortal.data import ImageInput
from sortal.kernels import oriented_gradients

__all__ = ["Hog"]

# ITU-R BT.601 luma, what Pillow's convert("L") uses.
LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)


class Hog:
    """16 signed orientations on an 8x8 grid: 1,024 numbers, for glyphs, marks and shapes.

    Source: Dalal and Triggs 2005, "Histograms of oriented gradients for human detection". Where we differ:
    smooth orientation tuning instead of bins, Gaussian pooling, divisive normalisation, square root; the
    recipe is `kernels.oriented_gradients`. On photographs of scenes it does not replace a network.
    """

    name = "hog"
    digest = "hog/1"
    input = ImageInput(size=(32, 32))
    dim = 16 * 8 * 8
    batch = 256
    weights: Path | None = None

    @property
    def spec(self) -> dict[str, Any]:
        return {"kind": "hog"}

    def embed(self, images: Images) -> Vectors:
        return oriented_gradients(images @ LUMA)
