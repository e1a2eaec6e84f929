"""Text files in any encoding: decoded, checked, and cut into lines, cells or sentences."""

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from sortal.data.conllu import sentence_texts
from sortal.data.kinds import Kind
from sortal.data.separator import separator
from sortal.data.shown import shown
from sortal.errors import MissingExtra, Unreadable

__all__ = [
    "LONGEST",
    "TextInput",
    "apparent_encoding",
    "decode_text",
    "refuse_other_than_text",
    "text_pieces",
    "unpacked",
]

LONGEST = 1_000_000  # characters of one item: a long novel; more in one line is no text that a person wrote
UNPACKED_LIMIT = 1 << 29
LONGEST_CELL = 1 << 27  # characters that are read of one, whatever is then said of it

# What one item is cut into: where it stands in its file, its text or why it has none, the name it is given.
Piece = tuple[str, "str | Unreadable", str | None]

_MARKS = [
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\0\0", "utf-32"),
    (b"\0\0\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
]
# Column names that say what they are, in the order of preference.
TEXT_COLUMNS = ("text", "sentence", "content", "body", "message", "review", "comment")


@dataclass(frozen=True)
class TextInput:
    """How an encoder wants its texts: as str."""

    kind: ClassVar[Kind] = "text"

    def read(self, content: bytes) -> str:
        return decode_text(content)[0]

    def stack(self, items: Sequence[Any]) -> list[Any]:
        return list(items)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def refuse_other_than_text(head: bytes) -> None:
    """Raises Unreadable(kind="not a text") where `head` begins a file of another kind that is known."""
    if head.startswith(tuple(mark for mark, _ in _MARKS)) or head.startswith(b"\x1f\x8b"):
        return
    from sortal.data.signature import image_format, kind_of_file

    known = image_format(head) if not head.startswith(b"BM") else None  # "BM" begins words too
    what = f"a {known} image" if known else kind_of_file(head)
    if known or not what.startswith(("text", "a web page", "an SVG", "something unknown", "a program")):
        raise Unreadable("not a text", f"looks like {what}")


def decode_text(data: bytes) -> tuple[str, str]:
    """The text and its encoding: by its mark, else UTF-8, else what charset-normalizer finds likeliest.

    Raises Unreadable with the kind "not a text" (NULs), "too long", "encoding" or "empty" (white space).
    """
    text, encoding = _decoded(data)
    return checked_text(text), encoding


def checked_text(text: str) -> str:
    """`text`, or Unreadable for what no text has."""
    if (at := text.find("\0")) >= 0:
        raise Unreadable("not a text", f"character {at + 1:,} is NUL, which no text has")
    if len(text) > LONGEST:
        raise Unreadable(
            "too long", f"{len(text):,} characters; at most {LONGEST:,} are one item: cut it into lines"
        )
    if not text.strip():
        raise Unreadable("empty", "nothing but white space")
    try:
        text.encode()
    except UnicodeEncodeError as e:
        raise Unreadable(
            "lone surrogate",
            f"character {e.start + 1:,} is half a surrogate pair (U+{ord(text[e.start]):04X})",
        ) from None
    return text


def decode_text_file(data: bytes) -> str:
    """A whole file of many items, decoded but not checked: its items are."""
    return _decoded(data)[0]


def _decoded(data: bytes) -> tuple[str, str]:
    encoding = apparent_encoding(data)
    try:
        return data.decode(encoding), encoding
    except UnicodeDecodeError as e:
        where = e
    if b"\0" in data:
        raise Unreadable("not a text", f"byte {data.index(0) + 1:,} is NUL, which no text has")
    try:
        from charset_normalizer import from_bytes
    except ImportError as e:
        raise MissingExtra("Text that is not UTF-8", "text") from e
    best = from_bytes(data[: 1 << 20]).best()
    if best is not None:
        try:
            return data.decode(best.encoding), best.encoding
        except UnicodeDecodeError:
            pass
    raise Unreadable(
        "encoding", f"byte {where.start + 1:,} is no UTF-8, and no other encoding fits: save it as UTF-8"
    )


def apparent_encoding(data: bytes) -> str:
    """By its mark; UTF-16 where every other byte is NUL, as in European text without it; else UTF-8."""
    if marked := next((name for mark, name in _MARKS if data.startswith(mark)), None):
        return marked
    halves = data[:4096:2], data[1:4096:2]
    if len(data) > 3 and len(data) % 2 == 0:
        for high, low, name in ((0, 1, "utf-16-be"), (1, 0, "utf-16-le")):
            if halves[high].count(0) > 0.9 * len(halves[high]) and not halves[low].count(0):
                return name
    return "utf-8"


def text_pieces(path: str, data: bytes, column: str | None) -> tuple[Iterator[Piece], str]:
    """The items of a text file and its encoding; one that cannot be cut raises Unreadable, at once or later.

    `.csv`, `.tsv` and `.jsonl` give a column, `.conllu` sentences, everything else lines.
    """
    path = path.lower().removesuffix(".gz")
    text, encoding = _decoded(data)
    if path.endswith((".csv", ".tsv")):
        return _cells(text, column, "\t" if path.endswith(".tsv") else separator(text)), encoding
    if path.endswith(".jsonl"):
        return _records(text, column), encoding
    if path.endswith(".conllu"):
        found = enumerate(sentence_texts(text), 1)
        return ((str(i), checked_piece(said), None) for i, said in found), encoding
    if column is not None:
        raise Unreadable("no column", "a column is for CSV and JSONL; this file has lines")
    return _lines(text), encoding


def unpacked(data: bytes) -> bytes:
    """`data`, unzipped where it is gzip. Raises Unreadable."""
    if not data.startswith(b"\x1f\x8b"):
        return data
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            found = file.read(UNPACKED_LIMIT + 1)
    except (OSError, EOFError, ValueError, zlib.error) as e:  # zlib's own is none of the others
        raise Unreadable("broken", f"the gzip is damaged: {shown(str(e))}") from e
    if len(found) > UNPACKED_LIMIT:
        raise Unreadable("too large", f"unpacks to more than {UNPACKED_LIMIT >> 20} MiB; split it")
    return found


def checked_piece(text: str) -> "str | Unreadable":
    try:
        return checked_text(text)
    except Unreadable as e:
        return e


def _lines(text: str) -> Iterator[Piece]:
    """Not `splitlines`: U+2028 and form feeds stand inside lines. Empty lines are passed over."""
    for number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), 1):
        if line.strip():
            yield str(number), checked_piece(line.strip()), None


