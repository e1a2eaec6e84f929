"""Named images as one array in memory, so that no epoch after the first decodes anything."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np
from jaxtyping import Int, UInt8
from PIL import Image

from sortal.data.idx import read_idx
from sortal.data.images import decode_image
from sortal.data.prepare import ImageInput, prepare
from sortal.data.shown import shown
from sortal.data.source import Found, Refused, Source
from sortal.data.sources import open_source
from sortal.errors import DataError, InputError, Unreadable
from sortal.kernels import map_blocks

__all__ = ["LabelledImages", "load_labelled", "load_mnist"]

_BLOCK = 512  # files read and decoded at once by one thread


@dataclass(frozen=True)
class LabelledImages:
    """n images with the number of their name; `refused` says which files could not be used, and why."""

    pixels: UInt8[np.ndarray, "n h w c"]
    labels: Int[np.ndarray, " n"]
    names: tuple[str, ...]
    refused: tuple[Refused, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: np.ndarray) -> "LabelledImages":
        """The images at `rows`, positions or a mask; names keep their numbers."""
        return LabelledImages(self.pixels[rows], self.labels[rows], self.names)


def load_labelled(
    location: str | os.PathLike[str], *, part: str | None = None, size: tuple[int, int] | None = None
) -> LabelledImages:
    """All named images of a folder of folders, a zip of them or a list; each decoded once.

    The folder that holds an image is its name; names are numbered in sorted order. `part="train"` takes the
    files below a folder of that name. An image of another size than `size`
    (height, width; the first one's if not given) is squeezed into it. The 60,000 JPEGs of CIFAR-10 take 8
    CPU-seconds; memory is the array and a few blocks.
    """
    source = open_source(location, "folders")
    scanned = [item for item in source.scan() if part is None or part in _folders(item.path, source)]
    files = [item for item in scanned if isinstance(item, Found)]
    refused = [item for item in scanned if isinstance(item, Refused)]
    if not files:
        below = f" below a folder {part!r}" if part else ""
        raise InputError(f"{shown(source.location)} must hold images{below}; it holds none.")
    named = [_name(item.path, item.name, source) for item in files]
    _check_named(source.location, named)
    size = size or _size_of_first(source, files)
    blocks = map_blocks(lambda rows: _decode(source, files[rows], size), len(files), _BLOCK)
    return _gathered(blocks, [name or "" for name in named], len(files), size, refused)


def load_mnist(folder: str | os.PathLike[str]) -> tuple[LabelledImages, LabelledImages]:
    """Training and test images of MNIST, or of a set published in the same four IDX files, gzipped or not."""
    return _mnist_part(Path(folder), "train"), _mnist_part(Path(folder), "t10k")


def _mnist_part(folder: Path, part: str) -> LabelledImages:
    images, labels = (
        read_idx(_plain_or_gzipped(folder / f"{part}-{what}-ubyte"))
        for what in ("images-idx3", "labels-idx1")
    )
    if images.ndim != 3 or labels.shape != images.shape[:1]:
        raise DataError(
            f"{shown(str(folder))}: {part} must hold n images and n labels; it holds {images.shape} and "
            f"{labels.shape}. Fetch the files again."
        )
    names = tuple(str(i) for i in range(int(labels.max()) + 1))
    return LabelledImages(images[..., None], labels.astype(np.int64), names)


def _plain_or_gzipped(path: Path) -> Path:
    return path if path.exists() else path.with_name(path.name + ".gz")


def _folders(path: str, source: Source) -> tuple[str, ...]:
    """Those between the source and the file."""
    return PurePath(path[len(source.location) :]).parts[:-1]


def _name(path: str, given: str | None, source: Source) -> str | None:
    """The folder right above; a list's own name where it has one."""
    if source.kind == "folder":
        above = os.path.dirname(path)
        return os.path.basename(above) if above != source.location else None
    return given


def _check_named(location: str, named: list[str | None]) -> None:
    missing = named.count(None)
    if missing:
        raise InputError(
            f"every image needs a name to learn from; {missing:,} of {len(named):,} in {shown(location)} "
            "have none. Put each into a folder called as it is."
        )


def _size_of_first(source: Source, files: list[Found]) -> tuple[int, int]:
    for item in files:
        try:
            width, height = decode_image(source.read(item.path)).size
            return height, width
        except Unreadable:
            continue
    raise InputError(
        f"{shown(source.location)} must hold images that can be read; none of {len(files):,} can."
    )


def _decode(source: Source, files: list[Found], size: tuple[int, int]) -> list[np.ndarray | Refused]:
    want = ImageInput(size)
    return [_decode_one(source, item, want) for item in files]


def _decode_one(source: Source, item: Found, want: ImageInput) -> np.ndarray | Refused:
    try:
        image = decode_image(source.read(item.path), want.at_least)
    except Unreadable as e:
        return Refused(item.path, e.kind, str(e), item.stamp)
    return _fitted(image, want)


def _fitted(image: Image.Image, want: ImageInput) -> np.ndarray:
    return np.asarray(image) if image.size == want.size[::-1] else prepare(image, want)


def _gathered(
    blocks: Iterable[list[np.ndarray | Refused]],
    named: list[str],
    n: int,
    size: tuple[int, int],
    refused: list[Refused],
) -> LabelledImages:
    names = tuple(sorted(set(named)))
    number = {name: i for i, name in enumerate(names)}
    pixels = np.empty((n, *size, 3), np.uint8)
    rows: list[int] = []
    for at, one in enumerate(one for block in blocks for one in block):
        if isinstance(one, Refused):
            refused.append(one)
        else:
            pixels[len(rows)] = one
            rows.append(at)
    labels = np.array([number[named[row]] for row in rows], np.int64)
    return LabelledImages(pixels[: len(rows)], labels, names, tuple(refused))
