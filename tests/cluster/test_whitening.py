import numpy as np
import pytest

from sortal.cluster import half_whitening


def definition(x, q):
    centred = x - x.mean(axis=0)
    values, axes = np.linalg.eigh(centred.T @ centred / len(x))
    points = centred @ axes[:, ::-1][:, :q] / values[::-1][:q] ** 0.25
    return points / np.linalg.norm(points, axis=1, keepdims=True)


# Fewer columns than rows (covariance), fewer rows than columns (products of rows), several blocks.
@pytest.mark.parametrize(("n", "d", "q"), [(400, 30, 20), (100, 300, 25), (9000, 700, 16)])
def test_equals_the_definition_but_for_signs(n, d, q):
    rng = np.random.default_rng(d)
    x = rng.normal(size=(n, d)) * np.linspace(3, 0.5, d) + 50
    ours = half_whitening(x.astype(np.float32), q)(x.astype(np.float32))
    truth = definition(x, q)
    signs = np.sign((ours * truth).sum(axis=0))
    np.testing.assert_allclose(
        ours * signs, truth, atol=2e-3
    )  # float32 sums; neighbouring axes turn a little


def test_new_rows_are_placed_as_old_ones():
    x = np.random.default_rng(0).normal(size=(200, 12)).astype(np.float32)
    whitening = half_whitening(x, 8)
    np.testing.assert_allclose(whitening(x[3:5]), whitening(x)[3:5], atol=1e-6)  # float32


def test_the_mean_itself_has_no_direction():
    x = np.concatenate([np.eye(6), -np.eye(6), np.zeros((2, 6))]).astype(np.float32)
    points = half_whitening(x, 6)(x)
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), [1] * 12 + [0] * 2, atol=1e-6)  # float32


def test_constant_columns_and_rank_are_left_out():
    x = np.zeros((100, 10), np.float32)
    x[:, :3] = np.random.default_rng(0).normal(size=(100, 3))
    x[:, 3] = 1e4
    assert half_whitening(x, 10)(x).shape == (100, 3)
