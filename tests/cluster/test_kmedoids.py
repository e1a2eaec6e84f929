import warnings

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.datasets import load_digits, make_blobs
from sklearn.metrics import pairwise_distances
from sklearn.utils.estimator_checks import parametrize_with_checks

from sortal.cluster import KMedoids, clara, dissimilarity, kmedoids
from sortal.errors import InputError

LINE = np.array([[0.0], [1], [2], [10], [11], [12.5]])
METHODS = ["fasterpam", "alternate", "clara"]


@pytest.mark.slow
@parametrize_with_checks(
    [
        KMedoids(3, method=method, metric=metric)
        for method in METHODS
        for metric in ("euclidean", "precomputed")
    ],
    # It hands 50 x 2 numbers to whatever the metric, and scikit-learn's own estimators fail it so, too.
    expected_failed_checks=lambda one: (
        {} if one.metric != "precomputed" else {"check_clustering": "not square"}
    ),
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("init", ["build", "random", "k-medoids++"])
def test_a_line(method, init):
    model = KMedoids(2, method=method, init=init, random_state=0).fit(LINE)
    assert sorted(model.medoid_indices_) == [1, 4]
    assert model.inertia_ == pytest.approx(4.5)
    assert model.inertia_history_[-1] == model.inertia_
    assert np.array_equal(model.cluster_centers_, LINE[model.medoid_indices_])
    assert np.array_equal(model.predict(LINE), model.labels_)
    assert model.predict([[5.0], [7.0]]).tolist() == [
        int(np.abs(model.cluster_centers_[:, 0] - v).argmin()) for v in (5, 7)
    ]


@pytest.mark.parametrize("k", [2, 10, 60])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exchanges_are_those_of_the_rust_library(k, dtype):
    x = make_blobs(700, 8, centers=12, cluster_std=3, random_state=0)[0]
    distances = pairwise_distances(x).astype(dtype)
    distances = np.minimum(distances, distances.T)
    start = np.random.default_rng(0).permutation(700)[:k]
    ours = kmedoids(distances, start)
    peer = pytest.importorskip("kmedoids").fasterpam
    theirs = peer(distances, start.astype(np.uintp), 300, n_cpu=1)
    assert np.array_equal(ours.medoids, theirs.medoids)
    assert np.array_equal(ours.labels, theirs.labels)
    assert ours.inertia == pytest.approx(theirs.loss, rel=1e-12 if dtype == np.float64 else 1e-5)
    assert ours.n_swaps == theirs.n_swap
    assert ours.stopped == "swaps"


@pytest.mark.parametrize("method", ["fasterpam", "alternate"])
@pytest.mark.parametrize("seed", range(4))
def test_the_loss_never_rises_and_belongs_to_the_labels(method, seed):
    rng = np.random.default_rng(seed)
    distances = cdist(rng.normal(size=(150, 2)), rng.normal(size=(150, 2)))
    distances = np.minimum(distances, distances.T)  # no metric: the triangle inequality does not hold
    np.fill_diagonal(distances, 0)
    start = rng.permutation(150)[:9]
    found = kmedoids(distances, start, method=method)
    assert (np.diff(found.inertia_history) < 0).all()
    assert found.inertia == pytest.approx(distances[np.arange(150), found.medoids[found.labels]].sum())
    assert np.array_equal(found.labels, distances[:, found.medoids].argmin(axis=1))
    if method == "fasterpam":  # a local optimum: no exchange of any medoid for any point pays
        for slot in range(9):
            others = distances[:, np.delete(found.medoids, slot)].min(axis=1)
            assert np.minimum(others, distances).sum(axis=1).min() >= found.inertia - 1e-9
    assert found.inertia <= kmedoids(distances, start, method="alternate").inertia + 1e-9


def test_relabelling_translating_and_repeating_change_nothing():
    x = make_blobs(200, 3, centers=5, random_state=1)[0]
    distances = pairwise_distances(x, metric="manhattan")
    start = np.arange(5)
    found = kmedoids(distances, start)
    turned = kmedoids(distances, start[::-1])
    assert set(turned.medoids) == set(found.medoids)
    again = KMedoids(5, metric="manhattan").fit(x + 64.0)
    assert np.array_equal(again.medoid_indices_, KMedoids(5, metric="manhattan").fit(x).medoid_indices_)
    first, second = (KMedoids(5, method="clara", random_state=3).fit(x) for _ in range(2))
    assert first.inertia_ == second.inertia_
    assert np.array_equal(first.labels_, second.labels_)


@pytest.mark.parametrize("metric", sorted(dissimilarity.SCIPY_METRICS))
def test_every_metric_of_scipy(metric):
    x = np.random.default_rng(0).random((40, 12)) + 0.1
    if metric in ("dice", "jaccard", "rogerstanimoto", "russellrao", "sokalsneath", "yule"):
        x = x > 0.6
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = KMedoids(2, metric=metric).fit(x)
        # Of two arrays, or russellrao gets a diagonal of zeros; of one, or two others lack their parameters.
        other = () if metric in ("mahalanobis", "seuclidean") else (x.copy(),)
        by = cdist if metric == "jensenshannon" else pairwise_distances
        theirs = by(x, *other, metric=metric)
        assert model.inertia_ == pytest.approx(theirs[:, model.medoid_indices_].min(axis=1).sum(), rel=1e-6)
        np.testing.assert_allclose(model.transform(x).min(axis=1).sum(), model.inertia_, rtol=1e-6)


def test_a_callable_and_a_matrix_give_what_the_name_gives():
    x = make_blobs(60, 3, centers=3, random_state=0)[0]
    named = KMedoids(3, metric="cityblock").fit(x)
    called = KMedoids(3, metric=lambda a, b: np.abs(a - b).sum()).fit(x)
    given = KMedoids(3, metric="precomputed").fit(pairwise_distances(x, metric="cityblock"))
    for other in (called, given):
        assert np.array_equal(named.medoid_indices_, other.medoid_indices_)
        assert np.array_equal(named.labels_, other.labels_)
    assert not hasattr(given, "cluster_centers_")
    assert np.array_equal(given.predict(pairwise_distances(x, metric="cityblock")), named.labels_)


@pytest.mark.parametrize("offset", [0.0, 1e6])
@pytest.mark.parametrize("metric", ["euclidean", "sqeuclidean"])
def test_small_differences_survive_a_huge_offset(offset, metric):
    x = make_blobs(90, 3, centers=3, cluster_std=1e-3, center_box=(-0.1, 0.1), random_state=0)[0] + offset
    x[5] = x[6]
    x[7] = x[8] + 2e-9
    found = dissimilarity.Dissimilarity(x, metric).whole()
    np.testing.assert_allclose(found, cdist(x, x, metric), rtol=1e-6, atol=1e-15)
    assert found[5, 6] == 0


def test_float32_and_float64_agree():
    x = load_digits().data[:400]
    wide, narrow = KMedoids(10).fit(x), KMedoids(10).fit(x.astype(np.float32))
    assert np.array_equal(wide.medoid_indices_, narrow.medoid_indices_)
    assert narrow.transform(x.astype(np.float32)).dtype == np.float32


@pytest.mark.slow
@pytest.mark.parametrize("std", [1, 8])
def test_samples_come_within_one_percent_of_the_full_search(std):
    x = make_blobs(4000, 16, centers=20, cluster_std=std, random_state=0)[0].astype(np.float32)
    full = KMedoids(20).fit(x)
    sampled = KMedoids(20, method="clara", random_state=0).fit(x)
    assert sampled.inertia_ <= 1.01 * full.inertia_
    assert (np.diff(sampled.inertia_history_) < 0).all()


@pytest.mark.parametrize("method", METHODS)
def test_cosine_does_not_mind_the_length_of_rows(method):
    x = make_blobs(300, 5, centers=3, random_state=0)[0]
    power = np.random.default_rng(0).choice([-900, -60, 600], len(x))
    model = KMedoids(3, metric="cosine", method=method, random_state=0)
    assert np.array_equal(model.fit(np.ldexp(x, power[:, None])).labels_, model.fit(x).labels_)


def test_k_of_one_and_of_n():
    assert KMedoids(1, metric="l1").fit(LINE).inertia_ == np.abs(LINE - LINE.T).sum(axis=0).min()
    for method in METHODS:
        model = KMedoids(6, method=method, random_state=0).fit(LINE)
        assert sorted(model.medoid_indices_) == list(range(6))
        assert model.inertia_ == 0
    assert KMedoids(1).fit([[3.0]]).labels_.tolist() == [0]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("init", ["build", "random", "k-medoids++"])
@pytest.mark.parametrize("seed", range(4))
def test_more_groups_than_distinct_points(method, init, seed):
    thrice = np.repeat(LINE[[0, 1, 4]], 3, axis=0)
    with pytest.raises(InputError, match=r"distinct points.*n_clusters=4 for 3 distinct"):
        KMedoids(4, method=method, init=init, random_state=seed).fit(thrice)
    three = KMedoids(3, method=method, init=init, random_state=seed).fit(thrice)
    assert (len(np.unique(three.labels_)), three.inertia_) == (3, 0)  # medoids on one another part


@pytest.mark.parametrize(
    ("metric", "same"), [("infinity", "chebyshev"), ("p", "euclidean"), ("sokalmichener", "rogerstanimoto")]
)
def test_names_that_only_scikit_learn_has(metric, same):
    x = np.random.default_rng(0).random((12, 5)) > 0.5
    x = x if metric == "sokalmichener" else x + 0.1
    model = KMedoids(2, metric=metric).fit(x)
    assert model.inertia_ == pytest.approx(cdist(x, x, same)[:, model.medoid_indices_].min(axis=1).sum())


def test_gigabytes_are_said_before_they_are_taken(monkeypatch):
    monkeypatch.setattr(dissimilarity, "free_memory", lambda: 8 * 10**9)
    with pytest.raises(
        InputError, match=r"n_samples=200000.*need 160\.0 GB, 8\.0 GB are free; method='clara'"
    ):
        KMedoids(3).fit(np.zeros((200_000, 2), np.float32))
    assert dissimilarity.free_memory() == 8 * 10**9


def test_free_memory_is_a_number_of_bytes():
    assert 10**6 < dissimilarity.free_memory() < 10**16


SOUND = np.abs(LINE - LINE.T)


def changed(row, column, value):
    matrix = SOUND.copy()
    matrix[row, column] = value
    return matrix


@pytest.mark.parametrize(
    ("parameters", "x", "message"),
    [
        ({"metric": "precomputed"}, SOUND[:4], r"square, n x n; got shape \(4, 6\)"),
        ({"metric": "precomputed"}, changed(1, 2, 3), "symmetric; got 3 in row 1, column 2 and 1 in row 2"),
        ({"metric": "precomputed"}, changed(4, 2, -3), "at least 0; got -3 in row 4, column 2"),
        ({"metric": "precomputed"}, changed(4, 2, np.nan), "got NaN in row 4, column 2"),
        ({}, [[0.0, 1], [2, np.nan]], "got NaN in row 1, column 1"),
        ({}, [[0.0, -np.inf], [2, 0]], "got infinity in row 0, column 1"),
        ({"metric": "cosy"}, LINE, "metric must be.*got 'cosy'"),
        ({"metric": lambda a, b: "far"}, LINE, "metric must return a number.*returned str far"),
        ({"metric": lambda a, b: None}, LINE, "returned NoneType None"),
        (
            {"metric": lambda a, b: np.nan},
            LINE,
            r"finite number of at least 0.*gives nan for \[0\.\] and \[0\.\]",
        ),
        ({"metric": lambda a, b: -1}, LINE, "gives -1.0"),
        ({"metric": lambda a, b: max(a[0] - b[0], 0)}, LINE, "symmetric and 0 from a row to itself"),
        ({"metric": lambda a, b: 1 + abs(a[0] - b[0])}, LINE, "symmetric and 0 from a row to itself"),
        (
            {"metric": lambda a, b: max(a[0] - b[0], 0), "method": "clara"},
            LINE,
            "symmetric and 0 from a row to itself; .* gives 0 from row 0 to row 3, where 10 is due",
        ),
        (
            {"metric": "jensenshannon"},
            LINE - 5,
            "a finite number.*'jensenshannon' gives inf",
        ),
        ({"n_clusters": 7}, LINE, "got n_clusters=7 for n_samples=6"),
        ({"n_clusters": 2.0}, LINE, "got n_clusters=2.0"),
        ({"method": "pam"}, LINE, "method must be one of fasterpam"),
        ({"init": "best"}, LINE, "init must be one of build"),
        (
            {"init": [0, 6]},
            LINE,
            r"init must hold n_clusters=2 different row numbers from 0 to 5; got \[0, 6\]",
        ),
        ({"init": [1, 1]}, LINE, r"init must hold n_clusters=2 different"),
        ({"init": [1, 2, 3]}, LINE, r"init must hold n_clusters=2 different"),
        ({"init": LINE[:2]}, LINE, r"row numbers from 0 to 5; got float64 of shape \(2, 1\)"),
        ({"metric": "precomputed", "method": "clara"}, changed(1, 2, 3), "symmetric; got 3 in row 1"),
        ({"metric": "precomputed", "method": "clara"}, SOUND[:4], "square"),
        ({"max_iter": 0}, LINE, "max_iter must be"),
    ],
)
def test_what_it_cannot_take_is_said(parameters, x, message):
    with pytest.raises(InputError, match=message):
        KMedoids(**{"n_clusters": 2} | parameters).fit(x)


@pytest.mark.parametrize(
    ("distances", "start", "message"),
    [
        (SOUND, [0, 0], "different row numbers from 0 to 5"),
        (SOUND, [0, 6], "different row numbers"),
        (SOUND, [-1, 2], "different row numbers"),
        (SOUND, [], "different row numbers"),
        (SOUND, [0.5, 2], "different row numbers"),
        (SOUND.astype(object), [0, 1], "distances must hold numbers"),
        (SOUND[:3], [0, 1], "distances must be square"),
    ],
)
def test_what_the_function_cannot_take_is_said(distances, start, message):
    with pytest.raises(InputError, match=message):
        kmedoids(distances, start)


@pytest.mark.parametrize("method", METHODS)
def test_rows_to_start_from(method, capsys):
    x = make_blobs(120, 3, centers=5, random_state=1)[0]
    start = [3, 40, 41, 7, 99]
    model = KMedoids(5, method=method, init=start, random_state=0, verbose=1).fit(x)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("Iteration 0, inertia ")
    assert printed[-1].endswith(" 0 medoids exchanged.")
    if method != "clara":
        steps = []
        found = kmedoids(cdist(x, x), np.array(start), method=method, callback=steps.append)
        assert np.array_equal(model.medoid_indices_, found.medoids)
        assert tuple(steps) == found.history
        assert len(steps) == found.n_iter == len(printed)
        assert sum(step.n_swaps for step in steps) == found.n_swaps
        assert steps[-1].inertia == found.inertia


def test_what_a_callback_raises_ends_the_search():
    def stop(step):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kmedoids(SOUND, [0, 1], callback=stop)


def test_clara_by_small_samples_is_near_the_whole(monkeypatch):
    """Samples of a tenth of the points; what they miss, the polishing finds."""
    from sklearn.datasets import make_blobs

    x = make_blobs(4000, 16, centers=8, cluster_std=3.0, random_state=0)[0]
    rng = np.random.default_rng(0)
    monkeypatch.setattr(clara, "SAMPLE", (400, 0))
    sampled = KMedoids(8, method="clara", random_state=0).fit(x).inertia_
    at_random = np.linalg.norm(x[:, None] - x[rng.permutation(4000)[:8]], axis=2).min(axis=1).sum()
    whole = KMedoids(8, random_state=0).fit(x).inertia_
    assert whole <= sampled * (1 + 1e-9) <= 1.01 * whole * (1 + 1e-9) < at_random
