"""A folder of files, nested, links followed."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from sortal.data.reading import read_file
from sortal.data.signature import refuse_other_than_image
from sortal.data.source import Found, HeadCheck, NamesFrom, Refused, explain, judge, may_read, refusal
from sortal.errors import InputError

__all__ = ["FolderSource"]


@dataclass(frozen=True)
class FolderSource:
    """All files below `location`.

    A linked folder is read once: a link back to a folder that is being read is a "link loop", a second
    link to the same folder is "linked twice"; both are Refused. Piles and model folders below it are passed
    over, whatever they are called: they hold files of their own.
    With `names_from="folders"` an item is named after its first folder below the location, as in
    torchvision's ImageFolder; one that lies directly in it has no name.
    """

    location: str
    names_from: NamesFrom = None
    check_head: HeadCheck = refuse_other_than_image
    kind: Literal["folder"] = "folder"

    def scan(self) -> Iterator[Found | Refused]:
        root = _Folder(self.location, os.path.realpath(self.location), None, None, False)
        try:
            todo = [iter(self._children(root))]
        except OSError as e:
            raise InputError(f"source must be a folder that can be listed; {explain(e)[1]}.") from e
        links_read: set[str] = set()
        while todo:  # no recursion: a stranger's folder may be deeper than Python's stack
            child = next(todo[-1], None)
            if child is None:
                todo.pop()
            elif not isinstance(child, _Folder):
                yield child
            elif child.linked and (refused := _refuse_link(child, links_read)):
                yield refused
            else:
                try:
                    todo.append(iter(self._children(child)))
                except OSError as e:
                    yield refusal(child.path, e)

    def read(self, path: str) -> bytes:
        return read_file(path, self.check_head)

    def _children(self, folder: "_Folder") -> "list[Found | Refused | _Folder]":
        with os.scandir(folder.path) as entries:
            listed = list(entries)
        if folder.above is not None and _is_ours({entry.name for entry in listed}):
            return []
        children = [self._child(entry, folder) for entry in listed]
        children.sort(key=_order)
        return children

    def _child(self, entry: "os.DirEntry[str]", folder: "_Folder") -> "Found | Refused | _Folder":
        try:
            status = entry.stat()  # the one system call a file costs
        except OSError as e:
            return refusal(entry.path, e)
        if not stat.S_ISDIR(status.st_mode):
            return judge(entry.path, status, folder.name)
        if not may_read(entry.path, status.st_mode, os.R_OK | os.X_OK):
            return Refused(entry.path, "permission", "no permission to list the folder", None)
        linked = entry.is_symlink()
        real = os.path.realpath(entry.path) if linked else os.path.join(folder.real, entry.name)
        name = entry.name if self.names_from and folder.above is None else folder.name
        return _Folder(entry.path, real, name, folder, linked)


@dataclass(frozen=True, slots=True)
class _Folder:
    path: str
    real: str  # where it lies once every link is followed
    name: str | None
    above: "_Folder | None"
    linked: bool


def _refuse_link(folder: _Folder, links_read: set[str]) -> Refused | None:
    """A reason not to enter a linked folder. `links_read` holds the targets of links entered so far.

    "Twice" is not only tidiness: n folders that all link to each other have n! paths and no loop.
    """
    above = folder.above
    while above is not None:
        if os.path.commonpath([folder.real, above.real]) == folder.real:
            return Refused(folder.path, "link loop", "the link leads back to a folder being read", None)
        above = above.above
    if folder.real in links_read:
        return Refused(folder.path, "linked twice", "another link to this folder is read already", None)
    links_read.add(folder.real)
    return None


def _order(child: Found | Refused | _Folder) -> bytes:
    """Sorting by this, folder by folder, sorts the whole scan by path."""
    return os.fsencode(child.path) + (b"/" if isinstance(child, _Folder) else b"")


def _is_ours(names: set[str]) -> bool:
    """Whether a folder that holds these is a pile or a model; left among images it is no source of them."""
    return {"catalogue.db", "segments"} <= names or {"config.json", "MANIFEST.sha256"} <= names
