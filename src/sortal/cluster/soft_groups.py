"""What soft k-means and fuzzy c-means share: the descent, and the shell of an estimator."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from sortal.cluster.descent import checked_weights
from sortal.cluster.rows import (
    check_count,
    check_groups,
    check_tolerance,
    checked_rows,
    n_distinct,
    refuse_nonfinite,
    refuse_overflow,
    validated,
)
from sortal.cluster.seeding import kmeans_plusplus
from sortal.errors import InputError
from sortal.kernels import map_blocks

__all__ = ["Descent", "SoftGroups", "checked_start", "descend"]

# Of x, origin, centers seen from it, weights and (to be filled) memberships: sums, mass, cost
Step = Callable[..., tuple[np.ndarray, np.ndarray, float]]


@dataclass(frozen=True)
class Descent:
    """Where centers came to rest."""

    memberships: np.ndarray  # n x k, in the type of x; rows sum to 1
    centers: np.ndarray  # k x d, in the type of x
    cost: float
    n_iter: int
    history: tuple[float, ...]  # the cost at the start and after each move; rises by rounding only
    stopped: str  # "tol" or "max_iter"


def checked_start(x: Any, start: Any, sample_weight: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, centers and weights that fit together."""
    x = checked_rows("x", x)
    start = checked_rows("start", start)
    refuse_nonfinite("x", x)
    refuse_nonfinite("start", start)
    if start.shape[1] != x.shape[1]:
        raise InputError(f"start must have the {x.shape[1]} columns of x; got shape {start.shape}.")
    refuse_overflow("x with start", x, start)
    given = checked_weights(sample_weight, len(x))
    weights = np.ones(len(x)) if given is None else given
    if not weights.any():
        raise InputError(f"sample_weight must be above 0 for some row; all {len(x)} are 0.")
    return x, start.astype(np.float64), weights


def descend(
    x: np.ndarray,
    start: np.ndarray,
    weights: np.ndarray,
    step: Step,
    max_iter: int,
    tol: Any,
    callback: Callable[[float], object] | None = None,
) -> Descent:
    """Move the centers to the weighted means of `step` until they move less than `tol`.

    `tol` counts in mean variances of the columns of x, as in `kmeans`. `callback` is told the cost before
    each move. A center without weight stays.
    """
    origin = start.mean(axis=0)
    centers = start - origin
    allowed = tol * _mean_variance(x, origin, weights)
    history = []
    n_iter, stopped = 0, "max_iter"
    while n_iter < max_iter and stopped == "max_iter":
        n_iter += 1
        sums, mass, cost = step(x, origin, centers, weights)
        history.append(cost)
        if callback is not None:
            callback(cost)
        moved = np.divide(sums, mass[:, None], out=centers.copy(), where=mass[:, None] > 0)
        if float(((moved - centers) ** 2).sum()) <= allowed:
            stopped = "tol"
        centers = moved
    rounded = (centers + origin).astype(x.dtype)
    memberships = np.empty((len(x), len(start)), x.dtype)
    *_, cost = step(x, origin, rounded - origin, weights, memberships)
    return Descent(memberships, rounded, cost, n_iter, (*history, cost), stopped)


