"""Immutable column segments: one array a file, memory-mapped, with a checksum for every block.

    offset 0       one page of 4096 bytes: magic, version, JSON (dtype, shape, lengths), CRC-32 of the page
    offset 4096    the numbers, little endian, row by row
    after them     CRC-32 of every 32 KiB of the numbers, then the CRC-32 of that table

A segment is published whole: written beside its place, fsync, rename, fsync of the folder. Opening checks
header, size and table, which costs nothing in n; reading rows checks the blocks that hold them.
"""

import json
import os
import stat
import struct
import zlib
from collections.abc import Iterable
from contextlib import suppress
from io import BufferedReader
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
import numpy.typing as npt

from sortal.errors import InputError, StoreError
from sortal.store.failures import one_line, reported

__all__ = ["BLOCK", "Segment", "SegmentWriter", "open_plain", "sync_folder"]

Array = npt.NDArray[Any]

MAGIC = b"SORTALSG"
FORMAT = 1
PAGE = 4096
BLOCK = 32 * 1024
_DTYPES = {"float32": "<f4", "int32": "<i4", "int64": "<i8", "uint8": "|u1"}
_HEAD = struct.Struct("<8sII")  # magic, format, length of the JSON
_CRC = struct.Struct("<I")


class SegmentWriter:
    """Writes rows as they come; `path` appears, complete and durable, when the `with` block ends well.

    dtype: float32, int32, int64 or uint8. row_shape: `(d,)`, or `()` for one number a row.
    Memory does not grow with the rows (4 bytes for each 32 KiB). Afterwards `checksum` names the content.
    """

    def __init__(self, path: Path, dtype: npt.DTypeLike, row_shape: tuple[int, ...]) -> None:
        name = np.dtype(dtype).name
        if name not in _DTYPES:
            raise InputError(
                f"dtype of a column must be one of {', '.join(_DTYPES)}; got {name}: convert it."
            )
        if len(row_shape) > 1 or any(d < 1 for d in row_shape):
            raise InputError(
                f"a column has one or two dimensions, each row at least one number; got {row_shape}."
            )
        self.path = path
        self.checksum = 0
        self._name, self._dtype, self._row_shape = name, np.dtype(_DTYPES[name]), row_shape
        self._n_rows = self._filled = self._crc = 0
        self._table: list[int] = []
        self._temp = path.with_name(f".{path.name}.tmp")

    def __enter__(self) -> Self:
        with reported(self._temp):
            self._file = open(self._temp, "xb")
            try:
                self._file.write(bytes(PAGE))
            except OSError:
                self._discard()
                raise
        return self

    def append(self, rows: Array) -> None:
        """Add `rows`, shape (m, *row_shape), of the writer's own dtype."""
        if rows.shape[1:] != self._row_shape or rows.dtype.name != self._name:
            raise InputError(
                f"rows must be {self._name} of shape (m, {', '.join(map(str, self._row_shape))});"
                f" got {rows.dtype.name} of shape {rows.shape}."
            )
        if not rows.size:  # memoryview.cast refuses a shape with a zero
            return
        data = np.ascontiguousarray(rows, dtype=self._dtype).data.cast("B")
        with reported(self._temp):
            self._file.write(data)
        self._n_rows += len(rows)
        self._checksum(data)

    def _checksum(self, data: memoryview) -> None:
        while data:
            piece = data[: BLOCK - self._filled]
            self._crc = zlib.crc32(piece, self._crc)
            self._filled += len(piece)
            data = data[len(piece) :]
            if self._filled == BLOCK:
                self._table.append(self._crc)
                self._filled = self._crc = 0

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        try:
            if kind is None:
                with reported(self._temp):
                    self._publish()
        finally:
            self._discard()

    def _publish(self) -> None:
        if self._filled:
            self._table.append(self._crc)
        table = np.array(self._table, dtype="<u4").tobytes()
        page = self._header(zlib.crc32(table))
        self._file.write(table + _CRC.pack(zlib.crc32(table)))
        self._file.seek(0)
        self._file.write(page)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        os.rename(self._temp, self.path)
        sync_folder(self.path.parent)
        self.checksum = _CRC.unpack(page[-4:])[0]

    def _header(self, table_crc: int) -> bytes:
        row_bytes = self._dtype.itemsize * int(np.prod(self._row_shape, dtype=np.int64))
        fields = {
            "dtype": self._name,
            "shape": [self._n_rows, *self._row_shape],
            "block": BLOCK,
            "data_bytes": self._n_rows * row_bytes,
            "table_offset": PAGE + self._n_rows * row_bytes,
            "table_crc": table_crc,
        }
        text = json.dumps(fields).encode()
        page = (_HEAD.pack(MAGIC, FORMAT, len(text)) + text).ljust(PAGE - _CRC.size, b"\0")
        return page + _CRC.pack(zlib.crc32(page))

    def _discard(self) -> None:
        with suppress(OSError):  # bytes it cannot flush belong to a file that goes away on the next line
            self._file.close()
        self._temp.unlink(missing_ok=True)


