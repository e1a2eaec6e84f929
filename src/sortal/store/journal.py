"""A person's acts: an append-only journal, and what the acts add up to.

    name   items         detail {"name": NAME}                     the items are called NAME
    unname items         detail {}                                 they have neither name nor mark
    none   items         detail {}                                 none of the kinds that there are
    merge                detail {"grouping": G, "groups": [a, b]}  these groups become the lowest of them
    split  items         detail {"grouping": G, "groups": [...]}   item i goes to group number groups[i]
    undo                 detail {"act": ID}                        that act does not count

Names belong to items, so they survive another grouping; merge and split belong to one grouping.
"""

import operator
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sortal.errors import InputError
from sortal.store.catalogue import Catalogue, now, to_json
from sortal.store.makers import json_object

__all__ = [
    "MARKS",
    "Act",
    "Marks",
    "act_row",
    "append_act",
    "checked_name",
    "counting",
    "effective_labels",
    "marks",
    "read_acts",
]

MAX_NAME = 200
# Controls (newline, tab), surrogates (bytes that are no UTF-8), line and paragraph separators.
_NOT_IN_NAMES = {"Cc", "Cs", "Zl", "Zp"}
_DETAIL = {
    "name": {"name"},
    "folder": {"name"},
    "unname": set(),
    "none": set(),
    "merge": {"grouping", "groups"},
    "split": {"grouping", "groups"},
    "undo": {"act"},
}
# The acts that speak of items; "folder" names what nobody has spoken of yet.
MARKS = frozenset({"name", "folder", "unname", "none"})
_WITH_ITEMS = MARKS | {"split"}


@dataclass(frozen=True, slots=True)
class Act:
    """One row of the journal. time: ISO 8601, UTC. items: int64 item ids, read-only."""

    id: int
    time: str
    kind: str
    detail: dict[str, Any]
    items: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Marks:
    """What the acts say of items: `names` item -> name, `none` the items marked "none of these"."""

    names: dict[int, str]
    none: frozenset[int]


def checked_name(name: str) -> str:
    """`name` without space around it and in Unicode form NFC, so that names that look alike are alike.

    Raises InputError: 1 to 200 characters, no control characters, line breaks or lone surrogates.
    """
    clean = unicodedata.normalize("NFC", name.strip())
    if not 1 <= len(clean) <= MAX_NAME:
        raise InputError(
            f"a name must have 1 to {MAX_NAME} characters; got {len(clean)} ({_short(clean)}): give another."
        )
    bad = next((c for c in clean if unicodedata.category(c) in _NOT_IN_NAMES), None)
    if bad is not None:
        raise InputError(
            f"a name must have no line breaks, control characters or broken UTF-8; got {_short(clean)}"
            f" with {bad!a}: leave it out."
        )
    return clean


def counting(acts: Iterable[Act]) -> list[Act]:
    """The acts that count: not undone, and no undo."""
    acts = list(acts)
    undone = {act.detail["act"] for act in acts if act.kind == "undo"}
    return [act for act in acts if act.kind != "undo" and act.id not in undone]


def marks(acts: Iterable[Act]) -> Marks:
    """Fold the acts, first to last: the last word on an item counts.

    A folder's name is no word: it stands only where no act before it spoke of the item, undone or not. So an
    act of a person that falls between the look of `organize` and its naming is not overridden.
    """
    acts = list(acts)
    names: dict[int, str] = {}
    none: set[int] = set()
    spoken_of: set[int] = set()
    count = {act.id for act in counting(acts)}
    for act in (act for act in acts if act.kind in MARKS):
        items = act.items.tolist()
        if act.kind == "folder":
            items = [item for item in items if item not in spoken_of]
        spoken_of.update(items)
        if act.id not in count:
            continue
        if act.kind in ("name", "folder"):
            names.update(dict.fromkeys(items, act.detail["name"]))
            none.difference_update(items)
        else:
            for item in items:
                names.pop(item, None)
            (none.update if act.kind == "none" else none.difference_update)(items)
    return Marks(names, frozenset(none))


def effective_labels(
    item_ids: npt.NDArray[np.int64], labels: npt.NDArray[Any], acts: Iterable[Act], grouping: int
) -> npt.NDArray[np.int32]:
    """The labels (n,) of a grouping after its merges and splits, as a copy; row i is item `item_ids[i]`.

    A split may name items that are no longer there; they are passed over.
    """
    out = np.array(labels, dtype=np.int32)
    order = np.argsort(item_ids, kind="stable")
    for act in counting(acts):
        if act.detail.get("grouping") != grouping:
            continue
        groups = np.asarray(act.detail["groups"], dtype=np.int32)
        if act.kind == "merge":
            out[np.isin(out, groups)] = groups.min()
        elif act.kind == "split" and len(order):
            found = np.searchsorted(item_ids, act.items, sorter=order)
            at = order[np.minimum(found, len(order) - 1)]
            here = item_ids[at] == act.items
            out[at[here]] = groups[here]
    return out


