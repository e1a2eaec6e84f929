"""The fast twins give the reference's labels, to the last point."""

import numpy as np
import pytest

from sortal.kernels import (
    cosine_density_groups,
    density,
    density_groups,
    density_reference,
    spread_groups,
    threads,
)


def frozen(way):
    def run(x, *arguments):
        x = x.copy()
        x.flags.writeable = False  # as the door hands rows on: loops are compiled for one kind of array
        return way(x, *arguments)

    return run


def walked(pairs):
    def run(x, squared_radius, min_samples, weights=None):
        order, walk = pairs(x, squared_radius)
        return density._walked(order, walk, min_samples, weights)

    return run


WAYS = {
    "leaves": frozen(walked(density._leaves)),
    "products": frozen(walked(density._products)),
    "door": density_groups,
}


def clumps(n, d, seed, spread=0.2):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(5, d))[rng.integers(0, 5, n)] + spread * rng.normal(size=(n, d))


def assert_equal(got, want):
    np.testing.assert_array_equal(got[1], want[1])
    np.testing.assert_array_equal(got[0], want[0])
    assert got[0].dtype == np.intp


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("d", [1, 2, 3, 4, 5, 15, 16, 65, 700])
@pytest.mark.parametrize("min_samples", [1, 2, 3, 8])
def test_twins_equal_reference(way, d, min_samples):
    for n in (1, 2, 400):
        x = clumps(n, d, seed=n + d)
        for radius in (0.1 * d**0.5, 0.35 * d**0.5):
            want = density_reference.density_groups(x, radius**2, min_samples)
            assert_equal(WAYS[way](x, radius**2, min_samples), want)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("d", [1, 2, 3, 6, 20])
def test_ties_at_the_radius_and_duplicates(way, d):
    x = np.random.default_rng(d).integers(0, 3, (400, d)).astype(float)
    for squared_radius in (1.0, 2.0, 3.0):
        for min_samples in (2, 5, 20, 200, 500):
            want = density_reference.density_groups(x, squared_radius, min_samples)
            assert_equal(WAYS[way](x, squared_radius, min_samples), want)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("d", [1, 2, 3, 6, 20])
def test_lattices_whose_steps_are_not_exact(way, d):
    x = np.random.default_rng(d).integers(0, 4, (300, d)) * 0.1
    for radius in (0.1, 0.1 * 2**0.5, 0.2):
        want = density_reference.density_groups(x, radius * radius, 4)
        assert_equal(WAYS[way](x, radius * radius, 4), want)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("d", [2, 3, 8, 70])
def test_huge_offset(way, d):
    x = clumps(500, d, seed=3) + 1e6  # the expanded square of such rows keeps four digits
    squared_radius = (0.25 * d**0.5) ** 2
    assert_equal(WAYS[way](x, squared_radius, 5), density_reference.density_groups(x, squared_radius, 5))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("d", [2, 3, 9, 80])
def test_float32_small_and_large_units(way, d):
    for unit in (1e-12, 1.0, 1e12):
        x = (unit * clumps(300, d, seed=4)).astype(np.float32)
        squared_radius = (unit * 0.25 * d**0.5) ** 2
        assert_equal(WAYS[way](x, squared_radius, 4), density_reference.density_groups(x, squared_radius, 4))


@pytest.mark.parametrize("way", WAYS)
def test_radius_tiny_beside_the_spread(way):
    rng = np.random.default_rng(5)
    x = np.repeat(rng.normal(size=(60, 3)), 5, axis=0) * 1e4 + 1e-3 * rng.normal(size=(300, 3))
    assert_equal(WAYS[way](x, 4e-6, 3), density_reference.density_groups(x, 4e-6, 3))


def test_too_many_cells_for_a_grid():
    x = np.array([[0.0, 0.0, 0.0], [0.5, 0.0, 0.0], [1e8, 1e8, 1e8], [1e8, 1e8, 1e8 + 0.5]])
    labels, core = density_groups(x, 1e-4 + 0.25, 2)
    np.testing.assert_array_equal(labels, [0, 0, 1, 1])
    assert core.all()


def test_many_dense_cells_in_blocks(monkeypatch):
    x = clumps(20_000, 2, seed=6)
    want = WAYS["leaves"](x, 0.0004, 5)
    monkeypatch.setattr(density, "WORK_A_BLOCK", 5000)  # cuts within cells too
    assert_equal(density_groups(x, 0.0004, 5), want)
    monkeypatch.setattr(threads, "n_threads", lambda: 3)
    assert_equal(density_groups(x, 0.0004, 5), want)


