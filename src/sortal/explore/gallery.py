"""Groups as an HTML fragment for notebooks."""

import base64
from html import escape

from sortal.explore.groups import GroupShape
from sortal.explore.names import GroupName, name_groups
from sortal.explore.records import shorten
from sortal.explore.report import Report

__all__ = ["gallery"]

MOST_GROUPS = 60
MOST_BYTES = 700_000  # of thumbnails in base64: notebooks keep every output in their file
TILE = "width:44px;height:44px;object-fit:contain;border-radius:2px;margin:0 3px 3px 0"
BLANK = "display:inline-block;background:rgba(128,128,128,.18)"
FAINT = "opacity:.62;font-size:12px"
RULE = "border:0;border-top:1px solid rgba(128,128,128,.3)"


def gallery(report: Report) -> str:
    """The groups of `report` with their typical members: inline styles only, under 1 MB, all text escaped.

    The first 60 groups are shown, each with up to 10 thumbnails and 3 of its least typical members;
    thumbnails are taken round by round, until 700 kB of them are in.
    """
    groups = sorted(report.groups, key=lambda g: g.number)
    names = {g.number: g for g in name_groups(report.names, report.labels, report.none)}
    pictures = _within_budget(report, groups[:MOST_GROUPS])
    rows = "".join(_row(report, g, names[g.number], pictures) for g in groups[:MOST_GROUPS])
    more = len(groups) - MOST_GROUPS
    note = f'<div style="{FAINT}">and {more:,} more groups</div>' if more > 0 else ""
    return (
        '<div style="font-family:system-ui,sans-serif;max-width:980px;font-variant-numeric:tabular-nums">'
        f'<div style="font-size:17px">{_text(report.title)}</div>'
        f'<div style="{FAINT};margin-bottom:6px">{_summary(report)}</div>{rows}{note}</div>'
    )


def _row(report: Report, shape: GroupShape, name: GroupName, pictures: dict[int, str]) -> str:
    unnamed = "<i>none of these</i>" if name.none == shape.size else "<i>unnamed</i>"
    title = unnamed if name.name is None else _text(name.name)
    typical = "".join(_tile(report, p, pictures) for p in shape.typical[:10])
    odd = "".join(_tile(report, p, pictures) for p in shape.outliers[:3])
    apart = (
        f'<div style="margin-left:14px;padding-left:14px;border-left:1px dashed gray">{odd}</div>'
        if odd
        else ""
    )
    return (
        f'<div style="{RULE};display:flex;padding:6px 0;align-items:flex-start">'
        f'<div style="flex:0 0 170px;margin-right:12px;overflow-wrap:anywhere">{shape.number} &ensp;{title}'
        f'<div style="{FAINT}">{shape.size:,} members, tightness {shape.tightness:.2f}</div>'
        f"{_keywords(report, shape)}</div>"
        f"<div>{typical}</div>{apart}</div>"
    )


def _keywords(report: Report, shape: GroupShape) -> str:
    """Of texts: what stands for their pictures."""
    words = report.keywords.get(shape.number)
    return f"<div>{_text(words)}</div>" if words else ""


def _tile(report: Report, position: int, pictures: dict[int, str]) -> str:
    text = _text(report.paths[position])
    if position not in pictures:
        return f'<span title="{text}" style="{TILE};{BLANK}"></span>'
    return (
        f'<img alt="{text}" title="{text}" style="{TILE}" src="data:image/jpeg;base64,{pictures[position]}">'
    )


def _within_budget(report: Report, groups: list[GroupShape]) -> dict[int, str]:
    pictures: dict[int, str] = {}
    spent = 0
    lists = [g.typical[:10] + g.outliers[:3] for g in groups]
    for position in (positions[i] for i in range(13) for positions in lists if i < len(positions)):
        jpeg = report.thumbnails.get(position)
        if jpeg is None or spent + len(jpeg) * 4 // 3 + 4 > MOST_BYTES:
            continue
        pictures[position] = base64.b64encode(jpeg).decode("ascii")
        spent += len(pictures[position])
    return pictures


def _summary(report: Report) -> str:
    refused = f"; {len(report.quarantine):,} files could not be read" if report.quarantine else ""
    return f"{len(report.paths):,} items in {len(report.groups):,} groups{refused}"


def _text(text: str) -> str:
    """Escaped, short, and encodable: paths may hold bytes that are no UTF-8."""
    return escape(shorten(text, 120).encode("utf-8", "replace").decode("utf-8"))
