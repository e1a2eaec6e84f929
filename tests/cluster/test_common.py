"""What every estimator has in common beyond scikit-learn's contract."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.datasets import make_blobs
from sklearn.model_selection import GridSearchCV

from sortal.cluster import (
    DBSCAN,
    FuzzyCMeans,
    KernelKMeans,
    KMeans,
    KMedoids,
    ProductQuantizer,
    SharedNeighborClustering,
    SoftKMeans,
    SphericalKMeans,
    VectorQuantizer,
    kmeans,
)
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


def test_text_in_a_table_is_called_by_its_column():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"a": [1.0, 2], "colour": ["1", "red"]})
    with pytest.raises(InputError, match=r"'red' in row 1, column 1 \('colour'\)"):
        SoftKMeans(2).fit(table)


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
