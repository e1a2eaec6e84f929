"""Names as a table or JSON for other programs."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from sortal.data import shown
from sortal.errors import InputError
from sortal.whole import checked_target, write_whole

__all__ = ["FileRow", "write_names"]


@dataclass(frozen=True)
class FileRow:
    """One file of a pile, and what people said of it."""

    path: str
    group: int
    name: str | None
    none_of_these: bool


def write_names(path: Path, rows: Sequence[FileRow], history: list[dict[str, Any]]) -> None:
    """Write `rows` to a .csv, or with the history of acts to a .json; an older file is replaced whole.

    `InputError` for another ending, `StoreError` where writing fails.
    """
    if path.suffix == ".json":
        text = json.dumps({"items": [asdict(row) for row in rows], "history": history}, indent=1)
    elif path.suffix == ".csv":
        text = _as_csv(rows)
    else:
        raise InputError(f"names are exported to a .csv or .json file; got {shown(str(path))}.")
    write_whole(checked_target(path), text.encode("utf-8", "surrogateescape"))


def _as_csv(rows: Sequence[FileRow]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, [field.name for field in fields(FileRow)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return out.getvalue()
