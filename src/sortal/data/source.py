"""Where items come from: what a scan says of each file, and the refusals it can give."""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

from sortal.errors import InputError

__all__ = ["READ_LIMIT", "TRANSIENT_KINDS", "Found", "HeadCheck", "NamesFrom", "Refused", "Source", "Stamp"]

NamesFrom = Literal["folders"] | None

# Two stamps that differ mean "read it again". For a file: (size, mtime_ns, ctime_ns). For a member of a
# zip: (size, date as written in the archive, CRC-32).
Stamp = tuple[int, int, int]

# Raises Unreadable where the first bytes of a file are none of a kind of data.
HeadCheck = Callable[[bytes], None]

# No image under Pillow's pixel limit needs more; it bounds what one stranger's file can cost.
READ_LIMIT = 512 * 1024 * 1024

# These can pass without the file changing (a mount comes back, rights are given), so a stamp says nothing.
TRANSIENT_KINDS = frozenset({"missing", "permission", "i/o error", "changed"})


@dataclass(frozen=True, slots=True)
class Found:
    """A file that may hold an item. `path` carries bytes that are no UTF-8 as surrogate escapes."""

    path: str
    stamp: Stamp
    name: str | None


@dataclass(frozen=True, slots=True)
class Refused:
    """A file or folder that the scan already knows it cannot use. `stamp` is None where there is none."""

    path: str
    kind: str
    reason: str
    stamp: Stamp | None


class Source(Protocol):
    """Somewhere that items come from. Both methods may be called from any thread."""

    @property
    def location(self) -> str:
        """The absolute path that was opened; empty for files named one by one."""

    @property
    def kind(self) -> Literal["folder", "zip", "list", "files"]: ...

    @property
    def names_from(self) -> NamesFrom: ...

    def scan(self) -> Iterator[Found | Refused]:
        """Every file in sorted order of its path's bytes (a folder's name counts with its slash).

        Reads no contents and never raises for one file; InputError if the location itself is gone.
        """

    def read(self, path: str) -> bytes:
        """The whole file; `path` as the scan gave it.

        Raises Unreadable, for anything above `READ_LIMIT` or whose first bytes are not of the source's
        kind, before the rest is read.
        """


def look_up(path: str, name: str | None) -> Found | Refused:
    """What is at `path`, links followed, from one `stat`; nothing is opened."""
    try:
        status = os.stat(path)
    except (OSError, ValueError) as e:
        return refusal(path, e)
    return judge(path, status, name)


def judge(path: str, status: os.stat_result, name: str | None) -> Found | Refused:
    """Found, or Refused for what its `stat` already gives away."""
    stamp = (status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    if not stat.S_ISREG(status.st_mode):
        return Refused(path, "not a file", f"is {special(status.st_mode)}; only files are read", stamp)
    if status.st_size == 0:
        return Refused(path, "empty", "the file is empty (0 bytes)", stamp)
    if status.st_size > READ_LIMIT:
        return Refused(path, "too large", too_large(status.st_size), stamp)
    if not may_read(path, status.st_mode, os.R_OK):
        return Refused(path, "permission", "no permission to read the file", stamp)
    return Found(path, stamp, name)


def refusal(path: str, error: OSError | ValueError) -> Refused:
    """The refusal for a path that could not be looked up or listed."""
    kind, reason = explain(error)
    if kind == "missing" and os.path.islink(path):
        kind, reason = "dangling link", "the link points to nothing"
    return Refused(path, kind, reason, None)


def explain(error: OSError | ValueError) -> tuple[str, str]:
    """A stable kind and one line for an operating system's error."""
    if not isinstance(error, OSError):  # os functions raise ValueError for a NUL or a lone surrogate
        return "bad path", "the path holds a character that no file name can have"
    words = {
        errno.ENOENT: ("missing", "there is no such file"),
        errno.ENOTDIR: ("missing", "there is no such file (a part of the path is no folder)"),
        errno.EACCES: ("permission", "no permission to read it"),
        errno.EPERM: ("permission", "no permission to read it"),
        errno.ELOOP: ("link loop", "the link leads back to itself"),
        errno.ENAMETOOLONG: ("bad path", "the path is longer than the system allows"),
        errno.ENXIO: ("not a file", "is a device or socket; only files are read"),
    }
    return words.get(error.errno or 0, ("i/o error", f"the system says: {error.strerror or error}"))


def too_large(size: int) -> str:
    """The reason for a file above the reading limit."""
    return f"the file has {size / 2**20:,.0f} MiB; at most {READ_LIMIT // 2**20} MiB are read"


def special(mode: int) -> str:
    """What a thing that is no file is called."""
    words = {
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a FIFO (named pipe)",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    return words.get(stat.S_IFMT(mode), "no regular file")


def may_read(path: str, mode: int, wanted: int) -> bool:
    """Whether we may read (or list), without opening. A mode open to all saves the second system call."""
    everyone = 0o555 if wanted & os.X_OK else 0o444
    if mode & everyone == everyone:
        return True
    return os.access(path, wanted, effective_ids=os.access in os.supports_effective_ids)


def check_names_from(names_from: NamesFrom) -> None:
    """Raises InputError for anything but None and "folders"."""
    if names_from not in (None, "folders"):
        raise InputError(f'names_from must be "folders" or None; got {names_from!r}.')
