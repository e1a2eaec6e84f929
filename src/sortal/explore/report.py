"""One page about one pile: a single file that asks nothing of any network."""

import base64
import hashlib
import html
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from sortal.errors import InputError
from sortal.explore.groups import GroupShape
from sortal.explore.map import MapView
from sortal.explore.names import GroupName, name_groups
from sortal.explore.neighbors import Outlier
from sortal.explore.records import as_json, json_for_html, shorten
from sortal.whole import checked_target, write_whole

if TYPE_CHECKING:
    from sortal.cluster import Agreement

__all__ = [
    "Candidates",
    "Fact",
    "Refusal",
    "Report",
    "command_to_name",
    "page_data",
    "thumbnail_positions",
    "write_report",
]

REFUSALS_SHOWN = 200  # per kind: a page with 50,000 rows helps nobody, the command line lists them all


@dataclass(frozen=True)
class Fact:
    """One line of how the groups were made, such as ("encoder", "hog, 1,024 numbers")."""

    label: str
    value: str


@dataclass(frozen=True)
class Candidates:
    """Numbers of groups that were considered, with their evidence."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str | int | float | None, ...], ...]
    #: the row that was taken, or None where a person gave the number
    chosen: int | None = None
    note: str = ""


@dataclass(frozen=True)
class Refusal:
    """A file that could not be read: a short stable word and the reason in full."""

    path: str
    kind: str
    reason: str


@dataclass(frozen=True)
class Report:
    """All that the page and the notebook show. Positions are 0..n-1 in the pile's order."""

    title: str
    #: the pile's path, as the commands on the page should name it
    pile: str
    #: one path, one name or None, and one group number (-1: left out) per item
    paths: Sequence[str]
    names: Sequence[str | None]
    labels: np.ndarray
    groups: Sequence[GroupShape]
    #: bool per item: marked "none of these"
    none: np.ndarray | None = None
    map: MapView | None = None
    #: JPEG bytes by position; whatever is missing shows as an empty tile
    thumbnails: Mapping[int, bytes] = field(default_factory=dict)
    #: what texts begin with, and sounds as WAV, by position
    texts: Mapping[int, str] = field(default_factory=dict)
    sounds: Mapping[int, bytes] = field(default_factory=dict)
    #: by group number: the words that set its texts apart
    keywords: Mapping[int, str] = field(default_factory=dict)
    outliers: Sequence[Outlier] = ()
    quarantine: Sequence[Refusal] = ()
    facts: Sequence[Fact] = ()
    candidates: Candidates | None = None
    agreement: "Agreement | None" = None

    def __post_init__(self) -> None:
        if not len(self.paths) == len(self.names) == len(self.labels):
            raise InputError(
                "a report needs one path, one name (or None) and one label per item; "
                f"got {len(self.paths)}, {len(self.names)} and {len(self.labels)}."
            )


def thumbnail_positions(
    groups: Sequence[GroupShape], view: MapView | None, outliers: Sequence[Outlier] = (), *, most: int = 1_200
) -> list[int]:
    """Which items deserve a thumbnail, the most telling first, `most` at most.

    The members every group shows (round by round, so that many groups share the budget), the pile's
    outliers, then points spread evenly over the map. At 96 pixels a JPEG takes some 2 to 3 kB, so the page
    stays near 4 MB.
    """
    lists = [list(dict.fromkeys(g.typical + g.outliers + g.varied)) for g in groups]
    longest = max(map(len, lists), default=0)
    wanted = [positions[i] for i in range(longest) for positions in lists if i < len(positions)]
    wanted += [outlier.position for outlier in outliers]
    spare = max(0, most - len(set(wanted)))
    if view is not None and spare and len(view.positions):
        # Row order is the pile's order, often one folder after the other; along a curve through the map
        # the points are spread evenly over the picture.
        order = np.lexsort((view.xy[:, 1], (view.xy[:, 0] * 12).round()))
        even = np.linspace(0, len(order) - 1, min(spare, len(order))).astype(np.int64)
        wanted += view.positions[order[even]].tolist()
    return list(dict.fromkeys(wanted))[:most]


