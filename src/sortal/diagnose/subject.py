"""The network and the image to look at, prepared for each other."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sortal.data import ImageInput, decode_image, prepare, shown
from sortal.errors import InputError, Unreadable
from sortal.nets import builder
from sortal.nets.network import Network
from sortal.progress import Progress
from sortal.published import PUBLISHED
from sortal.train.model import load_model
from sortal.train.normalize import Normalize
from sortal.train.pretrained import loaded, normalize_of, usual_normalize

__all__ = ["Subject", "subject"]


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
    names: tuple[str, ...] = ()  # of the classes, where a model folder says them

    def called(self, number: int) -> str:
        """A class in words."""
        name = f" ({shown(self.names[number])})" if number < len(self.names) else ""
        return f"class {number}{name}"


def subject(
    network: str,
    image: str | os.PathLike[str],
    weights_from: str | os.PathLike[str] | None = None,
    *,
    progress: Progress | None = None,
) -> Subject:
    """The network of `sortal.nets` by that name, with weights from elsewhere, and `image`.

    Weights and normalisation as `train.pretrained` has them. Without weights they are drawn from seed 0.
    `InputError` for an image that cannot be read, and as `nets.weights.load` raises.
    """
    source = None if weights_from is None else os.fspath(weights_from)
    progress = progress or Progress()
    if source is None:
        net = builder(network)(seed=0)
        known, normalize = None, usual_normalize(net.in_channels)
    else:
        net = loaded(network, source, progress)
        known = None if Path(source).exists() else PUBLISHED.get(source)
        normalize = normalize_of(network, net.in_channels, source, progress)
    size = net.train_size
    want = ImageInput((size, size), crop=known.crop if known else None)
    pixels = prepare(_decoded(image, want), want)
    if net.in_channels == 1:
        pixels = np.rint(pixels @ (0.299, 0.587, 0.114)).astype(np.uint8)[..., None]  # ITU-R BT.601
    ready = normalize(torch.from_numpy(pixels.transpose(2, 0, 1).copy())[None].float())[0]
    told = "drawn from seed 0: this network has learned nothing" if source is None else shown(source)
    names = load_model(source).head.labels if source is not None and os.path.isdir(source) else ()
    return Subject(network, net.eval(), told, source is not None, pixels, ready, normalize, names)


def _decoded(image: str | os.PathLike[str], want: ImageInput) -> Image.Image:
    try:
        data = Path(image).read_bytes()
    except OSError as e:
        raise InputError(f"image must be a file that can be read; {shown(str(image))}: {e.strerror}.") from e
    try:
        return decode_image(data, want.at_least)
    except Unreadable as e:
        raise InputError(f"image must be a picture that can be read; {shown(str(image))}: {e}.") from e
