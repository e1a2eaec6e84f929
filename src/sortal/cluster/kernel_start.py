"""Where kernel k-means starts."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.linalg import eigh

from sortal.arrays import Labels, Weights
from sortal.cluster.descent import block_of_rows, descend
from sortal.cluster.kernel_functions import Kernel, least_eigenvalue
from sortal.cluster.seeding import seeds
from sortal.errors import InputError
from sortal.kernels import map_blocks, one_blas_thread

__all__ = ["kernel_kmeans_plusplus", "spectral_start", "spectral_starts"]

LANDMARKS = 512


def kernel_kmeans_plusplus(
    kernel: Kernel, n_clusters: int, weights: Weights, rng: Any, shift: float = 0.0
) -> Labels:
    """The grouping around k points, each drawn by weight times squared distance in the kernel's space.

    `shift` is added to the diagonal: where it lifts the least eigenvalue to 0, squared distances are none
    below 0, all points are distinct, and at equal weights the order of all groupings by cost stays.
    `InputError` where fewer than k points differ. Costs n k kernel values.

    Source: Arthur and Vassilvitskii 2007; Dhillon, Guan, Kulis 2004, section 4 (the shift).
    """
    n = len(kernel.rows)
    diagonal = kernel.diagonal()
    nearest, labels = np.full(n, np.inf), np.zeros(n, np.int32)
    for c in range(n_clusters):
        reach = np.cumsum(weights if c == 0 else weights * nearest)
        if not reach[-1] > 0:
            raise InputError(
                f"n_clusters must not exceed the number of distinct points (in the kernel's space, among "
                f"those of positive weight); got n_clusters={n_clusters} for {c}: "
                f"ask for at most {max(c, 1)}."
            )
        # side="right": a point at distance 0 adds nothing to the sum and is never drawn.
        chosen = int(np.searchsorted(reach, min(rng.uniform(), 1 - 1e-12) * reach[-1], side="right"))
        squared = _squared_to(kernel, chosen, diagonal)
        if shift > 0:  # an estimate from some rows may be too small: no point is taken for another
            squared = np.maximum(squared + 2 * shift, 1e-6 * shift)
        squared[chosen] = 0
        closer = squared < nearest
        labels[closer], nearest[closer] = c, squared[closer]
    return labels


def spectral_start(kernel: Kernel, n_clusters: int, weights: Weights, rng: Any) -> Labels:
    """The grouping by the leading eigenvectors of the kernel on up to 512 landmarks, carried to all rows.

    Two moons of 500 points were missed by the best of ten starts by k-means++, and found from here.
    Costs 512 n values.

    Source: Ng, Jordan, Weiss 2001; that eigenvectors solve a relaxation of kernel k-means, Dhillon, Guan,
    Kulis 2004, who start from them too; Williams and Seeger 2001 (landmarks).
    """
    return next(spectral_starts(kernel, n_clusters, weights, rng))


def spectral_starts(kernel: Kernel, n_clusters: int, weights: Weights, rng: Any) -> Iterator[Labels]:
    """One `spectral_start` after another; the eigenvectors are computed anew where landmarks are drawn."""
    candidates = np.flatnonzero(weights > 0)
    m = max(LANDMARKS, 4 * n_clusters)
    embedding = None
    while True:
        if embedding is None or m < len(candidates):
            drawn = rng.choice(candidates, m, replace=False) if m < len(candidates) else candidates
            embedding = _embedding(kernel, kernel.rows[np.sort(drawn)], n_clusters)
        if embedding.shape[1]:
            yield _best_of_five(embedding, n_clusters, weights, rng)
        else:  # no direction in which squares add up: the shifted kernel has some
            yield kernel_kmeans_plusplus(kernel, n_clusters, weights, rng, -least_eigenvalue(kernel))


def _embedding(kernel: Kernel, landmarks: np.ndarray, n_clusters: int) -> np.ndarray:
    """Each row by the leading eigenvectors among the landmarks, of those whose eigenvalue is above 0."""
    m = len(landmarks)
    among = kernel.values(landmarks, landmarks).astype(np.float64)
    degree = among.sum(axis=1)
    normalised = bool(degree.min() > 0)  # else the kernel is no affinity, and its eigenvectors as they are do
    scale = degree**-0.5 if normalised else np.ones(m)
    with one_blas_thread():
        value, vector = eigh(scale[:, None] * among * scale, subset_by_index=(max(0, m - n_clusters), m - 1))
    keep = value > 1e-10 * max(value[-1], 0)
    carry = scale[:, None] * vector[:, keep] / (value[keep] if normalised else value[keep] ** 0.5)
    n = len(kernel.rows)
    blocks = map_blocks(lambda rows: kernel.values(kernel.rows[rows], landmarks) @ carry, n, 1024)
    embedding = np.concatenate(list(blocks)).astype(np.float64)
    if normalised:
        length = np.linalg.norm(embedding, axis=1, keepdims=True)
        embedding /= np.where(length > 0, length, 1)
    return np.asarray(embedding)


def _best_of_five(embedding: np.ndarray, k: int, weights: Weights, rng: Any) -> Labels:
    """By k-means from five starts. Checks of the rows were most of its time, so there are none."""
    block = block_of_rows(embedding, weights, k, max_iter=50)
    starts = [seeds(embedding, k, weights, rng)[0] for _ in range(5)]
    runs = [descend(embedding, start, weights, 50, 1e-4, None, block=block) for start in starts]
    return np.asarray(min(runs, key=lambda run: run.inertia).labels, np.int32)


def _squared_to(kernel: Kernel, row: int, diagonal: np.ndarray) -> np.ndarray:
    """From each row; by differences where the kernel has them, else 0 where it is within rounding of 0."""
    one = kernel.rows[row : row + 1]
    differ = isinstance(kernel.name, str) and kernel.name in ("rbf", "linear")

    def block(part: slice) -> np.ndarray:
        rows = kernel.rows[part]
        if not differ:
            products = kernel.values(rows, one)[:, 0]
            noise = 16 * float(np.finfo(products.dtype).eps) * float(np.abs(diagonal).max())
            squared = diagonal[part] + diagonal[row] - 2 * products.astype(np.float64)
            return np.asarray(np.where(np.abs(squared) > noise, squared, 0))
        apart = (rows - one)[:, :-1] if kernel.name == "rbf" else rows - one
        squared = np.einsum("nd,nd->n", apart, apart, dtype=np.float64)
        return np.asarray(squared if kernel.name == "linear" else -2 * np.expm1(-squared / 2))

    height = 4096 if not differ else max(16, 2**18 // one.shape[1])
    return np.concatenate(list(map_blocks(block, len(kernel.rows), height)))
