"""Which encoder: what was asked for, what the pile already has, or the best that is at hand."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np

from sortal.data import Found, Input, Kind, Source
from sortal.embed.encoder import Encoder
from sortal.embed.hog import Hog
from sortal.embed.mel import Mel
from sortal.embed.onnx import OnnxEncoder, Preprocess
from sortal.embed.onnx_sequence import opened_sequence
from sortal.embed.pixels import Pixels
from sortal.errors import InputError, Unreadable
from sortal.kernels import n_threads
from sortal.published import PUBLISHED

__all__ = ["Outlook", "named", "outlook", "shows_photographs", "without_weights"]

_OWN: dict[str, type[Hog] | type[Pixels] | type[Mel]] = {"hog": Hog, "pixels": Pixels, "mel": Mel}
SAMPLE = 12  # images looked at before a run: enough for a rate and a first impression


def named(
    wish: str | os.PathLike[str],
    preprocess: Preprocess | Mapping[str, Any] | None = None,
    kind: Kind = "image",
) -> Encoder:
    """The encoder a person names: `hog` (also `auto`, with nothing else at hand), `mel`, an ONNX file, ...

    `kind` is what an ONNX file is to read: it says which options `preprocess` has.
    Networks by name are `network_wish`'s. A file that is called like one of these is meant by `./hog`.
    """
    wish = os.fspath(wish)
    own = _OWN.get("hog" if wish == "auto" else wish)
    if own is None and (wish.lower().endswith(".onnx") or os.path.isfile(wish)):
        if kind != "image":
            return opened_sequence(wish, kind, preprocess)
        if isinstance(preprocess, Mapping):
            preprocess = Preprocess.from_json(preprocess, where="preprocess")
        return OnnxEncoder(wish, preprocess)
    if preprocess is not None:
        raise InputError(f"preprocess belongs to an ONNX file; encoder {wish!r} has its own. Leave it out.")
    if own is not None:
        return own()
    names = ["auto", "self", "self-photos", *_OWN, "tfidf", "minirocket", *PUBLISHED]
    near = get_close_matches(wish.partition("=")[0].lower(), names, 3, 0.5)
    meant = f" Did you mean {' or '.join(near)}?" if near else ""
    raise InputError(
        "encoder must be auto, hog, pixels, self or self-photos (images), mel (sound), tfidf (text), "
        f"minirocket (series), the path of an ONNX file or of a model, or a network: {', '.join(PUBLISHED)}; "
        f"or NETWORK=FILE with weights of your own; got {wish[:200]!r}.{meant}"
    )


def without_weights(kind: Kind) -> str:
    """The name of the encoder that needs nothing but Sortal, for items of this kind."""
    return {"image": "hog", "sound": "mel", "series": "minirocket", "text": "tfidf"}[kind]


@dataclass(frozen=True)
class Outlook:
    """A first impression from a few images: how long the run will take, and whether they are photographs."""

    seconds: float | None  # for all of them, wall; None where no image could be read
    photographs: bool


def outlook(source: Source, todo: Sequence[Found], encoder: Encoder) -> Outlook:
    """Read and embed up to 12 items spread over `todo`, and draw them out to all of it."""
    start = time.perf_counter()
    items = list(_sampled(source, todo, encoder.input))
    read_s = time.perf_counter() - start
    if not items:
        return Outlook(None, False)
    batch = encoder.input.stack(items)
    start = time.perf_counter()
    encoder.embed(batch)
    embed_s = time.perf_counter() - start
    # Both want the same cores: reading is timed on one of them, the network on all.
    seconds = (read_s / n_threads() + embed_s) / len(items) * len(todo)
    return Outlook(seconds, encoder.input.kind == "image" and look_like_photographs(batch))


def shows_photographs(source: Source) -> bool:
    """The same impression before an encoder is chosen: one walk through the source and 12 small images."""
    found = [entry for entry in source.scan() if isinstance(entry, Found)]
    images = list(_sampled(source, found, Hog.input))
    return bool(images) and look_like_photographs(np.stack(images))


def _sampled(source: Source, found: Sequence[Found], want: Input) -> Iterator[Any]:
    """Up to 12 items spread over `found`, prepared; those that cannot be read are passed over."""
    for entry in found[:: max(1, len(found) // SAMPLE)][:SAMPLE]:
        try:
            yield want.read(source.read(entry.path))
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
