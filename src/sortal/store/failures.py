"""What the system says when a pile cannot be read or written, in the user's words."""

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sortal.errors import StoreError

__all__ = ["one_line", "reported"]

_FULL = "the disk or quota is full; everything committed before is safe: free some space and run it again"
_TOO_LARGE = (
    "the file would pass the size limit; everything committed before is safe: raise the limit (ulimit -f)"
    " and run it again"
)
_DENIED = "it cannot be written; nothing was changed: give yourself write access or choose another --into"
_WAYS_OUT = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: _TOO_LARGE,
    errno.EROFS: _DENIED,
    errno.EACCES: _DENIED,
    errno.EPERM: _DENIED,
}
_SQLITE_WAYS_OUT = {
    sqlite3.SQLITE_FULL: _FULL,
    # A quota or a size limit reaches SQLite as a plain I/O error.
    sqlite3.SQLITE_IOERR: "reading or writing failed (disk full, quota, size limit or a failing disk);"
    " everything committed before is safe: free some space or check the disk, and run it again",
    sqlite3.SQLITE_READONLY: _DENIED,
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened: check that you may read and write the pile's folder",
    sqlite3.SQLITE_BUSY: "another process kept it locked for too long; nothing was changed: try again",
    sqlite3.SQLITE_CORRUPT: "it is damaged: restore the pile from a copy, or organize the images again",
    sqlite3.SQLITE_NOTADB: "it is damaged (no SQLite database): restore the pile from a copy",
}


@contextmanager
def reported(path: Path) -> Iterator[None]:
    """Turn what the system says about `path` into a StoreError of one line."""
    try:
        yield
    except OSError as e:
        way_out = _WAYS_OUT.get(e.errno or 0, f"{e.strerror or e}; everything committed before is safe")
        raise StoreError(f"{one_line(path)}: {way_out}.") from e
    except sqlite3.ProgrammingError as e:  # nobody's data: only a closed connection does this
        raise StoreError(f"{one_line(path)}: the pile is closed: open it again.") from e
    except sqlite3.Error as e:
        # The low byte is the primary code. An error of Python's own binding (text that is no UTF-8) has none.
        code = getattr(e, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
        way_out = _SQLITE_WAYS_OUT.get(code, "SQLite refused; everything committed before is safe")
        raise StoreError(f"{one_line(path)}: {way_out} (SQLite: {one_line(str(e))}).") from e
    except UnicodeDecodeError as e:  # a message of SQLite that quotes damaged text
        way_out = _SQLITE_WAYS_OUT[sqlite3.SQLITE_CORRUPT]
        raise StoreError(f"{one_line(path)}: {way_out}.") from e


def one_line(text: str | os.PathLike[str], limit: int = 300) -> str:
    """`text` as one printable line: it may come from a stranger's file system or database."""
    line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in os.fspath(text))
    return line if len(line) <= limit else line[: limit - 1] + "…"
