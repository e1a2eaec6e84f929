"""Whether there are groups at all: two looks at data that those without groups do not stand."""

from collections.abc import Sequence
from math import isqrt

import numpy as np
from jaxtyping import Float
from scipy.spatial.distance import cdist

from sortal.arrays import Points
from sortal.cluster.affinity import shared_neighbor_graph, spectrum
from sortal.cluster.candidates import modularity
from sortal.cluster.kmeans import kmeans
from sortal.cluster.neighbors import cosine_neighbors
from sortal.cluster.seeding import kmeans_plusplus
from sortal.cluster.whitening import half_whitening
from sortal.kernels import one_blas_thread

__all__ = ["modularity_excess", "valley"]


def valley(x: Points, k: int, *, n_splits: int = 4, seed: int = 0) -> float:
    """By how many standard errors fewer rows lie between neighbouring groups of k-means than inside them.

    One half of the rows places the centers, the other is counted, and the reverse. A counted row lies in the
    cell of its two nearest centers, somewhere along the line between these. Cells are convex: where the
    density is log-concave (uniform on a convex body, Gaussian, exponential), so is its marginal along the
    line; the middle third is then no emptier than the emptier end, and the expectation is at most 0. The mean
    over 2 `n_splits` halves: it varies much less than by 1.

    Source: Prekopa 1973 for marginals of log-concave densities; the count of a held-out half is ours.
    """
    rng = np.random.RandomState(seed)
    found = []
    for _ in range(n_splits):
        order = rng.permutation(len(x))
        one, other = x[order[: len(x) // 2]], x[order[len(x) // 2 :]]
        found += [_held_out(one, other, k, rng), _held_out(other, one, k, rng)]
    return float(np.mean(found))


def _held_out(train: np.ndarray, test: np.ndarray, k: int, rng: np.random.RandomState) -> float:
    centers = kmeans(train, kmeans_plusplus(train, k, random_state=rng)[0]).centers
    squared = cdist(test, centers, "sqeuclidean")
    i, j = np.sort(np.argpartition(squared, 1, axis=1)[:, :2], axis=1).T
    between = np.maximum(((centers[i] - centers[j]) ** 2).sum(axis=1), np.finfo(float).tiny)
    rows = np.arange(len(test))
    place = (squared[rows, i] - squared[rows, j]) / (2 * between)  # along the line, 0 half way
    third = np.median(np.abs(place)) / 2  # both ends are then about where rows are

    def count(inside: np.ndarray) -> np.ndarray:
        return np.bincount((i * k + j)[inside], minlength=k * k)

    left = count((place > -3 * third) & (place <= -third))
    right = count((place >= third) & (place < 3 * third))
    ends, middle = int(np.minimum(left, right).sum()), int(count(np.abs(place) < third).sum())
    return float((ends - middle) / np.sqrt(max(ends + middle, 1)))


def modularity_excess(
    x: Points, numbers: Sequence[int], *, n_references: int = 2, seed: int = 0
) -> Float[np.ndarray, " m"]:
    """How much more modular the graph of shared neighbours is than that of data without groups, for each k.

    Graphs see groups of any shape, in many dimensions too. Of two kinds of reference the more modular
    counts: Gaussian with the covariance of x, and the principal components of x each in an order of its own,
    which keeps tails and skewness.
    """
    rng = np.random.default_rng(seed)
    with one_blas_thread():
        left, sizes, _ = np.linalg.svd(x - x.mean(axis=0, dtype=np.float64), full_matrices=False)
    scores = left * sizes
    references = [rng.normal(size=scores.shape) * scores.std(axis=0) for _ in range(n_references)]
    references += [rng.permuted(scores, axis=0) for _ in range(n_references)]
    chance = np.array([_modularity(one, numbers, seed) for one in references])
    kinds = chance.reshape(2, n_references, -1).mean(axis=1)
    return np.asarray(_modularity(x, numbers, seed) - kinds.max(axis=0))


def _modularity(x: np.ndarray, numbers: Sequence[int], seed: int) -> np.ndarray:
    points = half_whitening(x, 128)(x)
    graph = shared_neighbor_graph(points, cosine_neighbors(points, min(20, isqrt(len(x)))))
    eigen = spectrum(graph, min(2 * max(numbers), len(x)))
    rng = np.random.RandomState(seed)
    found = []
    with one_blas_thread():
        for k in numbers:
            embedding = eigen.embedding(2 * k)
            start = kmeans_plusplus(embedding, k, random_state=rng)[0]
            found.append(modularity(graph, kmeans(embedding, start).labels))
    return np.array(found)
