"""Pixels as an encoder wants them, and small pictures for pages."""

import io
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from sortal.data.images import decode_image
from sortal.data.kinds import Kind
from sortal.errors import InputError

__all__ = ["ImageInput", "prepare", "thumbnail"]

_LARGEST = 4096


@dataclass(frozen=True)
class ImageInput:
    """How an encoder wants its images.

    `size` is (height, width). `crop` is the share of the short side that is kept, as a centred region of
    the shape of `size`; None squeezes the whole image into `size`.
    """

    size: tuple[int, int]
    crop: float | None = None
    resample: Literal["bilinear", "bicubic"] = "bilinear"
    kind: ClassVar[Kind] = "image"

    def __post_init__(self) -> None:
        if not _is_size(self.size):
            raise InputError(f"size must be (height, width), each 1 to {_LARGEST:,}; got {self.size!r}.")
        if self.crop is not None and not (isinstance(self.crop, int | float) and 0 < self.crop <= 1):
            raise InputError(f"crop must be None or lie in (0, 1]; got {self.crop!r}.")
        if self.resample not in ("bilinear", "bicubic"):
            raise InputError(f'resample must be "bilinear" or "bicubic"; got {self.resample!r}.')

    @property
    def at_least(self) -> tuple[int, int]:
        """(width, height) under which an image should not be decoded, for `decode_image`."""
        height, width = self.size
        return math.ceil(width / (self.crop or 1)), math.ceil(height / (self.crop or 1))

    def read(self, content: bytes) -> UInt8[np.ndarray, "h w 3"]:
        return prepare(decode_image(content, self.at_least), self)

    def stack(self, items: Sequence[Any]) -> UInt8[np.ndarray, "b h w 3"]:
        return np.stack(items)

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "size": list(self.size)}


def prepare(image: Image.Image, want: ImageInput) -> UInt8[np.ndarray, "h w 3"]:
    """`image` (RGB) cropped and resized to `want`, antialiased.

    Differs by at most one level from torch's uint8 `interpolate(antialias=True)`, whose arithmetic it is.
    A crop is what torchvision's Resize and CenterCrop give, without rounding in between: pixels just
    outside the region count at its edge.
    """
    height, width = want.size
    resample = Image.Resampling[want.resample.upper()]
    return np.asarray(image.resize((width, height), resample, box=_region(image.size, want)))


def thumbnail(image: Image.Image, edge: int = 96) -> bytes:
    """`image` (RGB) as a JPEG whose longer side has at most `edge` pixels."""
    if not 1 <= edge <= _LARGEST:
        raise InputError(f"edge must be 1 to {_LARGEST:,} pixels; got {edge}.")
    shrink = min(1.0, edge / max(image.size))
    size = max(1, round(image.width * shrink)), max(1, round(image.height * shrink))
    small = image if size == image.size else image.resize(size, Image.Resampling.BILINEAR)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def _region(image_size: tuple[int, int], want: ImageInput) -> tuple[float, float, float, float]:
    """The part of the image that is kept: left, top, right, bottom."""
    image_width, image_height = image_size
    if want.crop is None:
        return 0, 0, image_width, image_height
    height, width = want.size
    unit = min(image_width / width, image_height / height) * want.crop
    left, top = (image_width - unit * width) / 2, (image_height - unit * height) / 2
    return (
        max(0.0, left),
        max(0.0, top),
        min(image_width, image_width - left),
        min(image_height, image_height - top),
    )


def _is_size(size: object) -> bool:
    return (
        isinstance(size, tuple)
        and len(size) == 2
        and all(type(edge) is int and 1 <= edge <= _LARGEST for edge in size)
    )