def page_data(report: Report) -> dict[str, Any]:
    """The page's content as plain JSON values: exactly what `write_report` embeds.

    Only items that the page shows are in it, texts are shortened to 200 characters and each kind of refusal
    to 200 files, so its size does not grow with the pile: about 50 bytes and a path per point on the map,
    and 4/3 of the thumbnails.
    """
    named = {g.number: g for g in name_groups(report.names, report.labels, report.none)}
    shown = _positions_shown(report)
    names = [report.names[p] for p in shown]
    vocabulary = {name: i for i, name in enumerate(dict.fromkeys(n for n in names if n is not None))}
    labels = np.asarray(report.labels)
    return {
        "format": 1,
        "title": shorten(report.title),
        "totals": {
            "items": len(report.paths),
            "left_out": int((labels < 0).sum()),
            "refused": len(report.quarantine),
        },
        "groups": [
            as_json(shape)
            | _naming(named[shape.number], report.pile)
            | {"keywords": shorten(report.keywords.get(shape.number, ""))}
            for shape in sorted(report.groups, key=lambda g: g.number)
        ],
        "items": {
            "positions": shown,
            "paths": [shorten(report.paths[p]) for p in shown],
            "groups": labels[shown].tolist() if shown else [],
            "names": [None if name is None else vocabulary[name] for name in names],
        },
        "vocabulary": [shorten(name) for name in vocabulary],
        "map": None if report.map is None else _map(report.map),
        "outliers": as_json(tuple(report.outliers)),
        "quarantine": _by_kind(report.quarantine),
        "facts": as_json(tuple(report.facts)),
        "candidates": None if report.candidates is None else as_json(report.candidates),
        "agreement": None if report.agreement is None else as_json(report.agreement),
        "thumbnails": _in_base64(report.thumbnails, shown),
        "sounds": _in_base64(report.sounds, shown),
        "texts": {str(p): shorten(report.texts[p]) for p in shown if p in report.texts},
    }


def write_report(path: str | os.PathLike[str], report: Report) -> None:
    """Write `report` as one self-contained HTML file, whole or not at all; an older one is replaced.

    `InputError` where the folder is missing or `path` is a folder, `StoreError` where writing fails.
    """
    target = checked_target(path)
    page = _page(report).encode("utf-8", "replace")  # a title may hold bytes that are no UTF-8
    write_whole(target, page)


def command_to_name(pile: str, number: int) -> str:
    """The shell line that names group `number`, safe to paste."""
    # A path with control characters cannot be pasted whole: the reader puts it in.
    where = shlex.quote(pile) if pile.isprintable() and not pile.startswith("-") else "PILE"
    return f'sortal name {where} {number} "a name"'


def _page(report: Report) -> str:
    template = files("sortal.explore").joinpath("report.html").read_text(encoding="utf-8")
    style = template.split("<style>")[1].split("</style>")[0]
    script = template.rsplit("<script>", maxsplit=1)[1].split("</script>")[0]
    head, tail = template.split("@DATA@")
    head = head.replace("@STYLE_HASH@", _hash(style)).replace("@SCRIPT_HASH@", _hash(script))
    # Text from strangers comes last, so that nothing in it is taken for a placeholder.
    head = head.replace("@TITLE@", html.escape(shorten(report.title)))
    return head + json_for_html(page_data(report)) + tail


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"


def _positions_shown(report: Report) -> list[int]:
    shown = {p for g in report.groups for p in g.typical + g.varied + g.outliers}
    shown.update(outlier.position for outlier in report.outliers)
    if report.map is not None:
        shown.update(report.map.positions.tolist())
    return sorted(shown)


def _in_base64(found: Mapping[int, bytes], shown: Sequence[int]) -> dict[str, str]:
    return {str(p): base64.b64encode(found[p]).decode("ascii") for p in shown if p in found}


def _naming(group: GroupName, pile: str) -> dict[str, Any]:
    return {
        "name": None if group.name is None else shorten(group.name),
        "named": group.named,
        "none": group.none,
        "share": group.share,
        "conflicts": [{"name": shorten(c.name), "size": c.size} for c in group.conflicts[:8]],
        "command": command_to_name(pile, group.number),
    }


def _map(view: MapView) -> dict[str, Any]:
    x, y = view.xy.astype(np.float64).round(4).T.tolist()  # a ten-thousandth is finer than a pixel
    return {"positions": view.positions.tolist(), "x": x, "y": y}


def _by_kind(quarantine: Sequence[Refusal]) -> list[dict[str, Any]]:
    kinds: dict[str, list[Refusal]] = {}
    for refusal in quarantine:
        kinds.setdefault(refusal.kind, []).append(refusal)
    return [
        {
            "kind": shorten(kind),
            "size": len(refusals),
            "files": [
                {"path": shorten(r.path), "reason": shorten(r.reason, 400)} for r in refusals[:REFUSALS_SHOWN]
            ],
        }
        for kind, refusals in sorted(kinds.items())
    ]
