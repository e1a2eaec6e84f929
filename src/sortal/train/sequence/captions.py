"""Captions of scenes that are drawn here: what stands where, in layouts that were never learned."""

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from sortal.data import LabelledImages, load_labelled, load_mnist
from sortal.data.scenes import DIGIT_NAMES, SIDE, Scene, draw_scene, layouts
from sortal.data.vocabulary import Vocabulary
from sortal.tasks import Batch, Write
from sortal.train.device import Device
from sortal.train.sequence import stand_ins
from sortal.train.sequence.captioning import check_bleu, figures, scaled
from sortal.train.sequence.prepared import Figures, Prepared, folder_of
from sortal.train.sequence.recipes import SequenceRecipe
from sortal.train.split import held_out_mask

__all__ = ["SceneBatches", "prepare"]

N_TEST = 1_000
EDGE = 28  # of a photograph on the canvas


class SceneBatches:
    """New scenes in every epoch, from (seed, epoch, number) alone; not `fresh`, always those of epoch 0."""

    def __init__(
        self, images: LabelledImages, words: Vocabulary, which: tuple[tuple[int, ...], ...], side: int,
        n: int, batch_size: int, *, fresh: bool = True, seed: int = 0,
    ) -> None:  # fmt: skip
        self.images, self.words, self.layouts, self.side, self.n = images, words, which, side, n
        self._batch_size, self._fresh, self._seed = batch_size, fresh, seed

    def __len__(self) -> int:
        return (self.n + self._batch_size - 1) // self._batch_size

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        for i in range(start, len(self)):
            yield self.batch(self.scenes(number if self._fresh else 0, i))

    def scenes(self, number: int, i: int) -> list[Scene]:
        """The scenes of one batch: as many of two and three images as of one, as far as there are layouts."""
        chance = np.random.default_rng([self._seed, number, i])
        size = min(self._batch_size, self.n - i * self._batch_size)
        counts = sorted({len(layout) for layout in self.layouts})
        by_count = {count: [one for one in self.layouts if len(one) == count] for count in counts}
        found = []
        for _ in range(size):
            choice = by_count[counts[chance.integers(len(counts))]]
            layout = choice[chance.integers(len(choice))]
            found.append(draw_scene(chance, self.images, DIGIT_NAMES, layout, self.side))
        return found

    def batch(self, scenes: list[Scene]) -> Batch:
        answers = [torch.from_numpy(self.words.ended(scene.caption)) for scene in scenes]
        return {
            "inputs": scaled(np.stack([scene.pixels for scene in scenes])),
            "targets": nn.utils.rnn.pad_sequence(answers, batch_first=True),
        }

    def as_json(self) -> dict[str, Any]:
        return {
            "n": self.n, "images": zlib.crc32(np.ascontiguousarray(self.images.pixels).data),
            "layouts": len(self.layouts), "side": self.side,
            "batch_size": self._batch_size, "fresh": self._fresh, "seed": self._seed,
        }  # fmt: skip


def prepare(recipe: SequenceRecipe, data: Path | None) -> Prepared:
    check_bleu()
    learned, tested = _images(recipe, data)
    cell = 8 * round(learned.pixels.shape[1] * 0.85 / 8)  # images touch; a cell is a place of the network's
    side = SIDE * cell
    to_learn, to_test = layouts()
    words = Vocabulary.of([(*DIGIT_NAMES, "a", "an", "left", "right", "of", "above", "and", ",")])
    n = recipe.options["n_scenes"]
    learn = SceneBatches(learned, words, to_learn, side, n, recipe.batch_size, seed=recipe.plan.seed)
    test = SceneBatches(
        tested, words, to_test, side, min(n, N_TEST), recipe.batch_size, fresh=False, seed=2**31
    )
    facts = (
        f"{n:,} new scenes an epoch of {len(learned):,} images in {len(to_learn)} layouts; tested by "
        f"{test.n:,} of "
        f"{len(tested):,} other images in {len(to_test)} layouts that were never learned",
    )

    def judge(net: nn.Module, device: Device) -> Figures:
        pairs = [([scene.caption for scene in scenes], test.batch(scenes)["inputs"]) for scenes in _all(test)]
        right = [[one] for captions, _ in pairs for one in captions]
        return figures(net, right, [inputs for _, inputs in pairs], words, device)

    options = {"symbols": len(words), "size": side, "cell": cell, "in_channels": learned.pixels.shape[3]}
    return Prepared(
        network="Captioner", options={**options, **recipe.net}, task=Write("caption"), learn=learn,
        judge=judge, symbols={"words": words}, facts=facts,
    )  # fmt: skip


def _all(batches: SceneBatches) -> Iterator[list[Scene]]:
    return (batches.scenes(0, i) for i in range(len(batches)))


def _images(recipe: SequenceRecipe, data: Path | None) -> tuple[LabelledImages, LabelledImages]:
    """Images to place for learning and others for testing."""
    if data is None:
        return stand_ins.digits()
    if recipe.options["images"] == "mnist":
        return load_mnist(folder_of(data, "mnist"))
    signs = load_labelled(folder_of(folder_of(data, "photos"), "sign-digits.zip"), size=(EDGE, EDGE))
    held = held_out_mask(signs.labels, 0.2, 0)
    return signs.take(~held), signs.take(held)
