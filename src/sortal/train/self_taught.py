"""Networks that teach themselves: trained on images of a pile, without names and without outside weights."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import isqrt
from pathlib import Path

import numpy as np
import safetensors.numpy
from jaxtyping import UInt8
from safetensors import SafetensorError

from sortal.arrays import Neighbors
from sortal.errors import DataError
from sortal.nets import Network, contrastive_net, contrastive_resnet
from sortal.progress import Progress
from sortal.tasks import Contrast
from sortal.train.augment import Augment
from sortal.train.device import Device
from sortal.train.loop import train
from sortal.train.normalize import Normalize
from sortal.train.pairs import PairBatches
from sortal.train.plan import Plan
from sortal.train.positives import VARIANTS, hog_neighbors
from sortal.whole import write_whole

__all__ = ["LESSONS", "Lesson", "prepared", "self_taught"]

PREPARED = "images.safetensors"
Pixels = UInt8[np.ndarray, "n 32 32 c"]


@dataclass(frozen=True)
class Lesson:
    """What is trained, and how."""

    net: Callable[..., Network]
    channels: int
    n_neighbors: int  # by hog, one of whom is the partner; 0: the image itself, changed in another way
    augment: Augment
    plan: Plan
    steps: int  # an epoch, whatever the size of the pile
    batch_size: int  # pairs; half as many on piles of less than 5,000
    temperature: float
    most: int  # images that are learned from


# One cycle of AdamW, 600 steps. Comparing grows with the square of the images, the steps do not.
SHAPES = Lesson(
    net=contrastive_net, channels=1, n_neighbors=5,
    augment=Augment(shift=2, turn=10, zoom=0.15, shear=0.15, elastic=1.0, gamma=0.4),
    plan=Plan(epochs=20, optimizer="adamw", peak_lr=2e-3, warmup_epochs=2, weight_decay=0.01),
    steps=30, batch_size=256, temperature=0.3, most=20_000,
)  # fmt: skip

# Settings of Van Gansbeke et al. 2020 (SCAN), arXiv:2005.12320, as their code has them for CIFAR-10
# (wvangansbeke/Unsupervised-Classification, simclr_cifar10.yml), which follow Chen et al. 2020 (SimCLR).
# Where we differ: no hue is changed, every image is recoloured, not .8, and the rate warms up and ends at 0.
# For a GPU, and never run on one.
PHOTOGRAPHS = Lesson(
    net=contrastive_resnet, channels=3, n_neighbors=0,
    augment=Augment(crop=0.45, mirror=True, color=0.4, gray=0.2),
    plan=Plan(epochs=500, peak_lr=0.4, nesterov=False, weight_decay=1e-4, warmup_epochs=10),
    steps=98, batch_size=512, temperature=0.1, most=60_000,
)  # fmt: skip

LESSONS: Mapping[str, Lesson] = {"self": SHAPES, "self-photos": PHOTOGRAPHS}


def self_taught(
    lesson: Lesson,
    pixels: Pixels,
    neighbors: Neighbors,
    *,
    seed: int,
    device: Device,
    folder: Path,
    progress: Progress,
) -> Network:
    """A network for which an image is like its neighbours (n, k), both changed as `lesson` says.

    `folder` is the run's: the same call goes on there, and on CPU with as many threads ends with the same
    bits.
    """
    net = lesson.net(seed=seed)
    half = (0.5,) * lesson.channels
    pairs = PairBatches(
        pixels, neighbors, lesson.batch_size // (1 if len(pixels) >= 5000 else 2), lesson.steps,
        Normalize(half, half), augment=lesson.augment, seed=seed, device=device.device,
    )  # fmt: skip
    task = Contrast(temperature=lesson.temperature)
    plan = replace(lesson.plan, seed=seed)
    train(net, task, pairs, plan, device=device, folder=folder, progress=progress)
    return net.cpu().eval()


def prepared(
    lesson: Lesson, folder: Path, read: Callable[[], Pixels], progress: Progress
) -> tuple[Pixels, Neighbors]:
    """The images to learn from and their neighbours, found once and kept in the run's folder.

    A run that goes on learns from what it began with, whatever has come to the pile since.
    """
    path = folder / PREPARED
    if path.is_file():
        try:
            kept = safetensors.numpy.load(path.read_bytes())
            return kept["pixels"], kept["neighbors"]
        except (SafetensorError, KeyError, OSError) as e:
            raise DataError(f"{path} cannot be read: {str(e)[:200]}; remove {folder} and run again.") from e
    pixels = read()
    neighbors = _partners(lesson, pixels, progress)
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(path, safetensors.numpy.save({"pixels": pixels, "neighbors": neighbors}))
    return pixels, neighbors


def _partners(lesson: Lesson, pixels: Pixels, progress: Progress) -> Neighbors:
    if not lesson.n_neighbors:
        return np.arange(len(pixels), dtype=np.int32)[:, None]
    progress.start("comparing", len(VARIANTS))
    count = min(lesson.n_neighbors, isqrt(len(pixels) - 1))
    return hog_neighbors(pixels[..., 0], count, advance=progress.advance)
