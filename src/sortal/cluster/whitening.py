"""The representation that groups are found in: half-whitened principal components, as unit rows."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.linalg import eigh

from sortal.arrays import Vectors
from sortal.cluster.rows import check_count, checked_rows, refuse_nonfinite
from sortal.errors import InputError
from sortal.kernels import map_blocks, one_blas_thread

__all__ = ["HalfWhitening", "half_whitening"]


@dataclass(frozen=True)
class HalfWhitening:
    """Centre, project on the principal components, divide each by lambda^(1/4), scale rows to length 1.

    Full whitening makes noise as loud as signal, none at all wastes the small components.
    """

    mean: Float[np.ndarray, " d"]
    unit: Float[np.ndarray, " d"]  # columns are divided by it; infinite where only rounding varies
    projection: Float[np.ndarray, "d q"]  # float32, the division by lambda^(1/4) included
    least: float = 0.0  # rows no longer than this are taken for the mean itself

    def __call__(self, vectors: Vectors) -> Float[np.ndarray, "n q"]:
        """Unit rows (float32); a row that equals the mean stays zero. Read in blocks, never whole."""

        def project(rows: slice) -> np.ndarray:
            # BLAS rounds a row by its place: in float32, copies of one vector would get different points.
            points = _centred(vectors, rows, self.mean, self.unit) @ self.projection.astype(np.float64)
            lengths = np.sqrt(np.einsum("nq,nq->n", points, points))
            # Below this share of the typical length only rounding is left, and it has no direction.
            points[lengths <= self.least] = 0
            unit_rows = points / np.where(lengths > self.least, lengths, 1)[:, None]
            return np.asarray(unit_rows, dtype=np.float32)

        return np.concatenate(list(map_blocks(project, len(vectors), block_rows(vectors))))


def half_whitening(vectors: Vectors, n_components: int) -> HalfWhitening:
    """Fit on all rows, in two passes of blocks; at most `n_components` and a quarter of n, deterministic.

    Any float type; integers are taken as float64. Columns and components of no variance are left out, so
    fewer may remain; for rows that are all equal, one of zeros. `InputError` for a row that is not finite.
    """
    vectors = checked_rows("vectors", vectors)
    refuse_nonfinite("vectors", vectors)
    check_count("n_components", n_components)
    n, d = vectors.shape
    q = min(n_components, d, max(n // 4, min(n - 1, 8), 1))
    mean, unit = _mean_and_unit(vectors)
    if np.isinf(unit).all():
        return HalfWhitening(mean, unit, np.zeros((d, 1), np.float32))
    with one_blas_thread():
        values, axes = (_from_covariance if d <= n else _from_gram)(vectors, mean, unit, q)
    kept = values > 1e-12 * values[0]  # less is rounding of float32
    values, axes = values[kept], axes[:, kept]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    projection = (axes / values**0.25).astype(np.float32)
    return HalfWhitening(mean, unit, projection, least=1e-6 * float(values[0]) ** 0.25)


def block_rows(vectors: np.ndarray) -> int:
    """Rows in a block of 8 MB: a function of the width alone, so that sums round alike on any machine."""
    return max(16, 2**21 // int(vectors.shape[1]))


def _mean_and_unit(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean, and the one largest distance from it in any column: dividing by it, no square overflows.

    A column that varies by less than two roundings of its largest value is constant, whatever its size.
    """

    def extremes(rows: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        block = vectors[rows]
        with np.errstate(over="ignore"):
            return block.sum(axis=0, dtype=np.float64), block.min(axis=0), block.max(axis=0)

    n = len(vectors)
    sums, lows, highs = zip(*map_blocks(extremes, n, block_rows(vectors)))
    with np.errstate(over="ignore", invalid="ignore"):
        low, high = np.min(lows, axis=0).astype(np.float64), np.max(highs, axis=0).astype(np.float64)
        mean, spread = np.asarray(sum(sums) / n), high - low
    if not (np.isfinite(mean) & np.isfinite(spread)).all():
        raise InputError(
            f"vectors must have sums that float64 holds; got values from {low.min():g} to {high.max():g}: "
            "divide them."
        )
    size = np.maximum(np.abs(low), np.abs(high))
    varies = spread > 2 * np.finfo(vectors.dtype).eps * size
    reach = np.maximum(high - mean, mean - low)[varies].max(initial=0)
    return mean, np.where(varies & (reach > 0), reach, np.inf)


def _from_covariance(
    vectors: np.ndarray, mean: np.ndarray, unit: np.ndarray, q: int
) -> tuple[np.ndarray, np.ndarray]:
    def scatter(rows: slice) -> np.ndarray:
        block = _centred(vectors, rows, mean, unit).astype(np.float32)
        return np.asarray(block.T @ block)

    n, d = vectors.shape
    covariance = np.zeros((d, d))
    for part in map_blocks(scatter, n, block_rows(vectors)):
        covariance += part
    return _largest(covariance / n, q)


def _from_gram(
    vectors: np.ndarray, mean: np.ndarray, unit: np.ndarray, q: int
) -> tuple[np.ndarray, np.ndarray]:
    """The same axes from the n x n products: cheaper where rows are fewer than columns."""
    centred = _centred(vectors, slice(None), mean, unit)
    values, left = _largest(centred @ centred.T / len(vectors), q)
    axes = centred.T @ left
    return values, axes / np.maximum(np.sqrt(np.einsum("dq,dq->q", axes, axes)), np.finfo(float).tiny)


def _centred(vectors: np.ndarray, rows: slice, mean: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """In float64: a huge offset would take all digits of a float32."""
    return np.asarray((vectors[rows] - mean) / unit)


def _largest(symmetric: np.ndarray, q: int) -> tuple[np.ndarray, np.ndarray]:
    n = len(symmetric)
    values, axes = eigh(symmetric, subset_by_index=[n - q, n - 1])
    return np.maximum(values[::-1], 0), axes[:, ::-1]
