"""Files named one by one: in a CSV or Parquet list, or by the caller."""

import csv
import os
from collections.abc import Iterator
from typing import Any, Literal

from sortal.data.reading import read_file
from sortal.data.separator import separator
from sortal.data.shown import shown
from sortal.data.signature import refuse_other_than_image
from sortal.data.source import Found, HeadCheck, NamesFrom, Refused, look_up
from sortal.errors import DataError, MissingExtra

__all__ = ["ListSource", "read_csv", "read_parquet"]

_MOST_ROWS = 10_000_000  # a list is held in memory, about 200 bytes a row

# One row of a list: where it stands (for messages), the path as written, the name or None.
_Row = tuple[str, str, str | None]


class ListSource:
    """Files named one by one.

    `names` maps each path to its name or None. With `names_from="folders"` an item that has none is named
    after the folder that holds it.
    """

    def __init__(
        self,
        names: dict[str, str | None],
        location: str = "",
        names_from: NamesFrom = None,
        kind: Literal["list", "files"] = "list",
        check_head: HeadCheck = refuse_other_than_image,
    ) -> None:
        self.location = location
        self.names_from = names_from
        self.kind: Literal["list", "files"] = kind
        self._names = names
        self._check_head = check_head

    def scan(self) -> Iterator[Found | Refused]:
        for path in sorted(self._names, key=_bytes):
            yield look_up(path, self._name(path))

    def read(self, path: str) -> bytes:
        return read_file(path, self._check_head)

    def _name(self, path: str) -> str | None:
        name = self._names[path]
        if name is None and self.names_from:
            name = os.path.basename(os.path.dirname(path)) or None
        return name


def read_csv(location: str) -> dict[str, str | None]:
    """Paths and names of a CSV list: the column `path`, or else the first, and the column `name` if any.

    Relative paths start at the list's folder. The first row is a header if it has a cell `path`, or if its
    first cell could be a word but no file's name: no dot, no slash, and no such file.
    Raises DataError with the line number for rows of differing width and for two names of one path.
    """
    try:
        # utf-8-sig drops the mark that Excel writes; surrogateescape keeps paths that are no UTF-8
        with open(location, newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
            delimiter = separator(file.read(1 << 16))
            file.seek(0)
            return _names(location, _csv_rows(location, csv.reader(file, delimiter=delimiter)))
    except OSError as e:
        raise DataError(f"{shown(location)} must be a list that can be read; {e.strerror}.") from e


def read_parquet(location: str) -> dict[str, str | None]:
    """Paths and names of a Parquet list; the rules are those of `read_csv`. Needs the extra `parquet`."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as e:
        raise MissingExtra("Reading Parquet lists", "parquet") from e
    try:
        with pq.ParquetFile(location) as file:
            return _names(location, _parquet_rows(location, file))
    except (pa.ArrowException, OSError, ValueError) as e:
        raise DataError(f"{shown(location)} must be a Parquet list; {shown(str(e))}.") from e


def _csv_rows(location: str, reader: Any) -> Iterator[_Row]:
    header: list[str] | None = None
    try:
        for cells in reader:
            where = f"line {reader.line_num}"
            if not any(cell.strip() for cell in cells):
                continue
            if header is None:
                header = _header(cells, os.path.dirname(location))
                path_at, name_at = _columns(header)
                width = len(cells)
                if header:
                    continue
            if len(cells) != width:
                raise DataError(
                    f"{shown(location)} {where}: every row must have as many cells as the first, {width}; "
                    f"got {len(cells)}. Put a path that holds a separator in double quotes."
                )
            yield where, cells[path_at], cells[name_at] if name_at is not None else None
    except csv.Error as e:
        raise DataError(f"{shown(location)} line {reader.line_num}: must be CSV; {shown(str(e))}.") from e


def _header(cells: list[str], folder: str) -> list[str]:
    """The column names, empty if the first row is data."""
    words = [cell.strip().lower() for cell in cells]
    first = cells[0]
    is_word = first.strip() and not set(first) & {".", "/", "\\", "\0"}
    if "path" in words or (is_word and not os.path.lexists(os.path.join(folder, first))):
        return words
    return []


def _columns(header: list[str]) -> tuple[int, int | None]:
    """Where the path stands, and the name if there is one."""
    path_at = header.index("path") if "path" in header else 0
    name_at = header.index("name") if "name" in header else None
    return path_at, None if name_at == path_at else name_at


def _parquet_rows(location: str, file: Any) -> Iterator[_Row]:
    fields = file.schema_arrow.names
    if not fields:
        raise DataError(f"{shown(location)} must have a column of paths; it has no columns.")
    path_at, name_at = _columns([field.lower() for field in fields])
    wanted = [fields[path_at]] + ([fields[name_at]] if name_at is not None else [])
    row = 0
    for batch in file.iter_batches(batch_size=65_536, columns=wanted):
        paths = batch.column(wanted[0]).to_pylist()
        names = batch.column(wanted[1]).to_pylist() if len(wanted) > 1 else [None] * len(paths)
        for path, name in zip(paths, names, strict=True):
            row += 1
            if not isinstance(path, str):
                raise DataError(
                    f"{shown(location)} row {row}: column {shown(wanted[0])} must hold paths as text; "
                    f"got {type(path).__name__}."
                )
            yield f"row {row}", path, None if name is None else str(name)


def _names(location: str, rows: Iterator[_Row]) -> dict[str, str | None]:
    folder = os.path.dirname(location)
    names: dict[str, str | None] = {}
    for where, written, raw_name in rows:
        path = os.path.join(folder, written)
        name = (raw_name or "").strip() or None
        if not written:
            raise DataError(f"{shown(location)} {where}: the path must not be empty.")
        if names.setdefault(path, name) != name:
            raise DataError(f"{shown(location)} {where}: one path, two names: {shown(written)}.")
        if len(names) > _MOST_ROWS:
            raise DataError(f"{shown(location)} must list at most {_MOST_ROWS:,} paths; split it.")
    return names


def _bytes(path: str) -> bytes:
    """Text from a list can hold surrogates that stand for no byte; no file has such a name."""
    return path.encode("utf-8", "surrogatepass")
