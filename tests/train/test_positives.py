"""Neighbours by oriented gradients: found where a small move makes them alike, none twice, never oneself."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from sortal.train.positives import VARIANTS, _best_distinct, hog_neighbors, moved


@pytest.fixture(scope="module")
def digits():
    """200 digits, 32 x 32."""
    images = load_digits().images[:200] * (255 / 16)
    return images.round().astype(np.uint8).repeat(4, 1).repeat(4, 2), load_digits().target[:200]


def test_neighbours_are_mostly_of_the_same_digit(digits):
    grey, truth = digits
    told = []
    near = hog_neighbors(grey, 5, advance=told.append)
    assert near.shape == (200, 5)
    assert (truth[near] == truth[:, None]).mean() > 0.9  # .96 is usual, .1 chance
    assert told == [1] * len(VARIANTS)
    assert not (near == np.arange(200)[:, None]).any()
    assert all(len(set(row)) == 5 for row in near.tolist())


def test_the_number_of_threads_changes_nothing(digits, monkeypatch):
    found = []
    for threads in ("1", "2"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        found.append(hog_neighbors(digits[0]))
    assert np.array_equal(*found)


def test_a_shifted_copy_is_the_nearest(digits):
    grey = digits[0][:40]
    shifted = moved(grey, 2, 0, 0, 1).round().astype(np.uint8)
    near = hog_neighbors(np.concatenate([grey, shifted]), 1)
    assert near[:40, 0].tolist() == list(range(40, 80))
    assert near[40:, 0].tolist() == list(range(40))


@pytest.mark.parametrize("n", [2, 3])
def test_a_few_images(digits, n):
    near = hog_neighbors(digits[0][:n], n - 1)
    assert [sorted(row) for row in near.tolist()] == [[j for j in range(n) if j != i] for i in range(n)]


def test_images_without_any_gradient_have_neighbours_too():
    near = hog_neighbors(np.arange(5, dtype=np.uint8).reshape(5, 1, 1).repeat(32, 1).repeat(32, 2), 2)
    assert near.tolist() == [[1, 2], [0, 2], [0, 1], [0, 1], [0, 1]]


def test_the_best_of_several_lists_are_those_of_plain_search():
    rng = np.random.default_rng(0)
    near = rng.permuted(np.tile(np.arange(12), (12, 1)), axis=1)[:, :9].astype(np.int32)
    near = np.concatenate([near, rng.permuted(near, axis=1)], axis=1)
    cosine = rng.random(near.shape).astype(np.float32)
    expected = []
    for i in range(12):
        best = {}
        for j, value in zip(near[i].tolist(), cosine[i].tolist()):
            if j != i:
                best[j] = max(value, best.get(j, -1))
        expected.append(sorted(best, key=lambda j: -best[j])[:4])
    assert _best_distinct(near, cosine, 4).tolist() == expected


def test_nothing_moved_is_the_image_and_a_shift_is_a_shift(digits):
    grey = digits[0][:3]
    np.testing.assert_allclose(moved(grey, 0, 0, 0, 1), grey, atol=0.05)  # the grid's float32
    right, down = moved(grey, 2, 0, 0, 1), moved(grey, 0, 3, 0, 1)
    np.testing.assert_allclose(right[:, :, 2:], grey[:, :, :-2], atol=0.05)
    np.testing.assert_allclose(down[:, 3:], grey[:, :-3], atol=0.05)
