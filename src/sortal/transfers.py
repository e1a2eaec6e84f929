"""Transfer from files: named images of a pile or a folder, a network by name, its weights from a file."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sortal import nets
from sortal.data import LabelledImages, load_labelled, shown
from sortal.errors import InputError
from sortal.learning import augment_of
from sortal.pile import open as open_pile
from sortal.progress import Progress, counted
from sortal.store import is_pile
from sortal.train.device import choose_device
from sortal.train.pretrained import loaded, normalize_of
from sortal.train.transfer import transfer
from sortal.train.transfer_report import Transfer
from sortal.train.ways import Course

__all__ = ["transfer_from"]


def transfer_from(
    data: str | os.PathLike[str],
    net: str,
    weights: str | os.PathLike[str],
    *,
    epochs: int,
    per_class: Sequence[int | None] = (None,),
    seeds: int = 3,
    held_out: float = 0.2,
    own_data: str | os.PathLike[str] | None = None,
    size: int | None = None,
    kind: str = "auto",
    batch_size: int = 32,
    peak_lr: float | None = None,
    device: str = "auto",
    into: str | os.PathLike[str] | None = None,
    progress: Progress = Progress(),  # noqa: B008 (has no state)
) -> Transfer:
    """`sortal.train.transfer` on what lies in `data`; kept in `into`, by default NAME.transfer here.

    `size` is the edge that images are brought to, by default that of the network's training. Images are
    normalised as `weights` want it.
    """
    where = choose_device(device)
    progress.say(f"device: {where}")
    body = loaded(net, weights, progress)
    edge = size or body.train_size
    body.check_size(edge, edge)
    colour = named_images(data, edge, progress)
    augment, images = augment_of(colour, kind, edge, progress), in_channels(colour, body.in_channels)
    own = None
    if own_data is not None:
        own = in_channels(named_images(own_data, edge, progress), body.in_channels)
        if len(own.names) != body.num_classes:
            raise InputError(
                f"own data must hold the {body.num_classes} names that the network was trained on, in the "
                f"order of its classes when sorted; {shown(str(own_data))} has {len(own.names)}."
            )
    normalize = normalize_of(net, body.in_channels, weights, progress)
    course = Course(epochs, normalize, augment, batch_size, peak_lr)
    build = nets.builder(net)
    return transfer(
        images, body, lambda seed: build(len(images.names), body.in_channels, seed=seed), course,
        per_class=per_class, seeds=seeds, held_out=held_out, own=own, device=where,
        folder=into or f"{Path(os.path.abspath(data)).stem}.transfer", progress=progress,
    )  # fmt: skip


def named_images(data: str | os.PathLike[str], edge: int, progress: Progress) -> LabelledImages:
    """Those of a pile that have a name, or all of a folder, zip or list, brought to edge x edge."""
    if is_pile(Path(data)):
        with open_pile(data) as pile:
            images = pile.named_images((edge, edge))
    else:
        images = load_labelled(data, size=(edge, edge))
    if images.refused:
        one = images.refused[0]
        progress.say(
            f"{counted(len(images.refused), 'file')} left out, the first: {shown(one.path)}: {one.reason}"
        )
    progress.say(f"{shown(str(data))}: {len(images):,} images, {len(images.names):,} names")
    return images


def in_channels(images: LabelledImages, n: int) -> LabelledImages:
    """As they are for 3 channels, grey for 1 (the mean). `InputError` for any other number."""
    if n == 3:
        return images
    if n != 1:
        raise InputError(f"images have 3 channels, or 1 in grey; this network wants {n}. Take another.")
    grey = images.pixels.mean(axis=3, keepdims=True).astype(np.uint8)
    return LabelledImages(grey, images.labels, images.names, images.refused)
