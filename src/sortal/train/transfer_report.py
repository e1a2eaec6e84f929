"""The ways to transfer side by side: shares right with intervals, differences, costs, and what to do."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from sortal.data import LabelledImages
from sortal.train.bootstrap import interval, resampled
from sortal.train.cost import Cost
from sortal.train.report import wilson_interval

__all__ = ["WAYS", "Cell", "Difference", "OwnData", "Score", "Transfer", "summed_up"]

# As a person says it, with the letters of the protocol.
WAYS = {"frozen": "frozen body, new head (P1)", "fine-tuned": "fine-tuned", "scratch": "from scratch (P2)"}

Interval = tuple[float, float]


@dataclass(frozen=True)
class Cell:
    """One training: `size` names each (None for all), and the name that each test image got."""

    way: str
    size: int | None
    seed: int
    n_learned: int
    right: float
    cost: Cost
    predicted: tuple[int, ...]

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Cell":
        """KeyError, TypeError or ValueError where the record has another shape."""
        values = dict(record)
        return cls(**values | {"cost": Cost(**values["cost"]), "predicted": tuple(values["predicted"])})


@dataclass(frozen=True)
class OwnData:
    """How the network names images of what it was trained on (P0)."""

    n: int
    right: float
    interval: Interval

    @classmethod
    def counted(cls, n_right: int, n: int) -> "OwnData":
        return cls(n, n_right / n, wilson_interval(n_right, n))


@dataclass(frozen=True)
class Score:
    """A way with so many names each: mean over the seeds, its 95 % interval, mean seconds, most memory."""

    way: str
    per_class: int | None
    n_learned: int
    right: float
    interval: Interval
    by_seed: tuple[float, ...]
    cpu_s: float
    wall_s: float
    peak_mb: float


@dataclass(frozen=True)
class Difference:
    """Share right of `way` less that of `than`, the same images and seeds for both."""

    way: str
    than: str
    per_class: int | None
    difference: float
    interval: Interval


@dataclass(frozen=True)
class Transfer:
    """All that a transfer came to; `verdict` says what to do with these images, `advice` which way."""

    names: tuple[str, ...]
    n_learn: int
    n_test: int
    epochs: int
    device: str
    own_data: OwnData | None
    scores: tuple[Score, ...]
    differences: tuple[Difference, ...]
    advice: str
    verdict: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def summed_up(
    cells: Sequence[Cell],
    learn: LabelledImages,
    test: LabelledImages,
    own_data: OwnData | None,
    epochs: int,
    device: str,
) -> Transfer:
    """Every size must have every way with the same seeds."""
    groups: dict[tuple[str, int | None], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.way, cell.size), []).append(cell)
    right = np.array(
        [[np.array(cell.predicted) == test.labels for cell in group] for group in groups.values()]
    )
    draws = resampled(right)
    scores = tuple(
        _score(group, _share_interval(draws[:, i], right[i]), float(right[i].mean()))
        for i, group in enumerate(groups.values())
    )
    of = dict(zip(groups, draws.T))
    differences = tuple(
        _difference(way, than, size, scores, of)
        for size in dict.fromkeys(score.per_class for score in scores)
        for way, than in (("fine-tuned", "frozen"), ("fine-tuned", "scratch"), ("frozen", "scratch"))
    )
    names = len(learn.names)
    advice, lines = _what_to_do(scores, differences)
    verdict = (*lines, *_more_names(advice, scores, of, names))
    return Transfer(
        learn.names, len(learn), len(test), epochs, device, own_data, scores, differences, advice, verdict
    )


def _share_interval(draws: Float[np.ndarray, " rounds"], right: Bool[np.ndarray, "seeds items"]) -> Interval:
    """By the bootstrap; by Wilson's formula where all is right or all wrong, which redrawing leaves so."""
    low, high = interval(draws)
    if low < high:
        return low, high
    n = right.shape[1]
    return wilson_interval(round(float(right.mean()) * n), n)


def _score(group: Sequence[Cell], found: Interval, right: float) -> Score:
    return Score(
        way=group[0].way, per_class=group[0].size, n_learned=group[0].n_learned, right=right, interval=found,
        by_seed=tuple(cell.right for cell in group),
        cpu_s=float(np.mean([cell.cost.cpu_s for cell in group])),
        wall_s=float(np.mean([cell.cost.wall_s for cell in group])),
        peak_mb=max(cell.cost.peak_mb for cell in group),
    )  # fmt: skip


def _difference(
    way: str,
    than: str,
    size: int | None,
    scores: Sequence[Score],
    draws: Mapping[tuple[str, int | None], Float[np.ndarray, " rounds"]],
) -> Difference:
    right = {(score.way, score.per_class): score.right for score in scores}
    gain = right[way, size] - right[than, size]
    return Difference(way, than, size, gain, interval(draws[way, size] - draws[than, size]))


