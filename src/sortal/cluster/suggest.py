"""Which method, which k, eps and gamma for these data: the evidence, and a choice by stated rules."""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import ceil
from typing import Any

import numpy as np
from jaxtyping import Float
from sklearn.neighbors import NearestNeighbors

from sortal.arrays import Labels, Points
from sortal.cluster.methods import METHODS, group_by, takes_number
from sortal.cluster.rows import checked_rows, refuse_overflow
from sortal.cluster.structure import modularity_excess, valley
from sortal.cluster.validity import Gap, Indices, gap_statistic, indices, stability
from sortal.errors import InputError, SortalError
from sortal.kernels import one_blas_thread

__all__ = ["KDistances", "MethodEvidence", "NumberEvidence", "Suggestion", "k_distances", "suggest"]

# What without groups happens in at most one of twenty draws: see `tests/cluster/test_structure.py`.
VALLEY = 0.5  # 140 draws without groups: .08 at most; three blobs of 133 that touch: 1.0 to 2.0
EXCESS = 0.25  # 100 draws: .211 at most, and .265 once of log-normal columns; 300 digits: .42
AS_MODULAR = 0.03  # splitting groups further costs the graph little: the least number as good counts
DENSITY = 0.3  # validity from which gaps lie between groups
STABLE = 0.8
SMALLEST = 0.03  # share of the items; of fewer, chance makes dense spots
MOST_LEFT_OUT = 0.2
ALIKE = 0.05  # methods whose evidence differs by less: the plainer one is taken
PLAIN = ("kmeans", "spherical", "kmedoids", "soft", "graph", "kernel", "dbscan")  # plainest first
MIN_SAMPLES = 5
GAP_DIMENSIONS = 32  # principal components that the gap statistic sees: its cost is all references


@dataclass(frozen=True)
class NumberEvidence:
    """A number of groups, by k-means."""

    k: int
    gap: float  # higher is better
    gap_error: float
    silhouette: float | None  # higher is better
    davies_bouldin: float | None  # lower is better
    calinski_harabasz: float | None  # higher is better
    stability: float | None  # 1: the same groups from every sample; None for one group
    valley: float | None  # errors by which it is emptier between groups than inside (`structure.valley`)
    modularity: float | None  # more than of data without groups (`structure.modularity_excess`)


@dataclass(frozen=True)
class MethodEvidence:
    """A method with parameters, run on the sample."""

    method: str
    k: int | str
    params: dict[str, Any]
    n_groups: int
    left_out: float  # share
    smallest: float  # share of the smallest group
    silhouette: float | None
    density: float | None
    stability: float | None
    refused: str | None = None  # why it could not run


@dataclass(frozen=True)
class KDistances:
    """The distance of each row to its `min_samples`-th neighbour, itself counted, ascending."""

    curve: Float[np.ndarray, " n"]
    min_samples: int
    eps: float  # the knee: farthest below the line from the curve's first point to its last


@dataclass(frozen=True)
class Suggestion:
    """What suits the data, and why. `group_by(method, x, k, seed, params)` does it."""

    groups: bool  # False: no groups here
    method: str
    k: int | str
    params: dict[str, Any]
    reason: str
    numbers: tuple[NumberEvidence, ...]
    distances: KDistances
    eps: tuple[MethodEvidence, ...]
    gammas: tuple[MethodEvidence, ...]
    methods: tuple[MethodEvidence, ...]
    n: int
    n_sample: int

    def __str__(self) -> str:
        k = "" if self.k == "auto" else f", k={self.k}"
        params = "".join(f", {key}={_short(value)}" for key, value in self.params.items())
        head = f"{self.method}{k}{params}: {self.reason}" if self.groups else f"no groups here: {self.reason}"
        of = f"all {self.n:,} items" if self.n == self.n_sample else f"{self.n_sample:,} of {self.n:,} items"
        lines = [head, f"evidence from {of}:"]
        lines += _table(NumberEvidence, self.numbers)
        for rows in (self.eps, self.gammas, self.methods):
            lines += _table(MethodEvidence, rows)
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Everything but the curve, as JSON values."""
        record = {key: value for key, value in asdict(self).items() if key != "distances"}
        record |= {key: list(record[key]) for key in ("numbers", "eps", "gammas", "methods")}
        return record | {"knee": self.distances.eps, "min_samples": self.distances.min_samples}

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Draw the evidence into a PNG, SVG or PDF file. Needs the extra `plot`."""
        from sortal.cluster.suggest_plots import draw

        draw(self, path)


