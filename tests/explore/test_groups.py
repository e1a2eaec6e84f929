import tracemalloc

import numpy as np
import pytest
from sklearn.datasets import load_digits

from sortal.errors import InputError
from sortal.explore import describe, groups


def unit(rows):
    rows = np.asarray(rows, dtype=np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0).astype(np.float32)


@pytest.fixture(scope="module")
def digits():
    x, y = load_digits(return_X_y=True)
    return unit(x), y


def test_typical_are_the_medoids_and_outliers_the_other_end(digits):
    x, y = digits
    for shape in describe(x, y):
        members = np.flatnonzero(y == shape.number)
        summed = (x[members].astype(np.float64) @ x[members].T.astype(np.float64)).sum(axis=1)
        order = members[np.argsort(-summed)]
        assert shape.typical == tuple(order[:12])
        assert shape.outliers == tuple(order[::-1][:6])
        direction = x[members].mean(axis=0) / np.linalg.norm(x[members].mean(axis=0))
        # 1e-6: the expectation is computed in float32
        assert shape.tightness == pytest.approx(float((x[members] @ direction).mean()), abs=1e-6)


def test_varied_members_lie_farther_apart_than_typical_ones_and_are_no_outliers(digits):
    x, y = digits
    for shape in describe(x, y):
        typical, varied = x[list(shape.typical)], x[list(shape.varied)]
        assert (varied @ varied.T).mean() < (typical @ typical.T).mean()
        assert shape.varied[0] == shape.typical[0]
        assert len(set(shape.varied)) == 12
        assert not set(shape.varied) & set(shape.outliers)


def test_nearest_group_is_by_mean_direction():
    x = unit([[1, 0], [1, 0.1], [0, 1], [0.1, 1], [1, 0.9]])
    shapes = {g.number: g for g in describe(x, np.array([5, 5, 9, 9, 30]))}
    assert [shapes[g].nearest for g in (5, 9, 30)] == [30, 30, 5]
    assert shapes[5].nearest_similarity == shapes[30].nearest_similarity


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 13, 400])
def test_typical_and_outliers_never_overlap_and_few_are_odd(size):
    x = unit(np.random.default_rng(size).normal(size=(size, 5)) + 1)
    (shape,) = describe(x, np.full(size, 3))
    assert (shape.number, shape.size, shape.nearest, shape.nearest_similarity) == (3, size, None, None)
    assert not set(shape.typical) & set(shape.outliers)
    assert len(shape.outliers) == min(6, size // 4)
    assert len(shape.typical) >= 1
    assert 0 <= shape.tightness <= 1


def test_zero_rows_all_left_out_and_nothing_at_all():
    assert describe(np.zeros((0, 4), np.float32), np.zeros(0, np.int64)) == []
    assert describe(np.ones((3, 4), np.float32), np.full(3, -1)) == []
    first, second = describe(np.zeros((6, 4), np.float32), np.array([0, 0, 0, 0, 8, -1]))
    assert first.tightness == second.tightness == 0
    assert first.typical == (0, 1, 2)
    assert first.nearest == 8
    opposed = describe(unit([[1, 0], [-1, 0]]), np.array([0, 0]))
    assert opposed[0].tightness == 0


def test_left_out_items_belong_to_no_group(digits):
    x, y = digits
    labels = y.copy()
    labels[::2] = -1
    kept = describe(x[1::2], y[1::2])
    for whole, half in zip(describe(x, labels), kept):
        assert whole.typical == tuple(2 * p + 1 for p in half.typical)


def test_blocks_change_nothing(digits, monkeypatch):
    x, y = digits
    whole = describe(x, y)
    monkeypatch.setattr(groups, "BLOCK", 97)
    for a, b in zip(whole, describe(x, y)):
        assert (a.typical, a.outliers, a.varied) == (b.typical, b.outliers, b.varied)
        assert a.tightness == pytest.approx(b.tightness, abs=1e-12)  # sums are added in another order


def test_memory_does_not_grow_with_a_memory_map(tmp_path):
    n = 200_000
    np.save(
        tmp_path / "x.npy", np.tile(unit(np.random.default_rng(0).normal(size=(1000, 64))), (n // 1000, 1))
    )
    x = np.load(tmp_path / "x.npy", mmap_mode="r")
    tracemalloc.start()
    describe(x, np.arange(n) % 7)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # a few blocks of 16,384 x 64 doubles (8 MB each) and a few arrays of n; the points in float64 are 102 MB
    assert peak < 60e6


@pytest.mark.parametrize(
    ("points", "labels", "says"),
    [
        (np.zeros((3, 2), np.float32), np.zeros(2, int), "one integer per point, 3 here"),
        (np.zeros((3, 2), np.float32), np.zeros(3), "float64"),
        (np.zeros(3, np.float32), np.zeros(3, int), "two dimensions"),
        (np.array([[0, 0], [0, np.nan]], np.float32), np.zeros(2, int), "row 1"),
        (np.array([[np.inf, 0]], np.float32), np.zeros(1, int), "row 0"),
    ],
)
def test_bad_input_is_one_line(points, labels, says):
    with pytest.raises(InputError, match=says) as e:
        describe(points, labels)
    assert "\n" not in str(e.value)
