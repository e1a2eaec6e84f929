"""Whole files that may be gzipped, as data sets are published."""

import gzip
import os
import zlib
from pathlib import Path

from sortal.data.shown import shown
from sortal.data.source import READ_LIMIT
from sortal.errors import DataError, InputError

__all__ = ["read_unzipped"]


def read_unzipped(path: str | os.PathLike[str], what: str) -> bytes:
    """The bytes of a file, unzipped where it is gzip. `what` it must be is said where it cannot be read.

    `InputError`: no such file; `DataError`: damaged, or too large when unpacked.
    """
    path = Path(path)
    name = shown(str(path))
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if zipped else path.open("rb") as file:
            data = file.read(READ_LIMIT + 1)
    except FileNotFoundError as e:
        raise InputError(f"{name} must be {what}; there is no such file.") from e
    except (OSError, EOFError, zlib.error) as e:
        raise DataError(f"{name} must be {what}; it cannot be read: {e}.") from e
    if len(data) > READ_LIMIT:
        raise DataError(f"{name} must unpack to at most {READ_LIMIT // 2**20} MiB; cut it into parts.")
    return data
