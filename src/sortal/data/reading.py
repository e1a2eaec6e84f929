"""One file's bytes, safely: never blocks on a FIFO, never grows without bound, never returns half a file."""

import os
import stat

from sortal.data.signature import refuse_other_than_image
from sortal.data.source import READ_LIMIT, HeadCheck, explain, special, too_large
from sortal.errors import Unreadable

__all__ = ["read_file"]

# Windows has neither flag and needs O_BINARY. Without O_NONBLOCK, opening a FIFO that took the place of a
# file since the scan would wait for a writer for ever.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_HEAD = 64  # enough for every signature


def read_file(path: str, check_head: HeadCheck = refuse_other_than_image) -> bytes:
    """The whole file at `path`. Raises Unreadable with a kind; see `Source.read`."""
    try:
        descriptor = os.open(path, _FLAGS)
    except (OSError, ValueError) as e:
        raise Unreadable(*explain(e)) from e
    try:
        return _read(descriptor, check_head)
    except OSError as e:
        raise Unreadable(*explain(e)) from e
    finally:
        os.close(descriptor)


def _read(descriptor: int, check_head: HeadCheck) -> bytes:
    before = os.fstat(descriptor)
    if not stat.S_ISREG(before.st_mode):
        raise Unreadable("not a file", f"is {special(before.st_mode)}; only files are read")
    if before.st_size > READ_LIMIT:
        raise Unreadable("too large", too_large(before.st_size))
    if before.st_size == 0:
        raise Unreadable("empty", "the file is empty (0 bytes)")
    data = os.read(descriptor, min(_HEAD, before.st_size))
    check_head(data)
    data += _rest(descriptor, before.st_size - len(data))
    after = os.fstat(descriptor)
    if len(data) != before.st_size or (after.st_size, after.st_mtime_ns) != (
        before.st_size,
        before.st_mtime_ns,
    ):
        raise Unreadable("changed", "the file changed while it was read; run again")
    return data


def _rest(descriptor: int, size: int) -> bytes:
    """`size` bytes, fewer if the file ends before; one read can return less than it was asked for."""
    chunks = []
    while size > 0 and (chunk := os.read(descriptor, size)):
        chunks.append(chunk)
        size -= len(chunk)
    return b"".join(chunks)
