"""Files inside a zip, read where they are: nothing is ever extracted to disk."""

import io
import os
import stat
import struct
import threading
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Literal

from sortal.data.shown import shown
from sortal.data.signature import refuse_other_than_image
from sortal.data.source import READ_LIMIT, Found, HeadCheck, NamesFrom, Refused, Stamp, explain, too_large
from sortal.errors import DataError, Unreadable

__all__ = ["ZipSource"]

_DEFLATE_LIMIT = 1032  # no deflate stream unpacks to more than 1,032 times its size; zlib's FAQ
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_HEAD = 64
_DIRECTORY = b"PK\x01\x02"  # each of its entries begins so; the layout is APPNOTE.TXT's, section 4.3.12
_SAYS_UTF8 = 1 << 11
_NO_UTF8 = 1 << 15  # a flag of our own, in a bit that the format reserves


class ZipSource:
    """All members of a zip; an item's path is `<zip>/<member>`.

    Members are stored or deflated, as every common tool writes them. Of two members with one name the
    last counts, as for unzip. With `names_from="folders"` an item is named after the folder that holds it,
    because archives tend to wrap everything in one or two folders more.
    """

    kind: Literal["zip"] = "zip"

    def __init__(
        self,
        location: str,
        names_from: NamesFrom = None,
        check_head: HeadCheck = refuse_other_than_image,
    ) -> None:
        self.location = location
        self.names_from = names_from
        self._check_head = check_head
        self._lock = threading.Lock()
        try:
            self._zip = _opened(location)
            self._members = {f"{location}/{m.filename}": m for m in self._zip.infolist() if not m.is_dir()}
        except Exception as e:  # a broken directory raises a dozen types
            raise DataError(f"{shown(location)} must be a zip; it cannot be read: {shown(str(e))}.") from e

    def scan(self) -> Iterator[Found | Refused]:
        for path in sorted(self._members, key=os.fsencode):
            member = self._members[path]
            stamp = _stamp(member)
            if refused := _refuse(member):
                yield Refused(path, *refused, stamp)
            else:
                yield Found(path, stamp, self._name(member))

    def read(self, path: str) -> bytes:
        member = self._members.get(path)
        if member is None:
            raise Unreadable("missing", "the zip has no such member")
        if refused := _refuse(member):
            raise Unreadable(*refused)
        try:
            return self._unpack(member)
        except OSError as e:
            raise Unreadable(*explain(e)) from e
        except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, RuntimeError) as e:
            raise Unreadable("broken", f"the zip is damaged here: {shown(str(e))}") from e

    def _unpack(self, member: zipfile.ZipInfo) -> bytes:
        # zipfile guards its reads with a lock of its own, but not its count of open members.
        with self._lock:
            unpacker = self._zip.open(member)
        try:
            head = unpacker.read(_HEAD)
            self._check_head(head)
            data = head + unpacker.read(member.file_size)  # checks the CRC at the end
        finally:
            with self._lock:
                unpacker.close()
        if len(data) != member.file_size:
            raise EOFError(f"{len(data)} bytes where {member.file_size} are promised")
        return data

    def _name(self, member: zipfile.ZipInfo) -> str | None:
        return PurePosixPath(member.filename).parent.name or None if self.names_from else None


def _opened(location: str) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(location)
    except UnicodeDecodeError:
        return zipfile.ZipFile(_Mended(io.FileIO(location)))


class _Mended(io.BufferedReader):
    """A zip in whose directory names that are no UTF-8, though they say so, no longer say so.

    zipfile would refuse the whole zip for one of them. Such a member is marked instead.
    """

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        return _marked(data) if data.startswith(_DIRECTORY) else data


def _marked(directory: bytes) -> bytes:
    mended, at = bytearray(directory), 0
    while directory.startswith(_DIRECTORY, at) and at + 46 <= len(directory):
        flags, *lengths = struct.unpack_from("<8xH18x3H", directory, at)
        try:
            directory[at + 46 : at + 46 + lengths[0]].decode()
        except UnicodeDecodeError:
            if flags & _SAYS_UTF8:
                struct.pack_into("<H", mended, at + 8, flags & ~_SAYS_UTF8 | _NO_UTF8)
        at += 46 + sum(lengths)
    return bytes(mended)


def _refuse(member: zipfile.ZipInfo) -> tuple[str, str] | None:
    """Kind and reason, where the directory of the zip already shows that a member is of no use."""
    size, packed = member.file_size, member.compress_size
    rules = [
        (member.flag_bits & _NO_UTF8, "bad path", "the member's name is no UTF-8, though the zip says so"),
        (_points_outside(member), "bad path", "the member's name points outside the zip"),
        (
            stat.S_ISLNK(member.external_attr >> 16),
            "link",
            "a link inside the zip; add the file it points to",
        ),
        (member.flag_bits & 0x1, "encrypted", "the member is encrypted; unpack it with its password first"),
        (member.compress_type not in _METHODS, "compression", "packed by a rare method; use deflate"),
        (size == 0, "empty", "the file is empty (0 bytes)"),
        (size > READ_LIMIT, "too large", too_large(size)),
        (
            size > packed * _DEFLATE_LIMIT,
            "too large",
            f"claims to unpack from {packed:,} to {size:,} bytes, more than deflate can",
        ),
    ]
    return next(((kind, reason) for holds, kind, reason in rules if holds), None)


def _points_outside(member: zipfile.ZipInfo) -> bool:
    """Nothing is extracted, but a path that looks like another file's must not enter a pile."""
    return member.filename.startswith("/") or ".." in member.filename.split("/")


def _stamp(member: zipfile.ZipInfo) -> Stamp:
    date = 0
    for number in member.date_time:  # as written, also where no calendar has such a day
        date = date * 100 + number
    return member.file_size, date, member.CRC
