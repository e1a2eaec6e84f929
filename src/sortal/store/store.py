"""The pile on disk: `NAME.sortal/` with catalogue.db, segments/ and run.lock."""

import os
import platform
import re
import secrets
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from sortal.data import Reading
from sortal.errors import StoreError
from sortal.store import makers
from sortal.store.catalogue import Catalogue, now, to_json
from sortal.store.columns import (
    Column,
    ItemIds,
    checked_ids,
    compact_column,
    open_column,
    published,
    segment_rows,
)
from sortal.store.failures import one_line, reported
from sortal.store.intake import commit_batch
from sortal.store.journal import Act, append_act, read_acts
from sortal.store.lock import held
from sortal.store.places import first_files, paths_of
from sortal.store.records import (
    Batch,
    EncoderRow,
    FileRow,
    Grouping,
    ItemFile,
    Problem,
    QuarantineRow,
    RunRow,
    SourceRow,
)
from sortal.store.segments import sync_folder
from sortal.store.verify import problems

__all__ = ["Store", "is_pile"]

VECTORS = "vectors"
# Short and of one length: a pile's own name may be as long as the file system allows.
_CREATION = ".sortal-creating-"
_STALE_CREATION_S = 3600.0


class Store:
    """One pile, open. Close it, or use it as a context manager. May be shared between threads.

    Columns are written inside `with store.run(...)` only; a person's acts need no run and work beside one.
    Every writing method is durable when it returns. Whatever fails raises StoreError, or InputError for an
    argument, and leaves the pile as it was.
    """

    def __init__(self, path: Path, catalogue: Catalogue) -> None:
        self.path = path
        self._catalogue = catalogue
        self._segments = path / "segments"
        self._run: int | None = None
        self._held: dict[
            int, tuple[object, npt.NDArray[np.bool_]]
        ] = {}  # encoder -> which items have vectors

    @classmethod
    def create(cls, path: str | os.PathLike[str]) -> Self:
        """A new, empty pile at `path`, made beside it and renamed: a kill leaves a whole pile or none."""
        path = Path(path)
        if os.path.lexists(path):
            what = "a pile already: open it" if is_pile(path) else "no pile: choose another name with --into"
            raise StoreError(f"{one_line(path)}: a new pile needs a name that is free; this is {what}.")
        if not os.path.isdir(path.parent):
            raise StoreError(
                f"{one_line(path.parent)}: no such folder: make it, or choose another one with --into."
            )
        _remove_stale_creations(path.parent)
        temp = path.with_name(_CREATION + secrets.token_hex(4))
        try:
            with reported(path):
                (temp / "segments").mkdir(parents=True)
                Catalogue.create(temp / "catalogue.db")
                sync_folder(temp)
                os.rename(temp, path)
                sync_folder(path.parent)
        finally:
            shutil.rmtree(temp, ignore_errors=True)
        return cls.open(path)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """The pile at `path`; read-only where it cannot be written. Reads nothing that grows with it."""
        path = Path(path)
        line = one_line(path)
        with reported(path):
            if not path.exists():
                raise StoreError(
                    f"{line}: no such pile: check the path, or make it with sortal organize FOLDER."
                )
            if not path.is_dir():
                raise StoreError(f"{line}: a pile is a folder NAME.sortal; this is a file: check the path.")
            if not is_pile(path):
                raise StoreError(f"{line}: a folder, but no pile (it has no catalogue.db): check the path.")
        return cls(path, Catalogue.open(path / "catalogue.db"))

    def close(self) -> None:
        self._catalogue.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.close()

    @property
    def writable(self) -> bool:
        return self._catalogue.writable

    # ---- runs

    @contextmanager
    def run(self, command: str, parameters: Mapping[str, Any] | None = None) -> Iterator[int]:
        """Hold the pile for writing columns; the run's id comes back. Its outcome is recorded at the end.

        StoreError at once, with pid, host and since when, where another run has it. A dead run's lock is
        taken over, its run recorded as interrupted and its unreferenced files removed.
        """
        if not self.writable:
            raise StoreError(
                f"{one_line(self.path)}: the pile is read-only here: copy it to where you may write."
            )
        with held(self.path, command):
            self._held.clear()  # another process may have written since
            self._bury_dead_runs()
            self._sweep()
            row = self._start_run(command, parameters or {})
            self._run = row[0]
            try:
                yield row[0]
            except BaseException as e:
                # Where even this cannot be written, the next run records it; the error itself matters more.
                with suppress(StoreError):
                    self._end_run(row, "failed" if isinstance(e, Exception) else "interrupted")
                raise
            else:
                self._end_run(row, "done")
            finally:
                self._run = None

    def runs(self) -> list[RunRow]:
        return self._catalogue.records("runs", makers.run_row, "ORDER BY id")

    def _start_run(self, command: str, parameters: Mapping[str, Any]) -> tuple[Any, ...]:
        versions = {
            "sortal": version("sortal"),
            "python": platform.python_version(),
            "numpy": np.__version__,
            "sqlite": sqlite3.sqlite_version,
        }
        with self._catalogue.transaction():
            id = self._catalogue.next_id("runs")
            row = (id, command, to_json(dict(parameters)), to_json(versions), now())
            self._catalogue.insert("runs", (*row, None, None))
        return row

    def _end_run(self, row: tuple[Any, ...], outcome: str) -> None:
        with self._catalogue.transaction():
            self._catalogue.insert("runs", (*row[:5], now(), outcome), replace=True)

    def _bury_dead_runs(self) -> None:
        for row in self._catalogue.checked("runs", "WHERE outcome IS NULL"):
            self._end_run(row, "interrupted")

    def _sweep(self) -> None:
        """Remove what dead runs left: nobody else writes segments while we hold the lock."""
        wanted = {file for (file,) in self._catalogue.read("SELECT file FROM segments")}
        with reported(self._segments):
            self._segments.mkdir(exist_ok=True)
            for entry in os.scandir(self._segments):
                if entry.name.endswith((".seg", ".seg.tmp")) and entry.name not in wanted:
                    os.unlink(entry.path)

    # ---- sources, files, items

    def source(self, location: str, kind: str, names_from: str | None = None) -> int:
        """The id of this source, added if it is new; `names_from` is what was said last."""
        place = os.fsencode(location)
        with self._catalogue.transaction():
            found = self._catalogue.checked("sources", "WHERE location = ? AND kind = ?", (place, kind))
            if not found:
                id = self._catalogue.next_id("sources")
                self._catalogue.insert("sources", (id, place, kind, names_from, now()))
                return id
            row = found[0]
            if row[3] != names_from:
                self._catalogue.insert("sources", (*row[:3], names_from, row[4]), replace=True)
        return int(row[0])

    def sources(self) -> list[SourceRow]:
        return self._catalogue.records("sources", makers.source_row, "ORDER BY id")

    def reading(self) -> Reading:
        """The kind of the items and how files become items; images where nothing was kept."""
        found = self._catalogue.records("meta", makers.reading, "WHERE key = 'reading'")
        return found[0] if found else Reading()

    def keep_reading(self, reading: Reading) -> None:
        with self._catalogue.transaction():
            self._catalogue.insert("meta", ("reading", to_json(reading.as_json())), replace=True)

    def files(self, source_id: int) -> dict[str, FileRow]:
        """What the last look at this source saw: path -> stamp and item."""
        query = "SELECT path, size, mtime_ns, ctime_ns, item FROM files WHERE source = ?"
        return {
            os.fsdecode(path): FileRow((size, mtime, ctime), item)
            for path, size, mtime, ctime, item in self._catalogue.each(query, (source_id,))
        }

    def quarantine(self, source_id: int | None = None) -> list[QuarantineRow]:
        """What could not be read, of one source or of all, in path order."""
        where, which = ("", ()) if source_id is None else ("WHERE source = ?", (source_id,))
        order = f"{where} ORDER BY source, path"
        return self._catalogue.records("quarantine", makers.quarantine_row, order, which)

    def forget(self, source_id: int, paths: Iterable[str]) -> None:
        """Drop file and quarantine rows of files that are gone. Items, vectors and names stay."""
        keys = [(source_id, os.fsencode(path)) for path in paths]
        for start in range(0, len(keys), 10_000):
            with self._catalogue.transaction():
                for table in ("files", "quarantine"):
                    sql = f"DELETE FROM {table} WHERE source = ? AND path = ?"  # noqa: S608
                    self._catalogue.execute_many(sql, keys[start : start + 10_000])

    def commit(self, batch: Batch) -> None:
        """All of the batch or nothing. Vectors reach the disk before the transaction that refers to them.

        A file that is committed leaves quarantine; one that goes there is a file no more, unless the reason
        can pass by itself (rights, a mount that was away). Raises InputError where an item has a vector of
        this encoder already, or a digest is of no item.
        """
        has_vector = None
        if batch.vectors is not None:
            self._needs_run()
            has_vector = self._has_vector(batch.vectors.encoder)
        ids = commit_batch(self._catalogue, self._segments, batch, has_vector)
        if batch.vectors is not None:
            self._learn(batch.vectors.encoder, ids)

    # ---- encoders and vectors

    def encoder(self, name: str, digest: str, dim: int, spec: Mapping[str, Any]) -> int:
        """The id of this encoder, added if it is new. Weights and spec tell; a renamed file is the same."""
        text = to_json(dict(spec))
        with self._catalogue.transaction():
            where = "WHERE digest = ? AND dim = ? AND spec = ?"
            found = self._catalogue.checked("encoders", where, (digest, dim, text))
            if found:
                return int(found[0][0])
            id = self._catalogue.next_id("encoders")
            self._catalogue.insert("encoders", (id, name, digest, int(dim), text))
        return id

    def encoders(self) -> list[EncoderRow]:
        return self._catalogue.records("encoders", makers.encoder_row, "ORDER BY id")

    def items(self, encoder_id: int) -> ItemIds:
        """The items that have a file and a vector, ascending: the fixed order of the pile."""
        return self._items_with_files(encoder_id, vectors=True)

    def items_without_vectors(self, encoder_id: int) -> ItemIds:
        """The items that have a file and no vector of this encoder, ascending."""
        return self._items_with_files(encoder_id, vectors=False)

    def count(self, encoder_id: int) -> int:
        """`len(items(encoder_id))`, without listing them where every item has a file."""
        files, items = self._catalogue.read(
            "SELECT (SELECT count(DISTINCT item) FROM files), (SELECT count(*) FROM items)"
        )[0]
        if files != items:
            return len(self.items(encoder_id))
        query = "SELECT coalesce(sum(n_rows), 0) FROM segments WHERE kind = ? AND owner = ?"
        return int(self._catalogue.read(query, (VECTORS, encoder_id))[0][0])

    def vector_index(self, encoder_id: int) -> Callable[[bytes], bool]:
        """A function that tells whether the content with this digest has a vector; any thread may call it.

        It sees what is committed through this Store later, too.
        """
        self._has_vector(encoder_id)

        def has_vector(digest: bytes) -> bool:
            found = self._catalogue.read("SELECT id FROM items WHERE digest = ?", (digest,))
            has = self._held[encoder_id][1] if encoder_id in self._held else self._has_vector(encoder_id)
            return bool(found) and found[0][0] < len(has) and bool(has[found[0][0]])

        return has_vector

    def first_files(self, item_ids: npt.ArrayLike) -> list[ItemFile]:
        """One file of each item that has any: the first by source and path."""
        return first_files(self._catalogue, item_ids)

    def paths(self, item_ids: npt.ArrayLike) -> list[list[str]]:
        """The paths of each item, ordered by source and path; an empty list where it has none any more."""
        return paths_of(self._catalogue, item_ids)

    def _items_with_files(self, encoder_id: int, *, vectors: bool) -> ItemIds:
        seen = (item for (item,) in self._catalogue.each("SELECT DISTINCT item FROM files ORDER BY item"))
        ids: ItemIds = np.fromiter(seen, dtype=np.int64)
        has = self._has_vector(encoder_id)
        known = ids < len(has)
        with_vector = np.zeros(len(ids), dtype=np.bool_)
        with_vector[known] = has[ids[known]]
        found: ItemIds = ids[with_vector == vectors]
        return found

    def _has_vector(self, encoder_id: int) -> npt.NDArray[np.bool_]:
        """has[i]: whether item i has a vector. Kept until another process has changed the column."""
        query = "SELECT count(*), sum(checksum), max(id) FROM segments WHERE kind = ? AND owner = ?"
        state = self._catalogue.read(query, (VECTORS, encoder_id))[0]
        kept = self._held.get(encoder_id)
        if kept is None or (kept[0] != state and self._run is None):
            ids = [row.item_ids for row in segment_rows(self._catalogue, VECTORS, encoder_id)]
            self._held[encoder_id] = (state, np.zeros(0, dtype=np.bool_))
            for some in ids:
                self._learn(encoder_id, some)
        return self._held[encoder_id][1]

    def _learn(self, encoder_id: int, item_ids: ItemIds) -> None:
        state, has = self._held[encoder_id]
        if len(item_ids):
            if item_ids.max() >= len(has):
                has = np.concatenate([has, np.zeros(2 * int(item_ids.max()) + 1 - len(has), dtype=np.bool_)])
            has[item_ids] = True
        self._held[encoder_id] = (state, has)

    # ---- columns

    def column(self, kind: str, owner: int) -> Column | None:
        """A column as it is now (`vectors` of an encoder, `labels` or `points` of a grouping), or None."""
        return open_column(self._catalogue, self._segments, kind, owner)

    def vectors(self, encoder_id: int) -> Column | None:
        return self.column(VECTORS, encoder_id)

    def compact(self, kind: str, owner: int, item_ids: npt.ArrayLike) -> None:
        """Make the column one segment whose rows follow `item_ids`; rows of other items go.

        Every row's checksum is compared on the way. Costs nothing when the column is so already.
        """
        self._needs_run()
        ids = np.asarray(item_ids, dtype=np.int64)
        compact_column(self._catalogue, self._segments, kind, owner, ids)
        if kind == VECTORS:
            self._held.pop(owner, None)

    # ---- groupings

    def add_grouping(
        self,
        encoder_id: int,
        method: str,
        parameters: Mapping[str, Any],
        seed: int,
        evidence: Mapping[str, Any],
        item_ids: npt.ArrayLike,
        labels: npt.NDArray[np.int32],
        points: npt.NDArray[np.float32],
    ) -> int:
        """Keep a grouping with its columns `labels` (n,) int32 and `points` (n, q) float32, all at once.

        parameters: with `k`, a number or "auto". evidence: with `candidates`, the numbers of groups weighed.
        """
        self._needs_run()
        ids = checked_ids("labels", item_ids, labels)
        checked_ids("points", item_ids, points)
        record = (method, to_json(dict(parameters)), int(seed), to_json(dict(evidence)), now(), self._run)
        makers.grouping(
            0, encoder_id, *record[:5], run=self._run or 0
        )  # only what can be read again is written
        with (
            published(self._segments, "labels", iter([labels])) as label_segment,
            published(self._segments, "points", iter([points])) as point_segment,
            self._catalogue.transaction(),
        ):
            id = self._catalogue.next_id("groupings")
            self._catalogue.insert("groupings", (id, encoder_id, *record))
            label_segment.refer(self._catalogue, "labels", id, ids)
            point_segment.refer(self._catalogue, "points", id, ids)
            self._catalogue.insert("meta", ("grouping", str(id)), replace=True)
        return id

    def make_current(self, grouping_id: int) -> None:
        """Let an older grouping be the one that `grouping()` gives."""
        with self._catalogue.transaction():
            self._catalogue.insert("meta", ("grouping", str(grouping_id)), replace=True)

    def groupings(self, encoder_id: int | None = None) -> list[Grouping]:
        """All groupings, of one encoder or of all, oldest first."""
        where, which = ("", ()) if encoder_id is None else ("WHERE encoder = ?", (encoder_id,))
        return self._groupings(f"{where} ORDER BY id", which)

    def grouping(self, encoder_id: int | None = None) -> Grouping | None:
        """The latest grouping of one encoder, or else the pile's current one: the last made or chosen."""
        if encoder_id is not None:
            found = self._groupings("WHERE encoder = ? ORDER BY id DESC LIMIT 1", (encoder_id,))
        else:
            current = self._catalogue.records("meta", makers.current_grouping, "WHERE key = 'grouping'")
            found = self._groupings("WHERE id = ?", current) if current else []
        return next(iter(found), None)

    def _groupings(self, where: str, which: Sequence[int]) -> list[Grouping]:
        found = self._catalogue.records("groupings", makers.grouping, where, which)
        encoders = {row.id for row in self.encoders()} if found else set()
        for row in found:
            if row.encoder not in encoders:
                raise StoreError(
                    f"{one_line(self.path)}: grouping {row.id} names encoder {row.encoder}, which is not"
                    " there: restore the pile from a copy."
                )
        return found

    # ---- a person's acts, and the health of the pile

    def act(self, kind: str, detail: Mapping[str, Any] | None = None, items: Sequence[int] = ()) -> int:
        """Append a person's act (see `sortal.store.journal`) and return its number. Needs no run."""
        return append_act(self._catalogue, kind, detail or {}, items)

    def acts(self) -> list[Act]:
        return read_acts(self._catalogue)

    def verify(self) -> list[Problem]:
        """Read every byte of catalogue and segments; what is damaged, or an empty list."""
        return list(problems(self._catalogue, self.path))

    def _needs_run(self) -> None:
        assert self._run is not None, "columns are written inside `with store.run(...)`"


def is_pile(path: Path) -> bool:
    """Whether `path` holds a pile's catalogue; False also for a name that no file can have."""
    return os.path.isfile(path / "catalogue.db")


def _remove_stale_creations(parent: Path) -> None:
    """What a killed `create` left, once it is old enough to be nobody's work in progress."""
    with reported(parent):
        for entry in os.scandir(parent):
            ours = re.fullmatch(re.escape(_CREATION) + "[0-9a-f]{8}", entry.name)
            if ours and time.time() - entry.stat().st_mtime > _STALE_CREATION_S:
                shutil.rmtree(entry.path, ignore_errors=True)
