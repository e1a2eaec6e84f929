"""Items of a pile read again: for networks that learn from them, and for the page."""

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from sortal.arrays import Labels
from sortal.data import (
    ImageInput,
    Input,
    LabelledImages,
    Refused,
    Source,
    decode_image,
    open_source,
    prepare,
)
from sortal.errors import InputError, SortalError, Unreadable
from sortal.kernels import n_threads
from sortal.store import ItemFile, Store

Shown = TypeVar("Shown")

__all__ = ["NamedItems", "images_of", "items_of", "shown_of"]


@dataclass(frozen=True)
class NamedItems:
    """Items as an encoder's `Input` reads them, the rows asked for that they are, and the others."""

    items: list[Any]
    rows: Labels
    refused: tuple[Refused, ...]


def images_of(
    store: Store, ids: Labels, labels: Labels, names: Sequence[str], size: tuple[int, int]
) -> LabelledImages:
    """The items with a file that can be read and is what it was, brought to `size` (height, width)."""
    want = ImageInput(size)
    pixels = np.empty((len(ids), *size, 3), np.uint8)

    def put(row: int, content: bytes) -> None:
        pixels[row] = prepare(decode_image(content, want.at_least), want)

    found = _each(store, ids, put)
    refused = tuple(one for one in found if one is not None)
    if len(refused) == len(ids):
        raise InputError(f"the pile's files must be there to learn from pixels; {refused[0].reason}.")
    images = LabelledImages(pixels, labels, tuple(names))
    if refused:
        images = images.take(np.array([one is None for one in found]))
    return replace(images, refused=refused)


def items_of(store: Store, ids: Labels, want: Input) -> NamedItems:
    """The items with a file that can be read and is what it was, as `want` reads them."""
    items: list[Any] = [None] * len(ids)

    def put(row: int, content: bytes) -> None:
        items[row] = want.read(content)

    found = _each(store, ids, put)
    rows = [row for row, one in enumerate(found) if one is None]
    refused = tuple(one for one in found if one is not None)
    return NamedItems([items[row] for row in rows], np.array(rows, np.int64), refused)


def shown_of(store: Store, ids: Labels, show: Callable[[bytes], Shown | None]) -> dict[int, Shown]:
    """By row, `show` of the items with a file that can be read and is what it was; None leaves one out."""
    found: dict[int, Shown] = {}

    def put(row: int, content: bytes) -> None:
        if (one := show(content)) is not None:
            found[row] = one

    _each(store, ids, put)
    return {row: found[row] for row in sorted(found)}


def _each(store: Store, ids: Labels, put: Callable[[int, bytes], None]) -> list[Refused | None]:
    """`put(row, content)` for every item; for each why it could not be, or None."""
    sources = _sources(store)
    files = {file.item: file for file in store.first_files(ids)}

    def one(row: int, item: int) -> Refused | None:
        file = files.get(item)
        if file is None:
            return Refused("", "gone", f"item {item} has no file any more", None)
        try:
            put(row, _content(file, sources))
        except Unreadable as e:
            return Refused(file.path, e.kind, str(e), None)
        return None

    with ThreadPoolExecutor(n_threads()) as pool:
        return list(pool.map(one, range(len(ids)), ids.tolist()))


def _sources(store: Store) -> dict[int, Source]:
    found = {}
    for row in store.sources():
        try:
            found[row.id] = open_source(row.location, None, store.reading())
        except SortalError:
            continue  # its items are refused one by one
    return found


def _content(file: ItemFile, sources: dict[int, Source]) -> bytes:
    if file.source not in sources:
        raise Unreadable("gone", "its source cannot be read now")
    content = sources[file.source].read(file.path)
    if hashlib.sha256(content).digest() != file.digest:
        raise Unreadable("changed", "the file has changed since; run organize again")
    return content
