"""Where k-means starts."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from numbers import Integral, Real
from operator import itemgetter
from typing import Any

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight

from sortal.cluster.rows import (
    check_count,
    check_groups,
    checked_rows,
    dense_rows,
    refuse_nonfinite,
    refuse_overflow,
)
from sortal.errors import InputError
from sortal.kernels import (
    draw_in_turn,
    lower_nearest,
    map_blocks,
    nearer_pairs,
    squared_differences,
)

__all__ = ["kmeans_parallel", "kmeans_plusplus", "seeds"]


def kmeans_plusplus(
    X: Any,
    n_clusters: int,
    *,
    sample_weight: Any = None,
    x_squared_norms: Any = None,
    random_state: Any = None,
    n_local_trials: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """`n_clusters` rows of X far from one another: the rows (dense) and their indices.

    Each row is drawn with probability proportional to its weight times its squared distance to the rows
    taken before. Of `n_local_trials` draws (None: 2 + log k) the one that lowers the cost most is kept;
    1 gives the plain method. X is dense (a memory map too) or CSR; integers are taken as float64. Where fewer
    distinct rows than clusters exist, rows repeat. Draws are exact: squared distances are by differences in
    float64, whatever the type of X. The same seed gives the same rows, whatever the number of threads.

    Source: Arthur and Vassilvitskii 2007, k-means++; the greedy trials are from their section 7 and
    scikit-learn, whose signature this is. `x_squared_norms` is accepted and not used: distances are
    taken from a row of X as origin, so that a huge offset costs no digits. Draws come by rejection, so a seed
    gives other rows than there.
    """
    X, weights = _checked(X, n_clusters, sample_weight)
    if n_local_trials is not None and not (isinstance(n_local_trials, Integral) and n_local_trials >= 1):
        raise InputError(f"n_local_trials must be None or an integer of at least 1; got {n_local_trials!r}.")
    if x_squared_norms is not None and np.shape(x_squared_norms) != (X.shape[0],):
        raise InputError(
            f"x_squared_norms must have a number for each row: The length of x_squared_norms "
            f"{np.shape(x_squared_norms)} should be equal to the length of n_samples {X.shape[0]}; leave it "
            "out, it is not used."
        )
    return seeds(X, int(n_clusters), weights, check_random_state(random_state), n_local_trials)


def seeds(
    X: Any, n_clusters: int, weights: np.ndarray | None, rng: Any, n_local_trials: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """`kmeans_plusplus` of rows that have been looked at; `weights` None: all are 1."""
    n, d = (int(m) for m in X.shape)
    n_trials = n_local_trials or 2 + int(np.log(n_clusters))
    first = _first(n, weights, rng)
    if n * d <= FEW_NUMBERS and n * d * n_clusters * n_trials <= FEW_DIFFERENCES:
        index = _draw_in_turn(X, first, n_clusters, weights, rng, n_trials)
    elif n_trials == 1:
        index = _draw(_Nearest(X, first), n_clusters, weights, rng)
    else:
        index = _draw_greedily(_Nearest(X, first), n_clusters, weights, rng, n_trials)
    return dense_rows(X, index), index


def kmeans_parallel(
    X: Any,
    n_clusters: int,
    *,
    sample_weight: Any = None,
    oversampling: Any = 2.0,
    n_rounds: int = 5,
    random_state: Any = None,
) -> tuple[np.ndarray, np.ndarray]:
    """`n_clusters` rows of X far from one another, in `n_rounds` + 1 passes over X: k-means||.

    For X that lies on disk or is otherwise dear to read; where it is in memory, `kmeans_plusplus` with one
    trial does less work. In each round every row is taken with probability oversampling n_clusters times its
    share of the cost. The rows taken, weighted by those nearest to them, are thinned by k-means++; if they
    are too few, k-means++ goes on from them. Returns and takes what `kmeans_plusplus` does.

    Source: Bahmani, Moseley, Vattani, Kumar, Vassilvitskii 2012, Scalable K-Means++.
    """
    X, weights = _checked(X, n_clusters, sample_weight)
    if not isinstance(oversampling, Real) or not 0 < float(oversampling) < np.inf:
        raise InputError(f"oversampling must be a finite number above 0; got {oversampling!r}.")
    check_count("n_rounds", n_rounds)
    rng = check_random_state(random_state)
    nearest = _Nearest(X, _first(X.shape[0], weights, rng))
    for _ in range(n_rounds):
        mass = nearest.squared if weights is None else weights * nearest.squared
        draws = rng.uniform(size=len(mass)) * mass.sum()
        taken = np.flatnonzero(draws < float(oversampling) * n_clusters * mass)
        if taken.size:
            nearest.lower(taken)
    if len(nearest.index) <= n_clusters:
        index = _draw(nearest, n_clusters, weights, rng)
    else:
        candidates = np.array(nearest.index, np.intp)
        mass = np.bincount(nearest.owner, weights, len(candidates))
        chosen = kmeans_plusplus(dense_rows(X, candidates), n_clusters, sample_weight=mass, random_state=rng)
        index = candidates[chosen[1]]
    return dense_rows(X, index), index


def _checked(X: Any, n_clusters: Any, sample_weight: Any) -> tuple[Any, np.ndarray | None]:
    X = checked_rows("X", X, or_sparse=True)
    refuse_overflow("X", refuse_nonfinite("X", X))
    check_groups("n_clusters", n_clusters, X.shape[0])
    if sample_weight is None:
        return X, None
    return X, _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)


# Up to here drawing in turn is faster than any cleverness: 300 x 2, k = 8 took 1.2 ms with it, .3 without.
FEW_NUMBERS, FEW_DIFFERENCES = 2**21, 2**27


def _draw_in_turn(
    X: Any, first: int, k: int, weights: np.ndarray | None, rng: Any, n_trials: int
) -> np.ndarray:
    uniforms = rng.uniform(size=(k - 1, n_trials))
    each = np.ones(X.shape[0]) if weights is None else weights
    index = draw_in_turn(dense_rows(X, slice(None)), each, _scale(X), first, uniforms)
    return index if len(index) == k else _repeat(index.tolist(), k, X.shape[0], weights, rng)


MOST_AT_ONCE = 128  # centers a pass
MOST_TO_COME = 1024  # candidates: of 8,000 for 1,000 centers 2 % were turned away, and passes cost more


def _draw(nearest: "_Nearest", k: int, weights: np.ndarray | None, rng: Any) -> np.ndarray:
    """One draw a center, by rejection.

    Candidates come by distances that may be stale, that is too large, and stay with probability true / stale:
    that is exactly drawing by the true ones.
    All distances are brought up to date only when the candidates turned away have cost what that costs.
    """
    index = list(nearest.index)
    while len(index) < k:
        draw = _Draw(nearest.squared, weights, rng)
        if draw.nothing_left:
            return _repeat(index, k, len(nearest.squared), weights, rng)
        fresh: list[int] = []
        patience = nearest.pass_cost
        while len(index) + len(fresh) < min(k, len(index) + MOST_AT_ONCE) and patience > 0:
            candidate = draw()
            true = nearest.with_others(candidate, fresh)
            if rng.uniform() * nearest.squared[candidate] < true:
                fresh.append(candidate)
            else:
                patience -= nearest.try_cost(len(fresh))
        index += fresh
        if len(index) < k:
            nearest.lower(fresh)
    return np.array(index, np.intp)


def _draw_greedily(
    nearest: "_Nearest", k: int, weights: np.ndarray | None, rng: Any, n_trials: int
) -> np.ndarray:
    """Of `n_trials` draws a center the one that lowers the cost most (ties: the first).

    A pool of candidates for many centers to come is drawn at once and compared with all rows in one pass.
    Distances only fall, so the pairs that could lower one then are all that ever can; by the time its turn
    comes, a candidate stays with probability true / stale, as in `_draw`.
    """
    index = nearest.index
    most = n_trials
    best, n_seen = _NONE, 0
    while len(index) < k:
        draw = _Draw(nearest.squared, weights, rng)
        if draw.nothing_left:
            return _repeat(index, k, len(nearest.squared), weights, rng)
        pool = np.array([draw() for _ in range(min(most, (k - len(index)) * n_trials))])
        thresholds = rng.uniform(size=len(pool)) * nearest.squared[pool]
        kept = 0
        for trial, threshold in zip(nearest.trials(pool), thresholds):
            if threshold < nearest.squared[trial.candidate]:
                kept += 1
                best = max(best, (trial.gain(nearest.squared, weights), trial), key=itemgetter(0))
                n_seen += 1
            if n_seen == n_trials:
                nearest.take(best[1])
                best, n_seen = _NONE, 0
                if len(index) == k:
                    break
        # Each of c centers owns n / c rows on average, and so many pairs each candidate brings.
        most = min(2 * most if 2 * kept > len(pool) else most, MOST_TO_COME, 3 * len(index) // 2 + n_trials)
    return np.array(index, np.intp)


@dataclass(frozen=True)
class _Trial:
    """A candidate with all rows that it may be nearer to than their nearest center."""

    candidate: int
    rows: np.ndarray
    squared: np.ndarray

    def gain(self, nearest: np.ndarray, weights: np.ndarray | None) -> float:
        saved = np.maximum(nearest[self.rows] - self.squared, 0)
        return float(saved.sum() if weights is None else saved @ weights[self.rows])


_NONE = -1.0, _Trial(-1, np.empty(0, np.int32), np.empty(0))


class _Draw:
    """Rows drawn in proportion to `squared` times weight; only sums of blocks are kept."""

    BLOCK = 2048

    def __init__(self, squared: np.ndarray, weights: np.ndarray | None, rng: Any) -> None:
        self.squared, self.weights, self.rng = squared, weights, rng
        self.reach = np.cumsum([self._mass(at).sum() for at in range(0, len(squared), self.BLOCK)])
        self.nothing_left = not self.reach[-1] > 0
        self.last = int(np.searchsorted(self.reach, self.reach[-1]))  # the last block that has any

    def __call__(self) -> int:
        draw = self.rng.uniform() * self.reach[-1]
        block = min(int(np.searchsorted(self.reach, draw, side="right")), self.last)
        within = np.cumsum(self._mass(block * self.BLOCK))
        draw -= self.reach[block - 1] if block else 0
        at = min(np.searchsorted(within, draw, side="right"), np.searchsorted(within, within[-1]))
        return block * self.BLOCK + int(at)

    def _mass(self, at: int) -> np.ndarray:
        rows = slice(at, at + self.BLOCK)
        return self.squared[rows] if self.weights is None else self.squared[rows] * self.weights[rows]


def _first(n: int, weights: np.ndarray | None, rng: Any) -> int:
    return int(rng.uniform() * n) if weights is None else _Draw(weights, None, rng)()


def _repeat(index: list[int], k: int, n: int, weights: np.ndarray | None, rng: Any) -> np.ndarray:
    """Every row lies on a center already: the rest is drawn by weight."""
    share = None if weights is None else weights / weights.sum()
    more = rng.choice(n, size=k - len(index), p=share)
    return np.concatenate([index, more]).astype(np.intp)


def _scale(X: Any) -> float:
    """The power of two that brings the span of X to between .5 and 1, or as near as can be."""
    least = -120 if X.dtype == np.float32 else -1000  # beyond, the scale itself would overflow
    return float(np.ldexp(1.0, -max(int(np.frexp(float(X.max()) - float(X.min()))[1]), least)))


class _Nearest:
    """The squared distance of each row to the nearest center so far, by differences in float64.

    In units of the span of X, so that nothing overflows in float32.
    """

    def __init__(self, X: Any, first: int) -> None:
        n, d = X.shape
        self.X, self.index = X, [first]
        self.first = dense_rows(X, [first])
        self.scale = _scale(X)
        self.owner = np.zeros(n, np.int32)
        self.squared = np.empty(n)
        self._for_blocks(self._from_first)
        # Seconds, as two cores of 2023 had them; they set only how often distances are brought up to date.
        self.pass_cost = 1e-4 + 1e-9 * n * d

    def try_cost(self, n_others: int) -> float:
        return 2e-5 + 5e-10 * n_others * int(self.X.shape[1])

    def with_others(self, row: int, others: list[int]) -> float:
        """The true squared distance of `row`, when `others` are centers too."""
        if not others:
            return float(self.squared[row])
        m = len(others)
        x, centers = dense_rows(self.X, [row]), dense_rows(self.X, others)
        new = squared_differences(x, centers, np.zeros(m, np.int32), np.arange(m, dtype=np.int32), self.scale)
        return float(min(self.squared[row], new.min()))

    def lower(self, index: Any) -> None:
        """Take the rows `index` as centers."""
        centers = dense_rows(self.X, index)

        def lower(rows: slice) -> None:
            lower_nearest(
                dense_rows(self.X, rows), centers, self.first[0], self.scale, len(self.index),
                self.squared[rows], self.owner[rows],
            )  # fmt: skip

        self._for_blocks(lower)
        self.index += [int(i) for i in index]

    def take(self, trial: _Trial) -> None:
        """Take the candidate of a trial as center."""
        nearer = trial.squared < self.squared[trial.rows]
        rows = trial.rows[nearer]
        self.squared[rows], self.owner[rows] = trial.squared[nearer], len(self.index)
        self.index.append(trial.candidate)

    def trials(self, pool: np.ndarray) -> Iterator[_Trial]:
        """Of each candidate, the rows that it is nearer to."""
        centers = dense_rows(self.X, pool)
        apart = self._apart(centers)
        whole = type(self.X) is np.ndarray and self.X.flags.carray  # else copied block by block
        # Rows of one owner, and of those the near ones, are out of reach of the same candidates.
        order = np.argsort(self.owner + self.squared * (0.5 / self.squared.max())).astype(np.int32)

        def pairs(block: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            rows = order[block]
            x, some = (self.X, rows) if whole else (dense_rows(self.X, rows), np.arange(len(rows)))
            i, squared, ends = nearer_pairs(
                x, some, centers, self.first[0], self.scale, self.squared[rows], self.owner[rows], apart
            )
            return rows[i], squared, ends

        parts = list(map_blocks(pairs, len(order), self._block()))
        for j, candidate in enumerate(pool.tolist()):
            mine = [(rows[e[j] : e[j + 1]], squared[e[j] : e[j + 1]]) for rows, squared, e in parts]
            rows, squared = (np.concatenate(column) for column in zip(*mine))
            yield _Trial(candidate, rows, squared)

    def _apart(self, candidates: np.ndarray) -> np.ndarray:
        """No more than the squared distance between each center so far and each candidate, float32."""
        apart = np.empty((len(self.index), len(candidates)), np.float32)
        b = (candidates.astype(np.float64) - self.first) * self.scale
        d = b.shape[1]
        off = 4 * (d + 8) * np.finfo(np.float64).eps + 2 * float(np.finfo(np.float32).eps)  # at most

        def measure(rows: slice) -> None:
            a = (dense_rows(self.X, self.index[rows]).astype(np.float64) - self.first) * self.scale
            sizes = np.einsum("md,md->m", a, a)[:, None] + np.einsum("md,md->m", b, b)
            apart[rows] = (1 - off) * sizes - 2 * (a @ b.T)

        deque(map_blocks(measure, len(apart), 64), maxlen=0)
        return apart

    def _from_first(self, rows: slice) -> None:
        x = dense_rows(self.X, rows)
        every, zero = np.arange(len(x), dtype=np.int32), np.zeros(len(x), np.int32)
        self.squared[rows] = squared_differences(x, self.first, every, zero, self.scale)

    def _for_blocks(self, function: Callable[[slice], object]) -> None:
        deque(map_blocks(function, self.X.shape[0], self._block()), maxlen=0)

    def _block(self) -> int:
        return max(64, min(8192, 2**19 // int(self.X.shape[1])))
