import tracemalloc

import numpy as np
import pytest
from sklearn.datasets import make_blobs
from sklearn.utils.estimator_checks import parametrize_with_checks

from sortal.cluster import FuzzyCMeans, SoftKMeans, kmeans, soft_kmeans
from sortal.errors import InputError

# The two that scikit-learn lists for its own KMeans: seeding draws differ when rows are repeated.
DRAWS = "a seed draws other rows when weights become repetitions"
EXPECTED = {f"check_sample_weight_equivalence_on_{kind}_data": DRAWS for kind in ("dense", "sparse")}

WORKED = np.array([[2.0, 3], [3, 3], [6, 5], [8, 8]])
BLOBS = make_blobs(600, 3, centers=4, cluster_std=2, random_state=0)[0]


@pytest.mark.slow
@parametrize_with_checks([SoftKMeans(n_clusters=3)], expected_failed_checks=lambda _: EXPECTED)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_move_is_mackays(dtype):
    x = BLOBS.astype(dtype)
    found = soft_kmeans(x, x[:4], stiffness=0.5, max_iter=7, tol=0)
    centers = np.float64(x[:4])
    for _ in range(7):
        share = np.exp(-0.25 * ((x[:, None] - centers) ** 2).sum(axis=2))
        share /= share.sum(axis=1, keepdims=True)
        centers = share.T @ x / share.sum(axis=0)[:, None]
    assert found.centers.dtype == found.memberships.dtype == dtype
    np.testing.assert_allclose(found.centers, centers, rtol=1e-5 if dtype == np.float32 else 1e-10)
    assert (found.n_iter, found.stopped, len(found.history)) == (7, "max_iter", 8)


def test_memberships_sum_to_one_and_the_free_energy_never_rises():
    for stiffness in ("auto", 0.01, 1.0, 1e4):
        found = soft_kmeans(BLOBS, BLOBS[:5], stiffness=stiffness, tol=0.0, max_iter=60)
        assert np.abs(found.memberships.sum(axis=1) - 1).max() < 1e-12
        assert (np.diff(found.history) <= 1e-12 * abs(found.history[0])).all()  # rounding of a sum


def test_the_worked_example_is_the_limit():
    found = soft_kmeans(WORKED, WORKED[[0, 2]], stiffness=1e6, tol=0.0)
    assert found.centers.tolist() == [[2.5, 3], [7, 6.5]]
    assert found.memberships.tolist() == [[1, 0], [1, 0], [0, 1], [0, 1]]
    assert found.cost == 7.0


def test_hard_k_means_is_the_limit():
    hard = kmeans(BLOBS, BLOBS[:4], tol=0.0)
    far = [
        np.abs(soft_kmeans(BLOBS, hard.centers, stiffness=b, tol=0.0).centers - hard.centers).max()
        for b in (1e0, 1e1, 1e2, 1e5)
    ]
    assert far == sorted(far, reverse=True)
    assert far[-1] < 1e-9
    stiff = soft_kmeans(BLOBS, BLOBS[:4], stiffness=1e5, tol=0.0)
    assert np.array_equal(stiff.memberships.argmax(axis=1), hard.labels)
    assert stiff.cost == pytest.approx(hard.inertia, rel=1e-9)


def test_too_soft_and_all_centers_are_one():
    """MacKay's exercise 20.3: below 1 / (largest variance) there is one group."""
    x = np.random.default_rng(0).normal(size=(500, 2))
    largest = np.linalg.eigvalsh(np.cov(x.T)).max()
    soft = soft_kmeans(x, x[:2], stiffness=0.8 / largest, tol=0.0, max_iter=500)
    assert np.ptp(soft.centers, axis=0).max() < 1e-3
    stiff = soft_kmeans(x, x[:2], stiffness=2 / largest, tol=0.0, max_iter=500)
    assert np.ptp(stiff.centers, axis=0).max() > 0.5


def test_weights_equal_repetitions():
    weights = np.random.default_rng(0).integers(0, 4, len(BLOBS))
    for stiffness in (0.3, "auto"):
        weighted = soft_kmeans(BLOBS, BLOBS[:4], stiffness=stiffness, sample_weight=weights, tol=0.0)
        repeated = soft_kmeans(np.repeat(BLOBS, weights, axis=0), BLOBS[:4], stiffness=stiffness, tol=0.0)
        np.testing.assert_allclose(weighted.centers, repeated.centers, rtol=1e-9)  # order of a sum


