import signal
import subprocess
import sys
import threading
import time
import warnings

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans as Peer
from sklearn.datasets import load_digits, make_blobs
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.estimator_checks import parametrize_with_checks
from threadpoolctl import threadpool_limits

from sortal.cluster import KMeans, center_margins, kmeans, matched_accuracy
from sortal.cluster.descent import block_of_rows, descend
from sortal.errors import InputError
from sortal.kernels import n_threads

WORKED = np.array([[2.0, 3], [3, 3], [6, 5], [8, 8]])

# The two that scikit-learn lists for its own KMeans: seeding draws differ when rows are repeated.
DRAWS = "a seed draws other rows when weights become repetitions"
EXPECTED = {f"check_sample_weight_equivalence_on_{kind}_data": DRAWS for kind in ("dense", "sparse")}


@pytest.mark.slow
@parametrize_with_checks([KMeans(n_clusters=3)], expected_failed_checks=lambda _: EXPECTED)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def test_parameters_are_scikit_learns():
    assert KMeans().get_params() == Peer().get_params()


def test_worked_example():
    result = kmeans(WORKED, WORKED[[0, 2]])
    assert result.labels.tolist() == [0, 0, 1, 1]
    assert result.centers.tolist() == [[2.5, 3], [7, 6.5]]
    assert result.inertia == 7.0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("offset", [0, 1e5])
def test_every_move_is_lloyds(dtype, offset):
    """Against plain Lloyd in float64: same labels, same centers."""
    x = (make_blobs(600, 5, centers=6, cluster_std=3, random_state=0)[0] + offset).astype(dtype)
    result = kmeans(x, x[:6], tol=0.0)
    assert result.centers.dtype == dtype
    centers = x[:6].astype(np.float64)
    for _ in range(result.n_iter):
        labels = cdist(x.astype(np.float64), centers).argmin(axis=1)
        centers = np.array([x[labels == c].mean(axis=0, dtype=np.float64) for c in range(6)])
    assert np.array_equal(result.labels, labels)
    np.testing.assert_allclose(
        result.centers, centers, rtol=1e-5 if dtype == np.float32 else 1e-12
    )  # order of a sum


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_inertia_never_rises(seed, dtype):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(400, 3)).astype(dtype)
    start = np.concatenate([x[:5], np.full((3, 3), 50, dtype)])  # three that nobody is near
    result = kmeans(x, start, sample_weight=rng.random(400), tol=0.0)
    assert (np.diff(result.inertia_history) <= 0).all()
    assert result.inertia_history[-1] == result.inertia
    assert len(np.unique(result.labels)) == 8


def test_an_empty_cluster_takes_the_farthest_point():
    x = np.array([[0.0], [1], [2], [100]])
    result = kmeans(x, np.array([[1.0], [-500]]))
    assert result.labels.tolist() == [0, 0, 0, 1]


def test_weights_equal_repetitions_and_zero_weights_count_for_nothing():
    x = make_blobs(90, 3, centers=4, random_state=1)[0]
    weights = np.random.default_rng(0).integers(0, 4, 90)
    weights[:4] = 1
    weighted = kmeans(x, x[:4], sample_weight=weights, tol=0.0)
    repeated = kmeans(np.repeat(x, weights, axis=0), x[:4], tol=0.0)
    assert np.array_equal(np.repeat(weighted.labels, weights), repeated.labels)
    np.testing.assert_allclose(weighted.centers, repeated.centers, rtol=1e-12)  # order of a sum


def test_sparse_and_mapped_rows_give_what_dense_rows_give(tmp_path):
    x = load_digits().data.astype(np.float32)
    x.tofile(tmp_path / "x")
    mapped = np.memmap(tmp_path / "x", np.float32, "r", shape=x.shape)
    dense = kmeans(x, x[:10])
    sparse, mapped = kmeans(csr_matrix(x), x[:10]), kmeans(mapped, x[:10])
    assert np.array_equal(dense.labels, sparse.labels)
    assert np.array_equal(dense.labels, mapped.labels)
    assert np.array_equal(dense.centers, mapped.centers)
    np.testing.assert_allclose(dense.centers, sparse.centers, atol=2e-6)  # the last bit of 16 in float32


