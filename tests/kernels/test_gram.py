import numpy as np
import pytest

from sortal.kernels import gaussians, group_sums, matrix_group_sums, moved_sums, symmetric_group_sums


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
    np.testing.assert_allclose(matrix_group_sums(values(x, x), old, weights, k), expected, **close)
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


def test_few_moved_rows_change_all_sums():
    rng = np.random.default_rng(2)
    x, old = rng.normal(size=(5000, 3)).astype(np.float32), rng.integers(0, 4, 5000).astype(np.int32)
    new = old.copy()
    new[[0, 17, 4999]] = (old[[0, 17, 4999]] + 1) % 4
    weights = np.ones(5000)
    change = group_sums(rbf, x, x, new, weights, 4) - group_sums(rbf, x, x, old, weights, 4)
    # Sums of some 1,000 numbers of float32, each up to 1.
    np.testing.assert_allclose(moved_sums(rbf, x, old, new, weights, 4), change, rtol=0, atol=1e-4)


def halved(x, dtype):
    return np.column_stack([x, (x**2).sum(axis=1) / 2]).astype(dtype)


@pytest.mark.parametrize(("n", "m", "d"), [(1, 1, 1), (3, 17, 5), (257, 31, 16), (2, 3, 70_000)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gaussians_are_the_formula(n, m, d, dtype):
    rng = np.random.default_rng(0)
    a, b = (np.round(rng.normal(size=(rows, d)) * 8) / 8 * d**-0.5 for rows in (n, m))
    b[0] = a[0]
    found = gaussians(halved(a, dtype), halved(b, dtype))
    exact = np.exp(-((a[:, None] - b) ** 2).sum(axis=2) / 2)
    assert found.dtype == dtype
    assert found.max() <= 1
    # The exponent is a difference of numbers up to 9 with their rounding, in sums of d products.
    np.testing.assert_allclose(found, exact, rtol=64 * np.finfo(dtype).eps)


def test_exponentials_are_within_1e_7_of_exp_down_to_the_denormals():
    exponents = np.linspace(0, 87, 500_001).astype(np.float32)
    found = gaussians(np.zeros((1, 2), np.float32), np.column_stack([0 * exponents, exponents]))[0]
    np.testing.assert_allclose(found, np.exp(-exponents.astype(np.float64)), rtol=1e-7)
    beyond = np.array([[0, 88], [0, 1e4], [0, 3e38]], np.float32)
    assert not gaussians(np.zeros((2, 2), np.float32), beyond).any()