def _records(text: str, column: str | None) -> Iterator[Piece]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as e:
            yield str(number), Unreadable("broken", f"line {number:,} is no JSON: {shown(str(e))}"), None
            continue
        yield str(number), *_chosen(record, column, f"line {number:,}")


def _chosen(record: Any, column: str | None, where: str) -> tuple["str | Unreadable", str | None]:
    if isinstance(record, str) and column is None:
        return checked_piece(record), None
    if not isinstance(record, dict):
        return Unreadable(
            "broken", f"{where} must be an object or a text; it is {type(record).__name__}"
        ), None
    key = column or next((name for name in TEXT_COLUMNS if name in record), None)
    if key is None or not isinstance(record.get(key), str):
        keys = ", ".join(f"{name} ({type(value).__name__})" for name, value in record.items()) or "none"
        said = f"{where}: no text under {key or 'text'!r}; its keys: {shown(keys)}"
        return Unreadable("no column", said), None
    name = record.get("name")
    return checked_piece(record[key]), name if isinstance(name, str) and key != "name" else None


def _cells(text: str, column: str | None, delimiter: str) -> Iterator[Piece]:
    """The first row is a header; a row of another width raises, with its line: no column can be trusted."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    rows = _with_long_cells(reader)
    try:
        header = next(rows, [])
        at = _column(header, column)
        name_at = header.index("name") if "name" in header and header.index("name") != at else None
        for row in rows:
            if not any(cell.strip() for cell in row):
                continue
            if len(row) != len(header):
                raise Unreadable(
                    "rows differ", f"line {reader.line_num:,} has {len(row)} cells, the header {len(header)}"
                )
            yield (
                str(reader.line_num),
                checked_piece(row[at]),
                row[name_at].strip() or None if name_at is not None else None,
            )
    except csv.Error as e:
        raise Unreadable("broken", f"line {reader.line_num:,} is no CSV: {shown(str(e))}") from e


def _with_long_cells(reader: Iterator[list[str]]) -> Iterator[list[str]]:
    """A cell of 50 MB is refused as too long, not as a broken file. The limit is the whole process's."""
    while True:
        before = csv.field_size_limit(LONGEST_CELL)
        try:
            row = next(reader, None)
        finally:
            csv.field_size_limit(before)
        if row is None:
            return
        yield row


def _column(header: Sequence[str], column: str | None) -> int:
    wanted = (column,) if column is not None else TEXT_COLUMNS
    found = next((name for name in wanted if name in header), None)
    if found is not None:
        return list(header).index(found)
    if column is None and len(header) == 1:
        return 0
    columns = shown(", ".join(header)) or "none"
    raise Unreadable(
        "no column", f"no column {column or 'text'!r}; there are {columns}: say which (column=NAME)"
    )
