"""Read every byte of a pile and say what is damaged."""

from collections.abc import Iterator
from pathlib import Path

from sortal.errors import StoreError
from sortal.store.catalogue import TABLES, Catalogue, row_crc
from sortal.store.columns import SegmentRow, open_segment
from sortal.store.failures import one_line
from sortal.store.records import Problem

__all__ = ["problems"]

_CATALOGUE = "catalogue.db"
_WITHOUT_GAPS = ("items", "journal")  # nothing is ever deleted from these
_SHOWN = 20  # of the problems of one table


def problems(catalogue: Catalogue, segments: Path) -> Iterator[Problem]:
    """Structure, row checksums, references, and all blocks of all segments.

    A bad check does not hide the others.
    """
    for check in (_structure, _references, _gaps):
        yield from _guarded(check(catalogue))
    for table in TABLES:
        yield from _guarded(_damaged_rows(catalogue, table))
    yield from _guarded(_damaged_segments(catalogue, segments))


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
        if row_crc(row[:-1]) != row[-1]:
            bad += 1
            if bad <= _SHOWN:
                yield Problem(_CATALOGUE, f"row {one_line(ascii(row[0]), 60)} of table {table} is damaged")
    if bad > _SHOWN:
        yield Problem(_CATALOGUE, f"{bad} rows of table {table} are damaged")


def _damaged_segments(catalogue: Catalogue, folder: Path) -> Iterator[Problem]:
    for (id,) in catalogue.read("SELECT id FROM segments ORDER BY id"):
        for row in catalogue.read("SELECT * FROM segments WHERE id = ?", (id,)):
            yield from _segment(catalogue, folder, row[:-1])


def _segment(catalogue: Catalogue, folder: Path, row: tuple[object, ...]) -> Iterator[Problem]:
    name = f"segments/{one_line(str(row[3]))}"
    try:
        segment = open_segment(folder, SegmentRow(row))
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