def _mean_variance(x: np.ndarray, origin: np.ndarray, weights: np.ndarray) -> float:
    def moments(rows: slice) -> tuple[np.ndarray, np.ndarray]:
        moved = x[rows] - origin
        return weights[rows] @ moved, weights[rows] @ moved**2

    total = squares = np.zeros(x.shape[1])
    for first, second in map_blocks(moments, len(x), max(16, 2**17 // x.shape[1])):
        total, squares = total + first, squares + second
    mass = weights.sum()
    return float(np.mean(squares / mass - (total / mass) ** 2))


class SoftGroups(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClusterMixin, BaseEstimator):  # type: ignore[misc]
    """The estimator: a subclass stores its parameters and runs its function."""

    n_clusters: Any
    init: Any
    n_init: Any
    max_iter: Any
    tol: Any
    verbose: Any
    random_state: Any

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    @property
    def _n_features_out(self) -> int:
        return len(self.cluster_centers_)

    @abstractmethod
    def _run(self, X: np.ndarray, start: np.ndarray, weights: np.ndarray, callback: Any) -> Descent:
        """The fit from one start."""

    @abstractmethod
    def _step(self) -> Step:
        """One step with the fitted parameters."""

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> "SoftGroups":
        """Find the centers: the start of `n_init` that ends at the least cost. `y` is ignored."""
        X = self._checked(X, reset=True)
        self._check_parameters(len(X))
        weights = _check_sample_weight(sample_weight, X, dtype=np.float64)
        rng = check_random_state(self.random_state)
        n_starts = self.n_init if isinstance(self.init, str) else 1
        runs = (self._told(X, self._start(X, weights, rng), weights) for _ in range(n_starts))
        self._keep(min(runs, key=lambda run: run.cost))
        return self

    def _told(self, X: np.ndarray, start: np.ndarray, weights: np.ndarray) -> Descent:
        """A run that prints its cost as it falls, where `verbose` asks for it."""
        steps = count()

        def report(cost: float) -> None:
            print(f"Iteration {next(steps)}, cost {cost}.")  # noqa: T201

        found = self._run(X, start, weights, report if self.verbose else None)
        if self.verbose:
            print(f"Stopped by {found.stopped} after {found.n_iter} iterations, cost {found.cost}.")  # noqa: T201
        return found

    def _keep(self, best: Descent) -> None:
        self.memberships_, self.cluster_centers_ = best.memberships, best.centers
        self.labels_ = best.memberships.argmax(axis=1).astype(np.int32)
        self.n_iter_, self.cost_, self.history_ = best.n_iter, best.cost, best.history
        self.stopped_ = best.stopped

    def memberships(self, X: Any) -> np.ndarray:
        """How far each row of X belongs to each center, (n, k); rows sum to 1."""
        check_is_fitted(self)
        X = self._new_rows(X)
        out = np.empty((len(X), len(self.cluster_centers_)), X.dtype)
        self._cost(X, np.ones(len(X)), out)
        return out

    def transform(self, X: Any) -> np.ndarray:
        """The distance of each row of X to each center, (n, k)."""
        check_is_fitted(self)
        X = self._new_rows(X)
        out = np.empty((len(X), len(self.cluster_centers_)), X.dtype)

        def measure(rows: slice) -> None:
            out[rows] = cdist(X[rows], self.cluster_centers_)

        for _ in map_blocks(measure, len(X), max(16, 2**20 // X.shape[1])):
            pass
        return out

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Minus the cost of X at the centers. `y` is ignored."""
        check_is_fitted(self)
        X = self._new_rows(X)
        return -self._cost(X, _check_sample_weight(sample_weight, X, dtype=np.float64))

    def _cost(self, X: np.ndarray, weights: np.ndarray, *out: np.ndarray) -> float:
        centers = self.cluster_centers_.astype(np.float64)
        origin = centers.mean(axis=0)
        return float(self._step()(X, origin, centers - origin, weights, *out)[2])

    def predict(self, X: Any) -> np.ndarray:
        """The group that each row of X belongs to most (ties: the lowest number)."""
        return np.asarray(self.memberships(X).argmax(axis=1), dtype=np.int32)

    def _checked(self, X: Any, *, reset: bool) -> np.ndarray:
        X = validated(
            self,
            X,
            reset=reset,
            dtype=[np.float64, np.float32],
            ensure_all_finite=False,  # `refuse_nonfinite` names the place
        )
        refuse_nonfinite("X", X)
        return np.asarray(X)

    def _new_rows(self, X: Any) -> np.ndarray:
        X = self._checked(X, reset=False)
        refuse_overflow("X with the centers", X, self.cluster_centers_)
        return np.asarray(X)

    def _start(self, X: np.ndarray, weights: np.ndarray, rng: Any) -> np.ndarray:
        if not isinstance(self.init, str):
            start = np.array(self.init, dtype=X.dtype)
            if start.shape != (self.n_clusters, X.shape[1]):
                raise InputError(
                    f"init must have shape (n_clusters, n_features) = {(self.n_clusters, X.shape[1])}; "
                    f"got {start.shape}."
                )
            self._check_distinct(X[weights > 0] if (weights == 0).any() else X)
            return start
        start, _ = kmeans_plusplus(X, self.n_clusters, sample_weight=weights, random_state=rng)
        self._check_distinct(start)  # k-means++ repeats a row only when no other is left
        return start

    def _check_distinct(self, rows: np.ndarray) -> None:
        found = n_distinct(rows, self.n_clusters)
        if found < self.n_clusters:
            raise InputError(
                f"n_clusters must be at most the number of distinct rows (of positive weight); got "
                f"n_clusters={self.n_clusters} for {found}: ask for {found}."
            )

    def _check_parameters(self, n: int) -> None:
        check_groups("n_clusters", self.n_clusters, n)
        if isinstance(self.init, str) and self.init != "k-means++":
            raise InputError(f"init must be 'k-means++' or an array of centers; got {self.init!r}.")
        check_count("n_init", self.n_init)
        check_count("max_iter", self.max_iter)
        check_tolerance(self.tol)
