"""A file written whole or not at all, and the hash of one."""

import contextlib
import hashlib
import os
import secrets
from pathlib import Path

from sortal.errors import InputError, StoreError

__all__ = ["checked_target", "sha256_of", "write_whole"]


def checked_target(path: str | os.PathLike[str]) -> Path:
    """A place that a file may be written to. `InputError` otherwise, before the work of making it."""
    target = Path(path)
    if not os.path.isdir(target.parent):
        raise InputError(f"{target.parent} must be a folder to write {target.name} into; make it first.")
    if os.path.isdir(target):
        raise InputError(f"{target} must be a file name; it is a folder. Name a file in it.")
    return target


def write_whole(target: Path, content: bytes) -> None:
    """Put `content` at `target`, on disk; an older file there stays until the new one is complete.

    `StoreError` where that fails: the folder is missing or may not be written, the disk is full.
    """
    partial = target.with_name(f".{secrets.token_hex(8)}.part")  # a name that any file system takes
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
    except OSError as e:
        raise StoreError(
            f"{target} could not be written: {e.strerror}; free space or choose another place."
        ) from e
    finally:
        with contextlib.suppress(OSError):  # the first error is the one to tell
            partial.unlink(missing_ok=True)


def sha256_of(path: Path) -> str:
    """Hex digest of a file, read as a stream."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
