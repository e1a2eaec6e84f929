"""Images for a study: those of a folder, or scikit-learn's digits, drawn evenly and cut into two parts."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import nn

from sortal.data import LabelledImages, load_labelled, load_mnist
from sortal.errors import InputError
from sortal.tasks import Classify
from sortal.train.batches import ImageBatches
from sortal.train.device import Device
from sortal.train.labels import check_labels
from sortal.train.loop import judge
from sortal.train.normalize import Normalize
from sortal.train.split import draw_evenly, held_out_mask

__all__ = ["StudyData", "beyond_guessing", "errors", "guess_error", "mean_and_half_width", "study_data"]

N_TEST = 2_000  # a share of .1 is then known to .007, one standard error
N_DIGITS = 1_200
LEAST_SIZE = 8


@dataclass(frozen=True)
class StudyData:
    """Images to learn from and to be judged by, never the same ones."""

    name: str
    learn: LabelledImages
    test: LabelledImages

    @property
    def normalize(self) -> Normalize:
        return Normalize.of(self.learn.pixels)

    @property
    def n_names(self) -> int:
        return len(self.learn.names)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one image: channels, height, width."""
        _, height, width, channels = self.learn.pixels.shape
        return channels, height, width

    def take(self, items: int, seed: int) -> "StudyData":
        """At most `items` of those to learn from, evenly over the names."""
        return replace(self, learn=self.learn.take(draw_evenly(self.learn.labels, items, seed)))


def study_data(data: str | os.PathLike[str] | None, items: int | None = None, *, seed: int = 0) -> StudyData:
    """At most `items` named images to learn from and 2,000 to be judged by.

    `data` is a folder or zip with the parts train/ and test/, the folder of MNIST's four files, or a folder
    of folders, of which a fifth is held out. Without it scikit-learn's digits: 1,200 and 597, 8 x 8.
    """
    found = _digits() if data is None else _loaded(Path(data))
    check_labels(found.learn.labels, found.learn.names, held_out=False)
    if min(found.shape[1:]) < LEAST_SIZE:
        height, width = found.shape[1:]
        raise InputError(
            f"images must be at least {LEAST_SIZE} x {LEAST_SIZE} for a study, whose networks halve them "
            f"twice; those of {found.name} are {height} x {width}. Enlarge them."
        )
    test = found.test.take(draw_evenly(found.test.labels, N_TEST, seed))
    found = replace(found, test=test)
    return found if items is None else found.take(items, seed)


def guess_error(images: LabelledImages) -> float:
    """The share of `images` that is wrong for whoever always says the commonest name."""
    return 1 - float(np.bincount(images.labels).max()) / len(images)


def beyond_guessing(wrong: float, guess: float, n: int) -> bool:
    """Whether a share wrong of `n` images lies more than two standard errors below that of guessing."""
    return wrong < guess - 2 * math.sqrt(guess * (1 - guess) / n)


def errors(net: nn.Module, data: StudyData, where: Device) -> tuple[float, float]:
    """Shares wrong of the images learned from and of those to be judged by, the network as in use."""
    parts = [
        ImageBatches(part, 500, data.normalize, shuffled=False, device=where.device)
        for part in (data.learn, data.test)
    ]
    learned, judged = (1 - judge(net, Classify(), part, where)[1] for part in parts)
    return learned, judged


def mean_and_half_width(found: Sequence[float]) -> tuple[float, float]:
    """The mean and half of its 95 % interval by Student's t, 4.3 standard errors for 3 seeds.

    One value has no interval: infinity.
    """
    n = len(found)
    if n < 2:
        return float(found[0]), math.inf
    from scipy.special import stdtrit

    return float(np.mean(found)), float(stdtrit(n - 1, 0.975) * np.std(found, ddof=1) / n**0.5)


def _digits() -> StudyData:
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = np.asarray(digits.images * (255 / 16)).astype(np.uint8)[..., None]
    whole = LabelledImages(pixels, digits.target.astype(np.int64), tuple("0123456789"))
    rows = np.arange(len(whole))  # in their order, in which writer follows writer
    return StudyData("scikit-learn's digits", whole.take(rows < N_DIGITS), whole.take(rows >= N_DIGITS))


def _loaded(path: Path) -> StudyData:
    if any(path.glob("train-images-idx3-ubyte*")):
        return StudyData(path.name, *load_mnist(path))
    try:
        learn = load_labelled(path, part="train")
    except InputError:
        whole = load_labelled(path)  # says what is wrong where the folder cannot be used at all
        check_labels(whole.labels, whole.names, held_out=True)
        held = held_out_mask(whole.labels, 0.2, 0)
        return StudyData(path.name, whole.take(~held), whole.take(held))
    return StudyData(path.name, learn, load_labelled(path, part="test"))
