"""Where k-means starts."""

from collections import deque
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight

from sortal.cluster.rows import check_count, checked_rows, dense_rows, refuse_nonfinite, refuse_overflow
from sortal.errors import InputError
from sortal.kernels import (
    draw_in_turn,
    lower_nearest,
    map_blocks,
    near_pairs,
    one_blas_thread,
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
            f"x_squared_norms must have one number for each of the {X.shape[0]} samples; "
            f"got shape {np.shape(x_squared_norms)}."
        )
    return seeds(X, int(n_clusters), weights, check_random_state(random_state), n_local_trials)


def seeds(
    X: Any, n_clusters: int, weights: np.ndarray | None, rng: Any, n_local_trials: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """`kmeans_plusplus` of rows that have been looked at; `weights` None: all are 1."""
    n, d = (int(m) for m in X.shape)
    weights = np.ones(n) if weights is None else weights
    n_trials = n_local_trials or 2 + int(np.log(n_clusters))
    first = _Draw(weights, rng)()
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
    nearest = _Nearest(X, _Draw(weights, rng)())
    for _ in range(n_rounds):
        mass = weights * nearest.squared
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


def _checked(X: Any, n_clusters: Any, sample_weight: Any) -> tuple[Any, np.ndarray]:
    X = checked_rows("X", X, or_sparse=True)
    refuse_overflow("X", refuse_nonfinite("X", X))
    n = X.shape[0]
    if not isinstance(n_clusters, Integral) or not 1 <= int(n_clusters) <= n:
        raise InputError(
            f"n_clusters must be an integer between 1 and the number of samples; "
            f"got n_clusters={n_clusters} for n_samples={n}."
        )
    return X, _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)


# Up to here drawing in turn is faster than any cleverness: 300 x 2, k = 8 took 1.2 ms with it, .3 without.
FEW_NUMBERS, FEW_DIFFERENCES = 2**21, 2**27


def _draw_in_turn(X: Any, first: int, k: int, weights: np.ndarray, rng: Any, n_trials: int) -> np.ndarray:
    uniforms = rng.uniform(size=(k - 1, n_trials))
    index = draw_in_turn(dense_rows(X, slice(None)), weights, _scale(X), first, uniforms)
    return index if len(index) == k else _repeat(index.tolist(), k, weights, rng)


MOST_AT_ONCE = 128  # centers a pass: their scores against 1,024 rows still fit the second cache


def _draw(nearest: "_Nearest", k: int, weights: np.ndarray, rng: Any) -> np.ndarray:
    """One draw a center, by rejection.

    Candidates come by distances that may be stale, that is too large, and stay with probability true / stale:
    that is exactly drawing by the true ones.
    All distances are brought up to date only when the candidates turned away have cost what that costs.
    """
    index = list(nearest.index)
    while len(index) < k:
        draw = _Draw(weights * nearest.squared, rng)
        if draw.nothing_left:
            return _repeat(index, k, weights, rng)
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


def _draw_greedily(nearest: "_Nearest", k: int, weights: np.ndarray, rng: Any, n_trials: int) -> np.ndarray:
    """Of `n_trials` draws a center the one that lowers the cost most (ties: the first).

    A pool of candidates for many centers to come is drawn at once and compared with all rows in one pass.
    Distances only fall, so the pairs that could lower one then are all that ever can; by the time its turn
    comes, a candidate stays with probability true / stale, as in `_draw`.
    """
    index = nearest.index
    most = n_trials
    trials: list[_Trial] = []
    while len(index) < k:
        draw = _Draw(weights * nearest.squared, rng)
        if draw.nothing_left:
            return _repeat(index, k, weights, rng)
        pool = np.array([draw() for _ in range(min(most, (k - len(index)) * n_trials))])
        stale = nearest.squared[pool]
        kept = 0
        for trial, threshold in zip(nearest.trials(pool), rng.uniform(size=len(pool)) * stale):
            if threshold < nearest.squared[trial.candidate]:
                kept += 1
                trials.append(trial)
            if len(trials) == n_trials:
                best = max(trials, key=lambda trial: trial.gain(nearest.squared, weights))
                nearest.take(best)
                trials = []
                if len(index) == k:
                    break
        # Each of c centers owns n / c rows on average, and so many pairs each candidate brings.
        most = min(2 * most if 2 * kept > len(pool) else most, 2 * MOST_AT_ONCE, 2 * len(index) + n_trials)
    return np.array(index, np.intp)


@dataclass(frozen=True)
class _Trial:
    """A candidate with all rows that it may be nearer to than their nearest center."""

    candidate: int
    rows: np.ndarray
    squared: np.ndarray

    def gain(self, nearest: np.ndarray, weights: np.ndarray) -> float:
        return float(np.maximum(nearest[self.rows] - self.squared, 0) @ weights[self.rows])


class _Draw:
    """Rows drawn in proportion to `mass`."""

    def __init__(self, mass: np.ndarray, rng: Any) -> None:
        self.rng, self.reach = rng, np.cumsum(mass)
        self.nothing_left = not self.reach[-1] > 0
        self.last = int(np.searchsorted(self.reach, self.reach[-1]))  # the last row that has any

    def __call__(self) -> int:
        at = np.searchsorted(self.reach, self.rng.uniform() * self.reach[-1], side="right")
        return min(int(at), self.last)


def _repeat(index: list[int], k: int, weights: np.ndarray, rng: Any) -> np.ndarray:
    """Every row lies on a center already: the rest is drawn by weight."""
    more = rng.choice(len(weights), size=k - len(index), p=weights / weights.sum())
    return np.concatenate([index, more]).astype(np.intp)


