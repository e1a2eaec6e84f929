"""Nearest centers and the steps of Lloyd's algorithm for CSR rows: products of nonzeros, in float64."""

from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_matrix
from scipy.spatial.distance import cdist

from sortal.kernels.lloyd_sums import ClusterSums
from sortal.kernels.threads import map_blocks

__all__ = ["SparseRows", "nearest_labels_sparse", "squared_to_center_sparse"]

BLOCK = 2**20  # scores, or dense numbers


def nearest_labels_sparse(x: Any, centers: Float[np.ndarray, "k d"]) -> Int[np.ndarray, " n"]:
    """The nearest center of each row (int32), as `nearest_center` finds it; costs nonzeros times k."""
    wide = np.ascontiguousarray(centers.T, dtype=np.float64)
    norms = np.einsum("dk,dk->k", wide, wide)
    block = max(1, BLOCK // len(centers))
    parts = list(map_blocks(lambda rows: _nearest(x[rows], wide, norms), x.shape[0], block))
    return np.concatenate(parts) if parts else np.empty(0, np.int32)


def _nearest(x: Any, wide: np.ndarray, norms: np.ndarray) -> np.ndarray:
    scores = norms - 2 * (x @ wide)
    labels: np.ndarray = scores.argmin(axis=1).astype(np.int32)
    if len(norms) == 1:
        return labels
    best, second = np.partition(scores, 1, axis=1)[:, :2].T
    reach = _squared_norms(x) + norms.max()
    slack = (8 + 2 * len(wide) ** 0.5) * np.finfo(np.float64).eps * reach
    doubtful = np.flatnonzero(~(second - best > slack))
    for rows in np.split(doubtful, range(64, len(doubtful), 64)):
        if rows.size:
            exact = cdist(x[rows].toarray().astype(np.float64), wide.T, "sqeuclidean")
            labels[rows] = exact.argmin(axis=1)
    return labels


def _squared_norms(x: Any) -> np.ndarray:
    return np.asarray(_square(x).sum(axis=1)).ravel()


def squared_to_center_sparse(
    x: Any, centers: Float[np.ndarray, "k d"], labels: Int[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """The squared distance of each row to the center of its label, by differences in float64."""

    def measure(rows: slice) -> np.ndarray:
        difference = x[rows].toarray() - centers[labels[rows]].astype(np.float64)
        squared: np.ndarray = np.einsum("nd,nd->n", difference, difference)
        return squared

    parts = list(map_blocks(measure, x.shape[0], max(1, BLOCK // x.shape[1])))
    return np.concatenate(parts) if parts else np.empty(0)


class SparseRows(ClusterSums):
    """As `DenseRows`, about the origin 0; sums are taken anew each time, in one product over the nonzeros."""

    def __init__(self, x: Any, weights: Float[np.ndarray, " n"] | None, k: int) -> None:
        n, d = x.shape
        super().__init__(np.zeros(d), k)
        self.x, self.weights = x, weights
        self.labels = np.full(n, -1, np.int32)
        squares = _squared_norms(x)
        self.total = float(squares.sum() if weights is None else weights @ squares)
        mean = np.asarray(x.mean(axis=0, dtype=np.float64)).ravel()
        self.variance = float(np.mean(np.asarray(_square(x).mean(axis=0)).ravel() - mean**2))

    def step(self, centers: Float[np.ndarray, "k d"]) -> int:
        before = self.labels
        self.labels = nearest_labels_sparse(self.x, centers)
        self._sum()
        return int(np.count_nonzero(self.labels != before))

    def close(self) -> Int[np.ndarray, " n"]:
        return self.labels

    def relabel(self, rows: Int[np.ndarray, " r"], clusters: Int[np.ndarray, " r"]) -> None:
        self.labels[rows] = clusters
        self._sum()

    def squared(self, centers: Float[np.ndarray, "k d"]) -> Float[np.ndarray, " n"]:
        return squared_to_center_sparse(self.x, centers, self.labels)

    def cost(self, centers: Float[np.ndarray, "k d"], labels: Int[np.ndarray, " n"]) -> float:
        squared = squared_to_center_sparse(self.x, centers, labels)
        return float(squared.sum() if self.weights is None else self.weights @ squared)

    def _sum(self) -> None:
        n, k = len(self.labels), len(self._sums)
        weights = np.ones(n) if self.weights is None else self.weights
        members = csr_matrix((weights, (self.labels, np.arange(n))), shape=(k, n))
        self._sums[:, :-2] = (members @ self.x).toarray()
        self._sums[:, -2] = np.bincount(self.labels, weights, k)
        self._sums[:, -1] = np.bincount(self.labels[weights > 0], minlength=k)


def _square(x: Any) -> Any:
    wide = x.astype(np.float64)
    return wide.multiply(wide)
