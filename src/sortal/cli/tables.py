"""Plain tables of numbers: .csv, .npy, .parquet in; the same with one more column out."""

import codecs
import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sortal.data import shown
from sortal.data.separator import separator
from sortal.errors import InputError, MissingExtra

__all__ = ["Table", "read_table"]


@dataclass(frozen=True)
class Table:
    """The columns that were asked for as n x d numbers, and how to write the table back."""

    columns: list[str]
    x: np.ndarray
    with_column: Callable[[str, np.ndarray], bytes]  # the whole table and one more column, as a file


def read_table(path: Path, only: tuple[str, ...], new: str) -> Table:
    """The table at `path`, of its columns `only` those (none: all); `new` must be no name in it.

    `InputError` with the way out for text, missing numbers, NaN and infinity.
    """
    readers = {".csv": _read_csv, ".npy": _read_npy, ".parquet": _read_parquet}
    if path.suffix.lower() not in readers:
        raise InputError(f"a table must be .csv, .npy or .parquet; got {shown(str(path))}: save it as one.")
    if not path.is_file():
        raise InputError(f"{shown(str(path))} must be a table; there is no such file: check the path.")
    return readers[path.suffix.lower()](path, only, new)


def _read_csv(path: Path, only: tuple[str, ...], new: str) -> Table:
    try:
        content = path.read_bytes()
        text = content.decode("utf-8-sig")
        delimiter = separator(text)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        lines = [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
    except (csv.Error, UnicodeDecodeError) as e:
        raise InputError(f"{shown(str(path))} must be CSV in UTF-8; {shown(str(e))}: save it so.") from e
    if not lines:
        raise InputError(f"{shown(str(path))} must hold rows of numbers; it is empty.")
    first = lines[0][1]
    header = first if any(_number(cell) is None for cell in first) else None
    names = header or [f"column {i + 1}" for i in range(len(first))]
    rows = lines[1:] if header else lines
    for line, cells in rows:
        if len(cells) != len(first):
            raise InputError(
                f"{shown(str(path))} line {line}: every row must have {len(first)} cells as the first; "
                f"got {len(cells)}: correct it."
            )
    chosen = _chosen(path, names, only, new)
    columns = [[_cell(path, f"line {line}", names[c], cells[c]) for line, cells in rows] for c in chosen]

    def with_column(name: str, labels: np.ndarray) -> bytes:
        out = io.StringIO(newline="")
        writer = csv.writer(out, delimiter=delimiter, lineterminator="\r\n" if "\r\n" in text else "\n")
        if header:
            writer.writerow([*header, name])
        writer.writerows([*cells, label] for (_, cells), label in zip(rows, labels.tolist()))
        return out.getvalue().encode("utf-8-sig" if content.startswith(codecs.BOM_UTF8) else "utf-8")

    x = np.array(columns, dtype=np.float64).T.reshape(len(rows), len(chosen))
    return Table([names[c] for c in chosen], _finite(path, x, [names[c] for c in chosen]), with_column)


MISSING = ("na", "n/a", "null", "none")


def _number(text: str) -> float | None:
    try:
        return float(text) if "_" not in text else None  # Python would read 1_000
    except ValueError:
        return None


def _cell(path: Path, where: str, column: str, text: str) -> float:
    value = _number(text)
    if value is not None:
        return value
    if not text.strip() or text.strip().lower() in MISSING:
        raise InputError(
            f"{shown(str(path))} {where}: {_column(column)} must hold numbers and is empty "
            f"({shown(text[:40])!r}): fill it, leave the row out, or name other columns (--columns a,b)."
        )
    comma = "write a decimal point for the comma" if _number(text.replace(",", ".", 1)) is not None else ""
    raise InputError(
        f"{shown(str(path))} {where}: {_column(column)} must hold numbers and holds text "
        f"({shown(text[:40])}): {comma or 'name the columns of numbers (--columns a,b), or make it numbers'}."
    )


def _read_npy(path: Path, only: tuple[str, ...], new: str) -> Table:
    try:
        x = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as e:  # objects would need a pickle, which can run code
        raise InputError(
            f"{shown(str(path))} must be an array of numbers; {shown(str(e))}: save one by numpy.save."
        ) from e
    if not isinstance(x, np.ndarray) or x.ndim != 2 or 0 in x.shape or x.dtype.kind not in "fiub":
        what = f"{x.dtype} of shape {x.shape}" if isinstance(x, np.ndarray) else "several arrays"
        raise InputError(
            f"{shown(str(path))} must be an array of real numbers, rows x columns, at least one of each; "
            f"got {what}: reshape it, or make it such numbers."
        )
    names = [f"column {i + 1}" for i in range(x.shape[1])]
    chosen = _chosen(path, names, only, new)
    for c in chosen if x.dtype.kind in "iu" else ():
        _refuse_large(path, names[c], x[:, c])

    def with_column(name: str, labels: np.ndarray) -> bytes:
        out = io.BytesIO()
        wide = np.promote_types(x.dtype, np.int32) if x.dtype.kind in "iub" else x.dtype
        np.save(out, np.column_stack([x.astype(wide), labels.astype(wide)]))
        return out.getvalue()

    part = x if len(chosen) == x.shape[1] else x[:, chosen]
    part = part if part.dtype in (np.float32, np.float64) else part.astype(np.float64)
    return Table([names[c] for c in chosen], _finite(path, part, [names[c] for c in chosen]), with_column)


def _read_parquet(path: Path, only: tuple[str, ...], new: str) -> Table:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as e:
        raise MissingExtra("Reading Parquet tables", "parquet") from e
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError, ValueError) as e:
        raise InputError(
            f"{shown(str(path))} must be a Parquet table; {shown(str(e)).rstrip('.')}: save it again."
        ) from e
    names = list(table.column_names)
    if not names or not table.num_rows:
        raise InputError(f"{shown(str(path))} must hold rows of numbers; it is empty.")
    chosen = _chosen(path, names, only, new)
    columns = [_parquet_column(path, names[c], table.column(c)) for c in chosen]

    def with_column(name: str, labels: np.ndarray) -> bytes:
        out = io.BytesIO()
        pq.write_table(table.append_column(name, pa.array(labels)), out)
        return out.getvalue()

    x = np.column_stack(columns)
    return Table([names[c] for c in chosen], _finite(path, x, [names[c] for c in chosen]), with_column)