@pytest.mark.parametrize("room", [2, 40, 2**16])  # numbers of a note: never enough, at times, always
@pytest.mark.parametrize("n_threads", [1, 3])
def test_leaves_looked_at_ahead(monkeypatch, room, n_threads):
    x = clumps(9000, 6, seed=8)
    want = WAYS["products"](x, 0.06, 5)
    assert len(np.unique(want[0])) > 2
    monkeypatch.setattr(density, "NOTE", room)
    monkeypatch.setattr(threads, "n_threads", lambda: n_threads)
    assert_equal(WAYS["leaves"](x, 0.06, 5), want)


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("flat", [False, True])
def test_groups_across_the_stretches_that_threads_join(d, flat, monkeypatch):
    x = clumps(9000, d, seed=11)
    x[:, 0] = 0.5 if flat else x[:, 0]  # all cells in one slab, or in one cell: everything is near every cut
    radius = 1e-4 if d < 3 else 1e-3
    want = WAYS["leaves"](x, radius, 5)
    for stretches, n_threads in ((1, 1), (32, 1), (500, 3)):
        monkeypatch.setattr(density, "STRETCHES", stretches)
        monkeypatch.setattr(threads, "n_threads", lambda n_threads=n_threads: n_threads)
        assert_equal(density_groups(x, radius, 5), want)


def test_memory_layouts_and_read_only():
    x = clumps(300, 6, seed=7)
    for d in (2, 6):
        want = density_reference.density_groups(x[:, :d], 0.1 * d, 4)
        columns = np.asfortranarray(x[:, :d])
        columns.flags.writeable = False
        assert_equal(density_groups(columns, 0.1 * d, 4), want)
        assert_equal(density_groups(x[:, :d], 0.1 * d, 4), want)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 50, 1500])
def test_cosine(dtype, n):
    x = clumps(n, 40, seed=8).astype(dtype)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    for least in (0.5, 0.95):
        want = density_reference.cosine_density_groups(x, least, 4)
        assert_equal(cosine_density_groups(x, least, 4), want)


def test_spread_where_reach_goes_one_way():
    rng = np.random.default_rng(9)
    for n in (1, 2, 60):
        near = (rng.random((n, n)) < 1.5 / n) | np.eye(n, dtype=bool)
        core = near.sum(axis=1) >= 3
        starts = np.concatenate([[0], np.cumsum(near.sum(axis=1))])
        neighbors = np.nonzero(near)[1].astype(np.int32)
        want = density_reference.spread_groups(starts, neighbors, core)
        np.testing.assert_array_equal(spread_groups(starts, neighbors, core), want)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("d", [1, 3, 20, 80])
def test_weights_and_many_min_samples(way, d):
    rng = np.random.default_rng(d)
    for n in (1, 400):
        x = rng.integers(0, 3, (n, d)).astype(float)
        for weights in (None, rng.integers(0, 4, n) / 2, rng.integers(-2, 4, n) * 1.0, rng.random(n)):
            for min_samples in (2, 150):
                want = density_reference.density_groups(x, 3.0, min_samples, weights)
                assert_equal(WAYS[way](x, 3.0, min_samples, weights), want)


def test_all_within_the_radius_by_boxes():
    x = np.random.default_rng(10).random((3000, 6))
    weights = np.random.default_rng(11).integers(0, 3, 3000) * 1.0
    for min_samples in (weights.sum(), weights.sum() + 1):
        labels, core = density_groups(x, 6.0, int(min_samples), weights)
        assert core.all() == (labels == 0).all() == (min_samples == weights.sum())


def test_weights_that_meet_min_samples_by_rounding_only():
    x = np.zeros((10, 2))
    with pytest.raises(ArithmeticError, match="within rounding"):
        density_groups(x, 1.0, 1, np.full(10, 0.1))


@pytest.mark.parametrize("d", [1, 2, 3])
def test_cells_far_and_near(d):
    # Every density, so that parts of one cell, side by side and two apart are all what joins groups.
    rng = np.random.default_rng(20 + d)
    for n in (30, 100, 300):
        x = rng.random((n, d))
        for radius in 0.5 * rng.random(40):
            for min_samples in (1, 2, 4):
                want = density_reference.density_groups(x, radius**2, min_samples)
                assert_equal(density_groups(x, radius**2, min_samples), want)
