"""The yardstick: an image is its pixels."""

from pathlib import Path
from typing import Any

import numpy as np

from sortal.arrays import Images, Vectors
from sortal.data import ImageInput

__all__ = ["Pixels"]


class Pixels:
    """32x32 RGB levels in 0..1, squeezed to a square: 3,072 numbers. What every encoder has to beat."""

    name = "pixels"
    digest = "pixels/1"
    input = ImageInput(size=(32, 32))
    dim = 32 * 32 * 3
    batch = 256
    weights: Path | None = None

    @property
    def spec(self) -> dict[str, Any]:
        return {"kind": "pixels"}

    def embed(self, images: Images) -> Vectors:
        levels: Vectors = images.reshape(len(images), -1).astype(np.float32)
        return levels / np.float32(255)
