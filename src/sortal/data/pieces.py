"""A file of many items is a folder of small files: `file.ts#17` is read like one of them."""

import os
import threading
from collections import Counter, OrderedDict
from collections.abc import Iterator
from typing import Literal

from sortal.data.kinds import Reading
from sortal.data.series import series_pieces
from sortal.data.sound import sound_pieces
from sortal.data.source import Found, NamesFrom, Refused, Source
from sortal.data.text import decode_text, text_pieces, unpacked
from sortal.errors import Unreadable

__all__ = ["PiecesSource"]

_CACHE_BYTES = 256 << 20

# path -> the item's bytes in its kind's own form, or why there are none; and the name its file gives it
_Pieces = dict[str, tuple["bytes | Unreadable", str | None]]


class PiecesSource:
    """The items inside the files of `base`; its scan reads those files.

    An item's path is its file's, "#", and where it stands there (see design note 0008); its bytes are a WAV
    of 16 bits, an NPY file or UTF-8. `notes` are lines for a person on what was found so far.
    """

    def __init__(self, base: Source, reading: Reading, whole: bool) -> None:
        self.base, self.reading = base, reading
        self._whole = whole  # texts: a file is one item, only its encoding is changed
        self._lock = threading.Lock()
        self._cache: OrderedDict[str, _Pieces] = OrderedDict()
        self._remarks: dict[str, str | None] = {}  # by file, on how it was read

    @property
    def location(self) -> str:
        return self.base.location

    @property
    def kind(self) -> Literal["folder", "zip", "list", "files"]:
        return self.base.kind

    @property
    def names_from(self) -> NamesFrom:
        return self.base.names_from

    @property
    def notes(self) -> list[str]:
        counts = Counter(remark for remark in self._remarks.values() if remark)
        return [f"{remark}: {n:,} file{'' if n == 1 else 's'}" for remark, n in counts.most_common()]

    def scan(self) -> Iterator[Found | Refused]:
        for entry in self.base.scan():
            if isinstance(entry, Refused) or (self._whole and not _splits(entry.path)):
                yield entry
                continue
            try:
                pieces = self._pieces(entry.path)
            except Unreadable as e:
                yield Refused(entry.path, e.kind, str(e), entry.stamp)
                continue
            own = entry.name or (_stem(entry.path) if self.names_from and len(pieces) > 1 else None)
            for path, (content, name) in pieces.items():
                if isinstance(content, Unreadable):
                    yield Refused(path, content.kind, str(content), entry.stamp)
                else:
                    yield Found(path, entry.stamp, name or own)

    def read(self, path: str) -> bytes:
        file, mark, _ = path.rpartition("#")
        if self._whole and not (mark and _splits(file)):
            return self._as_utf8(path)
        found = self._pieces(file).get(path)
        if found is None:
            raise Unreadable("changed", "the file does not hold this item any more; run again")
        if isinstance(found[0], Unreadable):
            raise found[0]
        return found[0]

    def _as_utf8(self, path: str) -> bytes:
        text, encoding = decode_text(unpacked(self.base.read(path)))
        self._remarks[path] = _remark(encoding)
        return text.encode()

    def _pieces(self, path: str) -> _Pieces:
        with self._lock:  # a second thread that wants the same file waits for it
            if path in self._cache:
                self._cache.move_to_end(path)
                return self._cache[path]
            found = {f"{path}#{where}": piece for where, *piece in self._split(path)}
            self._cache[path] = found  # type: ignore[assignment]
            while len(self._cache) > 1 and sum(map(_size, self._cache.values())) > _CACHE_BYTES:
                self._cache.popitem(last=False)
            return self._cache[path]

    def _split(self, path: str) -> Iterator[tuple[str, "bytes | Unreadable", str | None]]:
        content, reading = self.base.read(path), self.reading
        if reading.kind == "sound":
            cuts = sound_pieces(content, reading.cut, reading.channels)
            yield from ((where, piece, None) for where, piece in cuts)
        elif reading.kind == "series":
            names = self.names_from is not None
            series, self._remarks[path] = series_pieces(path, unpacked(content), reading.missing)
            for where, one, name in series:
                yield where, one, name if names or not _is_labelled(path) else None
        else:
            texts, encoding = text_pieces(path, unpacked(content), reading.column)
            self._remarks[path] = _remark(encoding)
            for where, text, name in texts:
                yield where, text if isinstance(text, Unreadable) else text.encode(), name


def _remark(encoding: str) -> str | None:
    return None if encoding in ("utf-8", "ascii") else f"read as {encoding}"


def _splits(path: str) -> bool:
    """Whether a text file holds many items whatever is said."""
    return path.lower().removesuffix(".gz").endswith((".csv", ".tsv", ".jsonl", ".conllu"))


def _is_labelled(path: str) -> bool:
    """A class label is an answer, taken only where it is asked for; a column `name` is a person's word."""
    return path.lower().removesuffix(".gz").endswith(".ts")


def _stem(path: str) -> str | None:
    return os.path.basename(path).partition(".")[0] or None


def _size(pieces: _Pieces) -> int:
    return sum(len(content) + 100 for content, _ in pieces.values() if isinstance(content, bytes))
