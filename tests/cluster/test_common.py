"""What every estimator has in common beyond scikit-learn's contract."""

import inspect

import numpy as np
import pytest
import sklearn.cluster
from scipy.spatial.distance import cdist
from sklearn.base import clone
from sklearn.datasets import make_blobs
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV

from sortal import cluster
from sortal.cluster import (
    DBSCAN,
    FuzzyCMeans,
    Kernel,
    KernelKMeans,
    KMeans,
    KMedoids,
    ProductQuantizer,
    SharedNeighborClustering,
    SoftKMeans,
    SphericalKMeans,
    VectorQuantizer,
    kernel_kmeans,
    kmeans,
    kmedoids,
    shared_neighbor_clustering,
)
from sortal.cluster.rows import n_distinct
from sortal.errors import InputError

X = make_blobs(90, centers=3, random_state=0)[0]
OURS = [KernelKMeans(3), KMedoids(3), SoftKMeans(3), FuzzyCMeans(3)]
OTHERS = [
    KMeans(3),
    SphericalKMeans(3),
    DBSCAN(),
    VectorQuantizer(3),
    ProductQuantizer(1, 3),
    SharedNeighborClustering(3),
]
SOFT = [SoftKMeans(3), FuzzyCMeans(3)]


def of(estimators):
    return pytest.mark.parametrize("estimator", estimators, ids=lambda one: type(one).__name__)


@of([*OURS, *OTHERS])
@pytest.mark.parametrize("kind", [object, str])
def test_text_is_found(estimator, kind):
    table = X.astype(object)
    table[4, 1] = "red"
    if kind is str:
        table = table.astype(str)
    with pytest.raises(InputError, match="X must hold numbers; got 'red' in row 4, column 1: leave that out"):
        estimator.fit(table)


@of([*OURS, *OTHERS])
def test_masked_entries_are_not_taken_for_numbers(estimator):
    masked = np.ma.masked_array(X, mask=False)
    assert estimator.fit(masked)
    masked[4, 1] = np.ma.masked
    with pytest.raises(InputError, match="must have no masked entries; got one in row 4"):
        estimator.fit(masked)


def test_text_in_a_table_is_called_by_its_column():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"a": [1.0, 2], "colour": ["1", "red"]})
    with pytest.raises(InputError, match=r"'red' in row 1, column 1 \('colour'\)"):
        SoftKMeans(2).fit(table)


@of([*OURS, *OTHERS])
@pytest.mark.parametrize(("value", "called"), [(np.nan, "NaN"), (-np.inf, "infinity")])
def test_what_is_not_finite_is_found(estimator, value, called):
    flawed = X.copy()
    flawed[4, 1] = flawed[7, 0] = value
    with pytest.raises(InputError, match=f"must be finite; got {called} in row 4, column 1"):
        estimator.fit(flawed)
    for ask in ("predict", "transform", "encode"):
        if hasattr(estimator, ask):
            with pytest.raises(InputError, match=f"got {called} in row 4, column 1"):
                getattr(estimator.fit(X), ask)(flawed)