def test_order_and_place_change_nothing():
    x = np.round(BLOBS * 1024) / 1024  # exact when moved
    found = soft_kmeans(x, x[:4], tol=0.0, max_iter=20)
    order = np.random.default_rng(0).permutation(len(x))
    shuffled = soft_kmeans(x[order], x[[2, 0, 1, 3]], tol=0.0, max_iter=20)
    np.testing.assert_allclose(shuffled.memberships, found.memberships[order][:, [2, 0, 1, 3]], atol=1e-9)
    moved = soft_kmeans(x + 2**20, x[:4] + 2**20, tol=0.0, max_iter=20)
    np.testing.assert_allclose(moved.memberships, found.memberships, atol=1e-6)  # centers have 2**-32 there


def test_what_a_fit_leaves():
    model = SoftKMeans(4, random_state=0).fit(BLOBS.astype(np.float32))
    assert model.memberships_.dtype == model.cluster_centers_.dtype == np.float32
    assert np.array_equal(model.labels_, model.predict(BLOBS.astype(np.float32)))
    np.testing.assert_allclose(model.memberships(BLOBS.astype(np.float32)), model.memberships_, atol=1e-6)
    assert model.stopped_ == "tol"
    again = SoftKMeans(4, random_state=0, n_init=5).fit(BLOBS)
    assert again.cost_ <= SoftKMeans(4, random_state=0).fit(BLOBS).cost_


def test_memory_is_the_memberships():
    x = np.random.default_rng(0).normal(size=(50_000, 2))
    soft_kmeans(x[:100], x[:40], stiffness=1.0, max_iter=2)  # compiles
    tracemalloc.start()
    found = soft_kmeans(x, x[:40], stiffness=1.0, max_iter=2)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.2 * found.memberships.nbytes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stiffness": 0}, "stiffness must be 'auto' or a finite number of at least 1e-290; got 0"),
        ({"stiffness": 1e-308}, "of at least 1e-290; got 1e-308"),
        ({"stiffness": "hard"}, "stiffness must be"),
        ({"n_clusters": 5}, "n_clusters must be an integer between 1 and the number of samples"),
        ({"n_clusters": 4, "init": WORKED[:2]}, r"init must have shape .* = \(4, 2\)"),
        ({"init": "random"}, "init must be 'k-means\\+\\+' or an array"),
        ({"n_init": 0}, "n_init must be an integer of at least 1"),
        ({"tol": -1}, "tol must be a number of at least 0"),
    ],
)
def test_what_cannot_be_asked_is_said(change, message):
    with pytest.raises(InputError, match=message):
        SoftKMeans(**({"n_clusters": 2} | change)).fit(WORKED)


@pytest.mark.parametrize("estimator", [SoftKMeans(2), FuzzyCMeans(2)])
def test_new_rows_too_far_to_measure_are_said(estimator):
    fitted = estimator.fit(WORKED)
    for ask in (fitted.predict, fitted.memberships, fitted.transform, fitted.score):
        with pytest.raises(InputError, match=r"squared distances too.* got 1 to 1e\+200"):
            ask([[1e200, 1.0]])


def test_what_cannot_be_grouped_is_said():
    with pytest.raises(InputError, match=r"NaN in row 1, column 0"):
        SoftKMeans(2).fit([[0, 1], [np.nan, 2], [3, np.inf]])
    with pytest.raises(InputError, match=r"infinity .* row 2, column 1"):
        soft_kmeans([[0, 1], [1, 2], [3, np.inf]], [[0.0, 1]])
    with pytest.raises(InputError, match="n_clusters=3 for 2: ask for 2"):
        SoftKMeans(3, random_state=0).fit([[0.0], [1], [1], [0]])
    with pytest.raises(InputError, match="start must have the 2 columns"):
        soft_kmeans(WORKED, [[1.0]])
    with pytest.raises(InputError, match="sample_weight must be"):
        soft_kmeans(WORKED, WORKED[:2], sample_weight=[1, 1, -1, 1])


@pytest.mark.parametrize("estimator", [SoftKMeans, FuzzyCMeans])
def test_progress_is_told_where_it_is_asked_for(estimator, capsys):
    model = estimator(4, random_state=0, verbose=1).fit(BLOBS)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"Iteration 0, cost {model.history_[0]}."
    assert len(lines) == model.n_iter_ + 1
    assert lines[-1].startswith(f"Stopped by tol after {model.n_iter_} iterations")
    costs = []
    found = soft_kmeans(BLOBS, BLOBS[:4], callback=costs.append)
    assert (*costs, found.cost) == found.history


@pytest.mark.parametrize("x", [[[3.0]], [[1.0], [2.0]], np.zeros((3, 2))])
def test_least_data(x):
    """k = n, and rows that are all equal: no width to go by, so memberships are as good as hard."""
    k = len(np.unique(x, axis=0))
    model = SoftKMeans(k, random_state=0).fit(x)
    assert np.array_equal(np.sort(model.cluster_centers_, axis=0), np.unique(x, axis=0))
    assert np.array_equal(model.memberships_.max(axis=1), np.ones(len(x)))
