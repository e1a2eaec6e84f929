"""Run an encoder over a source. Only what is new is read, decoded and embedded.

Worker threads read, hash, decode and resize; the calling thread runs the network and writes to the store, so
neither waits for the other. A few batches are in memory at a time, whatever the number of files.
"""

import contextlib
import hashlib
import os
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np

from sortal.arrays import Vectors
from sortal.data import TRANSIENT_KINDS, Found, Refused, Source
from sortal.embed.encoder import Encoder
from sortal.errors import Unreadable
from sortal.interrupt import held_interrupt
from sortal.kernels import n_threads
from sortal.store import Batch, NewFile, NewItem, NewQuarantine, NewVectors, Store

__all__ = ["Plan", "embed", "plan", "refuse", "vectors_of"]

# A commit costs some 20 ms (fsync of file, folder and log); this often it is lost in the noise, and a killed
# run loses no more than this.
ROWS_PER_COMMIT = 1024
SECONDS_PER_COMMIT = 2.0
# A batch of large photographs can take a minute to read: this often commit, progress and Ctrl-C get a turn.
SECONDS_PER_CHUNK = 1.0

ENCODER_FAILED = "encoder"  # the kind of refusal that another encoder may lift


@dataclass(frozen=True)
class Plan:
    """What a look at a source found: what there is to read, and what stays as it was."""

    todo: list[Found]
    unchanged: int  # files whose item and vector are there
    refused: list[Refused]  # seen at the scan to be unreadable
    still_refused: int  # in quarantine before, and not changed since
    gone: list[str]  # paths of the last look that are not there any more
    names: dict[str, str] = field(default_factory=dict)  # path -> the name its folder or list gives it


def plan(store: Store, source_id: int, source: Source, encoder_id: int) -> Plan:
    """Compare a source with what the store knows of it. Reads no file's content."""
    before = store.files(source_id)
    quarantined = {row.path: row for row in store.quarantine(source_id)}
    lacking = set(store.items_without_vectors(encoder_id).tolist())
    todo, refused, names, seen = [], [], {}, set()
    unchanged = still_refused = 0
    for entry in source.scan():
        seen.add(entry.path)
        if isinstance(entry, Refused):
            refused.append(entry)
            continue
        if entry.name is not None:
            names[entry.path] = entry.name
        row, held = before.get(entry.path), quarantined.get(entry.path)
        if row is not None and held is None and row.stamp == entry.stamp and row.item not in lacking:
            unchanged += 1
        elif row is None and held is not None and held.stamp == entry.stamp and held.kind != ENCODER_FAILED:
            still_refused += 1
        else:
            todo.append(entry)  # every path of an item without a vector: any of them may be bad by now
    closed = tuple(one.path + os.sep for one in refused)  # what lies below a shut folder is not gone
    known = dict.fromkeys((*before, *quarantined))
    gone = [path for path in known if path not in seen and not path.startswith(closed)]
    return Plan(todo, unchanged, refused, still_refused, gone, names)


def embed(
    store: Store,
    source_id: int,
    source: Source,
    encoder: Encoder,
    encoder_id: int,
    todo: Sequence[Found],
    advance: Callable[[int], None] = lambda n: None,
) -> None:
    """Read `todo`, embed what has no vector yet, and commit as it goes.

    `advance(n)` is called when n more files are done with. On the first Ctrl-C the batch under way is
    finished and committed, then KeyboardInterrupt is raised; a second one does not wait.
    """
    writer = _Writer(store, source_id, encoder_id)
    load = _Loader(source, encoder, writer.has_vector)
    with held_interrupt() as interrupted:
        with contextlib.closing(_chunks(load, todo, encoder.batch)) as chunks:
            for chunk in chunks:
                _embed_chunk(chunk, encoder, writer)
                advance(len(chunk))
                if interrupted():
                    break
        writer.flush()
    if interrupted():
        raise KeyboardInterrupt


def vectors_of(
    source: Source, found: Sequence[Found], encoder: Encoder
) -> Generator[tuple[list[Found], Vectors, list[Refused]]]:
    """The same without a pile, chunk by chunk: the files that have a vector, their vectors, the others.

    Close it where it may be left before its end: that stops the reading ahead.
    """
    load = _Loader(source, encoder, lambda digest: False)
    with contextlib.closing(_chunks(load, found, encoder.batch)) as chunks:
        for chunk in chunks:
            refused = [one for one in chunk if isinstance(one, Refused)]
            loaded = [one for one in chunk if isinstance(one, _Loaded)]
            vectors, good = _vectors(loaded, encoder)
            refused += [_failed(one, encoder) for one, fine in zip(loaded, good) if not fine]
            yield [one.entry for one, fine in zip(loaded, good) if fine], vectors[good], refused


@dataclass(frozen=True)
class _Loaded:
    """One item, read: its content's digest, and itself prepared unless a vector of it is there already."""

    entry: Found
    digest: bytes
    n_bytes: int
    prepared: Any


