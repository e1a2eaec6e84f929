"""A column: one row for each of some items, kept in one segment or, while a run goes on, in several.

The catalogue's row of a segment holds the ids of its items, in the order of its rows.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sortal.errors import InputError, StoreError
from sortal.store.catalogue import Catalogue
from sortal.store.failures import one_line, reported
from sortal.store.segments import Segment, SegmentWriter

__all__ = [
    "Column",
    "ItemIds",
    "SegmentRow",
    "checked_ids",
    "compact_column",
    "open_column",
    "open_segment",
    "published",
    "segment_rows",
]

Array = npt.NDArray[Any]
ItemIds = npt.NDArray[np.int64]

_CHUNK_BYTES = 8 * 1024 * 1024
_SUFFIX = ".seg"


class Column:
    """Rows of numbers and the items they belong to: row i belongs to `item_ids[i]`.

    It goes on showing what it was opened on, whatever a run writes or compacts meanwhile.
    """

    def __init__(self, segments: list[Segment], item_ids: list[ItemIds]) -> None:
        self._segments = segments
        self._starts = np.array([0, *accumulate(len(s) for s in segments)], dtype=np.int64)
        self.item_ids = item_ids[0] if len(item_ids) == 1 else np.concatenate(item_ids)
        self.item_ids.flags.writeable = False

    def __len__(self) -> int:
        return int(self._starts[-1])

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._segments[0].dtype

    @property
    def row_shape(self) -> tuple[int, ...]:
        return self._segments[0].shape[1:]

    @cached_property
    def array(self) -> Array:
        """All rows, read-only: one memory map once the column is compacted, before that a checked copy.

        Every finished run compacts what it wrote.
        """
        if len(self._segments) == 1:
            return self._segments[0].array
        copy = np.concatenate([s.rows(np.arange(len(s))) for s in self._segments])
        copy.flags.writeable = False
        return copy

    def checked(self) -> Array:
        """`array` after checking every block of it. Raises StoreError where one is damaged."""
        if len(self._segments) == 1:
            self._segments[0].check()
        return self.array

    def rows(self, positions: npt.ArrayLike) -> Array:
        """A copy of the rows at `positions` (0 to n - 1), after checking the blocks they lie in.

        Raises StoreError where a block is damaged.
        """
        at = np.asarray(positions, dtype=np.int64)
        if len(self._segments) == 1:
            return self._segments[0].rows(at)
        if at.size and not (at.min() >= 0 and at.max() < len(self)):
            raise InputError(f"row numbers must be from 0 to {len(self) - 1}; got {at.min()} to {at.max()}.")
        out = np.empty((len(at), *self.row_shape), dtype=self.dtype)
        part = np.searchsorted(self._starts, at, side="right") - 1
        for p in np.unique(part):
            here = part == p
            out[here] = self._segments[p].rows(at[here] - self._starts[p])
        return out

    def positions(self, item_ids: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Where the rows of these items are; InputError for an item that has none here."""
        wanted = np.asarray(item_ids, dtype=np.int64)
        order = np.argsort(self.item_ids, kind="stable")
        found = np.searchsorted(self.item_ids, wanted, sorter=order)
        at = order[np.minimum(found, len(order) - 1)] if len(order) else np.zeros(0, dtype=np.int64)
        if len(at) != len(wanted) or not np.array_equal(self.item_ids[at], wanted):
            raise InputError(
                "every item asked for must have a row in the column; some have none: embed them first."
            )
        return at


class SegmentRow:
    """What the catalogue says of one segment."""

    def __init__(
        self, id: int, kind: str, owner: int, file: str, n_rows: int, checksum: int, items: bytes
    ) -> None:
        self.id, self.file, self.n_rows, self.checksum = id, file, n_rows, checksum
        # The file may be a stranger's: its name must not lead out of the folder.
        if not file.endswith(_SUFFIX) or not file.removesuffix(_SUFFIX).replace("-", "").isalnum():
            raise ValueError(f"{file} is no name of a segment")
        if len(items) != 8 * n_rows:
            raise ValueError(f"{file} lists {len(items) // 8} items for {n_rows} rows")
        self.item_ids: ItemIds = np.frombuffer(items, dtype="<i8")


def segment_rows(catalogue: Catalogue, kind: str, owner: int) -> list[SegmentRow]:
    where = "WHERE kind = ? AND owner = ? ORDER BY id"
    return catalogue.records("segments", SegmentRow, where, (kind, owner))


