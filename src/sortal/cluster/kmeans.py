"""Hard k-means: the function, then the estimator over it."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix, issparse
from scipy.spatial.distance import cdist
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from sortal.arrays import Labels
from sortal.cluster.rows import checked_rows, dense_rows, refuse_overflow
from sortal.cluster.seeding import kmeans_plusplus
from sortal.errors import InputError
from sortal.kernels import map_blocks, nearest_center, one_blas_thread

__all__ = ["KMeans", "KMeansResult", "kmeans"]


@dataclass(frozen=True)
class KMeansResult:
    """What `kmeans` found."""

    labels: Labels  # int32
    centers: np.ndarray  # k x d, in the type of x
    inertia: float  # weighted sum of squared distances to the nearest center
    n_iter: int
    inertia_history: tuple[float, ...]  # of each assignment; never rises


def kmeans(
    x: Any, start: Any, *, sample_weight: Any = None, max_iter: int = 300, tol: float = 1e-4
) -> KMeansResult:
    """Move the centers `start` (k x d) downhill until no label changes or they move less than `tol`.

    `x` is n x d, float32 or float64 (integers are taken as float64), dense (a memory map too) or CSR. `tol`
    counts in mean variances of the columns of `x`, as scikit-learn's. Deterministic: the same `x` and `start`
    give the same bits. A tie goes to the lowest number; an empty cluster takes the point farthest from its
    center. Sums run in float64. `InputError` where shapes do not match or squared distances are not finite.

    Source: Lloyd 1982. Where we differ: after the last move labels are assigned once more, so `labels`
    always belong to `centers`.
    """
    x = checked_rows("x", x, or_sparse=True)
    start = checked_rows("start", start).astype(x.dtype)
    if not (start.shape[1] == x.shape[1] and len(start) <= x.shape[0]):
        raise InputError(
            f"start must hold at most one center for each of the {x.shape[0]} rows of x, of "
            f"{x.shape[1]} numbers each; got shape {start.shape}."
        )
    refuse_overflow("x with start", x, start)
    with one_blas_thread():
        return _descend(x, start, _weights(sample_weight, x.shape[0]), max_iter, tol)


def _weights(sample_weight: Any, n: int) -> np.ndarray:
    weights = np.ones(n) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    if weights.shape != (n,) or not ((weights >= 0) & (weights < np.inf)).all():
        raise InputError(
            f"sample_weight must be a finite number of at least 0 for each of the {n} rows; "
            f"got shape {weights.shape}, least {weights.min(initial=np.inf):g}."
        )
    return weights


def _descend(x: Any, centers: np.ndarray, weights: np.ndarray, max_iter: int, tol: float) -> KMeansResult:
    origin = centers.mean(axis=0, dtype=np.float64)  # sums of differences keep digits that a huge offset eats
    running = _Sums(x, weights, origin, len(centers))
    allowed = tol * _mean_variance(x, origin) if tol else 0.0
    labels, squared = _assign(x, centers)
    history = [float(weights @ squared)]
    n_iter = 0
    while n_iter < max_iter:
        n_iter += 1
        labels = _fill_empty(labels, squared, weights, len(centers))
        previous, centers = centers, running.means(labels, centers)
        new_labels, new_squared = _assign(x, centers)
        inertia = float(weights @ new_squared)
        if inertia > history[-1]:  # by rounding only: no better place is left
            centers = previous
            labels, squared = _assign(x, centers)
            break
        unchanged = np.array_equal(new_labels, labels)
        labels, squared = new_labels, new_squared
        history.append(inertia)
        moved = float(((centers.astype(np.float64) - previous) ** 2).sum())
        if unchanged or moved <= allowed:
            break
    return KMeansResult(labels, centers, history[-1], n_iter, tuple(history))


class _Sums:
    """Weighted sums of the rows of each cluster, updated for the rows whose label changed."""

    def __init__(self, x: Any, weights: np.ndarray, origin: np.ndarray, k: int) -> None:
        self.x, self.weights, self.origin, self.k = x, weights, origin, k
        self.labels = np.full(x.shape[0], -1, np.int32)
        self.sums = np.zeros((k, x.shape[1]))

    def means(self, labels: np.ndarray, centers: np.ndarray) -> np.ndarray:
        """The mean of each cluster; a cluster without weight keeps its center."""
        changed = np.flatnonzero(labels != self.labels)
        for rows in np.split(changed, range(4096, len(changed), 4096)):
            self._move(rows, labels[rows])
        mass = np.bincount(labels, self.weights, self.k)
        self.labels[:] = labels
        filled = mass > 0
        means = centers.copy()
        means[filled] = self.sums[filled] / mass[filled, None] + self.origin
        return means

    def _move(self, rows: np.ndarray, to: np.ndarray) -> None:
        values = dense_rows(self.x, rows).astype(np.float64) - self.origin
        came = self.labels[rows]
        old = came >= 0
        sign = np.concatenate([self.weights[rows], -self.weights[rows[old]]])
        cluster = np.concatenate([to, came[old]])
        place = np.concatenate([np.arange(len(rows)), np.flatnonzero(old)])
        self.sums += csr_matrix((sign, (cluster, place)), shape=(self.k, len(rows))) @ values


def _fill_empty(labels: np.ndarray, squared: np.ndarray, weights: np.ndarray, k: int) -> np.ndarray:
    """Labels in which each cluster without weight has taken the farthest point that leaves no other empty."""
    mass = np.bincount(labels, weights, k)
    empty = np.flatnonzero(mass == 0)
    if not empty.size:
        return labels
    labels = labels.copy()
    members = np.bincount(labels[weights > 0], minlength=k)
    far = iter(np.argsort(-(squared * (weights > 0)), kind="stable"))
    for cluster in empty:
        for point in far:
            if squared[point] == 0 or weights[point] == 0:
                return labels  # fewer distinct points than clusters
            if members[labels[point]] > 1:
                members[labels[point]] -= 1
                labels[point] = cluster
                break
    return labels


def _assign(x: Any, centers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if not issparse(x):
        return nearest_center(x, centers)
    parts = [nearest_center(rows, centers) for rows in _dense_blocks(x)]
    return np.concatenate([labels for labels, _ in parts]), np.concatenate([squared for _, squared in parts])


def _mean_variance(x: Any, origin: np.ndarray) -> float:
    total, squares = np.zeros(x.shape[1]), np.zeros(x.shape[1])
    for rows in _dense_blocks(x):
        shifted = rows - origin
        total += shifted.sum(axis=0)
        squares += np.einsum("nd,nd->d", shifted, shifted)
    return float(np.mean(squares / x.shape[0] - (total / x.shape[0]) ** 2))


def _dense_blocks(x: Any) -> Iterator[np.ndarray]:
    block = max(16, 2**21 // x.shape[1])
    return (dense_rows(x, slice(at, at + block)) for at in range(0, x.shape[0], block))


def _distances(x: Any, centers: np.ndarray) -> np.ndarray:
    """By differences in float64: the expanded square would contradict `_assign` where an offset is huge."""
    wide = centers.astype(np.float64)
    parts = map_blocks(
        lambda rows: cdist(dense_rows(x, rows), wide), x.shape[0], max(16, 2**18 // x.shape[1])
    )
    return np.concatenate(list(parts)).astype(x.dtype)


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
        X = validate_data(
            self, X, accept_sparse="csr", dtype=[np.float64, np.float32], accept_large_sparse=False
        )
        self._check_parameters(X.shape[0])
        weights = _check_sample_weight(sample_weight, X, dtype=np.float64)
        rng = check_random_state(self.random_state)
        best: KMeansResult | None = None
        for run in range(self._n_starts()):
            start = self._start(X, weights, rng)
            result = kmeans(X, start, sample_weight=weights, max_iter=self.max_iter, tol=self.tol)
            if self.verbose:
                print(f"Start {run}: inertia {result.inertia} after {result.n_iter} iterations.")  # noqa: T201
            if best is None or result.inertia < best.inertia:
                best = result
        assert best is not None
        self._keep(best)
        return self

    def _keep(self, best: KMeansResult) -> None:
        self.labels_, self.cluster_centers_ = best.labels, best.centers
        self.inertia_, self.n_iter_, self.inertia_history_ = best.inertia, best.n_iter, best.inertia_history
        found = len(np.unique(best.labels))
        if found < self.n_clusters:
            warnings.warn(
                f"Number of distinct clusters ({found}) found smaller than n_clusters ({self.n_clusters}). "
                "Possibly due to duplicate points in X.",
                ConvergenceWarning,
                stacklevel=3,
            )

    def predict(self, X: Any) -> np.ndarray:
        """The nearest center of each row of X."""
        return _assign(self._checked(X), self.cluster_centers_)[0]

    def transform(self, X: Any) -> np.ndarray:
        """The distance from each row of X to each center, (n, k)."""
        return _distances(self._checked(X), self.cluster_centers_)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Minus the cost of X against the centers. `y` is ignored."""
        X = self._checked(X)
        weights = _check_sample_weight(sample_weight, X, dtype=np.float64)
        with one_blas_thread():
            return -float(weights @ _assign(X, self.cluster_centers_)[1])

    def _checked(self, X: Any) -> Any:
        check_is_fitted(self)
        return validate_data(
            self,
            X,
            accept_sparse="csr",
            reset=False,
            dtype=[self.cluster_centers_.dtype],
            accept_large_sparse=False,
        )

    def _n_starts(self) -> int:
        if not isinstance(self.init, str) and not callable(self.init):
            return 1
        if self.n_init == "auto":
            return 1 if isinstance(self.init, str) and self.init == "k-means++" else 10
        return int(self.n_init)

    def _start(self, X: Any, weights: np.ndarray, rng: Any) -> np.ndarray:
        if callable(self.init):
            start = self.init(X, self.n_clusters, random_state=rng)
        elif not isinstance(self.init, str):
            start = self.init
        elif self.init == "k-means++":
            return kmeans_plusplus(X, self.n_clusters, sample_weight=weights, random_state=rng)[0]
        else:
            rows = rng.choice(X.shape[0], size=self.n_clusters, replace=False, p=weights / weights.sum())
            return dense_rows(X, np.sort(rows) if issparse(X) else rows)
        start = np.array(start, dtype=X.dtype)
        if start.shape != (self.n_clusters, X.shape[1]):
            raise InputError(
                f"init must have shape (n_clusters, n_features) = {(self.n_clusters, X.shape[1])}; "
                f"got {start.shape}."
            )
        return start

    def _check_parameters(self, n: int) -> None:
        if not isinstance(self.n_clusters, Integral) or not 1 <= int(self.n_clusters) <= n:
            raise InputError(
                f"n_clusters must be an integer between 1 and the number of samples; "
                f"got n_clusters={self.n_clusters!r} for n_samples={n}."
            )
        if isinstance(self.init, str) and self.init not in ("k-means++", "random"):
            raise InputError(
                f"init must be 'k-means++', 'random', an array or a callable; got {self.init!r}."
            )
        if self.n_init != "auto" and not (isinstance(self.n_init, Integral) and int(self.n_init) >= 1):
            raise InputError(f"n_init must be 'auto' or an integer of at least 1; got {self.n_init!r}.")
        if not isinstance(self.max_iter, Integral) or int(self.max_iter) < 1:
            raise InputError(f"max_iter must be an integer of at least 1; got {self.max_iter!r}.")
        if not isinstance(self.tol, Real) or not float(self.tol) >= 0:
            raise InputError(f"tol must be a number of at least 0; got {self.tol!r}.")
        if self.algorithm not in ("lloyd", "elkan"):
            raise InputError(f"algorithm must be 'lloyd' or 'elkan'; got {self.algorithm!r}.")