def test_agrees_with_scikit_learn_from_the_same_start():
    x = load_digits().data
    ours = KMeans(10, init=x[:10], tol=0.0).fit(x)
    theirs = Peer(10, init=x[:10], n_init=1, tol=0.0).fit(x)
    assert np.array_equal(ours.labels_, theirs.labels_)
    assert ours.inertia_ == pytest.approx(theirs.inertia_, rel=1e-9)
    np.testing.assert_allclose(ours.transform(x), theirs.transform(x), atol=1e-6)
    assert ours.score(x) == pytest.approx(-ours.inertia_)
    assert np.array_equal(ours.predict(x), ours.labels_)


@pytest.mark.parametrize("init", ["k-means++", "random", lambda X, k, random_state: X[:k]])
def test_every_start_finds_separated_blobs(init):
    x, truth = make_blobs(200, 2, centers=[[0, 0], [50, 0], [0, 50]], random_state=0)
    labels = KMeans(3, init=init, n_init=5, random_state=0).fit_predict(x)
    assert len(set(zip(truth, labels))) == 3


def test_fewer_distinct_points_than_clusters_is_said():
    with pytest.warns(
        ConvergenceWarning, match=r"distinct clusters \(2\) found smaller than n_clusters \(3\)"
    ):
        KMeans(3, random_state=0).fit(np.repeat([[0.0, 1], [1, 0]], 5, axis=0))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_clusters": 5}, "between 1 and the number of samples; got n_clusters=5 for n_samples=4"),
        ({"n_clusters": 0}, "got n_clusters=0"),
        ({"n_clusters": 2, "init": "best"}, "init must be 'k-means"),
        ({"n_clusters": 2, "init": WORKED}, r"shape \(n_clusters, n_features\) = \(2, 2\); got \(4, 2\)"),
        ({"n_clusters": 2, "n_init": 0}, "n_init must be"),
        ({"n_clusters": 2, "max_iter": 0}, "max_iter must be"),
        ({"n_clusters": 2, "tol": float("nan")}, "tol must be"),
        ({"n_clusters": 2, "algorithm": "fast"}, "algorithm must be"),
    ],
)
def test_a_wrong_parameter_is_named(parameters, message):
    with pytest.raises(InputError, match=message):
        KMeans(**parameters).fit(WORKED)


@pytest.mark.parametrize("offset", [0, 1e9])
def test_distances_say_what_labels_say(offset):
    x = make_blobs(600, 10, centers=4, random_state=0)[0] + offset
    model = KMeans(4, random_state=0).fit(x)
    for rows in (x, csr_matrix(x)):
        assert np.array_equal(model.transform(rows).argmin(axis=1), model.predict(rows))


