"""Lines, points and maps in a page that tell each value when it is pointed at: SVG, no script."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from sortal.page import Drawing

__all__ = ["COLORS", "Chart", "Points", "ValueMap", "drawing", "map_drawing", "points_drawing"]

# Okabe and Ito's colours, told apart by the colour-blind; dashes tell them apart in grey.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#000000")
DASHES = ("", "6 3", "2 2", "8 3 2 3", "1 3")
# Shapes do so for points: none, which is a circle, or corners as steps from the middle.
SHAPES = ((), ((-2.4, -2.4), (2.4, -2.4), (2.4, 2.4), (-2.4, 2.4)), ((0, -3.2), (3, 2.2), (-3, 2.2)),
          ((0, -3.4), (3.4, 0), (0, 3.4), (-3.4, 0)), ((0, 3.2), (3, -2.2), (-3, -2.2)))  # fmt: skip
FEW = 20  # points of a line that are drawn; more would hide its dashes
# Five of cividis (Nuñez, Anderton and Renslow 2018, doi:10.1371/journal.pone.0199239), dark to light.
CIVIDIS = np.array([(0, 34, 78), (65, 77, 107), (124, 123, 120), (188, 175, 111), (254, 232, 56)])
LEFT, RIGHT, TOP, BOTTOM = 70, 500, 14, 190
MOST_POINTS, MOST_LINES, MOST_CELLS = 80, 12, 48  # a page is read by people, and kept


@dataclass(frozen=True)
class Chart:
    """Lines over places 0, 1, ...; `names` of the places, one a point.

    Heights are logarithmic, with `log=False` from 0 to 1. `ordered` lines, such as epochs, run from dark to
    light. Of long or many lines every n-th point or line is shown.
    """

    caption: str
    lines: tuple[tuple[str, tuple[float, ...]], ...]
    names: tuple[str, ...]
    across: str
    up: str
    log: bool = True
    ordered: bool = False


@dataclass(frozen=True)
class Points:
    """Sets of complex numbers by name, with the circle of modulus 1."""

    caption: str
    sets: tuple[tuple[str, np.ndarray], ...]


@dataclass(frozen=True)
class ValueMap:
    """`values` as logarithms to base 10, a row a step of training; NaN is left out."""

    caption: str
    values: np.ndarray
    across: tuple[str, ...]
    steps: tuple[int, ...]
    of: str


def drawing(chart: Chart) -> Drawing:
    """The chart for a page. Heights that are not finite, or 0 on a logarithmic scale, are left out."""
    lines = [chart.lines[i] for i in _spread(len(chart.lines), MOST_LINES)]
    low, high = _range([y for _, line in lines for y in line if _shown(y, chart.log)], chart.log)
    marks = range(low, high + 1, max(1, (high - low) // 5)) if chart.log else (0, 0.25, 0.5, 0.75, 1)

    def height(y: float) -> float:
        return BOTTOM - (BOTTOM - TOP) * ((math.log10(y) if chart.log else y) - low) / (high - low)

    ticks = "".join(
        f'<text x="{LEFT - 6}" y="{height(at) + 4:.1f}" text-anchor="end">{word}</text>'
        f'<path d="M{LEFT} {height(at):.1f}H{RIGHT}"/>'
        for at, word in ((10.0**mark, f"1e{mark}") if chart.log else (mark, f"{mark:g}") for mark in marks)
    )
    n, drawn = len(chart.names), ""
    for i, (name, line) in enumerate(lines):
        color = _shade(0.9 * i / max(len(lines) - 1, 1)) if chart.ordered else COLORS[i % len(COLORS)]
        at = [
            (LEFT + (RIGHT - LEFT) * x / max(n - 1, 1), height(line[x]), chart.names[x], line[x])
            for x in _spread(len(line), MOST_POINTS)
            if _shown(line[x], chart.log)
        ]
        dash = "" if chart.ordered else DASHES[_other(i)]
        drawn += _line(name, at, color, dash) + _named(i, name, _stroke(i, color, dash))
    ends = (*chart.names[:1], *chart.names[-1:])
    return _labelled(ticks + drawn, chart.caption, chart.across, chart.up, ends)


def points_drawing(points: Points) -> Drawing:
    """The numbers in the complex plane for a page."""
    largest = max((float(np.abs(values).max()) for _, values in points.sets if len(values)), default=1.0)
    middle = (LEFT + RIGHT) / 2, (TOP + BOTTOM) / 2
    unit = (BOTTOM - TOP) / 2 / max(1.0, largest if math.isfinite(largest) else 1.0)
    circle = (
        f'<circle cx="{middle[0]}" cy="{middle[1]}" r="{unit:.1f}" stroke="#1f1e1b" pointer-events="none"/>'
        f'<text x="{middle[0] + unit:.1f}" y="{BOTTOM}" text-anchor="middle">modulus 1</text>'
    )
    drawn = "".join(
        _mark(
            i, middle[0] + unit * one.real, middle[1] - unit * one.imag,
            f"{escape(name)}: {one.real:.3g}{one.imag:+.3g}i, modulus {abs(one):.3g}",
        )
        for i, (name, values) in enumerate(points.sets)
        for one in values
        if np.isfinite(one)
    )  # fmt: skip
    names = "".join(
        _named(i, name, _mark(i, RIGHT + 18, TOP + 16 * i + 4, escape(name)))
        for i, (name, _) in enumerate(points.sets[:MOST_LINES])
    )
    return _labelled(drawn + circle + names, points.caption, "real part", "imaginary part")


def _mark(i: int, x: float, y: float, told: str) -> str:
    """A point of set `i` in its colour and shape."""
    color, corners = COLORS[i % len(COLORS)], SHAPES[_other(i)]
    title = f"<title>{told}</title>"
    if not corners:
        return f'<circle class="told" cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{color}">{title}</circle>'
    at = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in corners)
    return f'<polygon points="{at}" fill="{color}">{title}</polygon>'


def _other(i: int) -> int:
    """The dash or shape of the i-th: one further after each round, so that 25 are told apart."""
    return (i + i // len(COLORS)) % len(COLORS)


def map_drawing(shown: ValueMap) -> Drawing:
    """The map for a page, its first row on top; of many rows and columns every n-th."""
    rows, columns = (list(_spread(n, MOST_CELLS)) for n in shown.values.shape)
    known = shown.values[np.isfinite(shown.values)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    width, height = (RIGHT - LEFT) / len(columns), (BOTTOM - TOP) / len(rows)
    cells = "".join(
        f'<rect x="{LEFT + i * width:.1f}" y="{TOP + k * height:.1f}" width="{width + 0.3:.1f}" '
        f'height="{height + 0.3:.1f}" fill="{_shade((value - low) / max(high - low, 1e-9))}">'
        f"<title>{escape(shown.across[column])}, step {shown.steps[row]}: {10**value:.3g}</title></rect>"
        for k, row in enumerate(rows)
        for i, column in enumerate(columns)
        if math.isfinite(value := float(shown.values[row, column]))
    )
    ends = "".join(
        f'<text x="{LEFT - 6}" y="{y}" text-anchor="end">{step}</text>'
        for step, y in ((shown.steps[0], TOP + 10), (shown.steps[-1], BOTTOM))
    )
    key = "".join(
        f'<rect x="{RIGHT + 8}" y="{TOP + 20 * i}" width="12" height="12" fill="{_shade(i / 4)}"/>'
        f'<text x="{RIGHT + 26}" y="{TOP + 20 * i + 10}">{10 ** (low + (high - low) * i / 4):.1g}</text>'
        for i in range(5)
    )
    return _labelled(
        cells + ends + key, f"{shown.caption} In colour: {shown.of}.", "", "step of training",
        (shown.across[columns[0]], shown.across[columns[-1]]),
    )  # fmt: skip


def _labelled(inside: str, caption: str, across: str, up: str, ends: tuple[str, ...] = ()) -> Drawing:
    middle = (TOP + BOTTOM) // 2
    words = "".join(
        f'<text x="{x}" y="{BOTTOM + 13}" text-anchor="{anchor}">{escape(name)}</text>'
        for name, x, anchor in zip(ends, (LEFT, RIGHT), ("start", "end"))
    )
    words += (
        f'<text x="{(LEFT + RIGHT) // 2}" y="{BOTTOM + 24}" text-anchor="middle">{escape(across)}</text>'
        f'<text transform="rotate(-90 12 {middle})" x="12" y="{middle}" text-anchor="middle">'
        f"{escape(up)}</text>"
    )
    return Drawing(inside + words, caption, (640, 220))


def _line(name: str, at: Sequence[tuple[float, float, str, float]], color: str, dash: str) -> str:
    """Through `at`: x, y, the place's name, the value."""
    marks = " ".join(f"{x:.1f},{y:.1f}" for x, y, _, _ in at)
    seen = "" if len(at) <= FEW else ' fill-opacity="0"'  # still painted, and so still told
    dots = "".join(
        f'<circle class="told" cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color}"{seen}>'
        f"<title>{escape(name)}, {escape(place)}: {value:.3g}</title></circle>"
        for x, y, place, value in at
    )
    return f'<polyline points="{marks}" stroke="{color}" stroke-dasharray="{dash}"/>{dots}'


