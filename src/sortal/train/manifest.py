"""MANIFEST.sha256: every file of a model folder with its SHA-256, in the form that `sha256sum -c` reads.

A model folder is flat: regular files only, plain names.
"""

import hashlib
import os
import re
import stat
from pathlib import Path

from sortal.errors import DataError
from sortal.whole import sha256_of

__all__ = [
    "MANIFEST",
    "MAX_BYTES",
    "PLAIN_NAME",
    "manifest_text",
    "read_manifest",
    "read_verified",
]

MANIFEST = "MANIFEST.sha256"
PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
MAX_MANIFEST = 1 << 20  # bytes
MAX_BYTES = 1 << 32  # of all files together: every load hashes them all
_LINE = re.compile(r"([0-9a-f]{64})  ([A-Za-z0-9][A-Za-z0-9._-]{0,99})")


def manifest_text(digests: dict[str, str]) -> str:
    """One line a file, in the order of the names."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(digests.items()))


def read_manifest(folder: Path) -> dict[str, str]:
    """The digest of each file that belongs to the model, as the manifest has it; nothing else is read."""
    return _parse(folder, _read(folder, MANIFEST, MAX_MANIFEST))


def read_verified(folder: Path, wanted: dict[str, int]) -> dict[str, bytes]:
    """The contents of the `wanted` files (name to most bytes), after every byte of every file was checked.

    What is returned is what was hashed, so a folder that is replaced meanwhile cannot be read by halves.
    Raises `DataError` naming the file for: a changed byte, a missing or unlisted file, a link, a
    sub-folder, a wanted file or a folder that is too large, a manifest that breaks its form.
    """
    try:
        digests = read_manifest(folder)
        _check_listing(folder, set(digests))
        contents = {name: _read(folder, name, limit) for name, limit in wanted.items() if name in digests}
        for name, digest in digests.items():
            found = (
                hashlib.sha256(contents[name]).hexdigest() if name in contents else sha256_of(folder / name)
            )
            if found != digest:
                raise DataError(
                    f"{folder}: {name} does not match {MANIFEST}, so one of the two was changed or damaged; "
                    "copy the folder again or train again."
                )
    except OSError as e:
        raise DataError(
            f"{folder}: the model cannot be read: {e.strerror}; check the folder and its rights."
        ) from e
    missing = sorted(set(wanted) - set(contents))
    if missing:
        raise DataError(
            f"{folder}: a model folder holds {missing[0]}, this one does not; copy the folder again."
        )
    return contents


def _parse(folder: Path, data: bytes) -> dict[str, str]:
    lines = data.decode("latin-1").split("\n")
    matches = [_LINE.fullmatch(line) for line in lines[:-1]]
    digests = {match[2]: match[1] for match in matches if match}
    if lines[-1] or len(digests) != len(lines) - 1 or not digests or MANIFEST in digests:
        raise DataError(
            f"{folder}: {MANIFEST} must hold one line 'digest  name' for each file, plain names "
            "only, none twice; this one does not. Copy the folder again."
        )
    return digests


def _check_listing(folder: Path, listed: set[str]) -> None:
    found = set(os.listdir(folder)) - {MANIFEST}
    for name in sorted(listed - found):
        raise DataError(f"{folder}: {name} is listed in {MANIFEST} but missing; copy the folder again.")
    for name in sorted(found - listed):
        raise DataError(f"{folder}: {name!r} is not listed in {MANIFEST}; take it out of the folder.")
    n_bytes = 0
    for name in sorted(listed | {MANIFEST}):
        status = (folder / name).lstat()
        if not stat.S_ISREG(status.st_mode):
            raise DataError(
                f"{folder}: {name} must be a regular file, not a link or folder; copy the folder again."
            )
        n_bytes += status.st_size
    if n_bytes > MAX_BYTES:
        raise DataError(
            f"{folder}: a model folder holds at most {MAX_BYTES} bytes, this one {n_bytes}; copy it again."
        )


def _read(folder: Path, name: str, limit: int) -> bytes:
    path = folder / name
    if not stat.S_ISREG(path.lstat().st_mode):
        raise DataError(
            f"{folder}: {name} must be a regular file, not a link or folder; copy the folder again."
        )
    with path.open("rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise DataError(
            f"{folder}: {name} must be at most {limit} bytes; it is larger. Copy the folder again."
        )
    return data
