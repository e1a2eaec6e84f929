"""Captions of photographs: a folder with Flickr8k's or COCO's caption file; a tenth is tested."""

import zlib
from pathlib import Path

import numpy as np
import torch
from torch import nn

from sortal.data import ImageInput, decode_image, shown
from sortal.data import prepare as fitted
from sortal.data.captioned import Captioned, load_captions, words_of
from sortal.data.vocabulary import Vocabulary
from sortal.errors import DataError, InputError, Unreadable
from sortal.tasks import Batch, Write
from sortal.train.device import Device
from sortal.train.sequence.captioning import LONGEST, check_bleu, figures, scaled
from sortal.train.sequence.prepared import Figures, Prepared
from sortal.train.sequence.recipes import SequenceRecipe
from sortal.train.sequence_batches import SequenceBatches

__all__ = ["prepare"]


def prepare(recipe: SequenceRecipe, data: Path | None) -> Prepared:
    if data is None:
        raise InputError(f"{recipe.name} needs a folder of images with their caption file.")
    check_bleu()
    found = load_captions(data, skip_missing=True)
    size = recipe.options["size"]
    order = np.random.default_rng(0).permutation(len(found.images))
    n_test = max(1, len(order) // 10)
    texts = [[words_of(one)[:LONGEST] for one in captions] for captions in found.captions]
    words = Vocabulary.of((one for i in order[n_test:] for one in texts[i]), least=recipe.options["least"])
    pixels = _photographs(found, size)
    columns: dict[str, list[np.ndarray]] = {"targets": [], "image": []}
    for i in order[n_test:]:
        for one in texts[i]:
            columns["targets"].append(words.ended(one))
            columns["image"].append(np.array(i))

    learn = SequenceBatches(columns, recipe.batch_size, seed=recipe.plan.seed, alter=_Seen(pixels))
    facts = (
        f"{len(order) - n_test:,} images to learn from, {n_test:,} to test; {len(found.missing):,} that the "
        "caption file names are not there and were skipped",
    )

    def judge(net: nn.Module, device: Device) -> Figures:
        tested = order[:n_test]
        inputs = [scaled(pixels[tested[i : i + 64]]) for i in range(0, n_test, 64)]
        return figures(net, [texts[i] for i in tested], inputs, words, device)

    return Prepared(
        network="Captioner", options={"symbols": len(words), "size": size, "in_channels": 3, **recipe.net},
        task=Write("caption"), learn=learn, judge=judge, symbols={"words": words}, facts=facts,
    )  # fmt: skip


class _Seen:
    """Numbers of images become the images; a caption's image is copied when its batch is made, not before."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels = pixels

    def __call__(self, batch: Batch, chance: torch.Generator) -> Batch:
        return {"inputs": scaled(self.pixels[batch["image"].numpy()]), "targets": batch["targets"]}

    def __str__(self) -> str:
        return f"images {zlib.crc32(self.pixels.data)}"


def _photographs(found: Captioned, size: int) -> np.ndarray:
    """All images as one array in memory: Flickr8k's at 128 x 128 take 400 MB."""
    want = ImageInput((size, size))
    return np.stack([_decoded(path, want) for path in found.images])


def _decoded(path: Path, want: ImageInput) -> np.ndarray:
    try:
        return fitted(decode_image(path.read_bytes(), want.at_least), want)
    except (OSError, Unreadable) as e:
        raise DataError(f"{shown(str(path))} must be an image; {e}. Mend it, or take it away.") from e
