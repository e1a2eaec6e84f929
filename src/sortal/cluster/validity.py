"""How good groups are: by themselves, against chance, under resampling, and against names that are known.

Indices that scikit-learn has are scikit-learn's. Ours are density-based validity, the gap statistic and
stability.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
import sklearn  # its parts are imported when first named
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from sortal.arrays import Labels, Points
from sortal.cluster.kmeans import kmeans
from sortal.cluster.rows import check_count, checked_rows, refuse_nonfinite, refuse_overflow
from sortal.cluster.seeding import kmeans_plusplus
from sortal.errors import InputError
from sortal.kernels import map_blocks, one_blas_thread

__all__ = [
    "Agreement",
    "Gap",
    "Indices",
    "agreement",
    "density_validity",
    "gap_statistic",
    "indices",
    "matched_accuracy",
    "stability",
]

# ---- by themselves


@dataclass(frozen=True)
class Indices:
    """Groups judged by distances alone. None where an index is not defined: fewer than two groups."""

    n_groups: int
    left_out: int  # items labelled -1; the first three indices do not see them
    silhouette: float | None  # -1 to 1, higher is better; for round groups
    davies_bouldin: float | None  # from 0, lower is better; for round groups
    calinski_harabasz: float | None  # from 0, higher is better; for round groups of one data set
    density: float | None  # -1 to 1, higher is better; for groups of any shape


def indices(x: Points, labels: Labels, *, density: bool = True, most: int = 2000, seed: int = 0) -> Indices:
    """The indices of `labels` (-1: left out) on `x`, on a sample of `most` rows where there are more.

    `density` False leaves the dearest one out.

    Source: Rousseeuw 1987, Davies and Bouldin 1979, Calinski and Harabasz 1974, as scikit-learn has them;
    `density_validity`. Deterministic for a seed. Cost: `most`^2 d.
    """
    x, labels = _checked(x, labels)
    n_groups, left_out = len(np.unique(labels[labels >= 0])), int((labels < 0).sum())
    rows = _sample(len(x), most, seed)
    x, labels = x[rows], labels[rows]
    inside = labels >= 0
    if not 1 < len(np.unique(labels[inside])) < inside.sum():
        return Indices(n_groups, left_out, None, None, None, None)
    part, to = x[inside].astype(np.float64), labels[inside]
    with one_blas_thread():  # more may round its products differently
        silhouette = float(sklearn.metrics.silhouette_score(part, to))
        davies = float(sklearn.metrics.davies_bouldin_score(part, to))
        calinski = float(sklearn.metrics.calinski_harabasz_score(part, to))
    validity = density_validity(x, labels) if density else None
    return Indices(n_groups, left_out, silhouette, davies, calinski, validity)


def density_validity(x: Any, labels: Any, *, metric: Any = "euclidean") -> float:
    """How much sparser it is between groups than inside, whatever their shape: -1 to 1, higher is better.

    Items labelled -1 count in the total, so leaving many out costs; so do groups of one item, and what has
    one group besides them is worth 0. `metric` is one
    of `scipy.spatial.distance.cdist`. Cost: n^2 d, memory grows with n only. `InputError` for fewer than two
    groups.

    Source: Moulavi, Jaskowiak, Campello, Zimek, Sander 2014, DBCV. Where the paper is silent: the density of
    a group whose tree has no inner edge is that of all its edges; duplicates have core distance 0; two
    groups without any distance between or inside have validity 0; reachabilities often tie, and the tree is
    then that of Prim's algorithm from the first row, so that another order of rows may move the last digits.
    """
    x, labels = _checked(x, labels)
    groups = [np.flatnonzero(labels == g) for g in np.unique(labels[labels >= 0])]
    if len(groups) < 2:
        raise InputError(f"density_validity needs at least two groups; got {len(groups)}: group otherwise.")
    _refuse_unknown(metric)
    x = x.astype(np.float64)
    parts = [_Skeleton(x[rows], metric) for rows in groups if len(rows) > 1]
    if len(parts) < 2:
        return 0.0  # not 1: one row cut off from the rest would be the best of groupings
    between = np.full((len(parts), len(parts)), np.inf)
    for i, one in enumerate(parts):
        for j in range(i):
            between[i, j] = between[j, i] = _separation(one, parts[j], metric)
    total = 0.0
    for i, one in enumerate(parts):
        gap = float(between[i].min())
        largest = max(gap, one.sparseness)
        total += one.n * (gap - one.sparseness) / largest if largest > 0 else 0.0
    return total / len(labels)


def _refuse_unknown(metric: Any) -> None:
    try:
        cdist(np.ones((1, 1)), np.ones((1, 1)), metric)
    except ValueError as e:
        if "Unknown" in str(e):
            raise InputError(
                f"metric must be one that scipy.spatial.distance.cdist knows; got {metric!r}."
            ) from e


class _Skeleton:
    """The inner nodes of a group's spanning tree of mutual reachability, and its longest inner edge."""

    def __init__(self, x: np.ndarray, metric: Any) -> None:
        self.n = len(x)
        core = _core_distances(x, metric)
        ends, lengths = _spanning_tree(x, core, metric)
        degree = np.bincount(ends.ravel(), minlength=self.n)
        inner = degree > 1 if (degree > 1).any() else degree > 0
        inside = inner[ends].all(axis=1)
        self.sparseness = float(lengths[inside].max() if inside.any() else lengths.max())
        self.x, self.core = x[inner], core[inner]


