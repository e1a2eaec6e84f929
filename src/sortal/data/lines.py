"""Text files for learning from sequences, read whole: plain or gzipped, UTF-8."""

import gzip
import os
import zlib
from pathlib import Path

from sortal.data.shown import shown
from sortal.data.source import READ_LIMIT
from sortal.errors import DataError, InputError

__all__ = ["plain_or_gzipped", "read_text"]


def read_text(path: str | os.PathLike[str]) -> str:
    """All of a UTF-8 text, without its byte order mark. `InputError`: no such file; `DataError`: no text."""
    path = Path(path)
    name = shown(str(path))
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if zipped else path.open("rb") as file:
            data = file.read(READ_LIMIT + 1)
    except FileNotFoundError as e:
        raise InputError(f"{name} must be a text file; there is no such file.") from e
    except (OSError, EOFError, zlib.error) as e:
        raise DataError(f"{name} must be a text file; it cannot be read: {e}.") from e
    if len(data) > READ_LIMIT:
        raise DataError(f"{name} must hold at most {READ_LIMIT // 2**20} MiB of text; cut it into parts.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        line = data.count(b"\n", 0, e.start) + 1
        raise DataError(
            f"{name} line {line:,} must be UTF-8; byte {data[e.start]:#x} is not. Convert it."
        ) from e


def plain_or_gzipped(path: Path) -> Path:
    """`path`, or the same with .gz where only that is there."""
    return path if path.exists() else path.with_name(path.name + ".gz")
