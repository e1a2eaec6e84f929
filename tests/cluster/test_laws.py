"""What must hold for every method with centers, from a given start."""

import numpy as np
import pytest
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score
from threadpoolctl import threadpool_limits

from sortal.cluster import (
    DBSCAN,
    Kernel,
    KernelKMeans,
    KMedoids,
    fuzzy_cmeans,
    kernel_kmeans,
    kmeans,
    soft_kmeans,
    spherical_kmeans,
)

# On a grid of 2^-10, so that moving by 2^10 rounds nothing.
X = np.round(make_blobs(600, 3, centers=4, cluster_std=1.5, random_state=0)[0] * 1024) / 1024
START = X[:4]


def soft(x, start, **more):
    return soft_kmeans(x, start, stiffness=0.8, **more)


METHODS = {"kmeans": kmeans, "spherical": spherical_kmeans, "soft": soft, "fuzzy": fuzzy_cmeans}
METRIC = {name: METHODS[name] for name in ("kmeans", "soft", "fuzzy")}  # a shift changes angles
every = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


def centers(method, x, start, **more):
    return np.float64(method(x, start, tol=0.0, max_iter=8, **more).centers)


@every
def test_the_cost_never_rises(method):
    found = method(X, START, tol=0.0)
    costs = np.array(found.inertia_history if hasattr(found, "inertia_history") else found.history)
    assert (np.diff(costs) <= 1e-12 * abs(costs[0])).all()  # rounding of a sum


@every
def test_relabelling_and_permuting_change_nothing(method):
    rows, names = np.random.default_rng(0).permutation(len(X)), [2, 0, 3, 1]
    moved = centers(method, X[rows], START[names])
    np.testing.assert_allclose(moved, centers(method, X, START)[names], rtol=1e-10)  # order of a sum


@pytest.mark.parametrize("method", METRIC.values(), ids=METRIC)
def test_translating_changes_nothing(method):
    moved = centers(method, X + 1024.0, START + 1024.0) - 1024.0
    np.testing.assert_allclose(moved, centers(method, X, START), atol=1e-10)  # a center keeps 2^-42 there


@every
def test_weights_equal_repetitions(method):
    weights = np.random.default_rng(0).integers(1, 4, len(X))
    repeated = centers(method, np.repeat(X, weights, axis=0), START)
    np.testing.assert_allclose(centers(method, X, START, sample_weight=weights), repeated, rtol=1e-10)


@every
def test_float32_and_float64_agree(method):
    narrow = centers(method, X.astype(np.float32), START.astype(np.float32))
    np.testing.assert_allclose(narrow, centers(method, X, START), rtol=1e-5, atol=1e-5)


@every
def test_a_limit_on_threads_changes_no_bit(method):
    x = np.random.default_rng(0).normal(size=(20_000, 5))
    with threadpool_limits(1):
        one = centers(method, x, x[:6])
    assert np.array_equal(one, centers(method, x, x[:6]))


# Methods without centers: the same groups, whatever they are called. No start of theirs names vectors, so
# each begins at the same rows.


def by_medoids(x, rows, weights=None):
    return KMedoids(4, init=[int(np.flatnonzero(rows == row)[0]) for row in range(4)]).fit(x).labels_


def by_kernel(x, rows, weights=None):
    start = (rows % 4).astype(np.int32)
    return kernel_kmeans(Kernel.over(x, "rbf", 0.05, 3, 1), start, 4, sample_weight=weights).labels


def by_density(x, rows, weights=None):
    return DBSCAN(1.0, min_samples=8).fit(x, sample_weight=weights).labels_


OTHERS = {"kmedoids": by_medoids, "kernel": by_kernel, "dbscan": by_density}
others = pytest.mark.parametrize("method", OTHERS.values(), ids=OTHERS)
ROWS = np.arange(len(X))


def alike(a, b):
    return adjusted_rand_score(a, b) == 1 and np.array_equal(a < 0, b < 0)


@others
def test_the_order_of_rows_changes_no_group(method):
    order = np.random.default_rng(0).permutation(len(X))
    moved, stayed = method(X[order], ROWS[order]), method(X, ROWS)[order]
    if method is by_density:  # a border point within reach of two groups falls to the first
        core = np.isin(order, DBSCAN(1.0, min_samples=8).fit(X).core_sample_indices_)
        assert np.array_equal(moved < 0, stayed < 0)
        moved, stayed = moved[core], stayed[core]
    if method is by_medoids:  # FasterPAM exchanges in the order of rows and may rest elsewhere
        assert adjusted_rand_score(moved, stayed) > 0.9
        return
    assert alike(moved, stayed)


@others
def test_a_shift_changes_no_group(method):
    assert alike(method(X + 1024.0, ROWS), method(X, ROWS))


@others
def test_float32_gives_the_same_groups(method):
    assert adjusted_rand_score(method(X.astype(np.float32), ROWS), method(X, ROWS)) > 0.99  # ties by rounding


@pytest.mark.parametrize("method", [by_kernel, by_density])
def test_weights_of_rows_equal_their_repetitions(method):
    weights = np.random.default_rng(0).integers(1, 4, len(X))
    first = np.cumsum(weights) - weights
    repeated = method(np.repeat(X, weights, axis=0), np.repeat(ROWS, weights))[first]
    assert alike(repeated, method(X, ROWS, weights.astype(float)))


@pytest.mark.parametrize("estimator", [KMedoids(4), KernelKMeans(4, n_init=2, random_state=0)])
def test_costs_without_centers_never_rise(estimator):
    history = np.array(estimator.fit(X).inertia_history_)
    assert (np.diff(history) <= 1e-12 * history[0]).all()  # rounding of a sum


@others
def test_threads_change_no_bit_of_labels(method):
    with threadpool_limits(1):
        one = method(X, ROWS)
    assert np.array_equal(one, method(X, ROWS))
