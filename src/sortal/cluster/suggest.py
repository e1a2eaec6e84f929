"""Which method, which k, eps and gamma for these data: the evidence, and a choice by stated rules."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from math import ceil
from typing import Any

import numpy as np

from sortal.cluster.k_distances import MIN_SAMPLES, KDistances, k_distances
from sortal.cluster.methods import METHODS, takes_number
from sortal.cluster.rows import check_count, checked_rows, refuse_nonfinite, refuse_overflow
from sortal.cluster.suggest_evidence import (
    along_eps,
    along_gamma,
    by_method,
    by_number,
)
from sortal.cluster.suggestion import (
    GammaEvidence,
    MethodEvidence,
    NumberEvidence,
    Suggestion,
)
from sortal.errors import InputError
from sortal.kernels import one_blas_thread
from sortal.progress import counted

__all__ = ["suggest"]

# What without groups happens in at most one of twenty draws: see `tests/cluster/test_structure.py`.
VALLEY = (
    1.0  # without groups: .9 at most, along a line; 12 of 14 draws of three blobs that touch: 1.08 to 2.6
)
EXCESS = 0.25  # 100 draws: .211 at most, and .265 once of log-normal columns; 300 digits: .42
AS_MODULAR = 0.03  # splitting groups further costs the graph little: the least number as good counts
DENSITY = 0.3  # `_worth` from which gaps lie between groups: six of 200 uniform rows had .27
LINE_DENSITY, LINE = 0.6, 1.2  # that of rows along a line, up to this dimension; two moons have 1.5
STABLE = 0.8
# Parts that a kernel cuts off, where samples are too thin to show them again (`_cut_off`).
CUT_OFF, BETWEEN, NO_CHIP = 0.997, 0.1, 0.1  # eigenvalue, density validity, share of the smallest part
ENOUGH = 150  # rows; without groups 12 of 480 draws of 40 to 100 passed, of 150 to 300 none of 1,920
SEPARATE = 0.99  # eigenvalue from which nothing lies between parts
SMALLEST = 0.03  # share of the items; of fewer, chance makes dense spots
MOST_LEFT_OUT = 0.2
ALIKE = 0.05  # methods whose evidence differs by less: the plainer one is taken
PLAIN = ("kmeans", "spherical", "kmedoids", "soft", "graph", "kernel", "dbscan")  # plainest first


def suggest(
    X: Any,
    *,
    methods: Sequence[str] | None = None,
    max_clusters: int = 12,
    n_sample: int = 1000,
    seed: int = 0,
    callback: Callable[[str], object] | None = None,
) -> Suggestion:
    """Which way to group the rows of X, with the evidence; or that there are no groups.

    methods: names as `group_by` takes them (None: all of `METHODS`). Everything runs on `n_sample` rows.
    k is weighed from 1 to `max_clusters` by k-means; eps along the k-distance curve; gamma by the gaps of
    eigenvalues (`separations`), which also say a k. Groups are there where a method finds gaps between them
    (`density_validity` times stability of .3, none tiny), where a kernel cuts off parts with sparse space
    between them, where held-out rows are rarer between neighbouring groups of k-means than inside (`valley`),
    or where the graph of shared neighbours is more modular than that of data without groups
    (`modularity_excess`). It stays a guess: look at the table. `callback` is told in words what is looked at
    next. Deterministic for a seed. Takes seconds. `InputError` for fewer than 20 rows.
    """
    x = checked_rows("X", X)
    refuse_overflow("X", refuse_nonfinite("X", x))
    if isinstance(methods, str) or (methods is not None and not len(methods)):
        raise InputError(f"methods must be a list of names, or None for all; got {methods!r}.")
    check_count("max_clusters", max_clusters)
    check_count("n_sample", n_sample)
    if len(x) < 20 or max_clusters < 2 or n_sample < 20:
        options = "" if len(x) < 20 else f", n_sample={n_sample}, max_clusters={max_clusters}"
        raise InputError(
            "a suggestion needs 20 rows, a sample of 20 and max_clusters of 2 at least; "
            f"got {counted(len(x), 'row')}{options}: give k yourself."
        )
    tell = callback or (lambda line: None)
    rng = np.random.default_rng(seed)
    sample = np.sort(rng.choice(len(x), n_sample, replace=False)) if len(x) > n_sample else np.arange(len(x))
    part = np.ascontiguousarray(x[sample])
    weighed = tuple(METHODS) if methods is None else tuple(methods)
    most = min(max_clusters, len(part) // 5)
    gammas = along_gamma(part, most) if "kernel" in weighed else ()
    limits = _limits(part, most, gammas)
    tell(f"weighing 1 to {most} groups")
    numbers = by_number(part, most, seed)
    k = _best_number(numbers)
    distances = k_distances(part, MIN_SAMPLES, seed=seed)
    eps = along_eps(part, distances, seed) if "dbscan" in weighed else ()
    evidence = []
    for method in weighed:
        tell(f"trying {method}")
        asked = _asked(method, k, limits, distances, eps, gammas)
        evidence.append(_best([by_method(part, method, *one, seed) for one in asked], limits))
    groups, chosen, reason = _choose(tuple(evidence), numbers, limits)
    params = dict(chosen.params)
    if "min_samples" in params:  # the same density in all items
        params["min_samples"] = max(2, ceil(params["min_samples"] * len(x) / len(part)))
    return Suggestion(
        groups, chosen.method, chosen.k, params, reason, numbers, distances, eps, gammas, tuple(evidence),
        len(x), len(part),
    )  # fmt: skip


def _asked(
    method: str,
    k: int,
    limits: "_Limits",
    distances: KDistances,
    eps: tuple[MethodEvidence, ...],
    gammas: tuple[GammaEvidence, ...],
) -> list[tuple[int | str, dict[str, Any]]]:
    """The numbers of groups and parameters with which a method is run."""
    seen = _best_density(eps, limits)  # where there are gaps, their number is what a kernel should look for
    if method == "dbscan":
        params = {"eps": distances.eps, "min_samples": distances.min_samples}
        return [("auto", params if seen is None else seen.params)]
    if method == "kernel":
        parts = [one for one in gammas if one.separate > SEPARATE]
        numbers = [max(parts, key=lambda one: one.gap).k] if parts else []
        numbers += [seen.n_groups if seen else max(k, 2)]
        return [(number, {"gamma": "auto"}) for number in dict.fromkeys(numbers)]
    if method.startswith("sklearn.") and not takes_number(method):
        return [("auto", {})]
    return [(max(k, 2), {})]


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


@dataclass(frozen=True)
class _Limits:
    """What counts as groups with gaps between them."""

    groups: int  # at most
    density: float  # at least: `_worth`
    cut: frozenset[int]  # numbers of parts that a kernel cuts off (`_cut_off`)


def _limits(x: np.ndarray, most: int, gammas: tuple[GammaEvidence, ...]) -> _Limits:
    """Few rows, and rows along a line, are cut by chance."""
    density = _least_density(x)
    cut = {one.k for one in gammas if one.separate >= CUT_OFF}
    return _Limits(most, density, frozenset(cut if len(x) >= ENOUGH and density < LINE_DENSITY else ()))


def _least_density(x: np.ndarray) -> float:
    """More is asked of rows along a line, whose widest spacing is by chance far above the next.

    The two differ by a standard exponential when the widest is about log n: of 200 rows on a line every
    fifth draw has a validity of .3, one in 25 of .6. In a plane a cut needs many wide spacings at once. The
    dimension is that of the variances: (sum of eigenvalues)^2 / sum of squares.
    """
    centered = x - x.mean(axis=0, dtype=np.float64)
    with one_blas_thread():
        variances = np.linalg.svd(centered, compute_uv=False) ** 2
    squares = float((variances**2).sum())
    return LINE_DENSITY if squares > 0 and float(variances.sum()) ** 2 / squares < LINE else DENSITY


def _with_gaps(one: MethodEvidence, limits: "_Limits") -> bool:
    """Whether sparse space lies between the groups, and not by chance."""
    return (
        _worth(one) >= limits.density
        and one.stability is not None and one.stability >= STABLE
        and one.n_groups <= limits.groups and one.smallest >= SMALLEST and one.left_out <= MOST_LEFT_OUT
    )  # fmt: skip


def _cut_off(one: MethodEvidence, limits: "_Limits") -> bool:
    """Whether a kernel cuts the rows into parts with nothing between them, and sparse space does lie there.

    For groups so thin that samples of them fall apart: two rings of 100, one half as wide, have density
    validity .05 to .26 and stability .3 to 1.
    """
    return (
        one.method == "kernel" and one.k in limits.cut
        and (one.density or 0.0) >= BETWEEN and one.smallest >= NO_CHIP
    )  # fmt: skip


def _worth(one: MethodEvidence) -> float:
    """The density validity, as far as other samples show the same groups.

    By validity alone two rings of 100 were five: arcs of the outer one have .51 (stability .83), the rings
    .44 (1.0 along most of the k-distance curve).
    """
    return (one.density or 0.0) * (one.stability or 0.0)


def _best_density(rows: Sequence[MethodEvidence], limits: "_Limits") -> MethodEvidence | None:
    """The middle of those that are as good as the best: farthest from where groups merge or fall apart."""
    good = [one for one in rows if _with_gaps(one, limits)]
    if not good:
        return None
    best = max(map(_worth, good))
    near = [one for one in good if _worth(one) >= best - ALIKE]
    return near[len(near) // 2]


def _best(rows: Sequence[MethodEvidence], limits: "_Limits") -> MethodEvidence:
    """Of the runs of one method."""
    return max(rows, key=lambda one: (_with_gaps(one, limits), _cut_off(one, limits), _worth(one)))


def _plainness(one: MethodEvidence) -> int:
    return PLAIN.index(one.method) if one.method in PLAIN else len(PLAIN)


def _firm(rows: Sequence[MethodEvidence]) -> MethodEvidence:
    """The plainest (they are sorted so) of those about as stable as the stablest."""
    best = max(one.stability or 0.0 for one in rows)
    return next(one for one in rows if (one.stability or 0.0) >= best - ALIKE)


def _choose(
    rows: tuple[MethodEvidence, ...], numbers: tuple[NumberEvidence, ...], limits: "_Limits"
) -> tuple[bool, MethodEvidence, str]:
    ran = sorted((one for one in rows if one.refused is None), key=_plainness)
    if not ran:
        raise InputError(f"no method can group these data; {rows[0].method}: {rows[0].refused}")
    gaps = [one for one in ran if _with_gaps(one, limits)]
    if gaps:
        best = max(map(_worth, gaps))
        taken = _firm([one for one in gaps if _worth(one) >= best - ALIKE])
        return True, taken, (
            f"{taken.n_groups} groups with sparse space between them (density validity {taken.density:.2f}, "
            f"stability {taken.stability:.2f})"
        )  # fmt: skip
    for taken in ran:
        if _cut_off(taken, limits):
            return True, taken, (
                f"{taken.n_groups} groups that a kernel cuts off, with sparse space between them "
                f"(density validity {taken.density:.2f}, stability {taken.stability or 0:.2f})"
            )  # fmt: skip
    deepest, excess = _deepest(numbers), _most_modular(numbers)
    by_number = [one for one in ran if isinstance(one.k, int)]
    if by_number and deepest >= VALLEY:
        taken = _firm(by_number)
        return True, taken, (
            f"{taken.n_groups} groups that touch: items are rarer between them than inside "
            f"(by {deepest:.1f} errors on held-out halves), stability {taken.stability or 0:.2f}"
        )  # fmt: skip
    if by_number and excess >= EXCESS:
        taken = next((one for one in by_number if one.method == "graph"), _firm(by_number))
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