def _scale(X: Any) -> float:
    """The power of two that brings the span of X to between .5 and 1, or as near as can be."""
    least = -120 if X.dtype == np.float32 else -1000  # beyond, the scale itself would overflow
    return float(np.ldexp(1.0, -max(int(np.frexp(float(X.max()) - float(X.min()))[1]), least)))


class _Nearest:
    """The squared distance of each row to the nearest center so far, by differences in float64.

    In units of the span of X, so that nothing overflows in float32. A product of float32 numbers, seen from
    the first center, only tells which pairs to compute: it leaves out none whose rounding error, at its very
    worst, could matter.
    """

    def __init__(self, X: Any, first: int) -> None:
        n, d = X.shape
        self.X, self.index = X, [first]
        self.first = dense_rows(X, [first])
        self.scale = _scale(X)
        self.owner = np.zeros(n, np.int32)
        parts = list(map_blocks(self._from_first, n, self._block(1)))
        self.squared = np.concatenate([squared for squared, _ in parts])
        self.norms = np.concatenate([norms for _, norms in parts])
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
        moved, norms = self._moved_centers(centers)

        def lower(rows: slice) -> None:
            x = dense_rows(self.X, rows)
            reach = self._slack(rows, norms) - self.norms[rows]
            scores = self._moved(x) @ moved
            lower_nearest(
                x, centers, scores, norms, reach, self.scale, len(self.index),
                self.squared[rows], self.owner[rows],
            )  # fmt: skip

        deque(map_blocks(lower, self.X.shape[0], self._block(len(centers))), maxlen=0)
        self.index += [int(i) for i in index]

    def take(self, trial: _Trial) -> None:
        """Take the candidate of a trial as center."""
        nearer = trial.squared < self.squared[trial.rows]
        rows = trial.rows[nearer]
        self.squared[rows], self.owner[rows] = trial.squared[nearer], len(self.index)
        self.index.append(trial.candidate)

    def trials(self, pool: np.ndarray) -> list[_Trial]:
        centers = dense_rows(self.X, pool)
        moved, norms = self._moved_centers(centers)
        within = self._within_reach(centers)

        def pairs(block: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            rows = block if within is None else within[block]
            x, nearest = dense_rows(self.X, rows), self.squared[rows]
            bound = np.where(nearest > 0, nearest + self._slack(rows, norms) - self.norms[rows], -np.inf)
            i, j = near_pairs(self._moved(x) @ moved, norms, bound.astype(np.float32))
            squared = squared_differences(x, centers, i, j, self.scale)
            nearer = squared < nearest[i]
            i = i[nearer] + np.int32(block.start)
            return i if within is None else within[i], j[nearer].astype(np.int16), squared[nearer]

        n = self.X.shape[0] if within is None else len(within)
        parts = list(map_blocks(pairs, n, self._block(len(pool))))
        i, j, squared = (np.concatenate(column) for column in zip(*parts))
        order = np.argsort(j, kind="stable")
        ends = np.cumsum(np.bincount(j, minlength=len(pool)))[:-1]
        by_candidate = zip(pool, np.split(i[order], ends), np.split(squared[order], ends))
        return [_Trial(int(candidate), rows, values) for candidate, rows, values in by_candidate]

    def _within_reach(self, candidates: np.ndarray) -> np.ndarray | None:
        """The rows x that some candidate q may be nearer to than their center c is; None for nearly all.

        |q - x| >= |q - c| - |x - c|, which is no less than |x - c| where |q - c| is twice that. In groups
        that lie apart this leaves the rows of those not found yet, in overlapping ones all.
        """
        centers = dense_rows(self.X, self.index)
        a, b = ((rows.astype(np.float64) - self.first) * self.scale for rows in (centers, candidates))
        sizes = np.einsum("md,md->m", a, a)[:, None] + np.einsum("md,md->m", b, b)
        with one_blas_thread():
            apart = sizes - 2 * (a @ b.T)
        apart -= 4 * (a.shape[1] + 8) * np.finfo(np.float64).eps * sizes  # more than it can be off
        near = apart.min(axis=1)
        within = np.flatnonzero(near[self.owner] < (4 + 1e-9) * self.squared).astype(np.int32)
        return within if len(within) < 0.8 * len(self.owner) else None

    def _from_first(self, rows: slice) -> tuple[np.ndarray, np.ndarray]:
        x = dense_rows(self.X, rows)
        n = len(x)
        squared = squared_differences(
            x, self.first, np.arange(n, dtype=np.int32), np.zeros(n, np.int32), self.scale
        )
        moved = self._moved(x)
        return squared, np.einsum("nd,nd->n", moved, moved)

    def _moved(self, x: np.ndarray) -> np.ndarray:
        # A power of two: scaling rounds nothing and keeps the difference finite.
        scale = x.dtype.type(self.scale)
        moved: np.ndarray = x * scale
        moved -= self.first * scale
        return moved.astype(np.float32, copy=False)

    def _moved_centers(self, centers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        moved = self._moved(centers)
        return -2 * moved.T, np.einsum("md,md->m", moved, moved)

    def _slack(self, rows: Any, norms: np.ndarray) -> np.ndarray:
        """More than all rounding of a score can come to: d + 8 steps of the worst sum, and underflow."""
        float32 = np.finfo(np.float32)
        steps = int(self.X.shape[1]) + 8
        slack: np.ndarray = steps * (
            float(float32.eps) * (self.norms[rows] + norms.max()) + 4 * float(float32.tiny)
        )
        return slack

    def _block(self, m: int) -> int:
        return max(16, min(4096, 2**17 // max(m, int(self.X.shape[1]))))
