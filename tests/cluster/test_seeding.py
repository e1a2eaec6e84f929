import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.stats import chisquare

from sortal.cluster import kmeans_plusplus
from sortal.errors import InputError

X = np.array([[0.0, 0], [1, 0], [0, 3], [4, 4], [1, 0]])


@pytest.mark.parametrize("offset", [0, 1e6])
@pytest.mark.parametrize("weights", [None, [1.0, 2, 0.5, 1, 0]])
def test_the_second_row_is_drawn_by_squared_distance(offset, weights):
    rng = np.random.RandomState(0)
    pairs = [
        kmeans_plusplus(X + offset, 2, sample_weight=weights, random_state=rng, n_local_trials=1)[1]
        for _ in range(4000)
    ]
    counts = np.zeros((5, 5))
    np.add.at(counts, tuple(np.array(pairs).T), 1)
    w = np.ones(5) if weights is None else np.array(weights)
    reach = w * ((X[:, None] - X) ** 2).sum(axis=2)
    expected = (w / w.sum())[:, None] * reach / reach.sum(axis=1, keepdims=True) * 4000
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


def test_more_clusters_than_samples():
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
