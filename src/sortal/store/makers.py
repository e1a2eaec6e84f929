"""Rows of the catalogue as records.

Each function takes a row's values and raises KeyError, TypeError or ValueError where they are not what Sortal
writes: the checksum of a stranger's row may be right.
"""

import json
import os
from typing import Any

from sortal.data import Reading
from sortal.store.records import EncoderRow, Grouping, QuarantineRow, RunRow, SourceRow

__all__ = [
    "current_grouping",
    "encoder_row",
    "grouping",
    "json_object",
    "quarantine_row",
    "reading",
    "run_row",
    "source_row",
]

# Of each number of groups that was weighed.
_MEASURES = ("n_clusters", "modularity", "silhouette", "eigengap")


def source_row(id: int, location: bytes, kind: str, names_from: str | None, added: str) -> SourceRow:
    return SourceRow(id, os.fsdecode(location), kind, names_from, added)


def quarantine_row(
    source: int,
    path: bytes,
    kind: str,
    reason: str,
    size: int | None,
    mtime_ns: Any,
    ctime_ns: Any,
    since: str,
) -> QuarantineRow:
    stamp = None if size is None else (size, mtime_ns, ctime_ns)
    return QuarantineRow(source, os.fsdecode(path), kind, reason, stamp, since)


def encoder_row(id: int, name: str, digest: str, dim: int, spec: str) -> EncoderRow:
    return EncoderRow(id, name, digest, dim, json_object(spec))


def run_row(
    id: int,
    command: str,
    parameters: str,
    versions: str,
    started: str,
    ended: str | None,
    outcome: str | None,
) -> RunRow:
    return RunRow(id, command, json_object(parameters), json_object(versions), started, ended, outcome)


def grouping(
    id: int, encoder: int, method: str, parameters: str, seed: int, evidence: str, created: str, run: int
) -> Grouping:
    made, found = json_object(parameters), json_object(evidence)
    if not (made["k"] == "auto" or type(made["k"]) is int):
        raise ValueError("k is neither a number nor auto")
    if not isinstance(made.get("params", {}), dict) or not isinstance(found.get("suggestion", {}), dict):
        raise TypeError("parameters and suggestion are no JSON objects")
    for row in found["candidates"]:
        if not all(isinstance(row[measure], int | float) for measure in _MEASURES):
            raise ValueError("a measure is no number")
    return Grouping(id, encoder, method, made, seed, found, created, run)


def reading(key: str, value: str) -> Reading:
    return Reading.from_json(json_object(value))


def current_grouping(key: str, value: str) -> int:
    return int(value)


def json_object(text: str) -> dict[str, Any]:
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError("no JSON object")
    return value
