import numpy as np
import pytest

from sortal.kernels import group_sums, moved_sums, symmetric_group_sums


def dense(values, a, b, labels, weights, k):
    one_hot = np.zeros((len(b), k))
    one_hot[np.arange(len(b)), labels] = weights
    return values(a.astype(np.float64), b.astype(np.float64)) @ one_hot


def rbf(a, b):
    return np.exp(-0.3 * ((a[:, None, :] - b[None]) ** 2).sum(axis=2))


def signed(a, b):  # no kernel: sums must not care
    return a @ b.T


# A lone row; k = n; around a tile's 256 rows and 512 columns; very wide rows.
SHAPES = [(1, 1, 1), (7, 2, 7), (255, 3, 2), (257, 1, 5), (900, 2, 40), (3, 70_000, 2)]


@pytest.mark.parametrize(("n", "d", "k"), SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("values", [rbf, signed])
def test_sums_equal_the_matrix_product(n, d, k, dtype, values):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, d)).astype(dtype)
    old, new = rng.integers(0, k, (2, n)).astype(np.int32)
    weights = rng.random(n)
    weights[0] = 0
    expected = dense(values, x, x, old, weights, k)
    # Rounding of the values (of size d where they are products) and of sums of up to 900 of them.
    close = {"rtol": 0, "atol": (2e-5 if dtype == np.float32 else 1e-12) * max(1, np.abs(expected).max())}
    np.testing.assert_allclose(symmetric_group_sums(values, x, old, weights, k), expected, **close)
    np.testing.assert_allclose(group_sums(values, x[:5], x, old, weights, k), expected[:5], **close)
    change = dense(values, x, x, new, weights, k) - expected
    np.testing.assert_allclose(moved_sums(values, x, old, new, weights, k), change, **close)


def test_nothing_moved_changes_nothing_and_costs_no_value():
    labels = np.zeros(10, np.int32)

    def never(a, b):
        raise AssertionError

    assert not moved_sums(never, np.ones((10, 2)), labels, labels, np.ones(10), 3).any()


def test_the_number_of_threads_changes_no_bit(monkeypatch):
    rng = np.random.default_rng(1)
    x, labels = rng.normal(size=(1300, 4)).astype(np.float32), rng.integers(0, 6, 1300).astype(np.int32)
    found = []
    for threads in ("1", "4"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        found.append(symmetric_group_sums(signed, x, labels, np.ones(1300), 6))
    assert np.array_equal(*found)


def test_symmetric_sums_compute_half_of_the_values():
    count = 0

    def counted(a, b):
        nonlocal count
        count += len(a) * len(b)
        return a @ b.T

    n = 2048
    symmetric_group_sums(counted, np.ones((n, 1)), np.zeros(n, np.int32), np.ones(n), 1)
    assert count < 0.6 * n * n