def _what_to_do(scores: Sequence[Score], differences: Sequence[Difference]) -> tuple[str, list[str]]:
    """For all the names there are: the best way, or one at half its cost that it does not surely beat."""
    size = scores[-1].per_class
    at = {score.way: score for score in scores if score.per_class == size}
    best = max(at.values(), key=lambda score: score.right)
    gaps = {(one.way, one.than): one for one in differences if one.per_class == size}

    def beaten(score: Score) -> bool:
        if score is best:
            return False
        return _gap(gaps, best.way, score.way).interval[0] > 0

    cheap = [one for one in at.values() if not beaten(one) and one.cpu_s <= best.cpu_s / 2]
    taken = min(cheap, key=lambda score: score.cpu_s, default=best)
    low, high = taken.interval
    lines = [
        f"{_ADVICE[taken.way]}: {taken.right:.1%} of the test images named right ({low:.1%} to {high:.1%}), "
        f"{taken.cpu_s:,.{0 if taken.cpu_s >= 10 else 1}f} CPU-seconds a training."
    ]
    for other in at.values():
        if other is not taken:
            gap = _gap(gaps, taken.way, other.way)
            lines.append(f"Against {WAYS[other.way]}: {_points(gap)}, at {_times(taken, other)}.")
    help_of = _gap(gaps, max(("frozen", "fine-tuned"), key=lambda way: at[way].right), "scratch")
    if help_of.interval[0] <= 0:
        lines.append("What the network learned elsewhere shows no sure gain over starting from nothing.")
    return taken.way, lines


_ADVICE = {
    "frozen": "Keep the body frozen and train a head",
    "fine-tuned": "Fine-tune the network",
    "scratch": "Train the network from scratch",
}


def _gap(gaps: Mapping[tuple[str, str], Difference], way: str, than: str) -> Difference:
    if (way, than) in gaps:
        return gaps[way, than]
    one = gaps[than, way]
    return Difference(way, than, one.per_class, -one.difference, (-one.interval[1], -one.interval[0]))


def _points(gap: Difference) -> str:
    low, high = (100 * end for end in gap.interval)
    found = f"{100 * gap.difference:+.1f} points ({low:+.1f} to {high:+.1f})"
    return found if low > 0 or high < 0 else f"{found}, which may be none"


def _times(taken: Score, other: Score) -> str:
    share = taken.cpu_s / max(other.cpu_s, 1e-9)
    if share >= 1:
        return f"{share:.1f} times its CPU-seconds"
    return f"{share:.0%} of its CPU-seconds"


def _more_names(
    way: str,
    scores: Sequence[Score],
    draws: Mapping[tuple[str, int | None], Float[np.ndarray, " rounds"]],
    n_names: int,
) -> list[str]:
    """What twice the names would leave of the errors, by the straight line that errors make in log and log.

    Source: Hestness et al. 2017, "Deep learning scaling is predictable, empirically". Errors never grow with
    more names here: a slope above 0 counts as 0.
    """
    curve = [score for score in scores if score.way == way][-3:]
    last = curve[-1]
    if len(curve) < 2:
        return [
            "What more names would bring is not known from one size: give several, --per-class 10,50,all."
        ]
    if last.right >= 0.995 and last.interval[0] < 0.98:
        return [
            "Next to no test image is named wrong, but they are too few to say what more names would bring."
        ]
    if last.right >= 0.995:
        return ["More names can hardly bring anything: next to no test image is named wrong."]
    sizes = np.log([score.n_learned for score in curve])
    wrong = 1 - np.stack([draws[way, score.per_class] for score in curve])
    slopes = np.minimum(np.polyfit(sizes, np.log(np.maximum(wrong, 1e-4)), 1)[0], 0)
    low, high = interval(wrong[-1] * 2**slopes)
    mean = (1 - last.right) * 2 ** float(np.median(slopes))
    each = last.n_learned / n_names
    now = 1 - last.right
    found = (
        f"Twice the names, from about {each:,.0f} to {2 * each:,.0f} of each: {now:.1%} wrong would become "
        f"about {mean:.1%} ({low:.1%} to {high:.1%}) with {WAYS[way]}, if the curve goes on as from "
        f"{curve[0].n_learned:,} to {last.n_learned:,} names."
    )
    if mean > 0.9 * now:
        return [found, "Naming more would hardly pay; another network may."]
    return [
        found,
        f"So {last.n_learned:,} more names are the price of {now - mean:.1%} fewer images named wrong.",
    ]