class _Loader:
    """What a worker thread does with one file. `has_vector(digest)` spares decoding a moved or copied one."""

    def __init__(self, source: Source, encoder: Encoder, has_vector: Callable[[bytes], bool]) -> None:
        self.source, self.want, self.has_vector = source, encoder.input, has_vector

    def __call__(self, entry: Found) -> _Loaded | Refused:
        try:
            content = self.source.read(entry.path)
            digest = hashlib.sha256(content).digest()
            prepared = None if self.has_vector(digest) else self.want.read(content)
            return _Loaded(entry, digest, len(content), prepared)
        except Unreadable as e:
            return Refused(entry.path, e.kind, str(e), entry.stamp)


def _embed_chunk(chunk: list[_Loaded | Refused], encoder: Encoder, writer: "_Writer") -> None:
    fresh: dict[bytes, _Loaded] = {}
    for one in chunk:
        if isinstance(one, Refused):
            writer.refuse(one)
        elif one.prepared is not None and not writer.holds(one.digest):
            fresh.setdefault(one.digest, one)
    vectors, good = _vectors(list(fresh.values()), encoder)
    failed = {digest for digest, fine in zip(fresh, good) if not fine}
    writer.add_vectors([digest for digest in fresh if digest not in failed], vectors[good])
    for one in chunk:
        if isinstance(one, Refused):
            continue
        if one.digest in failed:
            writer.refuse(_failed(one, encoder))
        else:
            writer.add_file(one)
    writer.flush_if_due()


def _vectors(loaded: list[_Loaded], encoder: Encoder) -> tuple[Vectors, np.ndarray]:
    """A row for each, and which of the rows are finite."""
    if not loaded:
        return np.empty((0, encoder.dim), np.float32), np.zeros(0, np.bool_)
    vectors = encoder.embed(encoder.input.stack([one.prepared for one in loaded]))
    return vectors, np.isfinite(vectors).all(axis=1)


def _failed(one: _Loaded, encoder: Encoder) -> Refused:
    reason = f"{encoder.name} gave NaN or infinity for it; another encoder may not."
    return Refused(one.entry.path, ENCODER_FAILED, reason, one.entry.stamp)


class _Writer:
    """Gathers rows and publishes them together, often enough that a killed run loses little."""

    def __init__(self, store: Store, source_id: int, encoder_id: int) -> None:
        self.store, self.source_id, self.encoder_id = store, source_id, encoder_id
        self.has_vector = store.vector_index(encoder_id)
        self._start_anew()

    def _start_anew(self) -> None:
        self.items: dict[bytes, NewItem] = {}
        self.files: list[NewFile] = []
        self.refused: list[NewQuarantine] = []
        self.digests: dict[bytes, None] = {}
        self.vectors: list[np.ndarray] = []
        self.since = time.monotonic()

    def holds(self, digest: bytes) -> bool:
        return digest in self.digests or self.has_vector(digest)

    def add_vectors(self, digests: list[bytes], vectors: np.ndarray) -> None:
        self.digests.update(dict.fromkeys(digests))
        self.vectors.append(vectors)

    def add_file(self, one: _Loaded) -> None:
        self.items.setdefault(one.digest, NewItem(one.digest, one.n_bytes))
        self.files.append(NewFile(one.entry.path, one.entry.stamp, one.digest))

    def refuse(self, one: Refused) -> None:
        self.refused.append(_quarantined(one))

    def flush_if_due(self) -> None:
        full = len(self.files) + len(self.refused) >= ROWS_PER_COMMIT
        if full or time.monotonic() - self.since > SECONDS_PER_COMMIT:
            self.flush()

    def flush(self) -> None:
        if not self.files and not self.refused:
            return
        vectors = None
        if self.digests:
            vectors = NewVectors(self.encoder_id, list(self.digests), np.concatenate(self.vectors))
        items = list(self.items.values())
        self.store.commit(Batch(self.source_id, items, self.files, self.refused, vectors))
        self._start_anew()


def refuse(store: Store, source_id: int, refused: Sequence[Refused]) -> None:
    """Put what the scan already refused into quarantine."""
    if refused:
        store.commit(Batch(source_id, quarantine=[_quarantined(one) for one in refused]))


def _quarantined(one: Refused) -> NewQuarantine:
    # What can pass by itself (rights, a mount that was away) is tried again every time.
    return NewQuarantine(one.path, one.kind, one.reason, None if one.kind in TRANSIENT_KINDS else one.stamp)


def _chunks(load: _Loader, todo: Sequence[Found], size: int) -> Generator[list[_Loaded | Refused]]:
    """`load` of each of `todo`, in order: `size` at a time, fewer where they take long.

    Worker threads are ahead by two chunks at most; closing the generator drops what they have not begun.
    """
    pool = ThreadPoolExecutor(n_threads())
    waiting = iter(todo)
    pending: deque[Future[_Loaded | Refused]] = deque()
    try:
        chunk: list[_Loaded | Refused] = []
        since = time.monotonic()
        while True:
            pending.extend(pool.submit(load, entry) for entry in islice(waiting, 2 * size - len(pending)))
            if not pending:
                break
            chunk.append(pending.popleft().result())
            if len(chunk) == size or time.monotonic() - since > SECONDS_PER_CHUNK:
                yield chunk
                chunk, since = [], time.monotonic()
        if chunk:
            yield chunk
    finally:
        pool.shutdown(cancel_futures=True)
