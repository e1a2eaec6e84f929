"""Where the items lie: their files, in order of source and path."""

import os

import numpy as np
import numpy.typing as npt

from sortal.store.catalogue import Catalogue
from sortal.store.records import ItemFile

__all__ = ["first_files", "paths_of"]

_FEW = 10_000  # up to here items are looked up one by one; beyond it one pass over all files is faster


def paths_of(catalogue: Catalogue, item_ids: npt.ArrayLike) -> list[list[str]]:
    wanted = np.asarray(item_ids, dtype=np.int64).tolist()
    of: dict[int, list[str]] = {item: [] for item in wanted}
    if len(wanted) <= _FEW:
        query = "SELECT item, path FROM files WHERE item IN ({keys}) ORDER BY item, source, path"
        rows = catalogue.read_in(query, wanted)
    else:
        rows = catalogue.each("SELECT item, path FROM files ORDER BY item, source, path")
    for item, path in rows:
        if item in of:
            of[item].append(os.fsdecode(path))
    return [of[item] for item in wanted]


def first_files(catalogue: Catalogue, item_ids: npt.ArrayLike) -> list[ItemFile]:
    wanted = np.asarray(item_ids, dtype=np.int64).tolist()
    query = (
        "SELECT item, source, path, digest FROM files JOIN items ON items.id = item "
        "WHERE item IN ({keys}) ORDER BY item, source, path"
    )
    first: dict[int, ItemFile] = {}
    for item, source, path, digest in catalogue.read_in(query, wanted):
        if item not in first:
            first[item] = ItemFile(item, source, os.fsdecode(path), digest)
    return [first[item] for item in wanted if item in first]
