"""The one door: a location becomes a source of items."""

import os
import stat
from collections.abc import Iterable

from sortal.data.archive import ZipSource
from sortal.data.folder import FolderSource
from sortal.data.listing import ListSource, read_csv, read_parquet
from sortal.data.shown import shown
from sortal.data.signature import image_format, kind_of_file
from sortal.data.source import (
    READ_LIMIT,
    NamesFrom,
    Source,
    check_names_from,
    explain,
    special,
)
from sortal.errors import InputError

__all__ = ["files_source", "open_source"]

_ACCEPTED = "a folder, a .zip, or a .csv or .parquet list of paths"


def open_source(location: str | os.PathLike[str], names_from: NamesFrom = None) -> Source:
    """The images in a folder, in a zip, or on a CSV or Parquet list of paths.

    `names_from="folders"`: take sub-folders as names (`FolderSource`, `ZipSource` and `ListSource` say
    which); a list's column `name` is always taken.
    Raises InputError for a location that is missing, empty or something else, DataError for a zip or list
    that is broken, MissingExtra for a Parquet list without pyarrow.
    """
    check_names_from(names_from)
    path = _absolute(location)
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            return _open_folder(path, names_from)
        if not stat.S_ISREG(status.st_mode):
            raise InputError(f"source must be {_ACCEPTED}; {shown(path)} is {special(status.st_mode)}.")
        with open(path, "rb") as file:
            head = file.read(64)
    except OSError as e:
        raise InputError(f"source must be {_ACCEPTED}; {shown(path)}: {explain(e)[1]}.") from e
    return _open_file(path, head, status.st_size, names_from)


def files_source(paths: Iterable[str | os.PathLike[str]]) -> Source:
    """The files named by `paths`. One that is missing or of no use is Refused by the scan, not raised."""
    names: dict[str, str | None] = {os.path.abspath(os.fsdecode(path)): None for path in paths}
    if not names:
        raise InputError("paths must name at least one file; got none.")
    return ListSource(names, kind="files")


def _absolute(location: str | os.PathLike[str]) -> str:
    path = os.fsdecode(location)
    if not path or "\0" in path:
        raise InputError(f"source must be {_ACCEPTED}; got {shown(path) or 'an empty path'}.")
    return os.path.abspath(path)


def _open_folder(path: str, names_from: NamesFrom) -> Source:
    if os.path.exists(os.path.join(path, "catalogue.db")):
        raise InputError(f"source must be {_ACCEPTED}; {shown(path)} is a pile: open it instead.")
    with os.scandir(path) as entries:
        if next(entries, None) is None:
            raise InputError(f"source must hold images; the folder {shown(path)} is empty.")
    return FolderSource(path, names_from)


def _open_file(path: str, head: bytes, size: int, names_from: NamesFrom) -> Source:
    ending = os.path.splitext(path)[1].lower()
    if size == 0:
        raise InputError(f"source must hold images; the file {shown(path)} is empty.")
    if ending == ".zip" or head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        source: Source = ZipSource(path, names_from)
    elif head.startswith(b"PAR1") or ending in (".csv", ".parquet"):
        if size > READ_LIMIT:
            raise InputError(f"a list must have at most {READ_LIMIT // 2**20} MiB; split {shown(path)}.")
        read = read_csv if ending == ".csv" and not head.startswith(b"PAR1") else read_parquet
        source = ListSource(read(path), path, names_from)
    else:
        what = f"a {known} image" if (known := image_format(head)) else kind_of_file(head)
        raise InputError(f"source must be {_ACCEPTED}; the file {shown(path)} looks like {what}.")
    if next(source.scan(), None) is None:
        raise InputError(f"source must hold images; {shown(path)} lists no file.")
    return source
