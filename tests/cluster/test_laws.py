"""What must hold for every method with centers, from a given start."""

import numpy as np
import pytest
from sklearn.datasets import make_blobs
from threadpoolctl import threadpool_limits

from sortal.cluster import fuzzy_cmeans, kmeans, soft_kmeans, spherical_kmeans

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
