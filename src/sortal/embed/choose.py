"""Which encoder: what was asked for, what the pile already has, or the best that is at hand."""

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np

from sortal.data import Found, ImageInput, Source, decode_image, prepare
from sortal.embed.encoder import Encoder
from sortal.embed.hog import Hog
from sortal.embed.onnx import OnnxEncoder, Preprocess
from sortal.embed.pixels import Pixels
from sortal.errors import InputError, Unreadable
from sortal.kernels import n_threads
from sortal.published import PUBLISHED

__all__ = ["Outlook", "named", "outlook", "shows_photographs"]

_OWN: dict[str, type[Hog] | type[Pixels]] = {"auto": Hog, "hog": Hog, "pixels": Pixels}
SAMPLE = 12  # images looked at before a run: enough for a rate and a first impression


def named(wish: str | os.PathLike[str], preprocess: Preprocess | None = None) -> Encoder:
    """The encoder a person names: `hog` (also `auto`, with nothing else at hand), `pixels`, an ONNX file.

    Networks by name are `network_wish`'s. A file that is called like one of these is meant by `./hog`.
    """
    wish = os.fspath(wish)
    own = _OWN.get(wish)
    if own is None and (wish.lower().endswith(".onnx") or os.path.isfile(wish)):
        return OnnxEncoder(wish, preprocess)
    if preprocess is not None:
        raise InputError(f"preprocess belongs to an ONNX file; encoder {wish!r} has its own. Leave it out.")
    if own is not None:
        return own()
    near = get_close_matches(wish.partition("=")[0].lower(), [*_OWN, *PUBLISHED], 3, 0.5)
    meant = f" Did you mean {' or '.join(near)}?" if near else ""
    raise InputError(
        "encoder must be auto, hog, pixels, self, the path of an ONNX file or of a model, or a network: "
        f"{', '.join(PUBLISHED)}; or NETWORK=FILE with weights of your own; got {wish[:200]!r}.{meant}"
    )


@dataclass(frozen=True)
class Outlook:
    """A first impression from a few images: how long the run will take, and whether they are photographs."""

    seconds: float | None  # for all of them, wall; None where no image could be read
    photographs: bool


def outlook(source: Source, todo: Sequence[Found], encoder: Encoder) -> Outlook:
    """Read and embed up to 12 images spread over `todo`, and draw them out to all of it."""
    start = time.perf_counter()
    images = list(_sampled(source, todo, encoder.input))
    read_s = time.perf_counter() - start
    if not images:
        return Outlook(None, False)
    batch = np.stack(images)
    start = time.perf_counter()
    encoder.embed(batch)
    embed_s = time.perf_counter() - start
    # Both want the same cores: reading is timed on one of them, the network on all.
    seconds = (read_s / n_threads() + embed_s) / len(images) * len(todo)
    return Outlook(seconds, look_like_photographs(batch))


def shows_photographs(source: Source) -> bool:
    """The same impression before an encoder is chosen: one walk through the source and 12 small images."""
    found = [entry for entry in source.scan() if isinstance(entry, Found)]
    images = list(_sampled(source, found, Hog.input))
    return bool(images) and look_like_photographs(np.stack(images))


def _sampled(source: Source, found: Sequence[Found], want: ImageInput) -> Iterator[np.ndarray]:
    """Up to 12 images spread over `found`, prepared; those that cannot be read are passed over."""
    for entry in found[:: max(1, len(found) // SAMPLE)][:SAMPLE]:
        try:
            yield prepare(decode_image(source.read(entry.path), want.at_least), want)
        except Unreadable:
            continue


def look_like_photographs(images: np.ndarray) -> bool:
    """Whether most of them are in colour: their channels differ by more than 8 levels on average.

    Glyphs, marks, scans and silhouettes are grey or nearly so (MNIST and scikit-learn's digits: 0), coloured
    photographs are not.
    """
    levels = images.astype(np.int16)
    chroma = (levels.max(axis=3) - levels.min(axis=3)).mean(axis=(1, 2))
    return bool(np.mean(chroma > 8) > 0.5)
