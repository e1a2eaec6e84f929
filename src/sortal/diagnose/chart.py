"""Lines in a page that tell each point's value when it is pointed at: SVG, no script."""

import math
from dataclasses import dataclass
from html import escape

from sortal.page import Drawing

__all__ = ["COLORS", "Chart", "drawing"]

# Okabe and Ito's colours, told apart by the colour-blind; dashes tell them apart in grey.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#000000")
DASHES = ("", "6 3", "2 2", "8 3 2 3", "1 3")
LEFT, RIGHT, TOP, BOTTOM = 70, 500, 14, 190


@dataclass(frozen=True)
class Chart:
    """Lines over places 0, 1, ... with a logarithmic height; `names` of the places, one a point."""

    caption: str
    lines: tuple[tuple[str, tuple[float, ...]], ...]
    names: tuple[str, ...]
    across: str
    up: str


def drawing(chart: Chart) -> Drawing:
    """The chart for a page. Heights that are 0 or not finite are left out."""
    heights = [math.log10(y) for _, line in chart.lines for y in line if 0 < y < math.inf]
    low, high = (math.floor(min(heights)), math.ceil(max(heights))) if heights else (0, 1)
    high += high == low
    drawn = "".join(_line(chart, i, low, high) for i in range(len(chart.lines)))
    step = max(1, (high - low) // 5)
    ticks = "".join(
        f'<text x="{LEFT - 6}" y="{_height(10.0**at, low, high) + 4:.1f}" text-anchor="end">1e{at}</text>'
        f'<path d="M{LEFT} {_height(10.0**at, low, high):.1f}H{RIGHT}" stroke="#ddd"/>'
        for at in range(low, high + 1, step)
    )
    middle = (TOP + BOTTOM) // 2
    words = (
        f'<text x="{(LEFT + RIGHT) // 2}" y="{BOTTOM + 22}" text-anchor="middle">'
        f"{escape(chart.across)}</text>"
        f'<text transform="rotate(-90 12 {middle})" x="12" y="{middle}" text-anchor="middle">'
        f"{escape(chart.up)}</text>"
    )
    return Drawing(f'<g font-size="11">{ticks}{words}{drawn}</g>', chart.caption, (640, 220))


def _line(chart: Chart, i: int, low: int, high: int) -> str:
    name, line = chart.lines[i]
    color, dash = COLORS[i % len(COLORS)], DASHES[i % len(DASHES)]
    at = [
        (LEFT + (RIGHT - LEFT) * x / max(len(line) - 1, 1), _height(y, low, high), x, y)
        for x, y in enumerate(line)
        if 0 < y < math.inf
    ]
    marks = " ".join(f"{x:.1f},{y:.1f}" for x, y, _, _ in at)
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{color}"><title>{escape(name)}, '
        f"{escape(chart.names[place])}: {value:.3g}</title></circle>"
        for x, y, place, value in at
    )
    return (
        f'<polyline points="{marks}" fill="none" stroke="{color}" stroke-width="1.5" '
        f'stroke-dasharray="{dash}"/>{dots}'
        f'<text x="{RIGHT + 8}" y="{TOP + 14 + 16 * i}" fill="{color}">{escape(name)}</text>'
    )


def _height(y: float, low: int, high: int) -> float:
    return BOTTOM - (BOTTOM - TOP) * (math.log10(y) - low) / (high - low)