def _core_distances(x: np.ndarray, metric: Any) -> np.ndarray:
    """((1 / (n-1)) sum_j (1/d_j)^dim)^(-1/dim), in logarithms: with 1,000 dimensions the powers overflow."""
    n, dim = x.shape

    def of(rows: slice) -> np.ndarray:
        with np.errstate(divide="ignore"):
            logs = -dim * np.log(cdist(x[rows], x, metric))
        logs[np.arange(len(logs)), np.arange(rows.start, rows.stop)] = -np.inf
        most = logs.max(axis=1)
        with np.errstate(invalid="ignore"):
            total = most + np.log(np.exp(logs - most[:, None]).sum(axis=1))
        return np.where(np.isposinf(most), 0.0, np.exp((np.log(n - 1) - total) / dim))

    return np.concatenate(list(map_blocks(of, n, max(1, 2**20 // n))))


def _spanning_tree(x: np.ndarray, core: np.ndarray, metric: Any) -> tuple[np.ndarray, np.ndarray]:
    """Prim's algorithm, a row of distances at a time: SciPy's wants the matrix, where 0 is no edge."""
    n = len(x)
    nearest, reach = np.zeros(n, np.intp), np.full(n, np.inf)
    waiting = np.ones(n, bool)
    ends, lengths = np.empty((n - 1, 2), np.intp), np.empty(n - 1)
    at = 0
    for edge in range(n - 1):
        waiting[at] = False
        distance = np.maximum(np.maximum(cdist(x[at : at + 1], x, metric)[0], core[at]), core)
        closer = waiting & (distance < reach)
        reach[closer], nearest[closer] = distance[closer], at
        at = int(np.where(waiting, reach, np.inf).argmin())
        ends[edge], lengths[edge] = (nearest[at], at), reach[at]
    return ends, lengths


def _separation(a: _Skeleton, b: _Skeleton, metric: Any) -> float:
    def least(rows: slice) -> float:
        reach = np.maximum(cdist(a.x[rows], b.x, metric), a.core[rows, None])
        return float(np.maximum(reach, b.core).min())

    return min(map_blocks(least, len(a.x), max(1, 2**20 // len(b.x))))


# ---- against chance


@dataclass(frozen=True)
class Gap:
    """For each number of groups, how much tighter k-means gets than on data without groups."""

    numbers: tuple[int, ...]
    gap: tuple[float, ...]  # log of the reference's cost less log of the cost; higher is better
    error: tuple[float, ...]  # standard error of the reference, simulation included
    best: int  # the least number whose gap is within one error of the next; 1: no groups


def gap_statistic(
    x: Points, numbers: Sequence[int], *, n_references: int = 10, n_init: int = 3, seed: int = 0
) -> Gap:
    """The gap statistic of k-means for each of `numbers`, ascending; give 1 among them to ask whether any.

    The reference is uniform over the box of the principal components. Deterministic for a seed. Cost:
    (`n_references` + 1) `n_init` fits of k-means for each number.

    The rule of `best` stops early where k groups explain no more than k - 1 and k + 1 do, as two of three
    groups at equal distances: look at `gap` itself, whose rise above that of one group `suggest` reads.

    Source: Tibshirani, Walther, Hastie 2001; reference (b) and the one-error rule of their section 3.
    """
    x = checked_rows("x", x)
    refuse_overflow("x", refuse_nonfinite("x", x))
    check_count("n_references", n_references)
    check_count("n_init", n_init)
    numbers = tuple(int(k) if isinstance(k, Integral) else 0 for k in numbers)
    if not numbers or list(numbers) != sorted(set(numbers)) or not 1 <= numbers[0] <= numbers[-1] <= len(x):
        raise InputError(f"numbers must ascend from 1 to at most the {len(x)} rows; got {numbers}.")
    centered = x - x.mean(axis=0, dtype=np.float64)
    with one_blas_thread():
        axes = np.linalg.svd(centered, full_matrices=False)[2]
        turned = centered @ axes.T
    low, high = turned.min(axis=0), turned.max(axis=0)
    rng = np.random.RandomState(seed)
    costs = np.array([_log_cost(turned, k, n_init, rng) for k in numbers])
    references = np.empty((n_references, len(numbers)))
    for b in range(n_references):
        uniform = rng.uniform(low, high, size=turned.shape)
        references[b] = [_log_cost(uniform, k, n_init, rng) for k in numbers]
    gap = references.mean(axis=0) - costs
    error = references.std(axis=0) * np.sqrt(1 + 1 / n_references)
    enough = [i for i in range(len(numbers) - 1) if gap[i] >= gap[i + 1] - error[i + 1]]
    best = numbers[enough[0] if enough else -1]
    return Gap(numbers, tuple(gap.tolist()), tuple(error.tolist()), best)


def _log_cost(x: np.ndarray, k: int, n_init: int, rng: Any) -> float:
    """Log of the least cost of k-means; of the smallest float where nothing is left to explain."""
    starts = [kmeans_plusplus(x, k, random_state=rng)[0] for _ in range(1 if k == 1 else n_init)]
    cost = min(kmeans(x, start).inertia for start in starts)
    return float(np.log(max(cost, np.finfo(np.float64).tiny)))


# ---- under resampling


def stability(
    x: Points, group: Callable[[np.ndarray], Labels], *, n_draws: int = 6, share: float = 0.7, seed: int = 0
) -> float:
    """How alike groups come out of different samples: mean adjusted Rand index, 1 always the same.

    `group(rows of x)` gives labels. `n_draws` samples of a `share` of the rows, without repetition, are
    grouped; every pair is compared on the rows that both hold. Chance is 0. One group for all is perfectly
    stable and says nothing. Deterministic for a seed, where `group` is.

    Source: Ben-Hur, Elisseeff, Guyon 2002, with the adjusted Rand index for their cosine.
    """
    x = checked_rows("x", x)
    n_kept = int(share * len(x))
    if not (n_draws >= 2 and 0 < share <= 1 and n_kept >= 2):
        raise InputError(
            f"stability needs 2 draws of 2 rows at least; got {n_draws} draws of {n_kept} of {len(x)} rows."
        )
    rng = np.random.default_rng(seed)
    draws = []
    for _ in range(n_draws):
        rows = np.sort(rng.choice(len(x), n_kept, replace=False))
        labels = np.full(len(x), -2, np.int64)
        found = np.asarray(group(x[rows]))
        if found.shape != (n_kept,):
            raise InputError(f"group must give a label for each of {n_kept} rows; got shape {found.shape}.")
        labels[rows] = found
        draws.append(labels)
    alike = []
    for i, a in enumerate(draws):
        for b in draws[:i]:
            both = (a > -2) & (b > -2)
            alike.append(sklearn.metrics.adjusted_rand_score(a[both], b[both]))
    return float(np.mean(alike))


# ---- against names


@dataclass(frozen=True)
class Agreement:
    """Groups against known names; 1 is perfect in all three."""

    named: int  # items compared
    accuracy: float  # by the best one-to-one matching of groups and names
    nmi: float  # normalised mutual information
    ari: float  # adjusted Rand index; 0 is chance


def agreement(names: Sequence[Any] | np.ndarray, labels: Labels) -> Agreement:
    """How well `labels` agree with `names`, one of each per item.

    Items that a method left out (-1) count as one more group for NMI and ARI, and as wrong for the accuracy.
    `InputError` where there is not one name for each label.

    Source: `matched_accuracy`; Hubert and Arabie 1985 (ARI); NMI over the arithmetic mean of both entropies;
    the last two are scikit-learn's.
    """
    accuracy = matched_accuracy(names, labels)
    nmi = sklearn.metrics.normalized_mutual_info_score(names, labels)
    ari = sklearn.metrics.adjusted_rand_score(names, labels)
    return Agreement(len(labels), accuracy, float(nmi), float(ari))


def matched_accuracy(names: Sequence[Any] | np.ndarray, labels: Labels) -> float:
    """The share of items that are right when groups and names are matched one to one as well as can be.

    Source: Kuhn 1955, the Hungarian method. A group or name left over counts as wrong, and so does -1.
    """
    if len(names) != len(labels) or len(labels) == 0:
        raise InputError(
            f"names and labels must hold one entry for each item, at least one; "
            f"got {len(names)} and {len(labels)}."
        )
    grouped = np.asarray(labels) >= 0
    if not grouped.any():
        return 0.0
    table = sklearn.metrics.cluster.contingency_matrix(
        np.asarray(names)[grouped], np.asarray(labels)[grouped]
    )
    return float(table[linear_sum_assignment(table, maximize=True)].sum() / len(labels))


# ----


def _checked(x: Any, labels: Any) -> tuple[Float[np.ndarray, "n d"], np.ndarray]:
    x, labels = checked_rows("x", x), np.asarray(labels)
    refuse_overflow("x", refuse_nonfinite("x", x))
    if labels.shape != (len(x),) or labels.dtype.kind not in "iu":
        raise InputError(
            f"labels must be one integer for each of the {len(x)} rows of x; "
            f"got {labels.dtype} of shape {labels.shape}."
        )
    return x, labels


def _sample(n: int, most: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.sort(rng.choice(n, most, replace=False)) if n > most else np.arange(n)
