import numpy as np
import pytest
from scipy.sparse.csgraph import connected_components

from sortal.cluster.affinity import shared_neighbor_graph, spectrum
from sortal.cluster.neighbors import cosine_neighbors


def unit_rows(n, seed=0):
    x = np.random.default_rng(seed).normal(size=(n, 8))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def test_weights_are_jaccard_of_neighbour_sets():
    points = unit_rows(90)
    neighbors = cosine_neighbors(points, 7)
    graph = shared_neighbor_graph(points, neighbors).toarray()
    assert np.array_equal(graph, graph.T)
    sets = [{i, *row} for i, row in enumerate(neighbors.tolist())]
    for i in range(90):
        for j in range(90):
            joined = i != j and (j in sets[i] or i in sets[j])
            expected = len(sets[i] & sets[j]) / len(sets[i] | sets[j]) if joined else 0
            assert graph[i, j] == pytest.approx(expected)


def test_parts_are_tied_into_one():
    points = np.repeat(unit_rows(30), 10, axis=0)  # thirty parts of ten copies
    graph = shared_neighbor_graph(points, cosine_neighbors(points, 5))
    assert connected_components(graph)[0] == 1
    ties = graph.data[graph.data < 0.1]  # two copies share at least two entries: 2 / 10
    assert 2 * 29 <= len(ties) <= 2 * 60


@pytest.mark.parametrize(("n", "size"), [(300, 6), (1500, 6)])  # dense, Lanczos
def test_eigenpairs_of_the_normalised_graph(n, size):
    points = unit_rows(n)
    graph = shared_neighbor_graph(points, cosine_neighbors(points, 12))
    found = spectrum(graph, size)
    degree = graph.sum(axis=1)
    normal = graph.toarray() / np.sqrt(np.outer(degree, degree))
    np.testing.assert_allclose(
        found.values, np.linalg.eigvalsh(normal)[::-1][:size], atol=1e-6
    )  # Lanczos stops at 1e-6
    np.testing.assert_allclose(normal @ found.vectors, found.vectors * found.values, atol=1e-5)
    again = spectrum(graph, size)
    assert np.array_equal(found.vectors, again.vectors)
    np.testing.assert_allclose(np.linalg.norm(found.embedding(4), axis=1), 1, atol=1e-6)  # float32 unit rows
