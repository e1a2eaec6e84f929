"""Spherical k-means: groups of directions, what most people want for embedded vectors."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.sparse import diags_array, issparse

from sortal.cluster.descent import (
    KMeansResult,
    KMeansStep,
    check_start,
    checked_weights,
    descend,
)
from sortal.cluster.kmeans import KMeans
from sortal.cluster.rows import checked_rows, n_distinct, refuse_nonfinite
from sortal.errors import InputError
from sortal.kernels import map_blocks

__all__ = ["SphericalKMeans", "spherical_kmeans", "unit_rows"]


def spherical_kmeans(
    x: Any,
    start: Any,
    *,
    sample_weight: Any = None,
    max_iter: int = 300,
    tol: float = 1e-4,
    callback: Callable[[KMeansStep], object] | None = None,
) -> KMeansResult:
    """Groups of the directions of x (n x d, dense or CSR): centers are unit vectors, the cost is 1 - cosine.

    As `kmeans`, on `unit_rows(x)`. Between unit vectors |x - c|^2 = 2 (1 - cosine), so the nearest center is
    the most similar one; `inertia` is the weighted sum of 1 - cosine. A cluster whose rows cancel one another
    keeps its center. Rows of zeros have no direction: equally far from all, they go to center 0.

    Source: Dhillon and Modha 2001.
    """
    x, start = checked_rows("x", x, or_sparse=True), checked_rows("start", start)
    check_start(x, start)
    refuse_nonfinite("x", x)
    refuse_nonfinite("start", start)
    weights = checked_weights(sample_weight, x.shape[0])
    return _descend_sphere(unit_rows(x), start.astype(x.dtype), weights, max_iter, tol, callback)


def unit_rows(x: Any) -> Any:
    """The rows of x scaled to length 1; rows of zeros stay."""
    lengths = _lengths(x)
    scale = np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    if issparse(x):
        return (diags_array(scale) @ x).tocsr().astype(x.dtype)
    out = np.empty(x.shape, x.dtype)

    def shrink(rows: slice) -> None:
        np.multiply(x[rows], scale[rows, None], out=out[rows], casting="same_kind")

    for _ in map_blocks(shrink, len(x), max(16, 2**20 // x.shape[1])):
        pass
    return out


def _lengths(x: Any) -> np.ndarray:
    if issparse(x):
        squares = x.astype(np.float64).power(2).sum(axis=1)
        return np.asarray(np.sqrt(np.asarray(squares).ravel()))

    def measure(rows: slice) -> np.ndarray:
        wide = x[rows].astype(np.float64)
        return np.asarray(np.sqrt(np.einsum("nd,nd->n", wide, wide)))

    return np.concatenate(list(map_blocks(measure, len(x), max(16, 2**20 // x.shape[1]))))


def _descend_sphere(
    x: Any, start: np.ndarray, weights: np.ndarray | None, max_iter: int, tol: float, callback: Any
) -> KMeansResult:
    def place(means: np.ndarray) -> np.ndarray:
        lengths = _lengths(means)
        # What is left of rows that cancel one another is rounding and points nowhere.
        lost = lengths < 8 * np.finfo(means.dtype).eps
        directions: np.ndarray = unit_rows(means)
        directions[lost] = means[lost]
        return directions

    report = None if callback is None else lambda step: callback(_halved(step))
    found = descend(x, unit_rows(start), weights, max_iter, tol, report, place)
    return replace(found, inertia=found.inertia / 2, history=tuple(map(_halved, found.history)))


def _halved(step: KMeansStep) -> KMeansStep:
    """Its cost as 1 - cosine, half of a squared distance."""
    return replace(step, inertia=step.inertia / 2)


class SphericalKMeans(KMeans):
    """K-means by cosine: the length of a row counts for nothing.

    Parameters
    ----------
    n_clusters, init, n_init, max_iter, tol, verbose, random_state, copy_x, algorithm
        As `KMeans`; starts are drawn among the rows scaled to length 1. Rows of zeros have no direction and
        go to center 0.

    Attributes
    ----------
    cluster_centers_ : array (k, d)
        Unit vectors.
    inertia_ : float
        The weighted sum of 1 - cosine to the most similar center.
    labels_, n_iter_, inertia_history_, history_, stopped_, n_features_in_
        As `KMeans`.

    Notes
    -----
    Source: Dhillon and Modha 2001. `transform` gives 1 - cosine.
    """

    def _prepared(self, X: Any) -> Any:
        return unit_rows(X)

    def _descent(self, X: Any, weights: np.ndarray | None) -> Callable[..., KMeansResult]:
        k = int(self.n_clusters)

        def descend_or_refuse(x: Any, start: np.ndarray, *more: Any) -> KMeansResult:
            found = _descend_sphere(x, start, *more)
            if len(np.unique(found.labels)) == k:
                return found
            rounded = round(X, 5) if issparse(X) else np.round(X, 5)  # parallel rows differ by rounding
            if (there_are := n_distinct(rounded, k)) < k:
                raise InputError(
                    "n_clusters must be at most the number of distinct directions; got "
                    f"n_clusters={k} for {there_are}: ask for {there_are}."
                )
            return found

        return descend_or_refuse

    def transform(self, X: Any) -> np.ndarray:
        """1 - cosine of each row of X with each center, (n, k)."""
        products = self._checked(X) @ self.cluster_centers_.T
        return np.asarray(np.clip(1 - products, 0, 2), dtype=self.cluster_centers_.dtype)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Minus the weighted sum of 1 - cosine to the most similar center. `y` is ignored."""
        return super().score(X, y, sample_weight) / 2
