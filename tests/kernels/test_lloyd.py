import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.spatial.distance import cdist

from sortal.kernels import (
    DenseRows,
    SparseRows,
    nearest_center,
    nearest_labels,
    nearest_labels_sparse,
    reference,
    squared_to_center_sparse,
)
from sortal.kernels.lloyd_bounds import Bounds, group_of_centers
from sortal.kernels.lloyd_cells import Cells
from sortal.kernels.lloyd_panels import read_block

# One of each; every unrolled d and the first that is not; tiles and squares cut short; d beyond 2**16.
SHAPES = [
    (1, 1, 1),
    (33, 1, 7),
    (100, 2, 13),
    (65, 3, 6),
    (50, 4, 50),
    (31, 5, 12),
    (257, 17, 101),
    (2, 70_000, 2),
]
BOUNDED = [(3000, 64, 100), (2000, 3, 45), (500, 1, 25), (300, 5, 6), (60, 2, 60)]
TYPES = [np.float32, np.float64]


def rows_and_centers(n, d, k, dtype, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)).astype(dtype), rng.normal(size=(k, d)).astype(dtype)


def brute_force(x, centers):
    return cdist(x.astype(np.float64), centers.astype(np.float64), "sqeuclidean").argmin(axis=1)


@pytest.mark.parametrize(("n", "d", "k"), SHAPES)
@pytest.mark.parametrize("dtype", TYPES)
def test_nearest_center_equals_its_reference(n, d, k, dtype):
    x, centers = rows_and_centers(n, d, k, dtype)
    labels, squared = nearest_center(x, centers)
    truth, truth_squared = reference.nearest_center(x, centers)
    assert labels.dtype == np.int32
    assert np.array_equal(labels, truth)
    np.testing.assert_allclose(squared, truth_squared, rtol=1e-12)  # the order of a sum in float64
    assert np.array_equal(nearest_labels_sparse(csr_matrix(x), centers), truth)
    np.testing.assert_allclose(squared_to_center_sparse(csr_matrix(x), centers, truth), squared, rtol=1e-12)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("scale", [1e-30, 1e25])  # squares vanish, or overflow, in float32
def test_numbers_whose_squares_leave_float32(dtype, scale):
    x, centers = rows_and_centers(300, 20, 30, np.float64)
    x, centers = (x * scale).astype(dtype), (centers * scale).astype(dtype)
    assert np.array_equal(nearest_labels(x, centers), brute_force(x, centers))


@pytest.mark.parametrize("dtype", TYPES)
def test_ties_and_duplicates_take_the_lowest_number(dtype):
    x, centers = rows_and_centers(500, 8, 9, dtype)
    doubled = np.concatenate([centers, centers, centers[::-1]])
    assert np.array_equal(nearest_labels(x, doubled), nearest_labels(x, centers))


@pytest.mark.parametrize("layout", ["fortran", "strided", "unaligned", "read-only"])
def test_any_layout_gives_the_same(layout):
    x, centers = rows_and_centers(70, 18, 5, np.float32)
    truth = nearest_labels(x, centers)
    if layout == "fortran":
        x = np.asfortranarray(x)
    elif layout == "strided":
        x = np.repeat(x, 2, axis=0)[::2]
    elif layout == "unaligned":
        x = np.frombuffer(b"?" + x.tobytes(), np.uint8)[1:].view(np.float32).reshape(x.shape)
    else:
        x.flags.writeable = False
    assert np.array_equal(nearest_labels(x, centers), truth)


def assign_with(bounds, x, labels, centers):
    assign = bounds.begin(centers)
    for at in range(0, len(x), bounds.block):
        rows = slice(at, at + bounds.block)
        assign(rows, read_block(x, rows), labels[rows])


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(
    ("n", "d", "k"),
    # One group of centers, save in 160 dimensions: four.
    [(3000, 64, 100), (1500, 160, 100), (2000, 3, 45), (500, 1, 25), (300, 5, 6), (60, 2, 60)],
)
@pytest.mark.parametrize("offset", [0, 1000])
def test_bounds_change_no_label(n, d, k, dtype, offset):
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(n, d)) * 3 + rng.integers(0, 5, (n, 1)) * 4 + offset).astype(dtype)
    centers = x[:k].copy()
    labels = nearest_labels(x, centers)
    bounds = Bounds(x, labels, centers, group_of_centers(centers))
    for _ in range(8):
        filled = np.unique(labels)
        centers = centers.copy()
        centers[filled] = [x[labels == c].mean(axis=0) for c in filled]
        touched = rng.integers(0, n, 3)
        labels[touched] = rng.integers(0, k, 3)  # somebody relabels a few rows in between
        bounds.forget(touched)
        assign_with(bounds, x, labels, centers)
        assert np.array_equal(labels, brute_force(x, centers))


