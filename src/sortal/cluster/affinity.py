"""Items as a graph of shared neighbours, and the graph as points that k-means can group."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.linalg import eigh
from scipy.sparse import coo_matrix, csr_matrix, diags_array
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import ArpackNoConvergence, eigsh

from sortal.arrays import Neighbors
from sortal.kernels import one_blas_thread, shared_neighbors, top_neighbors

__all__ = ["Spectrum", "shared_neighbor_graph", "spectrum"]


def shared_neighbor_graph(points: Float[np.ndarray, "n q"], neighbors: Neighbors) -> csr_matrix:
    """The connected symmetric graph that joins i and j where either lists the other.

    The weight is the Jaccard index of their sets of neighbours, each with itself: c / (2m + 2 - c) for c
    shared. Source: Jarvis and Patrick 1973. Parts that nothing joins are tied by `_tied`.
    """
    n, m = neighbors.shape
    own = np.arange(n, dtype=np.int32)
    source, target = np.repeat(own, m), neighbors.ravel()
    key = np.unique(np.minimum(source, target).astype(np.int64) * n + np.maximum(source, target))
    edges = np.column_stack([key // n, key % n]).astype(np.int32)
    shared = shared_neighbors(np.column_stack([own, neighbors]), edges)
    graph = _symmetric(edges, shared / (2 * m + 2 - shared), n)
    return _tied(graph, points, least=1 / (2 * m + 1))


def _tied(graph: csr_matrix, points: np.ndarray, least: float) -> csr_matrix:
    """The graph with each part tied to its most similar other part, until one part is left.

    Without it, eigenvectors tell parts apart but not which are alike, and a graph of more parts than
    groups would be cut by chance (families of tight parts: .46 of the items right without ties, .89 with
    them). Each round at least halves the parts (Boruvka 1926). A tie of the first round has the least weight
    that two neighbours can have, each later round a quarter, since it joins what is less alike.
    """
    while True:
        n_parts, part = connected_components(graph, directed=False)
        if n_parts == 1:
            return graph
        means = _part_means(points, part, n_parts)
        nearest = top_neighbors(means, 1)[0][:, 0]
        leaving = _most_similar_member(points, means[nearest], part)
        entering = _most_similar_member(points, means, part)[nearest]
        ends = np.unique(np.sort(np.column_stack([leaving, entering]), axis=1), axis=0)
        graph = csr_matrix(graph + _symmetric(ends, np.full(len(ends), least), len(points)))
        least /= 4


def _part_means(points: np.ndarray, part: np.ndarray, n_parts: int) -> np.ndarray:
    sums = csr_matrix((np.ones(len(part)), (part, np.arange(len(part)))), shape=(n_parts, len(part))) @ points
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    return np.asarray(sums / np.where(lengths > 0, lengths, 1), dtype=np.float32)


def _most_similar_member(points: np.ndarray, aims: np.ndarray, part: np.ndarray) -> np.ndarray:
    """Of each part, the member of largest product with the part's row of `aims` (ties: the lowest)."""
    similarity = np.einsum("nq,nq->n", points, aims[part])
    order = np.lexsort((-similarity, part))
    return np.asarray(order[np.searchsorted(part[order], np.arange(len(aims)))])


def _symmetric(edges: np.ndarray, weight: np.ndarray, n: int) -> csr_matrix:
    half = coo_matrix((weight, (edges[:, 0], edges[:, 1])), shape=(n, n))
    return csr_matrix(half + half.T)


@dataclass(frozen=True)
class Spectrum:
    """The largest eigenvalues of D^(-1/2) W D^(-1/2), falling, with their eigenvectors as columns."""

    values: Float[np.ndarray, " e"]
    vectors: Float[np.ndarray, "n e"]

    def embedding(self, size: int) -> Float[np.ndarray, "n e"]:
        """Unit rows (float32) of the first `size` eigenvectors, each times clip(lambda, 0, 1)^8.

        Sixteen steps of diffusion (Coifman and Lafon 2006, t = 8 on each side of a product) leave what is
        common to a group and fade what is not. Unweighted, two of three MNIST slices lost groups.
        """
        weighted = self.vectors[:, :size] * np.clip(self.values[:size], 0, 1) ** 8
        lengths = np.linalg.norm(weighted, axis=1, keepdims=True)
        return np.asarray(weighted / np.where(lengths > 0, lengths, 1), dtype=np.float32)


def spectrum(graph: csr_matrix, size: int) -> Spectrum:
    """The `size` largest eigenpairs (all, where n is smaller), the same bits on every run.

    Each eigenvector's largest entry is made positive.
    """
    n = graph.shape[0]
    size = min(size, n)
    degree = np.asarray(graph.sum(axis=1)).ravel()
    scale = diags_array(1 / np.sqrt(np.where(degree > 0, degree, 1)))
    matrix = csr_matrix(scale @ graph @ scale)
    with one_blas_thread():
        if n <= max(512, 4 * size):  # Lanczos needs room; here the whole problem is as cheap
            values, vectors = eigh(matrix.toarray(), subset_by_index=[n - size, n - 1])
        else:
            values, vectors = _lanczos(matrix, size)
    order = np.argsort(-values, kind="stable")
    values, vectors = values[order], vectors[:, order]
    return Spectrum(values, vectors * np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(size)]))


def _lanczos(matrix: csr_matrix, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Lanczos, or where it gives up because too many eigenvalues crowd near 1, subspace iteration.

    That happens with many more tight parts than groups. Eigenvectors of a crowd are arbitrary anyway, so an
    approximate basis of their space serves as well.
    """
    rng = np.random.default_rng(0)
    try:
        start = rng.uniform(0.5, 1.5, matrix.shape[0])
        pairs = eigsh(matrix, size, which="LA", v0=start, ncv=max(2 * size + 1, 60), maxiter=100, tol=1e-6)
        return np.asarray(pairs[0]), np.asarray(pairs[1])
    except ArpackNoConvergence:
        basis = np.linalg.qr(rng.standard_normal((matrix.shape[0], size + 10)))[0]
        for _ in range(100):
            basis = np.linalg.qr(matrix @ basis + basis)[0]  # the shift keeps negative eigenvalues away
        values, turn = eigh(basis.T @ (matrix @ basis))
        return values[-size:], basis @ turn[:, -size:]
