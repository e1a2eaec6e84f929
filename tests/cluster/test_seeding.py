from functools import partial

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.spatial.distance import cdist
from scipy.stats import chi2_contingency, chisquare, ks_2samp
from sklearn.cluster import kmeans_plusplus as peer
from sklearn.datasets import make_blobs

from sortal.cluster import kmeans_parallel, kmeans_plusplus, seeding
from sortal.errors import InputError

X = np.array([[0.0, 0], [1, 0], [0, 3], [4, 4], [1, 0]])


@pytest.fixture(params=["in turn", "by rejection"])
def way(request, monkeypatch):
    """Small data are drawn in turn; by rejection only where a test asks for it."""
    if request.param == "by rejection":
        monkeypatch.setattr(seeding, "FEW_NUMBERS", 0)


@pytest.mark.slow
@pytest.mark.parametrize("offset", [0, 1e6])
@pytest.mark.parametrize("weights", [None, [1.0, 2, 0.5, 1, 0]])
def test_the_second_row_is_drawn_by_squared_distance(way, offset, weights):
    rng = np.random.RandomState(0)
    pairs = [
        kmeans_plusplus(X + offset, 2, sample_weight=weights, random_state=rng, n_local_trials=1)[1]
        for _ in range(5000)
    ]
    counts = np.zeros((5, 5))
    np.add.at(counts, tuple(np.array(pairs).T), 1)
    w = np.ones(5) if weights is None else np.array(weights)
    reach = w * ((X[:, None] - X) ** 2).sum(axis=2)
    expected = (w / w.sum())[:, None] * reach / reach.sum(axis=1, keepdims=True) * 5000
    possible = expected > 0
    assert counts[~possible].sum() == 0
    assert chisquare(counts[possible], expected[possible]).pvalue > 1e-3  # one seed, fixed


def test_rows_and_indices_belong_together():
    centers, index = kmeans_plusplus(X, 3, random_state=1)
    assert np.array_equal(centers, X[index])
    assert len(set(index)) == 3
    sparse_centers, sparse_index = kmeans_plusplus(csr_matrix(X), 3, random_state=1)
    assert np.array_equal(sparse_index, index)
    assert np.array_equal(sparse_centers, centers)


def test_greedy_trials_cost_less():
    x = np.random.default_rng(0).normal(size=(500, 2))

    def mean_cost(trials):
        starts = [kmeans_plusplus(x, 10, random_state=seed, n_local_trials=trials)[0] for seed in range(30)]
        return np.mean([((x[:, None] - start) ** 2).sum(axis=2).min(axis=1).sum() for start in starts])

    assert mean_cost(8) < 0.9 * mean_cost(1)


def test_more_clusters_than_samples(way):
    with pytest.raises(InputError, match="got n_clusters=6 for n_samples=5"):
        kmeans_plusplus(X, 6)
    assert len(kmeans_plusplus(X, 5, random_state=0)[1]) == 5  # one row repeats, since two are equal


@pytest.mark.parametrize(
    ("x", "k", "more", "message"),
    [
        (X[0], 1, {}, r"X must hold numbers.*got float64 of shape \(2,\)"),
        (X * np.nan, 2, {}, "X must be finite"),
        (X * 1e300, 2, {}, "squared distances"),
        (X, 0, {}, "got n_clusters=0"),
        (X, 2, {"n_local_trials": 0}, "n_local_trials must be"),
    ],
)
def test_what_cannot_be_drawn_from_is_said(x, k, more, message):
    with pytest.raises(InputError, match=message):
        kmeans_plusplus(x, k, **more)


def sequences(x, k, weights=None):
    """The probability of each sequence of k rows by plain k-means++, in float64."""
    w = np.ones(len(x)) if weights is None else np.asarray(weights, float)
    reach = ((x[:, None] - x) ** 2).sum(axis=2)
    found = {}

    def extend(index, nearest, probability):
        if len(index) == k:
            found[index] = probability
            return
        mass = w * nearest
        for i in np.flatnonzero(mass):
            extend((*index, int(i)), np.minimum(nearest, reach[i]), probability * mass[i] / mass.sum())

    for i in np.flatnonzero(w):
        extend((int(i),), reach[i], w[i] / w.sum())
    return found


def agrees(drawn, expected):
    n = len(drawn)
    counts = dict.fromkeys(expected, 0)
    for index in drawn:
        counts[tuple(int(i) for i in index)] += 1  # a KeyError is a sequence that cannot be
    likely = [key for key in expected if expected[key] * n >= 5]
    seen = [counts[key] for key in likely]
    due = [expected[key] * n for key in likely]
    return chisquare([*seen, n - sum(seen)], [*due, n - sum(due)]).pvalue > 1e-3  # one seed, fixed