def suggest(
    X: Any,
    *,
    methods: Sequence[str] | None = None,
    max_clusters: int = 12,
    n_sample: int = 1000,
    seed: int = 0,
) -> Suggestion:
    """Which way to group the rows of X, with the evidence; or that there are no groups.

    methods: names as `group_by` takes them (None: all of `METHODS`). Everything runs on `n_sample` rows.
    k is weighed from 1 to `max_clusters` by k-means; eps along the k-distance curve; gamma around one over
    the median squared distance. Groups are there where a method finds gaps between them (`density_validity`
    of at least .3, stable, none tiny), where held-out rows are rarer between neighbouring groups of k-means
    than inside (`valley`), or where the graph of shared neighbours is more modular than that of data without
    groups (`modularity_excess`). It stays a guess: look at the table. Deterministic for a seed. Takes
    seconds, with "kernel" among the methods up to a minute. `InputError` for fewer than 20 rows.
    """
    x = checked_rows("X", X)
    refuse_overflow("X", x)
    if len(x) < 20 or max_clusters < 2 or n_sample < 20:
        raise InputError(
            f"suggest needs 20 rows, a sample of 20 and max_clusters of 2 at least; "
            f"got {len(x)} rows, n_sample={n_sample}, max_clusters={max_clusters}: give k yourself."
        )
    rng = np.random.default_rng(seed)
    sample = np.sort(rng.choice(len(x), n_sample, replace=False)) if len(x) > n_sample else np.arange(len(x))
    part = np.ascontiguousarray(x[sample])
    weighed = tuple(METHODS) if methods is None else tuple(methods)
    most = min(max_clusters, len(part) // 5)
    gap = _gap(part, most, seed)
    excess = modularity_excess(part, gap.numbers[1:], seed=seed)
    numbers = tuple(_number(part, gap, i, excess, seed) for i in range(len(gap.numbers)))
    k = _best_number(numbers)
    distances = k_distances(part, MIN_SAMPLES, seed=seed)
    eps = _eps(part, distances, seed) if "dbscan" in weighed else ()
    shapes = _best_density(eps)  # where there are gaps, their number is what a kernel should look for
    gammas = _gammas(part, shapes.n_groups if shapes else k, seed) if "kernel" in weighed else ()
    evidence = tuple(_evidence(part, m, *_asked(m, k, distances, eps, gammas), seed) for m in weighed)
    groups, chosen, reason = _choose(evidence, numbers, k)
    params = dict(chosen.params)
    if "min_samples" in params:  # the same density in all items
        params["min_samples"] = max(2, ceil(params["min_samples"] * len(x) / len(part)))
    return Suggestion(
        groups, chosen.method, chosen.k, params, reason, numbers, distances, eps, gammas, evidence,
        len(x), len(part),
    )  # fmt: skip


def k_distances(
    x: Points, min_samples: int = MIN_SAMPLES, *, metric: Any = "euclidean", most: int = 2000, seed: int = 0
) -> KDistances:
    """The k-distance curve of `most` rows of `x` among all of them, and its knee: a first eps for DBSCAN.

    Source: Ester, Kriegel, Sander, Xu 1996, section 4.2. Where we differ: the knee is not picked by eye.
    """
    x = checked_rows("x", x)
    refuse_overflow("x", x)
    if not 1 <= min_samples <= len(x):
        raise InputError(f"min_samples must be between 1 and the {len(x)} rows; got {min_samples}.")
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.choice(len(x), most, replace=False)) if len(x) > most else np.arange(len(x))
    with one_blas_thread():
        found = NearestNeighbors(n_neighbors=min_samples, metric=metric).fit(x).kneighbors(x[rows])[0]
    curve = np.sort(found[:, -1]).astype(np.float64)
    below = np.linspace(curve[0], curve[-1], len(curve)) - curve
    knee = float(curve[below.argmax()])
    return KDistances(curve, min_samples, knee if knee > 0 else max(float(curve[-1]), np.finfo(float).tiny))


# ---- evidence


def _gap(x: np.ndarray, most: int, seed: int) -> Gap:
    centered = x - x.mean(axis=0, dtype=np.float64)
    if x.shape[1] > GAP_DIMENSIONS:
        with one_blas_thread():
            axes = np.linalg.svd(centered, full_matrices=False)[2][:GAP_DIMENSIONS]
            centered = centered @ axes.T
    return gap_statistic(centered, range(1, most + 1), n_references=8, n_init=2, seed=seed)