@pytest.mark.parametrize(("dtype", "scale"), [(np.float32, 1e25), (np.float64, 1e140)])
def test_huge_numbers_are_grouped_without_a_word(dtype, scale):
    x, truth = make_blobs(200, 5, centers=4, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        labels = KMeans(4, n_init=5, random_state=0).fit_predict((x * scale).astype(dtype))
    assert matched_accuracy(truth, labels) == 1


@pytest.mark.parametrize("init", ["k-means++", "random"])
def test_squared_distances_beyond_float64_are_refused(init):
    with pytest.raises(InputError, match=r"squared distances.*span 1e\+145; got 2e\+300 to 8e\+300"):
        KMeans(2, init=init, random_state=0).fit(WORKED * 1e300)


def test_the_fit_is_explained():
    x = make_blobs(500, 4, centers=5, cluster_std=4, random_state=0)[0]
    seen = []
    result = kmeans(x, x[:5], tol=0.0, callback=seen.append)
    assert result.stopped == "labels"
    assert [step.n_changed for step in seen] == [step.n_changed for step in result.history]
    assert result.history[0].n_changed == 500
    assert result.history[-1].n_changed == 0
    assert kmeans(x, x[:5], max_iter=2, tol=0.0).stopped == "max_iter"
    assert kmeans(x, x[:5], tol=1.0).stopped == "tol"
    margins = center_margins(x, result.centers)
    distances = np.sort(cdist(x, result.centers), axis=1)
    np.testing.assert_allclose(margins, distances[:, 1] - distances[:, 0])


def test_what_a_callback_raises_ends_the_fit():
    def stop(step):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kmeans(WORKED, WORKED[:2], callback=stop)


@pytest.mark.parametrize("std", [0.5, 8])  # with bounds, and without
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_labels_are_those_of_brute_force_after_every_iteration(std, dtype):
    x, blob = make_blobs(5100, 64, centers=30, cluster_std=std, random_state=0)
    start = centers = x[np.argsort(blob, kind="stable").reshape(30, -1)[:, :2].ravel()].astype(dtype)
    x = x.astype(dtype)
    for step in range(6):
        found = kmeans(x, start, max_iter=step + 1, tol=0.0)
        labels = cdist(x.astype(np.float64), centers.astype(np.float64)).argmin(axis=1)
        assert np.bincount(labels, minlength=60).all()
        centers = np.array([x[labels == c].mean(axis=0, dtype=np.float64) for c in range(60)]).astype(dtype)
        brute = cdist(x.astype(np.float64), centers.astype(np.float64)).argmin(axis=1)
        np.testing.assert_allclose(found.centers, centers, rtol=1e-4, atol=1e-5)  # order of a sum in float32
        assert np.array_equal(found.labels, brute)


def test_a_heavy_row_that_left_leaves_nothing_behind():
    x = np.array([[0.0], [1], [2], [3], [9], [10], [30]])
    weights = np.array([1, 1, 1, 1, 1e20, 1, 1])
    result = kmeans(x, np.array([[1.0], [8], [500]]), sample_weight=weights, tol=0.0)
    for c in range(3):
        own = result.labels == c
        assert result.centers[c, 0] == pytest.approx(np.average(x[own, 0], weights=weights[own]), rel=1e-12)


@pytest.mark.parametrize("shift", [0.0, 1024.0])  # exact in float64, so nothing may change
def test_relabelling_permuting_and_translating_change_nothing(shift):
    x = np.round(make_blobs(300, 3, centers=4, cluster_std=3, random_state=3)[0] * 64) / 64
    order = np.random.default_rng(0).permutation(300)
    one = kmeans(x, x[:4], tol=0.0)
    other = kmeans(x[order] + shift, x[[3, 2, 1, 0]] + shift, tol=0.0)
    assert np.array_equal(3 - one.labels[order], other.labels)
    np.testing.assert_allclose(one.centers[::-1] + shift, other.centers, rtol=1e-12)


def test_threads_change_no_bit(monkeypatch):
    x = make_blobs(40_000, 64, centers=40, random_state=0)[0].astype(np.float32)
    results = []
    for threads in ("1", "2"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        results.append(kmeans(x, x[:40]))
    assert np.array_equal(results[0].centers, results[1].centers)
    assert results[0].history == results[1].history


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_the_first_bad_number_is_named(value):
    x = WORKED.copy()
    x[2, 1] = value
    for fit in (KMeans(2).fit, lambda x: kmeans(x, WORKED[:2])):
        with pytest.raises(InputError, match="row 2, column 1"):
            fit(x)


def test_verbose_says_why_it_stopped(capsys):
    KMeans(2, random_state=0, tol=0, verbose=1).fit(WORKED)
    said = capsys.readouterr().out
    assert "Iteration 0, inertia" in said
    assert "strict convergence" in said


def test_integers_are_taken_as_float64():
    found = kmeans([[0], [1], [10], [14]], [[0.4], [11.6]])
    assert found.labels.tolist() == [0, 0, 1, 1]
    assert found.centers.tolist() == [[0.5], [12.0]]


@pytest.mark.parametrize(
    ("x", "start", "more", "message"),
    [
        (WORKED[0], WORKED, {}, r"x must hold numbers.*got float64 of shape \(2,\)"),
        (WORKED.astype(str), WORKED, {}, "x must hold numbers"),
        (WORKED, WORKED[0], {}, "start must hold numbers"),
        (WORKED, WORKED[:, :1], {}, r"start must hold.*of 2 numbers each; got shape \(4, 1\)"),
        (WORKED[:1], WORKED, {}, "at most one center for each of the 1 rows"),
        (WORKED, WORKED[:2] * np.nan, {}, "x with start must be finite"),
        (WORKED, WORKED[:2], {"sample_weight": [1.0]}, r"each of the 4 rows; got shape \(1,\)"),
        (WORKED, WORKED[:2], {"sample_weight": [1, 1, 1, -1]}, "at least 0.*least -1"),
    ],
)
def test_what_kmeans_cannot_take_is_said(x, start, more, message):
    with pytest.raises(InputError, match=message):
        kmeans(x, start, **more)


INTERRUPTED = """
import sys, threading, time
import numpy as np
from sortal.cluster import KMeans, kmeans
from sortal.kernels import n_threads

x = np.random.default_rng(0).normal(size=(200_000, {d})).astype(np.float32)
before = n_threads()
kmeans(x[:9000], x[:50], max_iter=2)  # compiled by now
try:
    print("ready", flush=True)
    for _ in range(1000):
        KMeans(200, init=x[:200], max_iter=10_000, tol=0).fit(x)
except KeyboardInterrupt:
    told = time.time()
assert n_threads() == before, "the limit on BLAS was not given back"
while threading.active_count() > 1 and time.time() < told + 5:
    time.sleep(0.01)  # one that was being started when the signal came finds nothing to do and ends
assert threading.active_count() == 1, "a thread was left"
assert kmeans(x[:9000], x[:50], max_iter=2).n_iter == 2
print(told)
"""


@pytest.mark.slow
@pytest.mark.parametrize("d", [3, 32])  # boxes; tiles and bounds
def test_ctrl_c_ends_a_long_fit_and_breaks_nothing(d):
    child = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED.format(d=d)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    time.sleep(1.0)
    asked = time.time()
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=120)
    assert child.returncode == 0, err
    # About a second where cores are free; the rest is for cores that others use too.
    assert float(out) - asked < 10


def test_a_limit_of_threadpoolctl_holds(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    x = make_blobs(30_000, 40, centers=5, random_state=0)[0]
    seen = set()
    with threadpool_limits(1):
        kmeans(x, x[:5], max_iter=3, callback=lambda step: seen.add(threading.active_count()))
        assert n_threads() == 1
    assert seen == {threading.active_count()}


def test_boxes_change_no_bit_with_the_number_of_threads(monkeypatch):
    x = np.random.default_rng(0).normal(size=(60_000, 2)).astype(np.float32)
    results = []
    for threads in ("1", "2"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        results.append(kmeans(x, x[:40], max_iter=30, tol=0.0))
    assert np.array_equal(results[0].centers, results[1].centers)
    assert np.array_equal(results[0].labels, results[1].labels)
    assert results[0].history == results[1].history


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("n", "d", "k"), [(1, 1, 1), (7, 3, 7), (300, 2, 3), (257, 17, 9), (40, 700, 5), (999, 16, 13)]
)
@pytest.mark.parametrize("weighted", [False, True])
def test_few_rows_go_as_many_do(n, d, k, dtype, weighted):
    """Both paths: one compiled call, and step by step. Groups lie apart: no rounding decides."""
    rng = np.random.default_rng(n)
    middles = rng.normal(scale=9, size=(k, d))
    x = (1e3 + middles[np.arange(n) % k] + rng.normal(size=(n, d))).astype(dtype)
    weights = rng.integers(0, 3, n) + (np.arange(n) < 2 * k) * 1.0 if weighted else None
    block = block_of_rows(x, weights, k, 50)
    assert block is not None
    one = descend(x, x[:k], weights, 50, 0.0, None, block=block)
    other = descend(x, x[:k], weights, 50, 0.0, None)
    assert np.array_equal(one.labels, other.labels)
    assert (one.n_iter, one.stopped) == (other.n_iter, other.stopped)
    # float32 of 1e3 leaves differences of 1e-4.
    np.testing.assert_allclose(one.centers, other.centers, rtol=1e-6)
    np.testing.assert_allclose(one.inertia_history, other.inertia_history, rtol=1e-5, atol=1e-3)


def test_few_rows_with_an_empty_cluster_or_a_callback():
    x = np.array([[0.0], [1], [10], [11]])
    found = kmeans(x, np.array([[0.0], [10], [500]]))
    assert len(set(found.labels.tolist())) == 3
    seen = []
    assert kmeans(x, x[:2], callback=seen.append).n_iter == kmeans(x, x[:2]).n_iter
    assert len(seen) == len(kmeans(x, x[:2]).history)


def test_names_of_columns_are_forgotten_with_an_array():
    pandas = pytest.importorskip("pandas")
    x = np.random.default_rng(0).random((20, 2))
    model = KMeans(2, random_state=0).fit(pandas.DataFrame(x, columns=["a", "b"]))
    assert not hasattr(model.fit(x), "feature_names_in_")


def test_new_rows_too_far_to_measure_are_said():
    model = KMeans(2, n_init=1, random_state=0).fit(WORKED)
    for ask in (model.predict, model.transform, model.score):
        with pytest.raises(InputError, match=r"squared distances too.* got 2.5 to 1e\+200"):
            ask([[1e200, 3.0]])
