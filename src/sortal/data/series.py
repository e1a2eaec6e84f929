"""Time series from `.ts`, CSV, Parquet and NPY files: one array of channels x time for each."""

import csv
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float64

from sortal.data.kinds import Kind
from sortal.data.separator import is_decimal_comma, separator
from sortal.data.shown import shown
from sortal.errors import MissingExtra, Unreadable

__all__ = [
    "Series",
    "SeriesInput",
    "as_npy",
    "decode_series",
    "has_long_columns",
    "refuse_other_than_series",
    "series_pieces",
]

LONGEST = 10_000_000  # numbers of one item: 80 MB
_ID, _TIME, _NAMES = (
    ("id", "series", "series_id", "unique_id"),
    ("time", "timestamp", "t", "ds"),
    ("name", "label", "class"),
)

Series = Float64[np.ndarray, "channels n"]
Piece = tuple[str, "bytes | Unreadable", str | None]
_Row = tuple[int, list[str]]  # line number, cells


@dataclass(frozen=True)
class SeriesInput:
    """How an encoder wants its series: so many channels, of one length; None takes them as they are."""

    channels: int | None = None
    length: int | None = None
    kind: ClassVar[Kind] = "series"

    def read(self, content: bytes) -> np.ndarray:
        return self.prepared(decode_series(content))

    def prepared(self, values: Series) -> np.ndarray:
        """float32 with zeros at its end up to `length`, or cut there; float64 as it is without one."""
        if self.channels not in (None, len(values)):
            raise Unreadable("channels", f"{len(values)} channels; the encoder takes {self.channels}")
        if self.length is None:
            return values
        values = values[:, : self.length].astype(np.float32)
        return np.pad(values, ((0, 0), (0, self.length - values.shape[1])))

    def stack(self, items: Sequence[Any]) -> Any:
        return list(items) if self.length is None else np.stack(items)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def refuse_other_than_series(head: bytes) -> None:
    """Raises Unreadable(kind="not a series") where `head` begins a file of another kind that is known."""
    if head.startswith((b"\x93NUMPY", b"PAR1")):
        return
    from sortal.data.text import refuse_other_than_text

    try:
        refuse_other_than_text(head)
    except Unreadable as e:
        raise Unreadable("not a series", f"{e}; read are .ts, CSV, Parquet and NPY") from None


def decode_series(data: bytes) -> Series:
    """One item's NPY bytes (`as_npy`), channels x time. Raises Unreadable."""
    values = _npy(data)
    if values.ndim != 2 or not values.size:
        raise Unreadable("broken", f"an item must be channels x time; it has shape {values.shape}")
    return values


def as_npy(values: Series) -> bytes:
    """The one form of a series in a pile: the same numbers give the same bytes."""
    out = io.BytesIO()
    np.save(out, np.ascontiguousarray(values, dtype="<f8"), allow_pickle=False)
    return out.getvalue()


def series_pieces(path: str, data: bytes, missing: str | None) -> tuple[Iterator[Piece], str | None]:
    """Each series in a file: where it stands, its NPY bytes or why there are none, its label.

    And a word on how the file was read, where that was not plain.

    Missing values (NaN, `?`, an empty cell) at the end of all channels end the series; elsewhere it is
    refused with their position, or with missing="linear" filled in from their neighbours in time.
    A file that is broken as a whole raises Unreadable, at once or later.
    """
    path, remark = path.lower().removesuffix(".gz"), None
    if path.endswith(".npy"):
        found = _arrays(data)
    elif path.endswith(".ts"):
        found = _ts(_lines(data))
    elif data.startswith(b"PAR1"):
        found = _table(*_parquet(data))
    else:
        rows, remark = _csv_rows(data)
        found = _table(*_headed(rows))
    return ((where, _checked(values, missing), name) for where, values, name in found), remark


def _checked(values: "Series | Unreadable", missing: str | None) -> "bytes | Unreadable":
    if isinstance(values, Unreadable):
        return values
    try:
        return as_npy(_whole(values, missing))
    except Unreadable as e:
        return e


