"""A transfer as a table and as a page that asks nothing of any network."""

import html
import math
from collections.abc import Sequence

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
    facts = (
        f"{found.n_learn:,} images to learn from, {found.n_test:,} held out, {len(found.names):,} names, "
        f"{found.epochs} epochs, {len(found.scores[0].by_seed)} seeds; {found.device}"
    )
    return _PAGE.format(
        facts=html.escape(facts),
        verdict="".join(f"<p>{html.escape(line)}</p>" for line in found.verdict),
        plot=_plot(found.scores),
        table=_table(COLUMNS, rows(found)),
        between=_table(_BETWEEN, [_between(one) for one in found.differences]),
    )


def _between(one: Difference) -> tuple[str, ...]:
    low, high = (f"{100 * end:+.1f}" for end in one.interval)
    points = f"{100 * one.difference:+.1f}"
    return WAYS[one.way], WAYS[one.than], _each(one.per_class), points, f"{low} to {high}"


def _each(size: int | None) -> str:
    return "all" if size is None else f"{size:,}"


def _span(ends: tuple[float, float]) -> str:
    return f"{ends[0]:.1%} to {ends[1]:.1%}"


def _table(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{html.escape(column)}" for column in columns)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}" for cell in line) for line in lines)
    return f"<table><tr>{head}{body}</table>"


def _plot(scores: Sequence[Score]) -> str:
    """Share right by images learned from, on a logarithmic axis, with bars for the intervals."""
    sizes = [math.log(score.n_learned) for score in scores]
    first, last = min(sizes), max(sizes)
    drawn = ""
    for i, way in enumerate(WAYS):
        line = [score for score in scores if score.way == way]
        at = [
            (45 + 340 * (math.log(score.n_learned) - first) / max(last - first, 1e-9), score)
            for score in line
        ]
        points = " ".join(f"{x:.1f},{_y(score.right):.1f}" for x, score in at)
        drawn += f'<polyline class="s{i}" points="{points}"/>'
        for x, score in at:
            low, high = score.interval
            drawn += f'<path class="s{i}" d="M{x + i:.1f} {_y(low):.1f}V{_y(high):.1f}"/>'
        drawn += f'<text class="s{i}" x="395" y="{_y(line[-1].right) + 4:.0f}">{html.escape(way)}</text>'
    labels = {score.n_learned: x for x, score in zip(sizes, scores)}
    for n, x in labels.items():
        drawn += f'<text x="{45 + 340 * (x - first) / max(last - first, 1e-9) - 8:.0f}" y="188">{n:,}</text>'
    return (
        '<figure><svg viewBox="0 0 520 195" role="img" aria-label="share right by images learned from">'
        f'<path d="M45 20V170H385"/>{drawn}<text x="8" y="24">100%</text><text x="20" y="174">0%</text></svg>'
        "<figcaption>share of test images right by images learned from</figcaption></figure>"
    )


def _y(share: float) -> float:
    return 170 - 150 * share


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Transfer</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; }}
svg {{ width: 40em; max-width: 100% }} path {{ fill: none; stroke: #999 }} text {{ font-size: 11px }}
polyline {{ fill: none; stroke-width: 1.5 }} td, th {{ text-align: left; padding-right: 1em }}
.s0 {{ stroke: #1769aa }} .s1 {{ stroke: #c2410c }} .s2 {{ stroke: #4d7c0f }} svg text {{ stroke: none }}
text.s0 {{ fill: #1769aa }} text.s1 {{ fill: #c2410c }} text.s2 {{ fill: #4d7c0f }}
</style>
<h1>Transfer</h1><p>{facts}</p>{verdict}
{plot}
<h2>Ways</h2>{table}
<h2>Differences</h2><p>The same images and seeds for both.</p>{between}
</html>
"""
