"""What a CSV or Parquet file holds: a list of paths, a column of text, or time series."""

import csv
import gzip
import io
import itertools
import zlib

from sortal.data.kinds import Kind
from sortal.data.separator import is_decimal_comma, separator
from sortal.data.series import has_long_columns
from sortal.data.shown import shown
from sortal.data.text import TEXT_COLUMNS, apparent_encoding

__all__ = ["columns", "lists_paths", "table_kind"]

_FEWEST_NUMBERS = 3  # in a row, to be taken for a series


def lists_paths(path: str) -> bool:
    """Whether a column says so. (Read as images or sounds, every table is a list of paths.)"""
    return "path" in _words(_first_rows(path)[:1])


def columns(path: str) -> str:
    """The cells of the first row, for a message."""
    return shown(", ".join(cell.strip() for row in _first_rows(path)[:1] for cell in row))


def table_kind(path: str) -> Kind | None:
    """Series or text, as far as the first two rows tell; None for a list of paths, or where they do not."""
    rows = _first_rows(path)
    header = _words(rows[:1])
    if not rows or "path" in header:
        return None
    if has_long_columns(header):
        return "series"
    if any(name in header for name in TEXT_COLUMNS):
        return "text"
    cells = [cell for cell in rows[-1] if cell.strip()]
    numbers = sum(map(_is_number, cells))
    return "series" if numbers >= _FEWEST_NUMBERS and len(cells) - numbers <= 2 else None


def _words(rows: list[list[str]]) -> list[str]:
    return [cell.strip().lower() for row in rows for cell in row]


def _first_rows(path: str) -> list[list[str]]:
    """Up to two rows with something in them; none where the file cannot be read as a table."""
    try:
        with open(path, "rb") as file:
            head = file.read(1 << 16)
        if head.startswith(b"PAR1"):
            return _parquet_rows(path)
        if head.startswith(b"\x1f\x8b"):
            with gzip.open(path) as packed:
                head = packed.read(1 << 16)
        text = head.decode(apparent_encoding(head), "replace")
        reader = csv.reader(io.StringIO(text), delimiter=separator(text))
        return list(itertools.islice((row for row in reader if any(row)), 2))
    except (OSError, EOFError, zlib.error, csv.Error):
        return []


def _parquet_rows(path: str) -> list[list[str]]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        return []  # reading it says what is missing
    try:
        with pq.ParquetFile(path) as file:
            batch = next(file.iter_batches(batch_size=1), None)
            row = [] if batch is None else [[str(column[0].as_py()) for column in batch.columns]]
            return [list(file.schema_arrow.names), *row]
    except (pa.ArrowException, OSError, ValueError):
        return []


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return cell.strip() == "?" or is_decimal_comma(cell)
    return True