def _stroke(i: int, color: str, dash: str) -> str:
    """A piece of the i-th line, for the key."""
    y = TOP + 16 * i + 4
    return f'<polyline points="{RIGHT + 8},{y} {RIGHT + 30},{y}" stroke="{color}" stroke-dasharray="{dash}"/>'


def _named(i: int, name: str, sign: str) -> str:
    """A line of the key, behind its sign; the page gives texts a colour of their own."""
    return f'{sign}<text x="{RIGHT + 34}" y="{TOP + 16 * i + 8}">{escape(name)}</text>'


def _shown(y: float, log: bool) -> bool:
    return math.isfinite(y) and (y > 0 or not log)


def _range(heights: Sequence[float], log: bool) -> tuple[int, int]:
    if not log or not heights:
        return 0, 1
    low, high = math.floor(math.log10(min(heights))), math.ceil(math.log10(max(heights)))
    return low, max(high, low + 1)


def _spread(n: int, most: int) -> Iterable[int]:
    """All of n places, or `most` of them with the first and the last."""
    return range(n) if n <= most else dict.fromkeys(int(i) for i in np.linspace(0, n - 1, most))


def _shade(share: float) -> str:
    place = 4 * min(max(share, 0.0), 1.0)
    below = min(int(place), 3)
    color = CIVIDIS[below] + (place - below) * (CIVIDIS[below + 1] - CIVIDIS[below])
    return "#" + "".join(f"{round(part):02x}" for part in color)
