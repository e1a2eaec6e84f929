"""Hard k-means: the function, then the estimator over it."""

import warnings
from collections.abc import Callable
from functools import partial
from itertools import count
from numbers import Integral
from typing import Any

import numpy as np
from scipy.sparse import issparse
from scipy.spatial.distance import cdist
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from sortal.cluster.descent import (
    KMeansResult,
    KMeansStep,
    block_of_rows,
    check_start,
    checked_weights,
    descend,
)
from sortal.cluster.rows import (
    check_count,
    check_groups,
    check_tolerance,
    checked_rows,
    dense_rows,
    fit_rows,
    refuse_nonfinite,
    refuse_overflow,
    validated,
)
from sortal.cluster.seeding import seeds
from sortal.errors import InputError
from sortal.kernels import (
    map_blocks,
    nearest_labels,
    nearest_labels_sparse,
    squared_to_center,
    squared_to_center_sparse,
)

__all__ = ["KMeans", "KMeansResult", "center_margins", "kmeans"]


def kmeans(
    x: Any,
    start: Any,
    *,
    sample_weight: Any = None,
    max_iter: int = 300,
    tol: float = 1e-4,
    callback: Callable[[KMeansStep], object] | None = None,
) -> KMeansResult:
    """Move the centers `start` (k x d) downhill until no label changes or they move less than `tol`.

    `x` is n x d, float32 or float64 (integers are taken as float64), dense (a memory map too, read in blocks)
    or CSR. `tol` counts in mean variances of the columns of `x`, as scikit-learn's. Deterministic: the same
    `x` and `start` give the same bits. A tie goes to the lowest number; an empty cluster takes the point
    farthest from its center. Sums run in float64. `callback` sees each step; what it raises ends the fit.
    `InputError` where shapes do not match, or numbers or squared distances are not finite.

    Source: Lloyd 1982. Where we differ: after the last move labels are assigned once more, so `labels`
    always belong to `centers`.
    """
    x = checked_rows("x", x, or_sparse=True)
    start = checked_rows("start", start).astype(x.dtype)
    check_start(x, start)
    refuse_overflow("x with start", refuse_nonfinite("x", x), start)
    weights = checked_weights(sample_weight, x.shape[0])
    block = block_of_rows(x, weights, len(start), max_iter)
    return descend(x, start, weights, max_iter, tol, callback, block=block)


def _nearest(x: Any, centers: np.ndarray) -> np.ndarray:
    return nearest_labels_sparse(x, centers) if issparse(x) else nearest_labels(x, centers)


def _squared(x: Any, centers: np.ndarray, labels: np.ndarray) -> np.ndarray:
    measure = squared_to_center_sparse if issparse(x) else squared_to_center
    return measure(x, centers, labels)


