import numpy as np
import pytest

from sortal.kernels import shared_neighbors, top_neighbors, top_products


def whole_numbers(n, d, seed, high=4):
    """Products of small whole numbers are exact, so ties are real and brute force is the truth."""
    return np.random.default_rng(seed).integers(0, high, (n, d)).astype(np.float32)


def brute_force(queries, x, m, leave_own_out):
    products = queries @ x.T
    if leave_own_out:
        np.fill_diagonal(products, -np.inf)
    index = np.argsort(-products, axis=1, kind="stable")[:, :m]
    return index, np.take_along_axis(products, index, axis=1)


# n = m + 1; fewer chunks than m; more chunks than m; several blocks; nearly everything tied.
@pytest.mark.parametrize(
    ("n", "d", "m", "high"), [(2, 1, 1, 4), (50, 3, 49, 4), (700, 4, 20, 4), (2100, 5, 3, 9), (900, 2, 5, 2)]
)
def test_equals_a_stable_sort(n, d, m, high):
    x = whole_numbers(n, d, seed=n, high=high)
    for ours, truth in zip(top_neighbors(x, m), brute_force(x, x, m, leave_own_out=True)):
        assert np.array_equal(ours, truth)


def test_queries_are_searched_among_other_rows():
    x, queries = whole_numbers(333, 6, 0), whole_numbers(41, 6, 1)
    for m in (1, 7, 333):
        for ours, truth in zip(top_products(queries, x, m), brute_force(queries, x, m, leave_own_out=False)):
            assert np.array_equal(ours, truth)
    assert top_products(queries[:0], x, 7)[0].shape == (0, 7)


def test_rows_that_are_all_equal_take_the_lowest_others():
    index, _ = top_neighbors(np.ones((200, 3), np.float32), 2)
    assert index[0].tolist() == [1, 2]
    assert index[1].tolist() == [0, 2]
    assert (index[2:] == [0, 1]).all()


def test_shared_neighbors_counts_what_sets_share():
    rng = np.random.default_rng(3)
    neighbors = np.array([rng.choice(60, 9, replace=False) for _ in range(60)])
    edges = rng.integers(0, 60, (5000, 2))  # more than a block; some join a row to itself
    truth = [len(set(neighbors[i]) & set(neighbors[j])) for i, j in edges]
    assert shared_neighbors(neighbors, edges).tolist() == truth
    assert shared_neighbors(neighbors, edges[:0]).shape == (0,)
