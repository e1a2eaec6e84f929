"""Encoders that are fitted on the pile itself: what they learned, as one file named by its SHA-256."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from sortal.data import Input, SeriesInput, TextInput, shown
from sortal.errors import DataError, Unreadable
from sortal.whole import write_whole

if TYPE_CHECKING:
    from sortal.embed.encoder import Encoder

__all__ = ["FittedWish", "fitted_wish", "read_fit", "write_fit"]

MOST_FITTED = 20_000  # items that a fit looks at; more change the third digit and cost minutes


@dataclass(frozen=True)
class FittedWish:
    """An encoder by name that is to be fitted on the pile's own items."""

    name: str
    input: Input

    def made(self, contents: Iterable[bytes], folder: Path) -> "Encoder":
        """Fitted on up to 20,000 of the items that can be read, evenly drawn; its file lies in `folder`."""
        items = _sample_evenly(self._readable(contents))
        if self.name == "tfidf":
            from sortal.embed.tfidf import fit_tfidf

            return fit_tfidf(items, folder)
        from sortal.embed.minirocket import fit_minirocket

        return fit_minirocket(items, folder)

    def _readable(self, contents: Iterable[bytes]) -> Iterator[Any]:
        for content in contents:
            try:
                yield self.input.read(content)
            except Unreadable:
                continue


def fitted_wish(name: str) -> FittedWish | None:
    """The encoder of this name that is fitted on a pile, if there is one."""
    inputs: dict[str, Input] = {"tfidf": TextInput(), "minirocket": SeriesInput()}
    return FittedWish(name, inputs[name]) if name in inputs else None


def write_fit(folder: Path, arrays: Mapping[str, np.ndarray], words: list[str] | None = None) -> Path:
    """The fit as safetensors in `folder`; the same numbers give the same file. `words` go along."""
    held = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    if words is not None:
        held["words"] = np.frombuffer(json.dumps(words).encode(), np.uint8)
    content = safetensors.numpy.save(held)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{hashlib.sha256(content).hexdigest()}.safetensors"
    write_whole(path, content)
    return path


def read_fit(path: Path) -> tuple[dict[str, np.ndarray], list[str], str]:
    """Arrays, words and SHA-256 of a fit. DataError where it is damaged."""
    try:
        content = path.read_bytes()
        arrays = safetensors.numpy.load(content)
        words = json.loads(arrays.pop("words", np.frombuffer(b"[]", np.uint8)).tobytes())
    except (OSError, SafetensorError, ValueError) as e:
        raise DataError(
            f"{shown(str(path))}: the fit of an encoder must be readable; {shown(str(e))}."
        ) from e
    return arrays, words, hashlib.sha256(content).hexdigest()


def _sample_evenly(items: Iterable[Any]) -> list[Any]:
    """Up to 20,000 of `items`, evenly from beginning to end, however many there are, in one pass."""
    held: list[Any] = []
    step = 1
    for at, item in enumerate(items):
        if at % step == 0:
            held.append(item)
        if len(held) == 2 * MOST_FITTED:
            held, step = held[::2], 2 * step
    return held[:: -(-len(held) // MOST_FITTED)] if held else held
