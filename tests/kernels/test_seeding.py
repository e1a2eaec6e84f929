import numpy as np
import pytest

from sortal.kernels import (
    draw_in_turn,
    lower_nearest,
    near_pairs,
    seeding_reference,
    squared_differences,
)

# One of each; one column; more centers than rows; very wide.
SHAPES = [(1, 1, 1), (7, 1, 3), (3, 5, 40), (300, 6, 33), (2, 70_000, 2)]


def scored(n, d, m, dtype, seed=0):
    rng = np.random.default_rng(seed)
    x, centers = rng.normal(size=(n, d)).astype(dtype), rng.normal(size=(m, d)).astype(dtype)
    centers[0] = x[0]  # a distance of 0
    scores = (-2 * x @ centers.T).astype(np.float32)
    norms = np.einsum("md,md->m", centers, centers).astype(np.float32)
    return x, centers, scores, norms


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_squared_differences(shape, dtype):
    x, centers, *_ = scored(*shape, dtype)
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


@pytest.mark.parametrize("shape", SHAPES)
def test_near_pairs(shape):
    x, _, scores, norms = scored(*shape, np.float64)
    values = np.sort((scores + norms).ravel())
    for bound in (-np.inf, values[0], values[len(values) // 3], np.inf):
        bounds = np.full(len(x), bound, np.float32)
        bounds[::3] = values[-1]
        ours = near_pairs(scores, norms, bounds)
        theirs = seeding_reference.near_pairs(scores, norms, bounds)
        for mine, other in zip(ours, theirs, strict=True):
            assert mine.dtype == np.int32
            assert np.array_equal(mine, other)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_lower_nearest(shape, dtype):
    x, centers, scores, norms = scored(*shape, dtype)
    centers = np.concatenate([centers, centers])  # ties: the lower number
    scores, norms = np.hstack([scores, scores]), np.concatenate([norms, norms])
    reach = 1e-2 * shape[1] - np.einsum("nd,nd->n", x, x).astype(np.float64)
    found = []
    for lower in (lower_nearest, seeding_reference.lower_nearest):
        nearest = np.random.default_rng(3).random(len(x)) * 2 * shape[1]
        nearest[-1:] = 0
        owner = np.full(len(x), 4, np.int32)
        lower(x, centers, scores, norms, reach, 1.0, 10, nearest, owner)
        found.append((nearest, owner))
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-12)
    assert np.array_equal(found[0][1], found[1][1])
    if len(x) > 1:
        assert (found[0][0][0], found[0][1][0]) == (0, 10)


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