class Segment:
    """One published segment, opened for reading; stays readable after its file is unlinked.

    array: read-only, shape (n, d) or (n,), a memory map (a plain empty array for n = 0); reading through it
    checks nothing. Raises FileNotFoundError where there is no file and StoreError where it is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with open_plain(path) as file:
            page = file.read(PAGE)
            self.checksum, fields = _read_header(path, page)
            self.dtype, self.shape = np.dtype(_DTYPES[fields["dtype"]]), tuple(fields["shape"])
            self._n_bytes: int = fields["data_bytes"]
            self._table = self._read_table(file.fileno(), fields["table_crc"])
            self.array = self._map(file)
        self._bytes = self.array.view(np.ndarray).reshape(-1).view(np.uint8).data

    def __len__(self) -> int:
        return int(self.shape[0])

    def rows(self, index: npt.ArrayLike) -> Array:
        """A copy of the rows at `index` (m positions, 0 to n - 1), after checking the blocks they lie in."""
        at = np.asarray(index, dtype=np.int64)
        if at.size and not (at.min() >= 0 and at.max() < len(self)):
            raise InputError(f"row numbers must be from 0 to {len(self) - 1}; got {at.min()} to {at.max()}.")
        self.check(self._blocks_of(at).tolist())
        return np.asarray(self.array)[at]

    def check(self, blocks: Iterable[int] | None = None) -> None:
        """Raise StoreError where one of these blocks, or of all, is damaged."""
        bad = self.verify() if blocks is None else self._bad(blocks)
        if bad:
            raise StoreError(
                f"{one_line(self.path)}: block {bad[0]} is damaged (its checksum differs):"
                " restore the pile from a copy, or organize the images again."
            )

    def verify(self) -> list[int]:
        """The numbers of the damaged blocks (of 32 KiB), after reading every byte."""
        return self._bad(range(len(self._table)))

    def _blocks_of(self, at: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        if not at.size:
            return at
        row_bytes = self._n_bytes // len(self)
        first, last = at * row_bytes // BLOCK, (at * row_bytes + row_bytes - 1) // BLOCK
        longest = int((last - first).max())
        return np.unique(np.concatenate([np.minimum(first + j, last) for j in range(longest + 1)]))

    def _bad(self, blocks: Iterable[int]) -> list[int]:
        data, table = self._bytes, self._table
        return [b for b in blocks if zlib.crc32(data[b * BLOCK : (b + 1) * BLOCK]) != table[b]]

    def _read_table(self, descriptor: int, table_crc: int) -> npt.NDArray[np.uint32]:
        n_blocks = -(-self._n_bytes // BLOCK)
        size, expected = os.fstat(descriptor).st_size, PAGE + self._n_bytes + 4 * n_blocks + _CRC.size
        if size != expected:
            raise _damaged(self.path, f"it has {size} bytes and should have {expected}")
        raw = os.pread(descriptor, 4 * n_blocks + _CRC.size, PAGE + self._n_bytes)
        if zlib.crc32(raw[:-4]) != table_crc or _CRC.unpack(raw[-4:])[0] != table_crc:
            raise _damaged(self.path, "the checksum of its table differs")
        return np.frombuffer(raw[:-4], dtype="<u4")

    def _map(self, file: BinaryIO) -> Array:
        if not self._n_bytes:  # nothing can be mapped
            empty = np.empty(self.shape, dtype=self.dtype)
            empty.flags.writeable = False
            return empty
        return np.memmap(file, dtype=self.dtype, mode="r", offset=PAGE, shape=self.shape)


def open_plain(path: Path) -> BufferedReader:
    """Open a file for reading; StoreError for what is none: a stranger's pipe would make us wait for ever."""
    if not stat.S_ISREG(os.lstat(path).st_mode):
        raise StoreError(f"{one_line(path)}: damaged, no plain file: restore the pile from a copy.")
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)  # it may have changed since
    return os.fdopen(descriptor, "rb")


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable: a rename alone can be lost with the power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_header(path: Path, page: bytes) -> tuple[int, dict[str, Any]]:
    if len(page) < PAGE or not page.startswith(MAGIC):
        raise _damaged(path, "it does not begin as a segment does")
    checksum: int = _CRC.unpack(page[-4:])[0]
    if zlib.crc32(page[:-4]) != checksum:
        raise _damaged(path, "the checksum of its header differs")
    _, version, length = _HEAD.unpack_from(page)
    if version != FORMAT:
        raise StoreError(
            f"{one_line(path)}: segment of format {version}; this Sortal reads {FORMAT}: upgrade Sortal."
        )
    try:
        fields = json.loads(page[_HEAD.size : _HEAD.size + length])
    except ValueError as e:
        raise _damaged(path, "its header is no JSON") from e
    if not _plausible(fields):
        raise _damaged(path, "its header contradicts itself")
    return checksum, fields


def _plausible(fields: Any) -> bool:
    """A stranger can write any header with a right checksum; sizes must agree before anything is mapped."""
    if not isinstance(fields, dict) or fields.get("dtype") not in _DTYPES or fields.get("block") != BLOCK:
        return False
    shape, n_bytes = fields.get("shape"), fields.get("data_bytes")
    if not isinstance(shape, list) or len(shape) not in (1, 2):
        return False
    if not all(type(n) is int and n >= 0 for n in shape) or (len(shape) == 2 and shape[1] < 1):
        return False
    size = np.dtype(_DTYPES[fields["dtype"]]).itemsize * shape[0] * (shape[1] if len(shape) == 2 else 1)
    return (
        type(n_bytes) is int
        and n_bytes == size
        and fields.get("table_offset") == PAGE + size
        and type(fields.get("table_crc")) is int
    )


def _damaged(path: Path, why: str) -> StoreError:
    return StoreError(f"{one_line(path)}: damaged segment ({why}): restore the pile from a copy.")