def open_column(catalogue: Catalogue, folder: Path, kind: str, owner: int) -> Column | None:
    """The column as it is now, or None.

    Between looking up a segment's name and opening it, a run may compact and unlink it: then the catalogue
    names another, and is asked again. The same name missing twice is damage.
    """
    missing: set[str] = set()
    while rows := segment_rows(catalogue, kind, owner):
        try:
            return Column([open_segment(folder, row) for row in rows], [row.item_ids for row in rows])
        except FileNotFoundError as e:
            name = Path(e.filename).name
            if name in missing:
                raise StoreError(f"{one_line(folder / name)}: missing: restore the pile from a copy.") from e
            missing.add(name)
    return None


def open_segment(folder: Path, row: SegmentRow) -> Segment:
    path = folder / row.file
    try:
        segment = Segment(path)
    except FileNotFoundError:
        raise
    except OSError as e:
        with reported(path):
            raise e
    if segment.checksum != row.checksum or len(segment) != row.n_rows:
        raise StoreError(
            f"{one_line(path)}: not the segment that the catalogue means: restore the pile from a copy."
        )
    return segment


class Published:
    """A segment on disk that no transaction refers to yet."""

    def __init__(self, writer: SegmentWriter) -> None:
        self._writer = writer

    def refer(self, catalogue: Catalogue, kind: str, owner: int, item_ids: ItemIds) -> None:
        """Add its row; call it inside a transaction."""
        items = item_ids.astype("<i8").tobytes()
        n_rows, name = len(item_ids), self._writer.path.name
        catalogue.insert(
            "segments",
            (catalogue.next_id("segments"), kind, owner, name, n_rows, self._writer.checksum, items),
        )


@contextmanager
def published(folder: Path, kind: str, chunks: Iterator[Array]) -> Iterator[Published]:
    """Write `chunks` (at least one, all of one dtype and row shape) as a durable segment.

    The block holds the transaction that refers to it. Where that fails the segment stays until the next run
    sweeps: Ctrl-C is raised when COMMIT has returned, and an I/O error does not tell whether it was durable.
    """
    first = next(chunks)
    path = folder / f"{kind}-{secrets.token_hex(8)}{_SUFFIX}"
    with SegmentWriter(path, first.dtype, first.shape[1:]) as writer:
        writer.append(first)
        for chunk in chunks:
            writer.append(chunk)
    yield Published(writer)


def checked_ids(kind: str, item_ids: npt.ArrayLike, array: Array) -> ItemIds:
    """`item_ids` as int64; InputError unless they are different and `array` has a row for each."""
    ids = np.asarray(item_ids, dtype=np.int64)
    if array.ndim not in (1, 2) or ids.shape != array.shape[:1]:
        raise InputError(
            f"column {kind} needs a row an item, (n,) or (n, d); got {array.shape} for {len(ids)} items."
        )
    if n_again := len(ids) - len(np.unique(ids)):
        raise InputError(f"column {kind} needs each item once; got {n_again} of them again.")
    return ids


def compact_column(catalogue: Catalogue, folder: Path, kind: str, owner: int, item_ids: ItemIds) -> None:
    """Make the column one segment whose rows follow `item_ids`; rows of other items go.

    Every row is checked on its way, so that damage is found and never gets a fresh checksum. Reads and writes
    every byte, in chunks of 8 MiB; costs nothing when the column is already so.
    """
    rows = segment_rows(catalogue, kind, owner)
    if len(rows) == 1 and np.array_equal(rows[0].item_ids, item_ids):
        return
    column = open_column(catalogue, folder, kind, owner)
    if column is None:
        raise InputError(f"only a column that exists can be compacted; there is no {kind} of owner {owner}.")
    with (
        published(folder, kind, _in_order(column, column.positions(item_ids))) as segment,
        catalogue.transaction(),
    ):
        segment.refer(catalogue, kind, owner, item_ids)
        catalogue.execute_many("DELETE FROM segments WHERE id = ?", [(row.id,) for row in rows])
    for row in rows:
        (folder / row.file).unlink(missing_ok=True)


def _in_order(column: Column, positions: npt.NDArray[np.int64]) -> Iterator[Array]:
    row_bytes = column.dtype.itemsize * int(np.prod(column.row_shape, dtype=np.int64))
    step = max(1, _CHUNK_BYTES // row_bytes)
    for start in range(0, max(1, len(positions)), step):  # an empty column still has its dtype and width
        yield column.rows(positions[start : start + step])
