"""The network and the image to look at, prepared for each other."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from sortal.data import ImageInput, decode_image, prepare, shown
from sortal.errors import InputError, Unreadable
from sortal.nets import builder, weights
from sortal.nets.checkpoint import read_checkpoint
from sortal.nets.network import Network
from sortal.progress import Progress
from sortal.published import IMAGENET, PUBLISHED
from sortal.train.normalize import Normalize

__all__ = ["Subject", "subject"]

MNIST = Normalize((0.1307,), (0.3081,))


@dataclass(frozen=True)
class Subject:
    """`pixels` (h, w, c) is what the network sees of the image, `image` (c, h, w) the same, normalised."""

    name: str
    net: Network
    weights: str  # in words
    learned: bool
    pixels: np.ndarray
    image: Tensor
    normalize: Normalize


def subject(
    network: str,
    image: str | os.PathLike[str],
    weights_from: str | os.PathLike[str] | None = None,
    *,
    progress: Progress | None = None,
) -> Subject:
    """The network of `sortal.nets` by that name, with weights of a file or of a published name, and `image`.

    Classes and channels are those of the file. Normalised as its publisher says, as the run folder it lies in
    says, else by the figures of ImageNet, or of MNIST for networks that see grey. Without weights they are
    drawn from seed 0. `InputError` for an image that cannot be read, and as `nets.weights.load` raises.
    """
    source = None if weights_from is None else os.fspath(weights_from)
    net = _network(network, source)
    if source is not None:
        weights.load(net, source, progress=progress)
    known = PUBLISHED.get(source) if source is not None and not Path(source).exists() else None
    normalize = Normalize(known.mean, known.std) if known else _normalize(net, source)
    size = net.train_size
    want = ImageInput((size, size), crop=known.crop if known else None)
    pixels = prepare(_decoded(image, want), want)
    if net.in_channels == 1:
        pixels = np.rint(pixels @ (0.299, 0.587, 0.114)).astype(np.uint8)[..., None]  # ITU-R BT.601
    ready = normalize(torch.from_numpy(pixels.transpose(2, 0, 1).copy())[None].float())[0]
    told = "drawn from seed 0: this network has learned nothing" if source is None else shown(source)
    return Subject(network, net.eval(), told, source is not None, pixels, ready, normalize)


def _network(name: str, source: str | None) -> Network:
    """With as many classes and channels as its weights have."""
    build = builder(name)
    if source is None or not Path(source).exists():
        return build(seed=0)
    with torch.device("meta"):
        plain = build()
    held = read_checkpoint(source)
    head = held.get(f"{plain.head_name}.weight")
    stem = next((key for key, layer in plain.named_modules() if isinstance(layer, nn.Conv2d)), "")
    first = held.get(f"{stem}.weight")
    return build(
        plain.num_classes if head is None or not head.ndim else len(head),
        plain.in_channels if first is None or first.ndim != 4 else first.shape[1],
        seed=0,
    )


def _normalize(net: Network, source: str | None) -> Normalize:
    usual = MNIST if net.in_channels == 1 else Normalize(*IMAGENET)
    plan = None if source is None else Path(source).with_name("plan.json")
    if plan is None or not plan.exists():
        return usual
    try:
        held = json.loads(plan.read_bytes())["batches"]["normalize"]
        found = Normalize(tuple(map(float, held["mean"])), tuple(map(float, held["std"])))
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise InputError(f"{plan} must be the settings of a run; {e!r}. Move the weights elsewhere.") from e
    return found if len(found.mean) == net.in_channels else usual


def _decoded(image: str | os.PathLike[str], want: ImageInput) -> Image.Image:
    try:
        data = Path(image).read_bytes()
    except OSError as e:
        raise InputError(f"image must be a file that can be read; {shown(str(image))}: {e.strerror}.") from e
    try:
        return decode_image(data, want.at_least)
    except Unreadable as e:
        raise InputError(f"image must be a picture that can be read; {shown(str(image))}: {e}.") from e
