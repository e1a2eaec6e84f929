"""One batch of new items, files, refusals and vectors into the pile, all or nothing."""

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sortal.data import TRANSIENT_KINDS
from sortal.errors import InputError
from sortal.store.catalogue import Catalogue, now
from sortal.store.columns import ItemIds, published
from sortal.store.records import Batch, NewItem, NewVectors

__all__ = ["commit_batch"]

DIGEST_BYTES = 32


def commit_batch(
    catalogue: Catalogue, segments: Path, batch: Batch, has_vector: npt.NDArray[np.bool_] | None
) -> ItemIds:
    """Commit `batch`; the ids of the items that got a vector come back."""
    if batch.vectors is None:
        with catalogue.transaction():
            _insert_rows(catalogue, batch)
        return np.zeros(0, dtype=np.int64)
    assert has_vector is not None
    _check_vectors(catalogue, batch.vectors)
    with published(segments, "vectors", iter([batch.vectors.array])) as segment, catalogue.transaction():
        ids = _insert_rows(catalogue, batch)
        owners = np.array([_id_of(digest, ids) for digest in batch.vectors.digests], dtype=np.int64)
        _check_new(owners, has_vector)
        segment.refer(catalogue, "vectors", batch.vectors.encoder, owners)
    return owners


def _insert_rows(catalogue: Catalogue, batch: Batch) -> dict[bytes, int]:
    ids = _insert_items(catalogue, batch)
    place = [(batch.source, os.fsencode(file.path)) for file in batch.files]
    catalogue.execute_many("DELETE FROM quarantine WHERE source = ? AND path = ?", place)
    catalogue.insert_many(
        "files",
        [(*key, *file.stamp, _id_of(file.digest, ids)) for key, file in zip(place, batch.files)],
        replace=True,
    )
    _insert_quarantine(catalogue, batch)
    return ids


def _insert_items(catalogue: Catalogue, batch: Batch) -> dict[bytes, int]:
    """digest -> id for all that the batch speaks of; items that the pile has already keep their id."""
    new: dict[bytes, NewItem] = {}
    for item in batch.items:
        if len(item.digest) != DIGEST_BYTES:
            raise InputError(
                f"an item's digest is the {DIGEST_BYTES} bytes of a SHA-256; got {len(item.digest)} bytes."
            )
        new.setdefault(item.digest, item)
    with_vectors = batch.vectors.digests if batch.vectors else ()
    ids = _item_ids(catalogue, [*new, *(file.digest for file in batch.files), *with_vectors])
    next_id = catalogue.next_id("items")
    rows: list[tuple[object, ...]] = []
    for digest, item in new.items():
        if digest not in ids:
            ids[digest] = next_id + len(rows)
            rows.append((ids[digest], digest, item.n_bytes))
    catalogue.insert_many("items", rows)
    return ids


def _item_ids(catalogue: Catalogue, digests: Iterable[bytes]) -> dict[bytes, int]:
    query = "SELECT digest, id FROM items WHERE digest IN ({keys})"
    return dict(catalogue.read_in(query, list(dict.fromkeys(digests))))


def _insert_quarantine(catalogue: Catalogue, batch: Batch) -> None:
    place = [(batch.source, os.fsencode(one.path)) for one in batch.quarantine]
    # What may pass by itself keeps its place: a mount that was away for one run must not regroup the pile.
    lost = [key for key, one in zip(place, batch.quarantine) if one.kind not in TRANSIENT_KINDS]
    catalogue.execute_many("DELETE FROM files WHERE source = ? AND path = ?", lost)
    query = "SELECT since FROM quarantine WHERE source = ? AND path = ?"
    rows: list[tuple[object, ...]] = []
    for key, one in zip(place, batch.quarantine):
        before = catalogue.read(query, key)
        since = before[0][0] if before else now()
        rows.append((*key, one.kind, one.reason, *(one.stamp or (None, None, None)), since))
    catalogue.insert_many("quarantine", rows, replace=True)


def _check_vectors(catalogue: Catalogue, vectors: NewVectors) -> None:
    found = catalogue.checked("encoders", "WHERE id = ?", (vectors.encoder,))
    if not found:
        raise InputError(f"vectors need an encoder of this pile; there is no encoder {vectors.encoder}.")
    shape, wanted = vectors.array.shape, (len(vectors.digests), found[0][3])
    if vectors.array.dtype != np.float32 or shape != wanted:
        raise InputError(
            f"vectors must be float32 of shape {wanted}; got {vectors.array.dtype} of shape {shape}."
        )


def _check_new(items: ItemIds, has_vector: npt.NDArray[np.bool_]) -> None:
    known = items[items < len(has_vector)]
    again = int(has_vector[known].sum()) + len(items) - len(np.unique(items))
    if again:
        raise InputError(f"an item gets one vector of an encoder; {again} of {len(items)} have one already.")


def _id_of(digest: bytes, ids: dict[bytes, int]) -> int:
    try:
        return ids[digest]
    except KeyError:
        raise InputError(
            f"digest {digest.hex()[:12]} is no item of the batch or the pile: add the item."
        ) from None