def read_acts(catalogue: Catalogue) -> list[Act]:
    """All acts, first to last. Raises StoreError where a row is damaged."""
    return catalogue.records("journal", act_row, "ORDER BY id")


def act_row(id: int, time: str, kind: str, detail: str, items: bytes) -> Act:
    ids = np.frombuffer(items, dtype="<i8")
    return Act(id, time, kind, _checked_detail(kind, json_object(detail), ids), ids)


def append_act(catalogue: Catalogue, kind: str, detail: Mapping[str, Any], items: Sequence[int]) -> int:
    """Check an act and append it, in one short transaction. The id of the act comes back."""
    ids = np.asarray(items, dtype=np.int64)
    detail = _checked_detail(kind, dict(detail), ids)
    with catalogue.transaction():
        _check_references(catalogue, kind, detail, ids)
        if kind == "split":
            detail["groups"] = _free_numbers(catalogue, detail)
        act = catalogue.next_id("journal")
        catalogue.insert("journal", (act, now(), kind, to_json(detail), ids.astype("<i8").tobytes()))
    return act


def _free_numbers(catalogue: Catalogue, detail: dict[str, Any]) -> list[int]:
    """The new groups' numbers, raised where another act has taken them since the caller looked."""
    wanted: list[int] = detail["groups"]
    splits = (act for act in read_acts(catalogue) if act.kind == "split")
    taken = [max(act.detail["groups"]) for act in splits if act.detail["grouping"] == detail["grouping"]]
    raised = max(0, max(taken, default=-1) + 1 - min(wanted))
    return [number + raised for number in wanted]


def _checked_detail(kind: str, detail: dict[str, Any], items: npt.NDArray[np.int64]) -> dict[str, Any]:
    if kind not in _DETAIL:
        raise InputError(f"an act is one of {', '.join(_DETAIL)}; got {_short(kind)}.")
    if set(detail) != _DETAIL[kind]:
        raise InputError(f"the detail of {kind} has {sorted(_DETAIL[kind])}; got {sorted(detail)}.")
    if (len(items) > 0) != (kind in _WITH_ITEMS):
        rule = "needs at least one item" if kind in _WITH_ITEMS else "takes no items"
        raise InputError(f"{kind} {rule}; got {len(items)}.")
    if kind in ("name", "folder"):
        detail["name"] = checked_name(detail["name"])
    elif kind in ("merge", "split"):
        detail["groups"] = _checked_groups(kind, detail["groups"], len(items))
    for number in ("grouping", "act"):
        if number in detail:
            detail[number] = operator.index(detail[number])
    return detail


def _checked_groups(kind: str, groups: Iterable[int], n_items: int) -> list[int]:
    numbers = [int(g) for g in groups]
    if any(not 0 <= g < 2**31 for g in numbers):
        raise InputError(f"group numbers are from 0 up (outliers, -1, are no group); got {min(numbers)}.")
    if kind == "merge" and len(set(numbers)) < 2:
        raise InputError(f"merge needs two or more different groups; got {numbers}.")
    if kind == "split" and len(numbers) != n_items:
        raise InputError(
            f"split needs one group number for each item; got {len(numbers)} for {n_items} items."
        )
    return numbers


def _check_references(
    catalogue: Catalogue, kind: str, detail: dict[str, Any], items: npt.NDArray[np.int64]
) -> None:
    last = catalogue.next_id("items") - 1
    if len(items) and not (items.min() >= 1 and items.max() <= last):
        raise InputError(f"items are numbered 1 to {last} in this pile; got {items.min()} to {items.max()}.")
    if "grouping" in detail and not catalogue.read(
        "SELECT 1 FROM groupings WHERE id = ?", (detail["grouping"],)
    ):
        raise InputError(
            f"{kind} names a grouping of this pile; there is no grouping {detail['grouping']!r}."
        )
    if kind == "undo":
        _check_undo(catalogue, detail["act"])


def _check_undo(catalogue: Catalogue, act: int) -> None:
    found = catalogue.read("SELECT kind FROM journal WHERE id = ?", (act,))
    if not found or found[0][0] == "undo":
        what = "that is itself an undo" if found else "there is no such act"
        raise InputError(f"undo needs the number of an act; got {act!r} ({what}): do the act again instead.")
    if catalogue.read("SELECT 1 FROM journal WHERE kind = 'undo' AND detail = ?", (to_json({"act": act}),)):
        raise InputError(f"an act can be undone once; act {act} is undone already.")


def _short(text: str) -> str:
    return ascii(text) if len(text) <= 40 else ascii(text[:40]) + "..."
