"""Transfer from files: named images of a pile or a folder, a network by name, its weights from a file."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sortal import nets
from sortal.data import LabelledImages, load_labelled, shown
from sortal.embed.choose import look_like_photographs
from sortal.errors import InputError
from sortal.nets import Network
from sortal.nets.checkpoint import read_checkpoint
from sortal.pile import open as open_pile
from sortal.progress import Progress, counted
from sortal.published import PUBLISHED
from sortal.store import is_pile
from sortal.train import Augment, Normalize, usual_augment
from sortal.train.device import choose_device
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
    images = in_channels(named_images(data, edge, progress), body.in_channels)
    own = None
    if own_data is not None:
        own = in_channels(named_images(own_data, edge, progress), body.in_channels)
        if len(own.names) != body.num_classes:
            raise InputError(
                f"own data must hold the {body.num_classes} names that the network was trained on, in the "
                f"order of its classes when sorted; {shown(str(own_data))} has {len(own.names)}."
            )
    course = Course(epochs, normalize_of(net, weights, progress), augment_of(images, kind, edge, progress))
    return transfer(
        images, body, lambda seed: nets.builder(net)(len(images.names), seed=seed), course,
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


def loaded(net: str, weights: str | os.PathLike[str], progress: Progress) -> Network:
    """The network with all of its weights, its head too, for as many classes as they know."""
    build = nets.builder(net)
    name = os.fspath(weights)
    if name in PUBLISHED and not os.path.isfile(name):
        body = build(PUBLISHED[name].num_classes, seed=0)
    else:
        weights = Path(name)
        head = read_checkpoint(weights).get(f"{build(2).head_name}.weight")
        body = build(seed=0) if head is None else build(len(head), seed=0)
    nets.weights.load(body, weights, progress=progress)
    return body.eval()


def normalize_of(net: str, weights: str | os.PathLike[str], progress: Progress) -> Normalize:
    """How these weights want their pixels: as published with them, else with the network."""
    name = os.path.basename(os.fspath(weights))
    known = [one for one in PUBLISHED.values() if name in (one.name, one.file)]
    for one in known or [one for one in PUBLISHED.values() if one.network == net]:
        if not known:
            progress.say(f"nothing says how {shown(name)} wants its pixels: as {one.name}, then")
        return Normalize(one.mean, one.std)
    progress.say(f"nothing says how {shown(name)} wants its pixels: mean and deviation 0.5, then")
    return Normalize((0.5,), (0.5,))


def augment_of(images: LabelledImages, kind: str, edge: int, progress: Progress) -> Augment:
    """What is right for the kind; by colour where nobody says: what is grey may be writing."""
    colourful = look_like_photographs(images.pixels[:: 1 + len(images) // 200])
    if kind == "auto":
        kind = "photographs" if colourful else "glyphs"
        does = "shifted, mirrored" if colourful else "shifted, turned, zoomed, never mirrored"
        progress.say(f"they look like {kind}: {does} in training (--kind says otherwise)")
    return usual_augment("photographs" if kind == "photographs" else "glyphs", edge)
