"""Pairs of images for contrastive learning: an image and one of its neighbours, each changed in its way."""

import zlib
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from sortal.arrays import Neighbors
from sortal.tasks import Batch
from sortal.train.augment import Augment, augment
from sortal.train.normalize import Normalize

__all__ = ["PairBatches"]


class PairBatches:
    """`steps` batches an epoch of `batch_size` pairs, or as many as there are images.

    Every image comes before any comes again within an epoch: small piles come round several times. Source:
    Dwibedi et al. 2021, arXiv:2104.14548 (a neighbour as the positive); where we differ, neighbours are known
    beforehand and come from another descriptor.
    """

    def __init__(
        self,
        pixels: np.ndarray,
        neighbors: Neighbors,
        batch_size: int,
        steps: int,
        normalize: Normalize,
        *,
        augment: Augment,
        seed: int,
        device: torch.device | str = "cpu",
    ) -> None:
        self._pixels = torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))).to(device)
        self._neighbors = torch.from_numpy(neighbors.astype(np.int64))
        self._batch_size, self._steps = min(batch_size, len(pixels)), steps
        self._normalize, self._augment, self._seed = normalize, augment, seed

    def __len__(self) -> int:
        return self._steps

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        random = np.random.default_rng([self._seed, number])
        n = len(self._pixels)
        rounds = -(-self._steps * self._batch_size // n)
        order = torch.from_numpy(np.concatenate([random.permutation(n) for _ in range(rounds)]))
        for i in range(start, self._steps):
            rows = order[i * self._batch_size : (i + 1) * self._batch_size]
            yield self._batch(rows, [self._seed, number, i])

    def as_json(self) -> dict[str, Any]:
        tensors = (self._pixels, self._neighbors)
        return {
            "n": len(self._pixels),
            "crc32": [zlib.crc32(part.cpu().numpy().data) for part in tensors],
            "batch_size": self._batch_size,
            "steps": self._steps,
            "normalize": asdict(self._normalize),
            "augment": asdict(self._augment),
            "seed": self._seed,
        }

    def _batch(self, rows: torch.Tensor, key: list[int]) -> Batch:
        chance = torch.Generator().manual_seed(int(np.random.SeedSequence(key).generate_state(1)[0]))
        which = torch.randint(0, self._neighbors.shape[1], (len(rows),), generator=chance)
        both = torch.cat([rows, self._neighbors[rows, which]]).to(self._pixels.device)
        images = self._normalize(augment(self._pixels.index_select(0, both), self._augment, chance))
        return {"inputs": images[: len(rows)], "positives": images[len(rows) :]}
