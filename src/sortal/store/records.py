"""What goes into a pile and comes out of it, as plain records."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "Batch", "EncoderRow", "FileRow", "Grouping", "ItemFile", "NewFile", "NewItem", "NewQuarantine",
    "NewVectors", "Problem", "QuarantineRow", "RunRow", "SourceRow", "Stamp",
]  # fmt: skip

Stamp = tuple[int, int, int]  # size, mtime_ns, ctime_ns


@dataclass(frozen=True, slots=True)
class SourceRow:
    """Where items come from."""

    id: int
    location: str
    kind: str
    names_from: str | None
    added: str


@dataclass(frozen=True, slots=True)
class FileRow:
    """What the last scan saw of one file, and the item that its content is."""

    stamp: Stamp
    item: int


@dataclass(frozen=True, slots=True)
class ItemFile:
    """The first file of an item: enough to read it again, and to see that it is still the same."""

    item: int
    source: int
    path: str
    digest: bytes  # SHA-256 of its content when it was read


@dataclass(frozen=True, slots=True)
class QuarantineRow:
    """One file that could not be read, and why; `since` is when it was first seen so."""

    source: int
    path: str
    kind: str
    reason: str
    stamp: Stamp | None
    since: str


@dataclass(frozen=True, slots=True)
class NewItem:
    """digest: the 32 bytes of the content's SHA-256. n_bytes: of the file."""

    digest: bytes
    n_bytes: int


@dataclass(frozen=True, slots=True)
class NewFile:
    """digest: of an item in the same batch or already in the pile."""

    path: str
    stamp: Stamp
    digest: bytes


@dataclass(frozen=True, slots=True)
class NewQuarantine:
    """A file that cannot be read; a stamp of None means that it is tried again every time."""

    path: str
    kind: str
    reason: str
    stamp: Stamp | None


@dataclass(frozen=True, slots=True)
class NewVectors:
    """array: float32 (len(digests), dim of the encoder), row i of the item digests[i]."""

    encoder: int
    digests: Sequence[bytes]
    array: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Batch:
    """What one commit brings, all or nothing."""

    source: int
    items: Sequence[NewItem] = ()
    files: Sequence[NewFile] = ()
    quarantine: Sequence[NewQuarantine] = ()
    vectors: NewVectors | None = None


@dataclass(frozen=True, slots=True)
class EncoderRow:
    """`digest` names the weights; `spec` is what makes the encoder again."""

    id: int
    name: str
    digest: str
    dim: int
    spec: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Grouping:
    """How a grouping was made; its columns are `labels` and `points`, owned by `id`."""

    id: int
    encoder: int
    method: str
    parameters: dict[str, Any]
    seed: int
    evidence: Any
    created: str
    run: int


@dataclass(frozen=True, slots=True)
class RunRow:
    """outcome: done, failed, interrupted; None while it goes on."""

    id: int
    command: str
    parameters: dict[str, Any]
    versions: dict[str, str]
    started: str
    ended: str | None
    outcome: str | None


@dataclass(frozen=True, slots=True)
class Problem:
    """Something damaged: the file, relative to the pile, and what is wrong with it."""

    file: str
    what: str
