"""A network that teaches itself: trained on images of a pile, without names and without outside weights."""

from collections.abc import Callable
from math import isqrt
from pathlib import Path

import numpy as np
import safetensors.numpy
from jaxtyping import UInt8
from safetensors import SafetensorError

from sortal.arrays import Neighbors
from sortal.errors import DataError
from sortal.nets.contrastive import ContrastiveNet, contrastive_net
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

__all__ = ["STEPS", "prepared", "self_taught"]

STEPS = 30  # an epoch, whatever the size of the pile: 600 in all
AUGMENT = Augment(shift=2, turn=10, zoom=0.15, shear=0.15, elastic=1.0, gamma=0.4)
N_NEIGHBORS = 5
PREPARED = "images.safetensors"
Grey = UInt8[np.ndarray, "n 32 32"]


def plan(seed: int) -> Plan:
    """One cycle of AdamW to 2e-3."""
    return Plan(epochs=20, optimizer="adamw", peak_lr=2e-3, warmup_epochs=2, weight_decay=0.01, seed=seed)


def self_taught(
    grey: Grey,
    neighbors: Neighbors,
    *,
    seed: int,
    device: Device,
    folder: Path,
    progress: Progress,
) -> ContrastiveNet:
    """A `ContrastiveNet` for which an image is like its neighbours, both shifted, turned, bent and relit.

    600 steps of 256 pairs, of 128 on piles of less than 5,000. `folder` is the run's: the same call goes on
    there, and on CPU with as many threads ends with the same bits.
    """
    net = contrastive_net(seed=seed)
    pairs = PairBatches(
        grey[..., None], neighbors, 256 if len(grey) >= 5000 else 128, STEPS, Normalize((0.5,), (0.5,)),
        augment=AUGMENT, seed=seed, device=device.device,
    )  # fmt: skip
    train(net, Contrast(temperature=0.3), pairs, plan(seed), device=device, folder=folder, progress=progress)
    return net.cpu().eval()


def prepared(folder: Path, read: Callable[[], Grey], progress: Progress) -> tuple[Grey, Neighbors]:
    """The images to learn from and their neighbours, found once and kept in the run's folder.

    A run that goes on learns from what it began with, whatever has come to the pile since.
    """
    path = folder / PREPARED
    if path.is_file():
        try:
            kept = safetensors.numpy.load(path.read_bytes())
            return kept["grey"], kept["neighbors"]
        except (SafetensorError, KeyError, OSError) as e:
            raise DataError(f"{path} cannot be read: {str(e)[:200]}; remove {folder} and run again.") from e
    grey = read()
    progress.start("comparing", len(VARIANTS))
    count = min(N_NEIGHBORS, isqrt(len(grey) - 1))
    neighbors = hog_neighbors(grey, count, advance=progress.advance)
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(path, safetensors.numpy.save({"grey": grey, "neighbors": neighbors}))
    return grey, neighbors