def _whole(values: Series, missing: str | None) -> Series:
    there = np.flatnonzero(~np.isnan(values).all(axis=0))
    if not len(there):
        raise Unreadable("empty", "a series without a value")
    values = values[:, : there[-1] + 1]
    if values.size > LONGEST:
        raise Unreadable("too long", f"{values.size:,} numbers; at most {LONGEST:,} are one item: cut it")
    if np.isinf(values).any():
        raise Unreadable("infinite", f"{_where(values, np.isinf(values))} is infinite")
    holes = np.isnan(values)
    if not holes.any():
        return values
    if missing == "linear" and not holes.all(axis=1).any():
        return _filled(values)
    way = "a channel has no value at all" if missing == "linear" else "missing=linear fills it in"
    raise Unreadable(
        "missing values", f"{_where(values, holes)} is missing ({int(holes.sum()):,} in all); {way}"
    )


def _where(values: Series, bad: np.ndarray) -> str:
    channel, at = np.argwhere(bad)[0]
    return f"value {at + 1:,}" + (f" of channel {channel + 1}" if len(values) > 1 else "")


def _filled(values: Series) -> Series:
    """Straight lines between neighbours; before the first and after the last value, that value."""
    filled, at = values.copy(), np.arange(values.shape[1])
    for line in filled:
        holes = np.isnan(line)
        line[holes] = np.interp(at[holes], at[~holes], line[~holes])
    return filled


# ---- the formats: (where, values, label) of each series

_Found = Iterator[tuple[str, "Series | Unreadable", str | None]]


def _npy(data: bytes) -> np.ndarray:
    try:
        values = np.load(io.BytesIO(data), allow_pickle=False)
        return np.asarray(values, dtype=np.float64)
    except (ValueError, OSError, EOFError, TypeError, MemoryError) as e:
        raise Unreadable("broken", f"no NPY of numbers: {shown(str(e))}") from e


def _arrays(data: bytes) -> _Found:
    """n: one series; items x n: a series a row; items x channels x n."""
    values = _npy(data)
    if values.ndim not in (1, 2, 3):
        raise Unreadable("broken", f"an NPY of series has 1 to 3 axes; this one has shape {values.shape}")
    items = values.reshape(1, 1, -1) if values.ndim == 1 else values if values.ndim == 3 else values[:, None]
    for number, one in enumerate(items, 1):
        yield str(number), one if one.size else Unreadable("empty", "a series without a value"), None


def _lines(data: bytes) -> list[str]:
    from sortal.data.text import decode_text_file

    return decode_text_file(data).replace("\r\n", "\n").split("\n")