ROWS = np.array([[0.0, 0], [1, 0], [0, 3], [4, 4], [1, 0], [9, -2]])


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("offset", [0, 1e6])
@pytest.mark.parametrize("weights", [None, [1.0, 2, 0.5, 1, 0, 0.1]])
def test_whole_sequences_have_exactly_their_probability(way, dtype, offset, weights):
    """Equal rows, weights, and an offset that costs a float32 product all its digits."""
    x = (ROWS + offset).astype(dtype)
    rng = np.random.RandomState(0)
    drawn = [
        kmeans_plusplus(x, 3, sample_weight=weights, random_state=rng, n_local_trials=1)[1]
        for _ in range(4000)
    ]
    assert agrees(drawn, sequences(ROWS, 3, weights=weights))


@pytest.mark.slow
def test_rejection_draws_as_sequential_sampling_does(way):
    """Rows enough that distances go stale and candidates are turned away, and groups far apart."""
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(size=(40, 3)) + 30 * c for c in np.eye(3)]).astype(np.float32)
    reach = ((x[:, None] - x) ** 2).sum(axis=2, dtype=np.float64)
    draw = np.random.RandomState(0)

    def plain(k):
        index = [draw.randint(len(x))]
        while len(index) < k:
            mass = reach[index].min(axis=0)
            index.append(draw.choice(len(x), p=mass / mass.sum()))
        return index

    def costs_and_counts(starts):
        costs = [reach[list(start)].min(axis=0).sum() for start in starts]
        return np.array(costs), np.bincount(np.concatenate(starts), minlength=len(x))

    n = 4000
    ours, our_counts = costs_and_counts(
        [kmeans_plusplus(x, 8, random_state=draw, n_local_trials=1)[1] for _ in range(n)]
    )
    theirs, their_counts = costs_and_counts([plain(8) for _ in range(n)])
    assert ks_2samp(ours, theirs).pvalue > 1e-3
    spread = np.sqrt(np.maximum(our_counts + their_counts, 1))
    assert np.abs((our_counts - their_counts) / spread).max() < 4.5  # of 120 rows


def greedy_sequences(x, k, n_trials, weights):
    """The probability of each sequence of k rows: of n draws the one that saves most, the first of equals."""
    reach = ((x[:, None] - x) ** 2).sum(axis=2)
    found = {}

    def extend(index, nearest, probability):
        if len(index) == k:
            found[index] = probability
            return
        share = weights * nearest / (weights * nearest).sum()
        cost = np.minimum(nearest, reach) @ weights
        for i in np.flatnonzero(share):
            as_good, worse = share[cost == cost[i]].sum(), share[cost > cost[i]].sum()
            best = ((as_good + worse) ** n_trials - worse**n_trials) * share[i] / as_good
            extend((*index, int(i)), np.minimum(nearest, reach[i]), probability * best)

    for i in np.flatnonzero(weights):
        extend((int(i),), reach[i], weights[i] / weights.sum())
    return found


@pytest.mark.slow
@pytest.mark.parametrize("n_trials", [2, 4])
@pytest.mark.parametrize("weights", [[1.0, 1, 1, 1, 1, 1], [1.0, 2, 0.5, 1, 0, 0.25]])
def test_greedy_draws_have_exactly_their_probability(way, n_trials, weights):
    rng = np.random.RandomState(0)
    drawn = [
        kmeans_plusplus(ROWS, 3, sample_weight=weights, random_state=rng, n_local_trials=n_trials)[1]
        for _ in range(4000)
    ]
    assert agrees(drawn, greedy_sequences(ROWS, 3, n_trials, np.array(weights)))


@pytest.mark.slow
@pytest.mark.parametrize("n_trials", [1, 3])
def test_rejection_and_drawing_in_turn_take_the_same_rows_as_often(monkeypatch, n_trials):
    """Weighted groups far apart: distances go stale, whole blocks of rows are out of reach."""
    rng = np.random.default_rng(1)
    x = np.concatenate([rng.normal(size=(40, 3)) + 30 * c for c in np.eye(3)]).astype(np.float32)
    weights = rng.integers(0, 3, len(x)).astype(float)
    reach = ((x[:, None] - x) ** 2).sum(axis=2, dtype=np.float64)
    draw = np.random.RandomState(0)

    def many():
        starts = [
            kmeans_plusplus(x, 12, sample_weight=weights, random_state=draw, n_local_trials=n_trials)[1]
            for _ in range(2000)
        ]
        costs = [reach[list(start)].min(axis=0) @ weights for start in starts]
        return costs, np.bincount(np.concatenate(starts), minlength=len(x))

    costs, counts = many()
    monkeypatch.setattr(seeding, "FEW_NUMBERS", 0)
    other_costs, other_counts = many()
    assert ks_2samp(costs, other_costs).pvalue > 1e-3
    seen = weights > 0
    assert not counts[~seen].any()
    assert not other_counts[~seen].any()
    assert chi2_contingency([counts[seen], other_counts[seen]]).pvalue > 1e-3  # conservative: no repeats


