import numpy as np
import pytest

from sortal.kernels import medoids, medoids_reference


def distances(n, dtype, seed=0, ties=False):
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 3, (n, 2)) if ties else rng.normal(size=(n, 3))
    found = np.sqrt(((x[:, None, :] - x[None]) ** 2).sum(axis=2))
    return found.astype(dtype)


# Below, at and above a vector of 64; a lone point; k = n.
SHAPES = [(1, 1), (2, 2), (5, 5), (63, 4), (64, 2), (65, 7), (200, 3), (130, 60)]


@pytest.mark.parametrize(("n", "k"), SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("ties", [False, True])
def test_every_loop_equals_its_definition(n, k, dtype, ties):
    given = np.round(distances(n, dtype, ties=ties) * 1024) / 1024  # sums without rounding: ties are ties
    start = np.random.default_rng(1).permutation(n)[:k]
    nearest = medoids.nearest_two_medoids(given, start)
    expected = medoids_reference.nearest_two_medoids(given, start)
    for ours, theirs in zip(nearest, expected):
        assert np.array_equal(ours, theirs)
        assert ours.dtype == theirs.dtype
    if k == 1:
        return
    start_too, nearest_too = start.copy(), medoids.NearestTwo(*(part.copy() for part in nearest))
    for begin, end in ((0, n // 2), (n // 2, n), (0, n)):
        found = medoids.exchange_medoids(given, start, nearest, begin, end)
        wanted = medoids_reference.exchange_medoids(given, start_too, nearest_too, begin, end)
        assert found == wanted
        assert np.array_equal(start, start_too)
        assert np.array_equal(nearest.near_distance, nearest_too.near_distance)
        assert np.array_equal(nearest.second_distance, nearest_too.second_distance)


def test_only_the_candidates_asked_for_are_tried():
    given = distances(100, np.float64)
    for begin, end in ((0, 0), (40, 41), (30, 70)):
        start = np.array([0, 1, 2])
        found = medoids.exchange_medoids(given, start, medoids.nearest_two_medoids(given, start), begin, end)
        assert set(start) <= {0, 1, 2, *range(begin, end)}
        assert len(found.losses) <= end - begin
        assert found.last in ({-1} if begin == end else {-1, *range(begin, end)})


def test_an_exchange_that_pays_by_rounding_only_is_taken_back():
    """Where terms of 1e16 and 1e-2 are added, the change by one candidate and the loss may disagree."""
    rng = np.random.default_rng(0)
    stuck = 0
    for _ in range(60):
        given = np.exp(rng.uniform(-40, 40, (40, 40)))
        given = np.minimum(given, given.T)
        np.fill_diagonal(given, 0)
        start = rng.permutation(40)[:4]
        nearest = medoids.nearest_two_medoids(given, start)
        loss = nearest.near_distance.sum()
        found = medoids.exchange_medoids(given, start, nearest, 0, 40)
        assert (np.diff([loss, *found.losses]) < 0).all()
        again = medoids.nearest_two_medoids(given, start)
        assert np.array_equal(again.near_distance, nearest.near_distance)
        assert np.array_equal(again.second_distance, nearest.second_distance)
        stuck += found.stuck
    assert stuck < 60


@pytest.mark.parametrize(("n", "k"), SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_lazy_build_picks_what_the_full_search_picks(n, k, dtype):
    given = distances(n, dtype, seed=2)
    assert np.array_equal(medoids.build_medoids(given, k), medoids_reference.build_medoids(given, k))


def test_build_breaks_ties_by_the_lowest_index():
    given = distances(60, np.float64, ties=True)
    given = np.round(given * 4) / 4  # sums without rounding, so that ties are ties
    assert np.array_equal(medoids.build_medoids(given, 20), medoids_reference.build_medoids(given, 20))


@pytest.mark.parametrize("n", [1, 2, 127, 128, 129, 300])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_flaw_is_found_wherever_it_is(n, dtype):
    sound = distances(n, dtype)
    assert medoids.first_flaw(sound, 0.0, 0.0) == (-1, -1, 0)
    rng = np.random.default_rng(n)
    for value, kind in ((np.nan, 1), (np.inf, 1), (-np.inf, 1), (-1.0, 1), (7.5, 2)):
        i, j = rng.integers(0, n, 2)
        if kind == 2 and i == j:
            continue
        flawed = sound.copy()
        flawed[i, j] = value
        row, column, found = medoids.first_flaw(flawed, 0.0, 0.0)
        assert found == kind == medoids_reference.first_flaw(flawed, 0.0, 0.0)[2]
        assert {row, column} == {i, j}
        if kind == 1:
            assert (row, column) == (i, j)
    flawed = sound.copy()
    flawed[0, -1] += 1e-3
    assert medoids.first_flaw(flawed, 1e-2, 0.0)[2] == 0
    assert medoids.first_flaw(-sound, 0.0, -1e30)[2] == 0


@pytest.mark.parametrize("scale", [1e-310, 1e-45, 1e6, 1e150])
def test_denormals_and_large_numbers(scale):
    given = distances(70, np.float64) * scale
    start = np.arange(5)
    nearest = medoids.nearest_two_medoids(given, start)
    found = medoids.exchange_medoids(given, start, nearest, 0, 70)
    assert found.last >= 5 or scale < 1e-300
    assert np.array_equal(medoids.build_medoids(given, 5), medoids_reference.build_medoids(given, 5))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_difference_in_the_highest_or_lowest_bits_is_found(dtype):
    sound = np.ones((70, 70), dtype)
    assert medoids.first_flaw(sound, 0.0, 0.0)[2] == 0
    assert medoids.first_flaw(-sound, 0.0, -9.0)[2] == 0
    for value in (2, 0.5, np.nextafter(dtype(1), dtype(2)), 2.0**100):
        flawed = sound.copy()
        flawed[60, 3] = value
        assert medoids.first_flaw(flawed, 0.0, 0.0) == (3, 60, 2)
    assert medoids.first_flaw(-np.zeros((3, 3), dtype), 0.0, 0.0)[2] == 0  # -0.0 is 0


def test_flaws_that_cancel_in_sums_of_rows_are_found():
    """A cycle of three: the sums of its rows equal those of its columns."""
    flawed = np.zeros((9, 9))
    for i, j in ((1, 4), (4, 7), (7, 1)):
        flawed[i, j] = 1
    assert medoids.first_flaw(flawed, 0.0, 0.0)[2] == 2