def _ts(lines: list[str]) -> _Found:
    """Source: the format of timeseriesclassification.com; channels part at `:`, the label comes last."""
    labelled, begun = False, False
    for number, raw in enumerate(lines, 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if not begun:
            key, _, value = line.lower().partition(" ")
            if key == "@timestamps" and value.strip() == "true":
                raise Unreadable(
                    "timestamps", "series with time stamps of their own are not read; write values alone"
                )
            labelled |= key == "@classlabel" and value.strip().startswith("true")
            begun = key == "@data"
            if not key.startswith("@"):
                raise Unreadable("broken", f"line {number:,}: a .ts file has @-lines before @data")
            continue
        parts = line.split(":")
        label = parts.pop().strip() if labelled else None
        yield str(number), _channels([part.split(",") for part in parts], f"line {number:,}"), label
    if not begun:
        raise Unreadable("broken", "a .ts file without @data")


def _channels(rows: list[list[str]], where: str) -> "Series | Unreadable":
    """Channels of one length; a shorter one ends in missing values, which only the others' end may be."""
    if not rows:
        return Unreadable("broken", f"{where} has no values")
    values = np.full((len(rows), max(map(len, rows))), np.nan)
    for channel, cells in enumerate(rows):
        for at, cell in enumerate(cells):
            if (number := _number(cell)) is None:
                said = f"{where}: value {at + 1:,} is no number: {shown(cell.strip())!r}"
                advice = ": write a decimal point for the comma" if is_decimal_comma(cell) else ""
                return Unreadable("broken", said + advice)
            values[channel, at] = number
    return values


def _number(cell: str) -> float | None:
    cell = cell.strip()
    if cell in ("", "?"):
        return float("nan")
    try:
        return float(cell)
    except ValueError:
        return None if cell.lower() not in ("na", "null", "none") else float("nan")


def _is_word(cell: str) -> bool:
    return _number(cell) is None and not is_decimal_comma(cell)


def _csv_rows(data: bytes) -> tuple[list[_Row], str | None]:
    """The rows of a CSV, all of one width; decimal commas are points then, which the second part says."""
    text = "\n".join(_lines(data))
    delimiter = separator(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    rows: list[_Row] = []
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if rows and len(cells) != (width := len(rows[0][1])):
                raise Unreadable(
                    "rows differ",
                    f"line {reader.line_num:,} has {len(cells)} cells, the first {width}: a shorter series "
                    "ends in empty cells",
                )
            rows.append((reader.line_num, cells))
    except csv.Error as e:
        raise Unreadable("broken", f"line {reader.line_num:,} is no CSV: {shown(str(e))}") from e
    # Where commas part the cells, "1,500" in quotes is rather a thousand: refused as no number.
    if delimiter == "," or not _has_decimal_commas(rows):
        return rows, None
    points = [
        (line, [cell.replace(",", ".") if is_decimal_comma(cell) else cell for cell in cells])
        for line, cells in rows
    ]
    return points, "read with decimal commas"


def _has_decimal_commas(rows: list[_Row]) -> bool:
    """Whether commas stand in numbers and no point does: with both, one of them parts thousands."""
    cells = [cell for _, row in rows for cell in row]
    return any(map(is_decimal_comma, cells)) and not any("." in cell and _number(cell) for cell in cells)


def _headed(rows: list[_Row]) -> tuple[list[str], list[_Row]]:
    """The header (empty where the first row is data) and the rows below it."""
    first = rows[0][1] if rows else []
    if sum(map(_is_word, first)) > min(1, len(first) - 1):
        return [cell.strip().lower() for cell in first], rows[1:]
    return [], rows


def _parquet(data: bytes) -> tuple[list[str], list[_Row]]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as e:
        raise MissingExtra("Reading Parquet", "parquet") from e
    try:
        table = pq.read_table(io.BytesIO(data))
    except (pa.ArrowException, OSError, ValueError) as e:
        raise Unreadable("broken", f"no Parquet table: {shown(str(e))}") from e
    columns = [[_cell(value) for value in column.to_pylist()] for column in table.columns]
    rows = [(number, list(row)) for number, row in enumerate(zip(*columns), 1)]
    return [name.lower() for name in table.column_names], rows


def _cell(value: Any) -> str:
    return "" if value is None else str(value)


def _table(header: list[str], rows: list[_Row]) -> _Found:
    """Long where there are columns for id, time and values; else a series a row."""
    id_at, time_at = _first(header, _ID), _first(header, _TIME)
    name_at = _first(header, _NAMES)
    if id_at is not None and time_at is not None:
        return _long(header, rows, id_at, time_at, name_at)
    if not header and rows and name_at is None:
        # A word beside numbers is a name, as in UCR's tables.
        words = [at for at, cell in enumerate(rows[0][1]) if _is_word(cell)]
        name_at = words[0] if words else None
    return _wide(rows, id_at, name_at)


def has_long_columns(header: list[str]) -> bool:
    """Whether a table of these columns (in lower case) has a row for each moment of each series."""
    return _first(header, _ID) is not None and _first(header, _TIME) is not None


def _first(header: list[str], names: tuple[str, ...]) -> int | None:
    return next((header.index(name) for name in names if name in header), None)


def _wide(rows: list[_Row], id_at: int | None, name_at: int | None) -> _Found:
    for line, cells in rows:
        numbers = [cell for at, cell in enumerate(cells) if at not in (id_at, name_at)]
        where = str(line) if id_at is None else cells[id_at].strip() or str(line)
        name = None if name_at is None else cells[name_at].strip() or None
        yield where, _channels([numbers], f"line {line:,}"), name


def _long(header: list[str], rows: list[_Row], id_at: int, time_at: int, name_at: int | None) -> _Found:
    """Rows of one id, by time; every other column is a channel. Times are numbers, or text that sorts."""
    channels = [at for at in range(len(header)) if at not in (id_at, time_at, name_at)]
    if not channels:
        raise Unreadable("no column", "a long table needs a column of values beside id and time")
    by_id: dict[str, list[_Row]] = {}
    for row in rows:
        by_id.setdefault(row[1][id_at].strip(), []).append(row)
    for key, own in by_id.items():
        own.sort(key=lambda row: _time(row[1][time_at]))
        cells = [[row[1][at] for row in own] for at in channels]
        name = None if name_at is None else own[0][1][name_at].strip() or None
        yield key, _channels(cells, f"id {shown(key)}"), name


def _time(cell: str) -> tuple[bool, float, str]:
    """Numbers before texts; what is neither says so by itself."""
    number = _number(cell)
    if number is None or math.isnan(number):
        return True, 0.0, cell
    return False, number, cell