def center_margins(x: Any, centers: Any) -> np.ndarray:
    """How much farther the second center of each row is than its nearest (float64, n): 0 is a tie.

    A difference of distances, not of their squares. Rows of small margin are in doubt. One center leaves
    none: infinity. `x` (n x d) is dense or CSR. Costs n k d. `InputError` for what is no rows of numbers.
    """
    x, centers = checked_rows("x", x, or_sparse=True), checked_rows("centers", centers)
    if len(centers) == 1:
        return np.full(x.shape[0], np.inf)
    wide = centers.astype(np.float64)

    def margin(rows: slice) -> np.ndarray:
        nearest = np.partition(cdist(dense_rows(x, rows), wide), 1, axis=1)
        return nearest[:, 1] - nearest[:, 0]

    return np.concatenate(list(map_blocks(margin, x.shape[0], max(1, 2**20 // max(centers.shape)))))


def _distances(x: Any, centers: np.ndarray) -> np.ndarray:
    """By differences in float64: the expanded square would contradict `_nearest` where an offset is huge."""
    wide = centers.astype(np.float64)
    parts = map_blocks(
        lambda rows: cdist(dense_rows(x, rows), wide).astype(x.dtype),
        x.shape[0],
        max(16, 2**18 // max(wide.shape)),
    )
    return np.concatenate(list(parts))


WHY = {
    "labels": "strict convergence, no label changed",
    "tol": "center shift {shift:g} within tolerance",
    "max_iter": "max_iter was reached",
    "rounding": "no better place is left",
}


class KMeans(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClusterMixin, BaseEstimator):  # type: ignore[misc]
    """K-means clustering with scikit-learn's parameters and attributes.

    Parameters
    ----------
    n_clusters, init, n_init, max_iter, tol, verbose, random_state, copy_x, algorithm
        As `sklearn.cluster.KMeans`. `copy_x` changes nothing, since X is never written to, and "elkan"
        gives what "lloyd" gives: it is another way to the same labels.

    Attributes
    ----------
    cluster_centers_, labels_, inertia_, n_iter_, n_features_in_
        As `sklearn.cluster.KMeans`.
    inertia_history_ : tuple of float
        The cost after each assignment of the best start; it never rises.
    history_ : tuple of KMeansStep
        The same with how many labels changed and how far the centers moved.
    stopped_ : str
        Why the best start stopped: "labels", "tol", "max_iter" or "rounding".

    Notes
    -----
    X is dense, CSR or a memory map, (n, d); float32 and float64 stay. Costs n k d an iteration; memory beside
    X grows with n and not with n k. Source, ties, empty clusters, errors: `kmeans`. Where we differ from
    scikit-learn: the same `random_state` draws another start.
    """

    def __init__(
        self,
        n_clusters: Any = 8,
        *,
        init: Any = "k-means++",
        n_init: Any = "auto",
        max_iter: Any = 300,
        tol: Any = 1e-4,
        verbose: Any = 0,
        random_state: Any = None,
        copy_x: Any = True,
        algorithm: Any = "lloyd",
    ) -> None:
        self.n_clusters = n_clusters
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.verbose = verbose
        self.random_state = random_state
        self.copy_x = copy_x
        self.algorithm = algorithm

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    @property
    def _n_features_out(self) -> int:
        return len(self.cluster_centers_)

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> "KMeans":
        """Find the centers: the best of `n_init` starts. `y` is ignored."""
        X = fit_rows(self, X, accept_sparse="csr", dtype=[np.float64, np.float32], accept_large_sparse=False)
        self._check_parameters(X.shape[0])
        refuse_overflow("X", refuse_nonfinite("X", X))
        X = self._prepared(X)
        weights = None
        if sample_weight is not None:
            weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        rng = check_random_state(self.random_state)
        self._n_init = self._n_starts()
        descend = self._descent(X, weights)
        runs = (self._run(X, weights, rng, descend) for _ in range(self._n_init))
        self._keep(min(runs, key=lambda run: run.inertia))
        return self

    def _run(
        self, X: Any, weights: np.ndarray | None, rng: Any, descend: Callable[..., KMeansResult]
    ) -> KMeansResult:
        start = self._start(X, weights, rng)
        steps = count()

        def report(step: KMeansStep) -> None:
            print(f"Iteration {next(steps)}, inertia {step.inertia}.")  # noqa: T201

        if self.verbose:
            print("Initialization complete")  # noqa: T201
        result = descend(
            X, start, weights, int(self.max_iter), float(self.tol), report if self.verbose else None
        )
        if self.verbose:
            why = WHY[result.stopped].format(shift=result.history[-1].shift)
            print(f"Converged at iteration {result.n_iter - 1}: {why}.")  # noqa: T201
        return result

    def _descent(self, X: Any, weights: np.ndarray | None) -> Callable[..., KMeansResult]:
        """What goes downhill from each start."""
        return partial(descend, block=block_of_rows(X, weights, self.n_clusters, int(self.max_iter)))

    def _keep(self, best: KMeansResult) -> None:
        self.labels_, self.cluster_centers_, self.stopped_ = best.labels, best.centers, best.stopped
        self.inertia_, self.n_iter_, self.history_ = best.inertia, best.n_iter, best.history
        self.inertia_history_ = best.inertia_history
        seen = np.zeros(self.n_clusters, bool)
        seen[best.labels] = True
        found = int(seen.sum())
        if found < self.n_clusters:
            warnings.warn(
                f"Number of distinct clusters ({found}) found smaller than n_clusters ({self.n_clusters}). "
                "Possibly due to duplicate points in X.",
                ConvergenceWarning,
                stacklevel=3,
            )

    def fit_predict(self, X: Any, y: Any = None, sample_weight: Any = None) -> np.ndarray:
        """`fit(X).labels_`. `y` is ignored."""
        return np.asarray(self.fit(X, sample_weight=sample_weight).labels_)

    def fit_transform(self, X: Any, y: Any = None, sample_weight: Any = None) -> np.ndarray:
        """`fit(X).transform(X)`. `y` is ignored."""
        distances: np.ndarray = self.fit(X, sample_weight=sample_weight).transform(X)
        return distances

    def predict(self, X: Any) -> np.ndarray:
        """The nearest center of each row of X."""
        return _nearest(self._checked(X), self.cluster_centers_)

    def transform(self, X: Any) -> np.ndarray:
        """The distance from each row of X to each center, (n, k)."""
        return _distances(self._checked(X), self.cluster_centers_)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Minus the cost of X against the centers. `y` is ignored."""
        X = self._checked(X)
        weights = _check_sample_weight(sample_weight, X, dtype=np.float64)
        squared = _squared(X, self.cluster_centers_, _nearest(X, self.cluster_centers_))
        return -float(weights @ squared)

    def _checked(self, X: Any) -> Any:
        check_is_fitted(self)
        X = validated(
            self,
            X,
            accept_sparse="csr",
            reset=False,
            dtype=[self.cluster_centers_.dtype],
            accept_large_sparse=False,
            ensure_all_finite=False,
        )
        refuse_overflow("X with the centers", refuse_nonfinite("X", X), self.cluster_centers_)
        return self._prepared(X)

    def _prepared(self, X: Any) -> Any:
        """The rows that are grouped: X itself here."""
        return X

    def _n_starts(self) -> int:
        if not isinstance(self.init, str) and not callable(self.init):
            if self.n_init not in ("auto", 1):
                warnings.warn(
                    "Explicit initial center position passed: performing only one init in "
                    f"{type(self).__name__} instead of n_init={self.n_init}.",
                    RuntimeWarning,
                    stacklevel=3,
                )
            return 1
        if self.n_init == "auto":
            return 1 if isinstance(self.init, str) and self.init == "k-means++" else 10
        return int(self.n_init)

    def _start(self, X: Any, weights: np.ndarray | None, rng: Any) -> np.ndarray:
        if callable(self.init):
            start = self.init(X, self.n_clusters, random_state=rng)
        elif not isinstance(self.init, str):
            start = self.init
        elif self.init == "k-means++":
            return seeds(X, int(self.n_clusters), weights, rng)[0]
        else:
            share = None if weights is None else weights / weights.sum()
            rows = rng.choice(X.shape[0], size=self.n_clusters, replace=False, p=share)
            return dense_rows(X, np.sort(rows) if issparse(X) else rows)
        start = np.asarray(start, dtype=X.dtype)
        if start.shape != (self.n_clusters, X.shape[1]):
            features = start.shape[:1] == (self.n_clusters,)
            what = "features of the data" if features else "clusters"
            raise InputError(
                f"init must have shape (n_clusters, n_features) = {(self.n_clusters, X.shape[1])}; "
                f"got {start.shape}. The shape of the initial centers {start.shape} does not match the "
                f"number of {what} {X.shape[1] if features else self.n_clusters}."
            )
        return start

    def _check_parameters(self, n: int) -> None:
        check_groups("n_clusters", self.n_clusters, n)
        if isinstance(self.init, str) and self.init not in ("k-means++", "random"):
            raise InputError(
                f"init must be 'k-means++', 'random', an array or a callable; got {self.init!r}."
            )
        if self.n_init != "auto" and not (isinstance(self.n_init, Integral) and int(self.n_init) >= 1):
            raise InputError(f"n_init must be 'auto' or an integer of at least 1; got {self.n_init!r}.")
        check_count("max_iter", self.max_iter)
        check_tolerance(self.tol)
        if self.algorithm not in ("lloyd", "elkan"):
            raise InputError(f"algorithm must be 'lloyd' or 'elkan'; got {self.algorithm!r}.")
        if self.algorithm == "elkan" and self.n_clusters == 1:
            warnings.warn(
                "algorithm='elkan' doesn't make sense for a single cluster: there is nothing to compare.",
                RuntimeWarning,
                stacklevel=3,
            )
