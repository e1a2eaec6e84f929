"""A page of what was measured, trained or looked at: one file, no script, asks nothing of any network."""

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files

__all__ = ["Drawing", "Picture", "Section", "Table", "page"]


@dataclass(frozen=True)
class Picture:
    """A PNG with the name of its file and the words below it, which stand for it where it is not seen."""

    file: str
    png: bytes
    caption: str
    width: int | None = None  # on the page, in CSS pixels; as large as it is if not given


@dataclass(frozen=True)
class Drawing:
    """Lines and text as the inside of an SVG, every text in it escaped, and the words below it.

    Classes s0, s1, s2 have a colour each.
    """

    inside: str
    caption: str
    size: tuple[int, int] = (520, 195)


@dataclass(frozen=True)
class Table:
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Section:
    """Paragraphs, pictures and drawings side by side, a table, in this order."""

    title: str
    text: tuple[str, ...] = ()
    pictures: tuple[Picture, ...] = ()
    table: Table | None = None
    drawings: tuple[Drawing, ...] = ()


def page(
    title: str, verdict: Sequence[str], sections: Sequence[Section], facts: Sequence[tuple[str, str]]
) -> str:
    """The page as HTML: `verdict` in large letters on top, `facts` of how it was made at the end."""
    template = files("sortal").joinpath("page.html").read_text(encoding="utf-8")
    style = template.split("<style>")[1].split("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")
    parts = {
        "@STYLE_HASH@": f"sha256-{digest}",
        "@TITLE@": escape(title),
        "@VERDICT@": "".join(f'<p class="lede">{escape(one)}</p>' for one in verdict),
        "@SECTIONS@": "\n".join(map(_section, sections)),
        "@FACTS@": "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts),
    }
    # In one pass: text from strangers may hold what looks like a placeholder.
    return re.sub("@[A-Z_]+@", lambda found: parts[found[0]], template)


def _section(one: Section) -> str:
    text = "".join(f"<p>{escape(part)}</p>" for part in one.text)
    figures = "".join([*map(_figure, one.pictures), *map(_drawn, one.drawings)])
    row = f'<div class="row">{figures}</div>' if figures else ""
    return f"<section><h2>{escape(one.title)}</h2>{text}{row}{_table(one.table)}</section>"


def _figure(one: Picture) -> str:
    data = base64.b64encode(one.png).decode("ascii")
    width = f' width="{one.width}"' if one.width else ""
    caption = escape(one.caption)
    image = f'<img src="data:image/png;base64,{data}" alt="{caption}"{width}>'
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"


def _drawn(one: Drawing) -> str:
    caption, (width, height) = escape(one.caption), one.size
    start = f'<svg viewBox="0 0 {width} {height}" width="490" role="img" aria-label="{caption}">'
    return f"<figure>{start}{one.inside}</svg><figcaption>{caption}</figcaption></figure>"


def _table(table: Table | None) -> str:
    if table is None:
        return ""
    numbers = [all(_is_number(row[i]) for row in table.rows) for i in range(len(table.columns))]
    sides = [' class="n"' if number else "" for number in numbers]
    head = "".join(f'<th scope="col"{side}>{escape(name)}</th>' for name, side in zip(table.columns, sides))
    rows = ("".join(f"<td{side}>{escape(cell)}</td>" for cell, side in zip(row, sides)) for row in table.rows)
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _is_number(cell: str) -> bool:
    return not cell or cell[0].isdigit() or cell[0] in "-+"