@pytest.mark.slow
def test_greedy_costs_what_scikit_learns_does(way):
    x = np.random.default_rng(0).normal(size=(400, 2)).astype(np.float32)

    def costs(seed_rows):
        starts = [seed_rows(x, 20, random_state=seed)[0] for seed in range(80)]
        return [((x[:, None] - start) ** 2).sum(axis=2).min(axis=1).sum() for start in starts]

    assert ks_2samp(costs(kmeans_plusplus), costs(peer)).pvalue > 1e-2


@pytest.mark.parametrize("n_trials", [1, None])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1e-44, 1e-30, 1.0, 3e37])
def test_any_scale_takes_all_distinct_rows(way, n_trials, dtype, scale):
    x = np.repeat((np.arange(1, 6)[:, None] * scale).astype(dtype), 3, axis=0)
    for seed in range(5):
        start, index = kmeans_plusplus(x, 5, random_state=seed, n_local_trials=n_trials)
        assert len(np.unique(start)) == 5
        assert np.array_equal(start, x[index])


@pytest.mark.parametrize("n_trials", [1, None])
@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (6, 1), (5, 70_000)])
def test_odd_shapes(way, n_trials, shape):
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    for seed_rows in (partial(kmeans_plusplus, n_local_trials=n_trials), kmeans_parallel):
        _, index = seed_rows(x, len(x), random_state=0)
        assert sorted(index) == list(range(len(x)))
        constant = np.full(shape, 7.0)
        assert len(seed_rows(constant, len(x), random_state=0)[0]) == len(x)


@pytest.mark.parametrize("n_trials", [1, None])
def test_rows_without_weight_are_never_taken(way, n_trials):
    x = np.random.default_rng(0).normal(size=(60, 2))
    weights = np.arange(60) % 2
    for seed_rows in (partial(kmeans_plusplus, n_local_trials=n_trials), kmeans_parallel):
        for seed in range(20):
            _, index = seed_rows(x, 30, sample_weight=weights, random_state=seed)
            assert sorted(index) == list(range(1, 60, 2))


def test_the_number_of_threads_changes_no_row(monkeypatch):
    x = np.random.default_rng(0).normal(size=(20_000, 4)).astype(np.float32)
    for seed_rows in (partial(kmeans_plusplus, n_local_trials=1), kmeans_plusplus, kmeans_parallel):
        found = []
        for threads in ("1", "2"):
            monkeypatch.setenv("OMP_NUM_THREADS", threads)
            found.append(seed_rows(x, 50, random_state=0)[1])
        assert np.array_equal(*found)


def test_a_seed_gives_one_answer_for_float32_float64_and_sparse_rows(way):
    x = np.random.default_rng(0).normal(size=(500, 4)).astype(np.float32)
    for seed_rows in (partial(kmeans_plusplus, n_local_trials=1), kmeans_plusplus, kmeans_parallel):
        index = seed_rows(x, 20, random_state=0)[1]
        for same in (x.astype(np.float64), csr_matrix(x)):
            assert np.array_equal(seed_rows(same, 20, random_state=0)[1], index)


def test_kmeans_parallel_costs_no_more_than_plain():
    x = make_blobs(3000, 5, centers=40, cluster_std=0.5, random_state=0)[0]

    def mean_cost(seed_rows):
        starts = [seed_rows(x, 40, random_state=seed)[0] for seed in range(8)]
        return np.mean([cdist(x, start, "sqeuclidean").min(axis=1).sum() for start in starts])

    plain = mean_cost(partial(kmeans_plusplus, n_local_trials=1))
    assert mean_cost(kmeans_parallel) < plain
    few = partial(kmeans_parallel, oversampling=0.05, n_rounds=1)  # k-means++ has to go on
    assert mean_cost(few) < 1.5 * plain


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"oversampling": 0}, "oversampling must be a finite number above 0; got 0"),
        ({"n_rounds": 0}, "n_rounds must be an integer of at least 1; got 0"),
    ],
)
def test_what_kmeans_parallel_cannot_do_is_said(change, message):
    with pytest.raises(InputError, match=message):
        kmeans_parallel(X, 2, **change)


def test_candidates_out_of_reach_change_no_draw(monkeypatch):
    """The triangle inequality leaves out only pairs of a row and a candidate that is not nearer."""
    monkeypatch.setattr(seeding, "FEW_NUMBERS", 0)
    x = make_blobs(4000, 8, centers=30, cluster_std=0.2, random_state=0)[0]
    index = kmeans_plusplus(x, 60, random_state=0)[1]
    monkeypatch.setattr(
        seeding._Nearest, "_apart", lambda self, candidates: np.full((60, len(candidates)), -1.0)
    )
    assert np.array_equal(kmeans_plusplus(x, 60, random_state=0)[1], index)


def test_weights_that_cannot_be_are_said():
    with pytest.raises(ValueError, match="at least one non-zero"):
        kmeans_plusplus(X, 2, sample_weight=np.zeros(5))
    with pytest.raises(ValueError, match="Negative"):
        kmeans_plusplus(X, 2, sample_weight=[1, 1, -1, 1, 1])