def _parquet_column(path: Path, name: str, column: Any) -> np.ndarray:
    import pyarrow.types as kinds

    kind = column.type
    if not (kinds.is_integer(kind) or kinds.is_floating(kind) or kinds.is_boolean(kind)):
        raise InputError(
            f"{shown(str(path))}: column {shown(name)} must hold numbers; it holds {kind}: "
            "name the columns of numbers (--columns a,b), or make it numbers."
        )
    if column.null_count:
        row = int(np.argmax(column.is_null().to_numpy()))
        raise InputError(
            f"{shown(str(path))} row {row}: column {shown(name)} is empty: fill it, or leave the row out."
        )
    found = np.asarray(column.to_numpy())
    if kinds.is_integer(kind):
        _refuse_large(path, name, found)
    return found.astype(np.float64)


def _refuse_large(path: Path, name: str, whole: np.ndarray) -> None:
    """Refuse integers that would become the same floating point number as their neighbours."""
    low, high = int(whole.min()), int(whole.max())
    if max(-low, high) > 2**53:
        raise InputError(
            f"{shown(str(path))}: whole numbers must lie within 2**53, beyond which neighbours are one; "
            f"{_column(name)} has {low} to {high}: subtract a constant, or name other columns."
        )


def _chosen(path: Path, names: list[str], only: tuple[str, ...], new: str) -> list[int]:
    """Where the columns asked for stand."""
    if new in names:
        raise InputError(
            f"{shown(str(path))} has a column {shown(new)} already: name another for the groups "
            "(--label-column NAME), or take it out of the table."
        )
    for name in only:
        if name not in names:
            listed = ", ".join(shown(one) for one in names[:20])
            raise InputError(
                f"--columns must name columns of {shown(str(path))}, {listed}; got {shown(name)}."
            )
    return [names.index(name) for name in only] or list(range(len(names)))


def _finite(path: Path, x: np.ndarray, names: list[str]) -> np.ndarray:
    if not len(x):
        raise InputError(f"{shown(str(path))} must hold rows of numbers; it has a header and no row.")
    wrong = ~np.isfinite(x)
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise InputError(
            f"{shown(str(path))}: every cell must be a finite number; row {row} of "
            f"{_column(names[column])} is {x[row, column]}: fill it, or leave the row out."
        )
    return x


def _column(name: str) -> str:
    """Columns without a name are called "column 2" already."""
    return shown(name) if name.startswith("column ") else f"column {shown(name)}"
