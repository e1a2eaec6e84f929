from inspect import unwrap

import numpy as np
import pytest

from sortal.cluster import half_whitening
from sortal.errors import InputError


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


@pytest.mark.parametrize("scale", [1e-300, 1e-25, 1, 1e25, 1e300])
def test_a_scale_changes_no_direction(scale):
    x = np.random.default_rng(0).normal(size=(200, 12))
    signs_and_all = half_whitening(x, 8)(x)
    np.testing.assert_allclose(half_whitening(x * scale, 8)(x * scale), signs_and_all, atol=1e-5)  # float32


def test_an_offset_and_a_huge_constant_column_change_nothing():
    x = np.random.default_rng(0).normal(size=(200, 12))
    points = half_whitening(x, 8)(x)
    for moved in (x + 1e9, np.column_stack([x, np.full(200, 1e12)])):
        np.testing.assert_allclose(half_whitening(moved, 8)(moved), points, atol=1e-5)  # 1e9 costs 9 digits
    narrow = np.column_stack([x, np.full(200, 3e7)]).astype(np.float32)
    np.testing.assert_allclose(half_whitening(narrow, 8)(narrow), points, atol=1e-5)


def test_a_column_of_rounding_is_constant():
    x = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)
    x[:, 2] = np.where(x[:, 2] > 0, np.float32(3e7), np.nextafter(np.float32(3e7), np.float32(0)))
    assert half_whitening(x, 3)(x).shape == (100, 2)


def test_copies_of_a_row_have_one_point():
    x = np.repeat(np.random.default_rng(0).normal(size=(40, 30)), 50, axis=0).astype(np.float32)
    assert len(np.unique(half_whitening(x, 30)(x), axis=0)) == 40


def test_integers_are_numbers():
    x = np.random.default_rng(0).integers(0, 256, (60, 5))
    whitening = unwrap(half_whitening)  # without the tests' check of types
    assert np.array_equal(whitening(x, 3)(x.astype(float)), whitening(x.astype(float), 3)(x.astype(float)))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros(5), r"vectors must hold numbers.*got float64 of shape \(5,\)"),
        (np.zeros((3, 0)), r"at least one row and one column; got float64 of shape \(3, 0\)"),
        (np.array([["a"]]), "vectors must hold numbers"),
        (
            np.array([[-1.7e308], [1.7e308]]),
            "vectors must have sums that float64 holds; got values from -1.7e",
        ),
    ],
)
def test_what_cannot_be_whitened_is_said(x, message):
    with pytest.raises(InputError, match=message):
        unwrap(half_whitening)(x, 2)
    with pytest.raises(InputError, match="n_components must be an integer of at least 1; got 0"):
        half_whitening(np.eye(3), 0)
