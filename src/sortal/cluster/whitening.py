"""The representation that groups are found in: half-whitened principal components, as unit rows."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.linalg import eigh

from sortal.arrays import Vectors
from sortal.errors import InputError
from sortal.kernels import map_blocks, one_blas_thread

__all__ = ["HalfWhitening", "half_whitening"]


@dataclass(frozen=True)
class HalfWhitening:
    """Centre, project on the principal components, divide each by lambda^(1/4), scale rows to length 1.

    Full whitening makes noise as loud as signal, none at all wastes the small components.
    """

    mean: Float[np.ndarray, " d"]  # float32
    projection: Float[np.ndarray, "d q"]  # float32, the division included
    least: float = 0.0  # rows no longer than this are taken for the mean itself

    def __call__(self, vectors: Vectors) -> Float[np.ndarray, "n q"]:
        """Unit rows (float32); a row that equals the mean stays zero. Read in blocks, never whole."""

        def project(rows: slice) -> np.ndarray:
            points = (_floats(vectors, rows) - self.mean) @ self.projection
            lengths = np.sqrt(np.einsum("nq,nq->n", points, points))
            # Below this share of the typical length only rounding is left, and it has no direction.
            points[lengths <= self.least] = 0
            return np.asarray(points / np.where(lengths > self.least, lengths, 1)[:, None])

        return np.concatenate(list(map_blocks(project, len(vectors), block_rows(vectors))))


def half_whitening(vectors: Vectors, n_components: int) -> HalfWhitening:
    """Fit on all rows, in two passes of blocks; at most `n_components` and a quarter of n, deterministic.

    Components of no variance are left out, so fewer may remain; for rows that are all equal, one of zeros.
    `InputError` for a row that is not finite.
    """
    n, d = vectors.shape
    q = min(n_components, d, max(n // 4, min(n - 1, 8), 1))
    with one_blas_thread():
        mean = _mean(vectors)
        values, axes = _from_covariance(vectors, mean, q) if d <= n else _from_gram(vectors, mean, q)
    scale = max(float(np.abs(mean).max()), float(values[0]) ** 0.5, np.finfo(np.float32).tiny)
    kept = values > (1e-6 * scale) ** 2  # less is rounding of float32 vectors
    if not kept.any():
        return HalfWhitening(mean, np.zeros((d, 1), np.float32))
    values, axes = values[kept], axes[:, kept]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    return HalfWhitening(
        mean, (axes / values**0.25).astype(np.float32), least=1e-6 * scale / float(values[0]) ** 0.25
    )


def block_rows(vectors: np.ndarray) -> int:
    """Rows in a block of 8 MB: a function of the width alone, so that sums round alike on any machine."""
    return max(16, 2**21 // int(vectors.shape[1]))


def _mean(vectors: np.ndarray) -> np.ndarray:
    def total(rows: slice) -> np.ndarray:
        block = vectors[rows]
        sums = block.sum(axis=0, dtype=np.float64)
        if not np.isfinite(sums).all():
            _refuse(block, rows.start)
        return np.asarray(sums)

    n = len(vectors)
    return np.asarray(sum(map_blocks(total, n, block_rows(vectors))) / n).astype(np.float32)


def _refuse(block: np.ndarray, start: int) -> None:
    bad = np.argwhere(~np.isfinite(block))
    if len(bad):
        row, column = bad[0]
        raise InputError(
            f"vectors must be finite; row {start + row}, column {column} is "
            f"{block[row, column]}. Leave that item out."
        )


def _from_covariance(vectors: np.ndarray, mean: np.ndarray, q: int) -> tuple[np.ndarray, np.ndarray]:
    def scatter(rows: slice) -> np.ndarray:
        block = _floats(vectors, rows) - mean
        return np.asarray(block.T @ block)

    n, d = vectors.shape
    covariance = np.zeros((d, d))
    for part in map_blocks(scatter, n, block_rows(vectors)):
        covariance += part
    return _largest(covariance / n, q)


def _from_gram(vectors: np.ndarray, mean: np.ndarray, q: int) -> tuple[np.ndarray, np.ndarray]:
    """The same axes from the n x n products: cheaper where rows are fewer than columns."""
    centred = (_floats(vectors, slice(None)) - mean).astype(np.float64)
    values, left = _largest(centred @ centred.T / len(vectors), q)
    axes = centred.T @ left
    return values, axes / np.maximum(np.sqrt(np.einsum("dq,dq->q", axes, axes)), np.finfo(float).tiny)


def _largest(symmetric: np.ndarray, q: int) -> tuple[np.ndarray, np.ndarray]:
    n = len(symmetric)
    values, axes = eigh(symmetric, subset_by_index=[n - q, n - 1])
    return np.maximum(values[::-1], 0), axes[:, ::-1]


def _floats(vectors: np.ndarray, rows: slice) -> np.ndarray:
    return np.asarray(vectors[rows], dtype=np.float32)
