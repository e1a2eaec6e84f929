"""Where batches come from: an object that yields those of epoch i, the same whenever it is asked."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from sortal.data import LabelledImages
from sortal.errors import InputError
from sortal.tasks import Batch
from sortal.train.augment import Augment, augment
from sortal.train.normalize import Normalize

__all__ = ["Batches", "ImageBatches"]


class Batches(Protocol):
    """What the loop asks of data.

    The batches of epoch i, their order and whatever chance is in them depend on (seed, i) alone, so a run
    goes on in the middle of an epoch. They may have unequal sizes and lengths.
    """

    def __len__(self) -> int:
        """Batches in an epoch."""

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from the one numbered `start` on."""

    def as_json(self) -> dict[str, Any]:
        """All that decides what the batches hold, for the run folder."""


class ImageBatches:
    """Images that lie in memory as uint8, in batches of nearly equal size; nothing is decoded.

    With `shuffled=False` in their own order and as they are, to be judged. On a CUDA device the pixels move
    there once if they take less than a quarter of it.
    """

    def __init__(
        self,
        images: LabelledImages,
        batch_size: int,
        normalize: Normalize,
        *,
        augment: Augment = Augment(),  # noqa: B008 (frozen)
        shuffled: bool = True,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        if batch_size < 1 or not len(images):
            raise InputError(f"batches need a size and an image; got {batch_size} and {len(images)} images.")
        self._n, self._batch_size, self._seed = len(images), batch_size, seed
        self._device = torch.device(device)
        pixels = torch.from_numpy(np.require(images.pixels.transpose(0, 3, 1, 2), requirements=["C", "W"]))
        labels = torch.from_numpy(images.labels)
        at = self._device if _fits(pixels, self._device) else torch.device("cpu")
        self._pixels, self._labels = pixels.to(at), labels.to(at)
        self._normalize, self._augment, self._shuffled = normalize, augment, shuffled

    def __len__(self) -> int:
        return (self._n + self._batch_size - 1) // self._batch_size

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        order = np.arange(self._n)
        if self._shuffled:
            order = np.random.default_rng([self._seed, number]).permutation(self._n)
        # Sizes differ by one at most: a last batch of a single image would have no variance to normalise by.
        for i, rows in enumerate(np.array_split(order, len(self))):
            if i >= start:
                yield self._batch(torch.from_numpy(rows), [self._seed, number, i])

    def as_json(self) -> dict[str, Any]:
        return {
            "n": self._n,
            "crc32": [zlib.crc32(part.cpu().numpy().data) for part in (self._pixels, self._labels)],
            "batch_size": self._batch_size,
            "normalize": asdict(self._normalize),
            "augment": asdict(self._augment),
            "seed": self._seed,
        }

    def _batch(self, rows: Tensor, key: Sequence[int]) -> Batch:
        rows = rows.to(self._pixels.device)
        images = self._pixels.index_select(0, rows).to(self._device)
        labels = self._labels.index_select(0, rows).to(self._device)
        if self._shuffled:
            chance = torch.Generator().manual_seed(int(np.random.SeedSequence(key).generate_state(1)[0]))
            images = augment(images, self._augment, chance)
        return {"inputs": self._normalize(images), "labels": labels}


def _fits(pixels: Tensor, device: torch.device) -> bool:
    return device.type == "cuda" and 4 * pixels.nbytes < torch.cuda.get_device_properties(device).total_memory