@pytest.mark.parametrize("d", [20, 160])
def test_bounds_survive_overflow(d):
    x, centers = rows_and_centers(300, d, 45, np.float64)
    x, centers = (x * 1e25).astype(np.float32), (centers * 1e25).astype(np.float32)
    labels = nearest_labels(x, centers)
    bounds = Bounds(x, labels, centers, group_of_centers(centers))
    for shrink in (0.9, 0.8, 0.7):
        moved = (centers * np.float32(shrink)).astype(np.float32)
        assign_with(bounds, x, labels, moved)
        assert np.array_equal(labels, brute_force(x, moved))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_running_sums_equal_sums_taken_anew(kind, weighted):
    rng = np.random.default_rng(0)
    x, origin = rng.normal(size=(900, 7)), rng.normal(size=7)
    weights = rng.integers(0, 3, 900).astype(float) if weighted else None
    rows = DenseRows(x, weights, origin, 11) if kind == "dense" else SparseRows(csr_matrix(x), weights, 11)
    each = np.ones(900) if weights is None else weights
    for _ in range(4):
        centers = rng.normal(size=(11, 7))
        before = rows.labels.copy()
        changed = rows.step(centers)
        assert changed == np.count_nonzero(rows.labels != before)
        assert np.array_equal(rows.labels, brute_force(x, centers))
        rows.relabel(rng.choice(900, 5, replace=False), rng.integers(0, 11, 5))
        truth = np.zeros((11, 7))
        np.add.at(truth, rows.labels, each[:, None] * (x - rows.origin))
        np.testing.assert_allclose(rows.sums, truth, atol=1e-12)  # the order of a sum in float64
        assert np.array_equal(rows.mass, np.bincount(rows.labels, each, 11))
        assert np.array_equal(rows.n_rows, np.bincount(rows.labels[each > 0], minlength=11))
        squared = ((x - centers[rows.labels]) ** 2).sum(axis=1)
        assert rows.cost(centers, rows.labels) == pytest.approx(each @ squared)
    assert rows.variance == pytest.approx(x.var(axis=0).mean())
    assert rows.total == pytest.approx((each[:, None] * (x - rows.origin) ** 2).sum())


def plane_rows(kind, n, d, dtype):
    rng = np.random.default_rng(d)
    if kind == "ties":  # few distinct points, many of them halfway between two centers
        return rng.integers(0, 7, (n, d)).astype(dtype)
    x = rng.normal(size=(n, d)) + rng.integers(0, 4, (n, 1)) * 3
    if kind == "offset":
        return (x + 1e6).astype(dtype)
    x[rng.integers(0, n, 3)] *= 1e6  # a few rows far away
    return x.astype(dtype)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("kind", ["ties", "offset", "outliers"])
@pytest.mark.parametrize("weighted", [False, True])
def test_boxes_change_no_label_and_no_sum(kind, d, dtype, weighted):
    n, k = 5000, 23
    x = plane_rows(kind, n, d, dtype)
    rng = np.random.default_rng(0)
    weights = rng.integers(0, 3, n).astype(float) if weighted else None
    each = np.ones(n) if weights is None else weights
    centers = x[rng.choice(n, k, replace=False)]
    origin = centers.mean(axis=0, dtype=np.float64)
    cells, before = Cells(x, weights, origin), np.full(n, -1)
    for _ in range(5):
        sums, changed = cells.assign(centers)
        labels = brute_force(x, centers)
        assert changed == np.count_nonzero(labels != before)
        truth = np.zeros((k, d))
        np.add.at(truth, labels, each[:, None] * (x - origin))
        np.testing.assert_allclose(sums[:, :d], truth, rtol=1e-9, atol=1e-9 * np.abs(x - origin).max())
        assert np.array_equal(sums[:, d], np.bincount(labels, each, k))
        assert np.array_equal(sums[:, d + 1], np.bincount(labels[each > 0], minlength=k))
        before, mass = labels, np.maximum(sums[:, d : d + 1], 1)
        centers = np.where(sums[:, d : d + 1] > 0, truth / mass + origin, centers).astype(dtype)


def test_relabelled_rows_in_boxes_count_for_their_new_cluster():
    x = plane_rows("outliers", 9000, 2, np.float64)
    rows = DenseRows(x, None, np.zeros(2), 10)
    assert rows._cells is not None
    rows.step(x[:10])
    before = rows.n_rows.copy()
    point = int(np.flatnonzero(rows.labels == 3)[0])
    rows.relabel(np.array([point]), np.array([5]))
    assert (rows.n_rows - before).tolist() == [0, 0, 0, -1, 0, 1, 0, 0, 0, 0]
    rows.step(x[:10])
    assert np.array_equal(rows.labels, brute_force(x, x[:10]))
    assert np.array_equal(rows.n_rows, before)
