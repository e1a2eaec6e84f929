import numpy as np
import pytest
from scipy.spatial.distance import cdist

from sortal.kernels import nearest_center

# One of each; more features than 2**16; more rows than a block; k = n; a single feature.
SHAPES = [(1, 1, 1), (257, 3, 5), (64, 128, 7), (2, 70_000, 2), (9000, 64, 3), (40, 1, 40)]


def brute_force(x, centers):
    return cdist(x.astype(np.float64), centers.astype(np.float64), "sqeuclidean")


@pytest.mark.parametrize(("n", "d", "k"), SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equals_float64_brute_force(n, d, k, dtype):
    rng = np.random.default_rng(n)
    x, centers = rng.normal(size=(n, d)).astype(dtype), rng.normal(size=(k, d)).astype(dtype)
    labels, squared = nearest_center(x, centers)
    every = brute_force(x, centers)
    assert np.array_equal(labels, every.argmin(axis=1))
    np.testing.assert_allclose(squared, every.min(axis=1), rtol=1e-12)  # the order of a sum in float64


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_huge_offset_costs_no_label(dtype):
    rng = np.random.default_rng(0)
    x = (1e6 + rng.normal(size=(500, 6))).astype(dtype)
    # The second half of the centers lies far off, so no one origin serves both.
    centers = np.concatenate([x[:7], -x[7:12]])
    assert np.array_equal(nearest_center(x, centers)[0], brute_force(x, centers).argmin(axis=1))


def test_a_tie_goes_to_the_lowest_number():
    x = np.array([[0.0, 0.0], [5.0, 1.0]])
    centers = np.array([[1.0, 0.0], [-1.0, 0.0], [1.0, 0.0], [0.0, -1.0]])
    assert nearest_center(x, centers)[0].tolist() == [0, 0]


def test_denormals_and_no_rows():
    tiny = np.array([[0.0], [1e-310], [3e-310]])
    assert nearest_center(tiny, tiny)[0].tolist() == [0, 0, 0]  # their squares are all zero: a tie
    labels, squared = nearest_center(np.empty((0, 3)), np.ones((2, 3)))
    assert labels.shape == squared.shape == (0,)


def test_a_memory_map_is_read_as_it_lies(tmp_path):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(300, 5)).astype(np.float32)
    x.tofile(tmp_path / "x")
    mapped = np.memmap(tmp_path / "x", np.float32, "r", shape=x.shape)
    for ours, theirs in zip(nearest_center(mapped, x[:4]), nearest_center(x, x[:4])):
        assert np.array_equal(ours, theirs)