@of([*OURS, SphericalKMeans(3), SharedNeighborClustering(3), VectorQuantizer(3)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_more_groups_than_distinct_rows(estimator, dtype):
    twice = np.outer(np.arange(1, 41), [[1, 2], [3, -1]]).reshape(-1, 2)  # two directions
    rows = twice if isinstance(estimator, SphericalKMeans) else np.repeat(X[:2], 40, axis=0)
    with pytest.raises(InputError, match=r"distinct.* got n_(clusters|codes)=3 for 2"):
        estimator.fit(rows.astype(dtype))


@of(SOFT)
def test_more_groups_than_distinct_rows_from_a_given_start(estimator):
    with pytest.raises(InputError, match=r"distinct rows.*n_clusters=3 for 2: ask for 2"):
        clone(estimator).set_params(init=X[:3]).fit(np.repeat(X[:2], 40, axis=0))


def test_negative_zero_is_zero():
    assert n_distinct(np.array([[0.0, 1], [-0.0, 1], [1, 1]]), 3) == 2


@of([*OURS, KMeans(3), SphericalKMeans(3), SharedNeighborClustering(3)])
@pytest.mark.parametrize("k", [0, 91, 2.0, "3", True, None])
def test_a_number_of_groups_that_cannot_be(estimator, k):
    with pytest.raises(InputError, match="an integer between 1 and the number of samples; got n_clusters="):
        clone(estimator).set_params(n_clusters=k).fit(X)


@pytest.mark.parametrize(
    "method",
    [
        lambda x: kernel_kmeans(Kernel.over(x, "linear", 1, 1, 1), np.arange(len(x)) % 2, 2),
        lambda x: kmedoids(cdist(x, x), [3, 7]),
        lambda x: kmedoids(cdist(x, x), [3, 7], method="alternate"),
        lambda x: shared_neighbor_clustering(x, 2),
    ],
    ids=["kernel", "fasterpam", "alternate", "graph"],
)
def test_rows_of_small_margin_are_the_doubtful_ones(method):
    x, truth = make_blobs(400, centers=[[-1.5] * 4, [1.5] * 4], cluster_std=2, random_state=0)
    found = method(x)
    right = (found.labels == found.labels[truth == 0].mean().round()) == (truth == 0)
    assert found.margins.min() >= 0
    assert 0.8 < right.mean() < 1
    assert np.median(found.margins[~right]) < 0.7 * np.median(found.margins[right])


def test_margins_of_clara_and_of_one_group():
    sampled, whole = KMedoids(3, method="clara", random_state=0).fit(X), KMedoids(3).fit(X)
    if np.array_equal(np.sort(sampled.medoid_indices_), np.sort(whole.medoid_indices_)):
        np.testing.assert_allclose(sampled.margins_, whole.margins_, rtol=1e-9, atol=1e-12)
    for one in (KMedoids(1), KMedoids(1, method="clara"), KernelKMeans(1)):
        assert np.isinf(one.fit(X).margins_).all()
    assert np.isinf(shared_neighbor_clustering(X, 1).margins).all()


@of([KernelKMeans(3), KMedoids(3), KMedoids(3, method="alternate"), KMedoids(3, method="clara")])
def test_a_fit_says_why_it_stopped(estimator):
    estimator = clone(estimator).set_params(random_state=0).fit(X)
    assert estimator.stopped_ in ("labels", "swaps")
    assert len(estimator.history_) == estimator.n_iter_
    assert estimator.history_[-1].inertia == estimator.inertia_
    if estimator.get_params().get("method") == "clara":
        return
    early = clone(estimator).set_params(max_iter=1)
    early.set_params(**{"init": "random"} if isinstance(early, KMedoids) else {})
    many = make_blobs(300, centers=9, cluster_std=4, random_state=1)[0]
    with pytest.warns(ConvergenceWarning, match="max_iter=1"):
        early.fit(many)
    assert early.stopped_ == "max_iter"


@of(OURS)
def test_the_score_is_minus_the_cost(estimator):
    fitted = estimator.set_params(random_state=0).fit(X)
    cost = fitted.cost_ if hasattr(fitted, "cost_") else fitted.inertia_
    assert fitted.score(X) == pytest.approx(-cost, rel=1e-9)  # order of a sum
    assert fitted.score(X[:30]) > fitted.score(X)
    assert GridSearchCV(estimator, {"n_clusters": [2, 3]}, cv=2).fit(X).best_score_ < 0


def test_no_score_of_a_kernel_that_is_a_matrix():
    fitted = KernelKMeans(3, kernel="precomputed", random_state=0).fit(X @ X.T)
    assert not hasattr(fitted, "score")


@pytest.mark.parametrize("name", ["KMeans", "DBSCAN", "kmeans_plusplus"])
def test_signatures_are_those_of_scikit_learn(name):
    ours, theirs = getattr(cluster, name), getattr(sklearn.cluster, name)
    methods = dir(theirs) if inspect.isclass(theirs) else []
    methods = [m for m in methods if not m.startswith("_") and not m.endswith("_request")]
    for one, other in [(ours, theirs), *((getattr(ours, m), getattr(theirs, m)) for m in methods)]:
        signature = [inspect.signature(each).parameters.values() for each in (one, other)]
        wanted = [[(p.name, p.kind, p.default) for p in each] for each in signature]
        assert wanted[0][: len(wanted[1])] == wanted[1], (one, other)


@pytest.mark.parametrize("estimator", [KMeans(3, random_state=0), SphericalKMeans(3, random_state=0)])
def test_weights_may_stand_third(estimator):
    weights = np.arange(90) % 3
    fitted = clone(estimator).fit(X, None, weights)
    assert np.array_equal(clone(estimator).fit_predict(X, None, weights), fitted.labels_)
    assert np.array_equal(clone(estimator).fit_transform(X, None, weights), fitted.transform(X))


@of(SOFT)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_soft_groups_give_distances(estimator, dtype):
    x = X.astype(dtype)
    fitted = estimator.fit(x)
    found = fitted.transform(x)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, cdist(x, fitted.cluster_centers_), rtol=1e-6)  # float32
    assert np.array_equal(fitted.fit_transform(x).argmin(axis=1), fitted.labels_)
    assert len(fitted.get_feature_names_out()) == 3
    weights = np.arange(len(x)) % 3
    repeated = fitted.score(np.repeat(x, weights, axis=0))
    assert fitted.score(x, sample_weight=weights) == pytest.approx(repeated, rel=1e-6)


def test_a_number_is_no_start():
    with pytest.raises(InputError, match="a row for each center, as kmeans_plusplus draws them"):
        kmeans(X, 3)