def _number(x: np.ndarray, gap: Gap, i: int, excess: np.ndarray, seed: int) -> NumberEvidence:
    k = gap.numbers[i]
    if k == 1:
        return NumberEvidence(1, gap.gap[i], gap.error[i], None, None, None, None, None, None)
    found = _labels("kmeans", x, k, {}, seed)
    has = indices(x, found, seed=seed, density=False)
    firm = stability(x, lambda rows: _labels("kmeans", rows, k, {}, seed), seed=seed)
    return NumberEvidence(
        k, gap.gap[i], gap.error[i], has.silhouette, has.davies_bouldin, has.calinski_harabasz, firm,
        valley(x, k, seed=seed), float(excess[i - 1]),
    )  # fmt: skip


def _labels(method: str, x: np.ndarray, k: int | str, params: dict[str, Any], seed: int) -> Labels:
    if method == "kmeans":
        params = {"n_init": 3} | params
    return group_by(method, x, k, seed, params).labels


def _evidence(x: np.ndarray, method: str, k: int | str, params: dict[str, Any], seed: int) -> MethodEvidence:
    try:
        labels = _labels(method, x, k, params, seed)
        has: Indices = indices(x, labels, seed=seed)
        firm = None
        if has.n_groups > 1:
            firm = stability(x, lambda rows: _labels(method, rows, k, params, seed), seed=seed)
    except SortalError as e:
        return MethodEvidence(method, k, params, 0, 0.0, 0.0, None, None, None, str(e))
    sizes = np.bincount(labels[labels >= 0]) if has.n_groups else np.zeros(1)
    return MethodEvidence(
        method, k, params, has.n_groups, has.left_out / len(x), float(sizes.min()) / len(x),
        has.silhouette, has.density, firm,
    )  # fmt: skip


def _eps(x: np.ndarray, distances: KDistances, seed: int) -> tuple[MethodEvidence, ...]:
    """DBSCAN along the curve and beyond its end, where thin groups hold together."""
    curve = distances.curve
    candidates = [float(np.quantile(curve, q, method="lower")) for q in (0.8, 0.9, 0.95, 0.98, 1.0)]
    candidates += [float(curve[-1]) * beyond for beyond in (1.25, 1.6, 2.0)]
    asked = sorted({eps for eps in [*candidates, distances.eps] if eps > 0})
    params = [{"eps": eps, "min_samples": distances.min_samples} for eps in asked]
    return tuple(_evidence(x, "dbscan", "auto", one, seed) for one in params)


def _gammas(x: np.ndarray, k: int, seed: int) -> tuple[MethodEvidence, ...]:
    """RBF kernels from wide to narrow, around the median heuristic."""
    rng = np.random.default_rng(seed)
    a, b = rng.integers(len(x), size=(2, 1000))
    squared = ((x[a].astype(np.float64) - x[b]) ** 2).sum(axis=1)
    median = float(np.median(squared[squared > 0])) if (squared > 0).any() else 1.0
    return tuple(
        _evidence(x, "kernel", max(k, 2), {"kernel": "rbf", "gamma": times / median}, seed)
        for times in (0.3, 1, 3, 10, 30, 100)
    )


def _asked(
    method: str,
    k: int,
    distances: KDistances,
    eps: tuple[MethodEvidence, ...],
    gammas: tuple[MethodEvidence, ...],
) -> tuple[int | str, dict[str, Any]]:
    """k and the parameters with which a method is run."""
    if method == "dbscan":
        best = _best_density(eps)
        params = {"eps": distances.eps, "min_samples": distances.min_samples}
        return "auto", params if best is None else best.params
    if method == "kernel":
        found = [one for one in gammas if one.density is not None]
        best = max(found, key=lambda one: one.density or -1) if found else None
        return (max(k, 2), {}) if best is None else (best.k, best.params)
    if method.startswith("sklearn."):
        return (max(k, 2) if takes_number(method) else "auto"), {}
    return max(k, 2), {}


# ---- the rules


def _best_number(numbers: tuple[NumberEvidence, ...]) -> int:
    """Of the stable numbers, that of best mean rank by gap, silhouette, Davies-Bouldin, Calinski-Harabasz.

    Where only the graph sees groups these are about none, and its own number counts.
    """
    if _most_modular(numbers) >= EXCESS and _deepest(numbers) < VALLEY:
        return next(one.k for one in numbers if (one.modularity or -1) >= _most_modular(numbers) - AS_MODULAR)
    rows = [one for one in numbers if one.stability is not None and one.silhouette is not None]
    if not rows:
        return 1
    firmest = max(one.stability or 0 for one in rows)
    rows = [one for one in rows if (one.stability or 0) >= firmest - 0.1]
    columns = [
        [-one.gap for one in rows],
        [-(one.silhouette or 0) for one in rows],
        [one.davies_bouldin or 0 for one in rows],
        [-(one.calinski_harabasz or 0) for one in rows],
    ]
    ranks = sum(np.argsort(np.argsort(column, kind="stable"), kind="stable") for column in columns)
    return rows[int(np.argmin(ranks))].k


