import numpy as np
import pytest

from sortal.kernels import (
    draw_in_turn,
    lower_nearest,
    nearer_pairs,
    seeding_reference,
    squared_differences,
)

# One of each; one column; more centers than rows; very wide.
SHAPES = [(1, 1, 1), (7, 1, 3), (3, 5, 40), (300, 6, 33), (2, 70_000, 2)]


def rows_and_centers(n, d, m, dtype):
    rng = np.random.default_rng(0)
    x, centers = rng.normal(size=(n, d)).astype(dtype), rng.normal(size=(m, d)).astype(dtype)
    centers[0] = x[0]  # a distance of 0
    return x, centers


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_squared_differences(shape, dtype):
    x, centers = rows_and_centers(*shape, dtype)
    rng = np.random.default_rng(1)
    rows = rng.integers(0, len(x), 50).astype(np.int32)
    columns = rng.integers(0, len(centers), 50).astype(np.int32)
    rows[0], columns[0] = 0, 0
    ours = squared_differences(x, centers, rows, columns, 0.25)
    theirs = seeding_reference.squared_differences(x, centers, rows, columns, 0.25)
    assert ours[0] == 0
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)  # order of a sum
    none = np.empty(0, np.int32)
    assert squared_differences(x, centers, none, none, 1.0).shape == (0,)


def test_squared_differences_of_what_float32_cannot_square():
    x = np.array([[3e38, 1e-45]], np.float32)
    centers = np.array([[-3e38, 0]], np.float32)
    at = np.zeros(1, np.int32)
    wide = x.astype(float) - centers.astype(float)
    assert squared_differences(x, centers, at, at, 1.0)[0] == (wide**2).sum()
    small = np.array([[5e-324]])
    assert squared_differences(small, small * 0, at, at, 2.0**1000)[0] > 0


def near_and_far(n, d, m, dtype):
    """Rows of three old centers in the order that `nearer_pairs` asks for, and new ones."""
    rng = np.random.default_rng(n)
    old = rng.normal(size=(3, d)) * 4
    x = (old[np.sort(rng.integers(0, 3, n))] + rng.normal(size=(n, d))).astype(dtype)
    old = old.astype(dtype)
    centers = rng.normal(size=(m, d)).astype(dtype)
    centers[: (m + 1) // 2] += old[rng.integers(0, 3, (m + 1) // 2)]
    centers[0] = x[0]  # a distance of 0
    reach = ((x[:, None].astype(float) - old) ** 2).sum(axis=2) if d < 1000 else np.full((n, 3), 3.0 * d)
    owner = reach.argmin(axis=1)
    order = np.argsort(owner + reach.min(axis=1) / (2 * reach.max()))
    x, owner, nearest = x[order], owner[order].astype(np.int32), reach.min(axis=1)[order]
    apart = ((old[:, None].astype(float) - centers) ** 2).sum(axis=2) * (1 - 1e-9)
    return x, centers, nearest, owner, apart


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1.0, 2.0**-20])
@pytest.mark.parametrize("pruned", [True, False])
def test_nearer_pairs(shape, dtype, scale, pruned):
    x, centers, nearest, owner, apart = near_and_far(*shape, dtype)
    if not pruned or shape[1] >= 1000:
        apart[:] = -np.inf
    nearest[-1:] = 0
    nearest, apart = nearest * scale**2, apart * scale**2
    back = np.random.default_rng(1).permutation(len(x))
    x, some = x[back], np.argsort(back).astype(np.int32)
    ours = nearer_pairs(x, some, centers, x[-1], scale, nearest, owner, apart)
    theirs = seeding_reference.nearer_pairs(x, some, centers, x[-1], scale, nearest, owner, apart)
    assert np.array_equal(ours[2], theirs[2])
    order = np.lexsort((ours[0], np.repeat(np.arange(len(centers)), np.diff(ours[2]))))
    assert ours[0].dtype == np.int32
    assert np.array_equal(ours[0][order], theirs[0])
    np.testing.assert_allclose(ours[1][order], theirs[1], rtol=1e-12)  # order of a sum


def test_all_pairs_of_many_are_found():
    x, centers = np.random.default_rng(0).normal(size=(500, 3)), np.zeros((90, 3))
    far, owner = np.full(500, 1e3), np.zeros(500, np.int32)
    rows, _, ends = nearer_pairs(x, np.arange(500), centers, x[0], 1.0, far, owner, np.zeros((1, 90)))
    assert np.array_equal(np.sort(rows.reshape(90, 500)), np.tile(np.arange(500), (90, 1)))
    assert np.array_equal(ends, np.arange(91) * 500)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_lower_nearest(shape, dtype):
    x, centers, reach, owners, _ = near_and_far(*shape, dtype)
    centers = np.concatenate([centers, centers])  # ties: the lower number
    reach[-1:] = 0
    found = []
    for lower in (lower_nearest, seeding_reference.lower_nearest):
        nearest, owner = reach.copy(), owners.copy()
        lower(x, centers, x[-1], 1.0, 10, nearest, owner)
        found.append((nearest, owner))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-12)
    assert np.array_equal(found[0][1], found[1][1])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_trials", [1, 3])
def test_draw_in_turn(shape, dtype, n_trials):
    n, d, k = shape
    rng = np.random.default_rng(0)
    x = rng.integers(-9, 9, size=(n, d)).astype(dtype)  # sums are exact, so draws are equal to the last one
    weights = rng.integers(0, 3, n).astype(float)
    weights[0] = 1
    for scale in (1.0, 2.0**-20):
        uniforms = rng.uniform(size=(k - 1, n_trials))
        ours = draw_in_turn(x, weights, scale, 0, uniforms)
        theirs = seeding_reference.draw_in_turn(x, weights, scale, 0, uniforms)
        assert np.array_equal(ours, theirs)
        assert (weights[ours] > 0).all()


def test_draw_in_turn_ends_where_nothing_is_left_and_keeps_small_differences():
    x = np.array([[1e10], [0], [1e-8], [1e10]])
    uniforms = np.full((3, 1), 0.5)
    assert draw_in_turn(x, np.array([0.0, 1, 1, 0]), 1.0, 1, uniforms).tolist() == [1, 2]
    assert draw_in_turn(np.ones((3, 2)), np.ones(3), 1.0, 2, uniforms[:2]).tolist() == [2]
