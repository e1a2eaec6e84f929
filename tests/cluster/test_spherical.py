import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.datasets import load_digits
from sklearn.utils.estimator_checks import parametrize_with_checks

from sortal.cluster import SphericalKMeans, spherical_kmeans, unit_rows
from sortal.errors import InputError

# The two that scikit-learn lists for its own KMeans: seeding draws differ when rows are repeated.
DRAWS = "a seed draws other rows when weights become repetitions"
EXPECTED = {f"check_sample_weight_equivalence_on_{kind}_data": DRAWS for kind in ("dense", "sparse")}


@pytest.mark.slow
@parametrize_with_checks([SphericalKMeans(n_clusters=3)], expected_failed_checks=lambda _: EXPECTED)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def digits():
    return load_digits().data


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_row_is_with_its_most_similar_center(digits, dtype):
    x = digits.astype(dtype)
    result = spherical_kmeans(x, x[:10], tol=0.0)
    np.testing.assert_allclose(np.linalg.norm(result.centers, axis=1), 1, rtol=1e-6)  # of float32
    cosine = unit_rows(x).astype(np.float64) @ result.centers.T.astype(np.float64)
    assert np.array_equal(result.labels, cosine.argmax(axis=1))
    assert result.inertia == pytest.approx((1 - cosine.max(axis=1)).sum(), rel=1e-5)  # unit to float32's eps
    assert (np.diff(result.inertia_history) <= 0).all()
    for c in range(10):
        total = unit_rows(x[result.labels == c].astype(np.float64)).sum(axis=0)
        np.testing.assert_allclose(result.centers[c], total / np.linalg.norm(total), atol=1e-6)


def test_lengths_count_for_nothing(digits):
    scale = 2.0 ** np.random.default_rng(0).integers(-9, 9, len(digits))  # powers of two: exact
    one = spherical_kmeans(digits, digits[:10])
    other = spherical_kmeans(digits * scale[:, None], 4 * digits[:10])
    assert np.array_equal(one.labels, other.labels)
    assert one.inertia == other.inertia


def test_sparse_gives_what_dense_gives(digits):
    dense, sparse = (SphericalKMeans(10, random_state=0).fit(x) for x in (digits, csr_matrix(digits)))
    assert np.array_equal(dense.labels_, sparse.labels_)
    np.testing.assert_allclose(dense.transform(digits), sparse.transform(csr_matrix(digits)), atol=1e-12)
    assert np.array_equal(dense.transform(digits).argmin(axis=1), dense.predict(digits))
    assert dense.score(digits) == pytest.approx(-dense.inertia_)


def test_rows_that_cancel_keep_their_center_and_zeros_go_to_the_first():
    x = np.array([[1.0, 0], [-1, 0], [0, 0], [0, 1]])
    result = spherical_kmeans(x, [[0.0, -1], [0, 1]])
    assert result.labels[2] == 0
    assert np.isfinite(result.centers).all()


def test_the_first_bad_number_is_named():
    with pytest.raises(InputError, match="row 1, column 0"):
        spherical_kmeans([[1.0, 2], [np.nan, 1]], [[1.0, 1]])
