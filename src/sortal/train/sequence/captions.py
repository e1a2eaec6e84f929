"""Captions: of scenes that are drawn here, judged word by word, or of a folder of photographs."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sortal.data import ImageInput, LabelledImages, decode_image, load_labelled, load_mnist, shown
from sortal.data import prepare as fitted
from sortal.data.captioned import Captioned, load_captions, words_of
from sortal.data.scenes import DIGIT_NAMES, Scene, draw_scene, layouts
from sortal.data.vocabulary import END, Vocabulary
from sortal.errors import InputError, Unreadable
from sortal.nets.captioner import Captioner
from sortal.tasks import Batch, Write, beam_search, greedy
from sortal.train.device import Device
from sortal.train.sequence import stand_ins
from sortal.train.sequence.prepared import Figures, Prepared, folder_of
from sortal.train.sequence.recipes import SequenceRecipe
from sortal.train.sequence_batches import SequenceBatches
from sortal.train.split import held_out_mask

__all__ = ["SceneBatches", "bleu", "caption_files", "captioned", "prepare"]

LONGEST = 20  # words that are written at most; of photographs 40
BEAM = 4
N_TEST = 1_000
EDGE = 28  # of an image on the canvas


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
            "inputs": _scaled(np.stack([scene.pixels for scene in scenes])),
            "targets": nn.utils.rnn.pad_sequence(answers, batch_first=True),
        }

    def as_json(self) -> dict[str, Any]:
        return {
            "n": self.n, "images": len(self.images), "layouts": len(self.layouts), "side": self.side,
            "batch_size": self._batch_size, "fresh": self._fresh, "seed": self._seed,
        }  # fmt: skip


def prepare(recipe: SequenceRecipe, data: Path | None) -> Prepared:
    if recipe.options["images"] == "folder":
        assert data is not None
        return _of_photographs(recipe, data)
    learned, tested = _images(recipe, data)
    side = 8 * round(learned.pixels.shape[1] * 2.6 / 8)
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
        return _figures(net, right, [inputs for _, inputs in pairs], words, device, LONGEST)

    channels = learned.pixels.shape[3]
    return Prepared(
        network="Captioner", options={"symbols": len(words), "size": side, "in_channels": channels,
        **recipe.net}, task=Write("caption"), learn=learn, judge=judge, symbols={"words": words}, facts=facts,
    )  # fmt: skip


def bleu(said: list[tuple[str, ...]], right: list[list[tuple[str, ...]]]) -> float:
    """BLEU of a corpus, 0 to 100, by sacrebleu, whose figures others can repeat."""
    from sortal.errors import MissingExtra

    try:
        import sacrebleu
    except ImportError as e:
        raise MissingExtra("BLEU", "sequence") from e
    most = max(map(len, right))
    # sacrebleu wants a list for each reference; an answer that has fewer repeats its first.
    streams = [[" ".join((each + each[:1] * most)[i]) for each in right] for i in range(most)]
    found = sacrebleu.corpus_bleu([" ".join(one) for one in said], streams, tokenize="none", force=True)
    return float(found.score)


@torch.inference_mode()
def captioned(
    net: Captioner, images: Tensor, words: Vocabulary, beam: int = 1, longest: int = LONGEST
) -> list[tuple[str, ...]]:
    """Words for each image (B, c, size, size), written greedily or by a beam."""
    net.eval()
    state = net.read(images)
    found = (
        greedy(net, state, longest)
        if beam == 1
        else [one for one, _ in beam_search(net, state, longest, beam)]
    )
    return [tuple(words.text([*one, END])) for one in found]


def caption_files(
    net: nn.Module, paths: Sequence[str], words: Vocabulary, beam: int = 1
) -> list[tuple[str, ...]]:
    """Words for each image file, squeezed into the network's size. `InputError` where one cannot be read."""
    assert isinstance(net, Captioner)
    images = []
    for path in paths:
        try:
            pixels = fitted(decode_image(Path(path).read_bytes()), ImageInput((net.size, net.size)))
        except (OSError, Unreadable) as e:
            raise InputError(f"{shown(path)} must be an image; {e}.") from e
        gray = pixels if net.in_channels == 3 else pixels.mean(2, keepdims=True).astype(np.uint8)
        images.append(_scaled(gray[None]))
    return captioned(net, torch.cat(images), words, beam, 2 * LONGEST)


def _figures(
    net: nn.Module, right: list[list[tuple[str, ...]]], inputs: list[Tensor], words: Vocabulary,
    device: Device, longest: int,
) -> Figures:  # fmt: skip
    assert isinstance(net, Captioner)

    def said(beam: int) -> list[tuple[str, ...]]:
        return [
            one for part in inputs for one in captioned(net, part.to(device.device), words, beam, longest)
        ]

    def exact(answers: list[tuple[str, ...]]) -> float:
        return float(np.mean([one in known for one, known in zip(answers, right)]))

    greedily, searched = said(1), said(BEAM)
    numbers = {
        "exact": exact(greedily), "exact by beam": exact(searched),
        "bleu": bleu(greedily, right), "bleu by beam": bleu(searched, right),
    }  # fmt: skip
    wrong = [(one, known[0]) for one, known in zip(greedily, right) if one not in known]
    lines = [f"wrote {' '.join(one)!r} for {' '.join(known)!r}" for one, known in wrong[:5]]
    return Figures(numbers, tuple(lines))


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


def _of_photographs(recipe: SequenceRecipe, data: Path) -> Prepared:
    """A folder with Flickr8k's or COCO's caption file; a tenth of the images is tested."""
    found = load_captions(data, skip_missing=True)
    size, longest = recipe.options["size"], 40
    order = np.random.default_rng(0).permutation(len(found.images))
    n_test = max(1, len(order) // 10)
    texts = [[words_of(one)[:longest] for one in captions] for captions in found.captions]
    words = Vocabulary.of((one for i in order[n_test:] for one in texts[i]), least=recipe.options["least"])
    pixels = _photographs(found, size)
    columns: dict[str, list[np.ndarray]] = {"targets": [], "image": []}
    for i in order[n_test:]:
        for one in texts[i]:
            columns["targets"].append(words.ended(one))
            columns["image"].append(np.array(i))

    def seen(batch: Batch, chance: torch.Generator) -> Batch:
        return {"inputs": _scaled(pixels[batch["image"].numpy()]), "targets": batch["targets"]}

    learn = SequenceBatches(columns, recipe.batch_size, seed=recipe.plan.seed, alter=seen)
    facts = (
        f"{len(order) - n_test:,} images to learn from, {n_test:,} to test; {len(found.missing):,} that the "
        "caption "
        "file names are not there and were skipped",
    )

    def judge(net: nn.Module, device: Device) -> Figures:
        tested = order[:n_test]
        inputs = [_scaled(pixels[tested[i : i + 64]]) for i in range(0, n_test, 64)]
        return _figures(net, [texts[i] for i in tested], inputs, words, device, longest)

    return Prepared(
        network="Captioner", options={"symbols": len(words), "size": size, "in_channels": 3, **recipe.net},
        task=Write("caption"), learn=learn, judge=judge, symbols={"words": words}, facts=facts,
    )  # fmt: skip


def _photographs(found: Captioned, size: int) -> np.ndarray:
    want = ImageInput((size, size))
    return np.stack([fitted(decode_image(path.read_bytes(), want.at_least), want) for path in found.images])


def _scaled(pixels: np.ndarray) -> Tensor:
    """uint8 (B, h, w, c) as float (B, c, h, w), 0 to 1."""
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))).float() / 255
