"""Read every byte of a pile and say what is damaged."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sortal.errors import StoreError
from sortal.store import makers
from sortal.store.catalogue import TABLES, Catalogue, is_sound, made
from sortal.store.columns import SegmentRow, open_segment
from sortal.store.failures import one_line, reported
from sortal.store.journal import act_row
from sortal.store.records import Problem
from sortal.store.segments import open_plain

__all__ = ["problems"]

_CATALOGUE = "catalogue.db"
_WITHOUT_GAPS = ("items", "journal")  # nothing is ever deleted from these
_SHOWN = 20  # of the problems of one table
_MAKERS: dict[str, Callable[..., Any]] = {
    "sources": makers.source_row,
    "quarantine": makers.quarantine_row,
    "encoders": makers.encoder_row,
    "runs": makers.run_row,
    "groupings": makers.grouping,
    "journal": act_row,
}


def problems(catalogue: Catalogue, pile: Path) -> Iterator[Problem]:
    """Structure, row checksums, references, all blocks of all segments, and the networks.

    A bad check does not hide the others.
    """
    for check in (_structure, _references, _gaps):
        yield from _guarded(check(catalogue))
    for table in TABLES:
        yield from _guarded(_damaged_rows(catalogue, table))
    yield from _guarded(_nonsense(catalogue))
    yield from _guarded(_damaged_segments(catalogue, pile / "segments"))
    yield from _guarded(_damaged_networks(pile / "models"))


def _guarded(found: Iterator[Problem]) -> Iterator[Problem]:
    try:
        yield from found
    except StoreError as e:
        yield Problem(_CATALOGUE, str(e))


def _structure(catalogue: Catalogue) -> Iterator[Problem]:
    for (line,) in catalogue.read(f"PRAGMA integrity_check({_SHOWN})"):
        if line != "ok":
            yield Problem(_CATALOGUE, one_line(line))


def _references(catalogue: Catalogue) -> Iterator[Problem]:
    for table, _, parent, _ in catalogue.read("PRAGMA foreign_key_check")[:_SHOWN]:
        yield Problem(_CATALOGUE, f"a row of {table} refers to a row of {parent} that is not there")


def _gaps(catalogue: Catalogue) -> Iterator[Problem]:
    for table in _WITHOUT_GAPS:
        n_rows, last = catalogue.read(f"SELECT count(*), coalesce(max(id), 0) FROM {table}")[0]  # noqa: S608
        if n_rows != last:
            yield Problem(_CATALOGUE, f"table {table} has {n_rows} rows and its last is number {last}")


def _damaged_rows(catalogue: Catalogue, table: str) -> Iterator[Problem]:
    bad = 0
    for row in catalogue.each(f"SELECT * FROM {table}"):  # noqa: S608
        if not is_sound(table, row):
            bad += 1
            if bad <= _SHOWN:
                yield Problem(_CATALOGUE, f"row {one_line(ascii(row[0]), 60)} of table {table} is damaged")
    if bad > _SHOWN:
        yield Problem(_CATALOGUE, f"{bad} rows of table {table} are damaged")


def _nonsense(catalogue: Catalogue) -> Iterator[Problem]:
    """Rows whose checksum is right and whose content is not what a pile holds."""
    catalogue.records("meta", makers.current_grouping, "WHERE key = 'grouping'")
    catalogue.records("meta", makers.reading, "WHERE key = 'reading'")
    for table, make in _MAKERS.items():
        for row in catalogue.each(f"SELECT * FROM {table}"):  # noqa: S608
            if is_sound(table, row):
                yield from _made(catalogue, table, make, row[:-1])


def _made(
    catalogue: Catalogue, table: str, make: Callable[..., Any], row: tuple[Any, ...]
) -> Iterator[Problem]:
    try:
        made(catalogue.path, table, make, row)
    except StoreError as e:
        yield Problem(_CATALOGUE, str(e))


def _damaged_networks(folder: Path) -> Iterator[Problem]:
    for path in sorted(folder.glob("*.onnx")):
        name = f"models/{one_line(path.name)}"
        try:
            with reported(path), open_plain(path) as file:
                sound = hashlib.file_digest(file, "sha256").hexdigest() == path.stem
        except StoreError as e:
            yield Problem(name, str(e))
        else:
            if not sound:
                yield Problem(name, "damaged: its SHA-256 is not its name")


def _damaged_segments(catalogue: Catalogue, folder: Path) -> Iterator[Problem]:
    for (id,) in catalogue.read("SELECT id FROM segments ORDER BY id"):
        for row in catalogue.read("SELECT * FROM segments WHERE id = ?", (id,)):
            yield from _segment(catalogue, folder, row[:-1])


def _segment(catalogue: Catalogue, folder: Path, row: tuple[Any, ...]) -> Iterator[Problem]:
    name = f"segments/{one_line(str(row[3]))}"
    try:
        segment = open_segment(folder, made(catalogue.path, "segments", SegmentRow, row))
        bad = segment.verify()
    except FileNotFoundError:
        # A run that goes on meanwhile may have compacted it away.
        if catalogue.read("SELECT 1 FROM segments WHERE id = ?", (row[0],)):
            yield Problem(name, "missing")
    except StoreError as e:
        yield Problem(name, str(e))
    else:
        if bad:
            yield Problem(name, f"{len(bad)} of its blocks are damaged, the first is number {bad[0]}")
