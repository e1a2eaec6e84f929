"""Handwritten digits as sequences: row by row, or pixel by pixel.

Source: Le, Jaitly and Hinton 2015, arXiv:1504.00941.
"""

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from sortal.data import LabelledImages, load_mnist
from sortal.tasks import Batch, SequenceClassify
from sortal.train.device import Device
from sortal.train.loop import judge as judged
from sortal.train.sequence import stand_ins
from sortal.train.sequence.prepared import Figures, Prepared, folder_of
from sortal.train.sequence.recipes import SequenceRecipe

__all__ = ["PixelBatches", "prepare"]


class PixelBatches:
    """Images as sequences of rows of `width` pixels, 0 to 1; all are of one length, so nothing is padded."""

    def __init__(
        self, images: LabelledImages, batch_size: int, width: int, *, shuffled: bool = True, seed: int = 0
    ) -> None:
        self._steps = torch.from_numpy(np.ascontiguousarray(images.pixels)).reshape(len(images), -1, width)
        self._labels = torch.from_numpy(images.labels)
        self._batch_size, self._shuffled, self._seed = batch_size, shuffled, seed

    def __len__(self) -> int:
        return (len(self._labels) + self._batch_size - 1) // self._batch_size

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        order = torch.arange(len(self._labels))
        if self._shuffled:
            order = torch.from_numpy(np.random.default_rng([self._seed, number]).permutation(len(order)))
        for rows in list(torch.tensor_split(order, len(self)))[start:]:
            yield {"inputs": self._steps[rows].float() / 255, "labels": self._labels[rows]}

    def as_json(self) -> dict[str, Any]:
        crc = [zlib.crc32(part.numpy().data) for part in (self._steps, self._labels)]
        width = self._steps.shape[2]
        return {"crc32": crc, "batch_size": self._batch_size, "width": width, "seed": self._seed}


def prepare(recipe: SequenceRecipe, data: Path | None) -> Prepared:
    learn, test = load_mnist(folder_of(data, "mnist")) if data else stand_ins.digits()
    learn, test = (
        part.take(np.arange(len(part))[:limit])
        for part, limit in ((learn, recipe.n_train), (test, recipe.n_test))
    )
    width = learn.pixels.shape[2] if recipe.options["by"] == "rows" else 1
    testing = PixelBatches(test, 500, width, shuffled=False)

    def judge(net: nn.Module, device: Device) -> Figures:
        loss, right = judged(net, SequenceClassify(), testing, device)
        return Figures({"right": right, "loss": loss})

    return Prepared(
        network="SequenceClassifier",
        options={"inputs": width, "answers": len(learn.names), **recipe.net},
        task=SequenceClassify(),
        learn=PixelBatches(learn, recipe.batch_size, width, seed=recipe.plan.seed),
        judge=judge,
        facts=(f"{len(learn):,} images to learn from, {len(test):,} to test, by {recipe.options['by']}",),
    )
