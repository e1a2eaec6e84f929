"""Items of a pile as images in memory, for networks that learn from pixels."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from sortal.arrays import Labels
from sortal.data import ImageInput, LabelledImages, Refused, Source, decode_image, open_source, prepare
from sortal.errors import InputError, SortalError, Unreadable
from sortal.kernels import n_threads
from sortal.store import ItemFile, Store

__all__ = ["images_of"]


def images_of(
    store: Store, ids: Labels, labels: Labels, names: Sequence[str], size: tuple[int, int]
) -> LabelledImages:
    """The items with a file that can be read and is what it was, brought to `size` (height, width)."""
    want = ImageInput(size)
    sources = _sources(store)
    files = {file.item: file for file in store.first_files(ids)}

    pixels = np.empty((len(ids), *size, 3), np.uint8)

    def put(row: int, item: int) -> Refused | None:
        file = files.get(item)
        if file is None:
            return Refused("", "gone", f"item {item} has no file any more", None)
        try:
            pixels[row] = _pixels(file, sources, want)
        except Unreadable as e:
            return Refused(file.path, e.kind, str(e), None)
        return None

    with ThreadPoolExecutor(n_threads()) as pool:
        found = list(pool.map(put, range(len(ids)), ids.tolist()))
    refused = tuple(one for one in found if one is not None)
    if len(refused) == len(ids):
        raise InputError(f"the pile's files must be there to learn from pixels; {refused[0].reason}.")
    images = LabelledImages(pixels, labels, tuple(names))
    if refused:
        images = images.take(np.array([one is None for one in found]))
    return replace(images, refused=refused)


def _sources(store: Store) -> dict[int, Source]:
    found = {}
    for row in store.sources():
        try:
            found[row.id] = open_source(row.location)
        except SortalError:
            continue  # its items are refused one by one
    return found


def _pixels(file: ItemFile, sources: dict[int, Source], want: ImageInput) -> np.ndarray:
    if file.source not in sources:
        raise Unreadable("gone", "its source cannot be read now")
    content = sources[file.source].read(file.path)
    if hashlib.sha256(content).digest() != file.digest:
        raise Unreadable("changed", "the file has changed since; run organize again")
    return prepare(decode_image(content, want.at_least), want)
