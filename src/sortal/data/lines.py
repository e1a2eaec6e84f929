"""Text files for learning from sequences, read whole: plain or gzipped, UTF-8."""

import os
from pathlib import Path

from sortal.data.gzipped import read_unzipped
from sortal.data.shown import shown
from sortal.errors import DataError

__all__ = ["plain_or_gzipped", "read_text"]


def read_text(path: str | os.PathLike[str]) -> str:
    """All of a UTF-8 text, without its byte order mark. `InputError`: no such file; `DataError`: no text."""
    data = read_unzipped(path, "a text file")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        line = data.count(b"\n", 0, e.start) + 1
        raise DataError(
            f"{shown(str(path))} line {line:,} must be UTF-8; byte {data[e.start]:#x} is not. Convert it."
        ) from e


def plain_or_gzipped(path: Path) -> Path:
    """`path`, or the same with .gz where only that is there."""
    return path if path.exists() else path.with_name(path.name + ".gz")
