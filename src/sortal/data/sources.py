"""The one door: a location becomes a source of items."""

import os
import stat
from collections.abc import Iterable

from sortal.data.archive import ZipSource
from sortal.data.folder import FolderSource
from sortal.data.kinds import KINDS, Kind, Reading, kind_of_path, main_kind
from sortal.data.listing import ListSource, read_csv, read_parquet
from sortal.data.pieces import PiecesSource
from sortal.data.series import refuse_other_than_series
from sortal.data.shown import shown
from sortal.data.signature import image_format, kind_of_file, refuse_other_than_image
from sortal.data.sound import refuse_other_than_sound
from sortal.data.source import (
    READ_LIMIT,
    Found,
    HeadCheck,
    NamesFrom,
    Source,
    check_names_from,
    explain,
    special,
)
from sortal.data.tables import columns, lists_paths, table_kind
from sortal.data.text import refuse_other_than_text
from sortal.errors import InputError

__all__ = ["detected_kind", "files_source", "open_source"]

_ACCEPTED = "a folder, a .zip, a file of many items, or a .csv or .parquet list of paths"
_LISTS = (".csv", ".parquet")
_TABLES = (*_LISTS, ".tsv", ".csv.gz", ".tsv.gz")
_HEADS: dict[Kind, HeadCheck] = {
    "image": refuse_other_than_image,
    "sound": refuse_other_than_sound,
    "series": refuse_other_than_series,
    "text": refuse_other_than_text,
}


def open_source(
    location: str | os.PathLike[str], names_from: NamesFrom = None, reading: Reading | None = None
) -> Source:
    """The items in a folder, in a zip, in one file of many items, or on a CSV or Parquet list of paths.

    `reading` says their kind and how files are read, None for images; `detected_kind` finds the kind.
    `names_from="folders"`: take sub-folders as names (`FolderSource`, `ZipSource`, `ListSource` and
    `PiecesSource` say which); a list's column `name` is always taken.
    Raises InputError for a location that is missing, empty or something else, DataError for a zip or list
    that is broken, MissingExtra for a Parquet list without pyarrow.
    """
    check_names_from(names_from)
    reading = reading or Reading()
    path = _absolute(location)
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            return _cut(_open_folder(path, names_from, reading), reading)
        if not stat.S_ISREG(status.st_mode):
            raise InputError(f"source must be {_ACCEPTED}; {shown(path)} is {special(status.st_mode)}.")
        with open(path, "rb") as file:
            head = file.read(64)
    except OSError as e:
        raise InputError(f"source must be {_ACCEPTED}; {shown(path)}: {explain(e)[1]}.") from e
    return _open_file(path, head, status.st_size, names_from, reading)


def detected_kind(location: str | os.PathLike[str]) -> Kind:
    """The kind of what lies at `location`, by the endings of its files and the columns of its tables.

    Images where nothing says otherwise; InputError for a folder or zip of several kinds.
    """
    path = _absolute(location)
    if os.path.isfile(path):
        if path.lower().endswith(_TABLES):
            return table_kind(path) or kind_of_path(path) or _kind_of_listed(path)
        if _ending(path) != ".zip":
            return kind_of_path(path) or "image"
    paths = [entry.path for entry in open_source(path).scan() if isinstance(entry, Found)]
    tables = [one for one in paths if one.lower().endswith(_TABLES)]
    if os.path.isdir(path) and not any(kind_of_path(one) for one in set(paths).difference(tables)):
        return next((kind for one in tables if (kind := table_kind(one) or kind_of_path(one))), "image")
    return main_kind(paths, path)


def _kind_of_listed(path: str) -> Kind:
    """The kind of the files on a list; InputError for a table that is none and says nothing else either."""
    packed = path.lower().endswith(".gz")  # no list then
    listed = [] if packed else [(entry.path, isinstance(entry, Found)) for entry in open_source(path).scan()]
    if not lists_paths(path) and not any(there or kind_of_path(one) for one, there in listed):
        raise InputError(
            f"{shown(path)} lists no file that is there, and no column says what it holds ({columns(path)}): "
            "for texts name theirs (--kind text --read column=NAME), for a series a row say --kind series."
        )
    return main_kind((one for one, _ in listed), path)


def files_source(paths: Iterable[str | os.PathLike[str]], reading: Reading | None = None) -> Source:
    """The items in the files named by `paths`. One that is missing or of no use is Refused, not raised."""
    names: dict[str, str | None] = {os.path.abspath(os.fsdecode(path)): None for path in paths}
    if not names:
        raise InputError("paths must name at least one file; got none.")
    reading = reading or Reading()
    return _cut(ListSource(names, kind="files", check_head=_HEADS[reading.kind]), reading)


def _absolute(location: str | os.PathLike[str]) -> str:
    path = os.fsdecode(location)
    if not path or "\0" in path:
        raise InputError(f"source must be {_ACCEPTED}; got {shown(path) or 'an empty path'}.")
    return os.path.abspath(path)


def _open_folder(path: str, names_from: NamesFrom, reading: Reading) -> Source:
    if os.path.exists(os.path.join(path, "catalogue.db")):
        raise InputError(f"source must be {_ACCEPTED}; {shown(path)} is a pile: open it instead.")
    with os.scandir(path) as entries:
        if next(entries, None) is None:
            raise InputError(f"source must hold {KINDS[reading.kind]}; the folder {shown(path)} is empty.")
    return FolderSource(path, names_from, _HEADS[reading.kind])


def _open_file(path: str, head: bytes, size: int, names_from: NamesFrom, reading: Reading) -> Source:
    what, check_head = KINDS[reading.kind], _HEADS[reading.kind]
    if size == 0:
        raise InputError(f"source must hold {what}; the file {shown(path)} is empty.")
    if _ending(path) == ".zip" or head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        source: Source = ZipSource(path, names_from, check_head)
    elif head.startswith(b"PAR1") or _ending(path) in _LISTS:
        if reading.kind in ("series", "text") and not lists_paths(path):
            return _cut(ListSource({path: None}, path, names_from, "files", check_head), reading)
        if size > READ_LIMIT:
            raise InputError(f"a list must have at most {READ_LIMIT // 2**20} MiB; split {shown(path)}.")
        read = read_csv if _ending(path) == ".csv" and not head.startswith(b"PAR1") else read_parquet
        source = ListSource(read(path), path, names_from, check_head=check_head)
    elif reading.kind != "image":
        return _cut(ListSource({path: None}, path, names_from, "files", check_head), reading)
    else:
        looks = f"a {known} image" if (known := image_format(head)) else kind_of_file(head)
        raise InputError(f"source must be {_ACCEPTED}; the file {shown(path)} looks like {looks}.")
    if next(source.scan(), None) is None:
        raise InputError(f"source must hold {what}; {shown(path)} lists no file.")
    return _cut(source, reading)


def _cut(source: Source, reading: Reading) -> Source:
    """`source` with its files as items, or the items inside them where the reading says so."""
    cuts = reading.kind in ("series", "text") or reading.cut is not None or reading.channels == "each"
    return PiecesSource(source, reading, reading.kind == "text" and reading.by != "line") if cuts else source


def _ending(path: str) -> str:
    return os.path.splitext(path)[1].lower()
