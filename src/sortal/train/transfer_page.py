"""A transfer as a table and as a page that asks nothing of any network."""

import html
import math
from collections.abc import Mapping, Sequence

from sortal.page import Drawing, Section, Table, page
from sortal.progress import counted
from sortal.train.transfer_report import WAYS, Difference, Score, Transfer

__all__ = ["COLUMNS", "rows", "transfer_page"]

COLUMNS = ("way", "names each", "learned from", "right", "95 % interval", "by seed", "CPU-s", "MB")
_BETWEEN = ("way", "than", "names each", "points", "95 % interval")


def rows(found: Transfer) -> list[tuple[str, ...]]:
    """One line a way and size, the network's own data first."""
    own = found.own_data
    first = (
        [("own data (P0)", "-", "-", f"{own.right:.1%}", _span(own.interval), "-", "-", "-")] if own else []
    )
    return first + [_row(score) for score in found.scores]


def _row(score: Score) -> tuple[str, ...]:
    seeds = " ".join(f"{one:.1%}" for one in score.by_seed)
    return (
        WAYS[score.way], _each(score.per_class), f"{score.n_learned:,}", f"{score.right:.1%}",
        _span(score.interval), seeds, f"{score.cpu_s:,.1f}", f"{score.peak_mb:,.0f}",
    )  # fmt: skip


def transfer_page(found: Transfer) -> str:
    """One HTML file: the verdict, the curves, the tables."""
    between = tuple(map(_between, found.differences))
    facts = (
        ("images", f"{found.n_learn:,} to learn from, {found.n_test:,} held out, {len(found.names):,} names"),
        (
            "training",
            f"{counted(found.epochs, 'epoch')}, {counted(len(found.scores[0].by_seed), 'seed')} of each way",
        ),
        ("device", found.device),
    )
    sections = (
        Section("Ways", table=Table(COLUMNS, tuple(rows(found))), drawings=(_plot(found.scores),)),
        Section("Differences", ("The same images and seeds for both.",), table=Table(_BETWEEN, between)),
    )
    return page("Is what it learned elsewhere of use?", found.verdict, sections, facts)


def _between(one: Difference) -> tuple[str, ...]:
    low, high = (f"{100 * end:+.1f}" for end in one.interval)
    points = f"{100 * one.difference:+.1f}"
    return WAYS[one.way], WAYS[one.than], _each(one.per_class), points, f"{low} to {high}"


def _each(size: int | None) -> str:
    return "all" if size is None else f"{size:,}"


def _span(ends: tuple[float, float]) -> str:
    return f"{ends[0]:.1%} to {ends[1]:.1%}"


def _plot(scores: Sequence[Score]) -> Drawing:
    """Share right by images learned from, on a logarithmic axis, with bars for the intervals."""
    sizes = [math.log(score.n_learned) for score in scores]
    first, last = min(sizes), max(sizes)
    drawn = ""
    lines = {way: [score for score in scores if score.way == way] for way in WAYS}
    below = _apart({way: _y(line[-1].right) + 4 for way, line in lines.items()})
    for i, (way, line) in enumerate(lines.items()):
        at = [
            (45 + 340 * (math.log(score.n_learned) - first) / max(last - first, 1e-9), score)
            for score in line
        ]
        points = " ".join(f"{x:.1f},{_y(score.right):.1f}" for x, score in at)
        drawn += f'<polyline class="s{i}" points="{points}"/>'
        for x, score in at:
            low, high = score.interval
            drawn += f'<path class="s{i}" d="M{x + i:.1f} {_y(low):.1f}V{_y(high):.1f}"/>'
        drawn += f'<text class="s{i}" x="395" y="{below[way]:.0f}">{html.escape(way)}</text>'
    labels = {score.n_learned: x for x, score in zip(sizes, scores)}
    for n, x in labels.items():
        drawn += f'<text x="{45 + 340 * (x - first) / max(last - first, 1e-9) - 8:.0f}" y="188">{n:,}</text>'
    axes = '<path d="M45 20V170H385"/>'
    ends = '<text x="8" y="24">100%</text><text x="20" y="174">0%</text>'
    return Drawing(f"{axes}{drawn}{ends}", "Share of test images right by images learned from.")


def _apart(heights: Mapping[str, float]) -> dict[str, float]:
    """The same from the top down, each at least a line of text below the one before."""
    placed: dict[str, float] = {}
    for way in sorted(heights, key=heights.__getitem__):
        placed[way] = max(heights[way], max(placed.values(), default=0.0) + 13)
    return placed


def _y(share: float) -> float:
    return 170 - 150 * share