def _with_gaps(one: MethodEvidence) -> bool:
    """Whether sparse space lies between the groups, and not by chance."""
    return (
        one.density is not None and one.density >= DENSITY
        and one.stability is not None and one.stability >= STABLE
        and one.smallest >= SMALLEST and one.left_out <= MOST_LEFT_OUT
    )  # fmt: skip


def _best_density(rows: Sequence[MethodEvidence]) -> MethodEvidence | None:
    """The middle of those that are as good as the best: farthest from where groups merge or fall apart."""
    good = [one for one in rows if _with_gaps(one)]
    if not good:
        return None
    best = max(one.density or 0 for one in good)
    near = [one for one in good if (one.density or 0) >= best - ALIKE]
    return near[len(near) // 2]


def _plainness(one: MethodEvidence) -> int:
    return PLAIN.index(one.method) if one.method in PLAIN else len(PLAIN)


def _choose(
    rows: tuple[MethodEvidence, ...], numbers: tuple[NumberEvidence, ...], k: int
) -> tuple[bool, MethodEvidence, str]:
    ran = sorted((one for one in rows if one.refused is None), key=_plainness)
    if not ran:
        raise InputError(f"no method can group these data; {rows[0].method}: {rows[0].refused}")
    gaps = [one for one in ran if _with_gaps(one)]
    if gaps:
        best = max(one.density or 0 for one in gaps)
        taken = next(one for one in gaps if (one.density or 0) >= best - ALIKE)
        return True, taken, (
            f"{taken.n_groups} groups with sparse space between them (density validity {taken.density:.2f}, "
            f"stability {taken.stability:.2f})"
        )  # fmt: skip
    deepest, excess = _deepest(numbers), _most_modular(numbers)
    by_number = [one for one in ran if isinstance(one.k, int)]
    if by_number and deepest >= VALLEY:
        best = max(one.stability or 0 for one in by_number)
        taken = next(one for one in by_number if (one.stability or 0) >= best - ALIKE)
        return True, taken, (
            f"{taken.n_groups} groups that touch: items are rarer between them than inside "
            f"(by {deepest:.1f} errors on held-out halves), stability {taken.stability or 0:.2f}"
        )  # fmt: skip
    if by_number and excess >= EXCESS:
        best = max(one.stability or 0 for one in by_number)
        steady = next(one for one in by_number if (one.stability or 0) >= best - ALIKE)
        taken = next((one for one in by_number if one.method == "graph"), steady)
        return True, taken, (
            f"{taken.n_groups} groups that touch: items share neighbours more than in data without groups "
            f"(modularity {excess:.2f} above), stability {taken.stability or 0:.2f}"
        )  # fmt: skip
    one_group = by_number[0] if by_number else ran[0]
    taken = MethodEvidence(**{**asdict(one_group), "k": 1 if by_number else "auto"})
    return False, taken, (
        f"no method finds gaps; between groups of k-means is no emptier than inside ({deepest:.1f} errors; "
        f"{VALLEY} would count); modularity is {excess:.2f} above chance ({EXCESS} would count)"
    )  # fmt: skip


def _deepest(numbers: tuple[NumberEvidence, ...]) -> float:
    return max((one.valley for one in numbers if one.valley is not None), default=0.0)


def _most_modular(numbers: tuple[NumberEvidence, ...]) -> float:
    return max((one.modularity for one in numbers if one.modularity is not None), default=0.0)


# ---- as text


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _table(kind: type, rows: Sequence[Any]) -> list[str]:
    if not rows:
        return []
    columns = [name for name in kind.__dataclass_fields__ if name != "refused"]  # type: ignore[attr-defined]
    cells = [[name.replace("_", " ") for name in columns]]
    for one in rows:
        cells.append([_cell(getattr(one, name)) for name in columns])
        if getattr(one, "refused", None):
            cells[-1][3:] = [one.refused] + [""] * (len(columns) - 4)
    widths = [max(len(line[c]) for line in cells if len(line[c]) < 60) for c in range(len(columns))]
    return [
        "  " + "  ".join(text.rjust(width) for text, width in zip(line, widths)).rstrip() for line in cells
    ]


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key}={_short(one)}" for key, one in value.items()) or "-"
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
