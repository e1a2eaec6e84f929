import numpy as np
import pytest
from sklearn.datasets import make_blobs
from sklearn.utils.estimator_checks import parametrize_with_checks

from sortal.cluster import FuzzyCMeans, fuzzy_cmeans, kmeans
from sortal.errors import InputError

# The two that scikit-learn lists for its own KMeans: seeding draws differ when rows are repeated.
DRAWS = "a seed draws other rows when weights become repetitions"
EXPECTED = {f"check_sample_weight_equivalence_on_{kind}_data": DRAWS for kind in ("dense", "sparse")}

WORKED = np.array([[2.0, 3], [3, 3], [6, 5], [8, 8]])
BLOBS = make_blobs(600, 3, centers=4, cluster_std=2, random_state=0)[0]


@pytest.mark.slow
@parametrize_with_checks([FuzzyCMeans(n_clusters=3)], expected_failed_checks=lambda _: EXPECTED)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


@pytest.mark.parametrize("fuzziness", [1.2, 2.0, 3.5])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_move_is_bezdeks(fuzziness, dtype):
    x = BLOBS.astype(dtype)
    found = fuzzy_cmeans(x, x[:4] + 1, fuzziness=fuzziness, max_iter=7, tol=0)
    centers = np.float64(x[:4] + 1)
    for _ in range(7):
        distance = np.sqrt(((x[:, None] - centers) ** 2).sum(axis=2))
        share = 1 / ((distance[:, :, None] / distance[:, None]) ** (2 / (fuzziness - 1))).sum(axis=2)
        centers = (share**fuzziness).T @ x / (share**fuzziness).sum(axis=0)[:, None]
    assert found.centers.dtype == found.memberships.dtype == dtype
    np.testing.assert_allclose(found.centers, centers, rtol=1e-5 if dtype == np.float32 else 1e-10)


def test_memberships_sum_to_one_and_the_cost_never_rises():
    for fuzziness in (1.05, 1.5, 2, 6.0):
        found = fuzzy_cmeans(BLOBS, BLOBS[:5], fuzziness=fuzziness, tol=0.0, max_iter=60)
        assert np.abs(found.memberships.sum(axis=1) - 1).max() < 1e-12
        assert (np.diff(found.history) <= 1e-12 * found.history[0]).all()  # rounding of a sum


def test_hard_k_means_is_the_limit():
    found = fuzzy_cmeans(WORKED, WORKED[[0, 2]], fuzziness=1.001, tol=0.0)
    np.testing.assert_allclose(found.centers, [[2.5, 3], [7, 6.5]], atol=1e-9)
    assert found.cost == pytest.approx(7.0)
    hard = kmeans(BLOBS, BLOBS[:4], tol=0.0)
    far = [
        np.abs(fuzzy_cmeans(BLOBS, hard.centers, fuzziness=m, tol=0.0).centers - hard.centers).max()
        for m in (2.0, 1.5, 1.1, 1.001)
    ]
    assert far == sorted(far, reverse=True)
    assert far[-1] < 0.01
    stiff = fuzzy_cmeans(BLOBS, BLOBS[:4], fuzziness=1.001, tol=0.0)
    assert (stiff.memberships.argmax(axis=1) == hard.labels).mean() > 0.995


def test_equal_to_scikit_fuzzy():
    peer = pytest.importorskip("skfuzzy")
    share = np.random.default_rng(0).random((4, len(BLOBS)))
    share /= share.sum(axis=0)
    centers, memberships, *_ = peer.cmeans(BLOBS.T, 4, 2.0, 0.0, 12, init=share)
    first = share**2 @ BLOBS / (share**2).sum(axis=1)[:, None]
    found = fuzzy_cmeans(BLOBS, first, max_iter=11, tol=0.0)
    np.testing.assert_allclose(found.centers, centers, rtol=1e-10)
    np.testing.assert_allclose(found.memberships, memberships.T, rtol=1e-9)


def test_weights_equal_repetitions():
    weights = np.random.default_rng(0).integers(0, 4, len(BLOBS))
    weighted = fuzzy_cmeans(BLOBS, BLOBS[:4], sample_weight=weights, tol=0.0)
    repeated = fuzzy_cmeans(np.repeat(BLOBS, weights, axis=0), BLOBS[:4], tol=0.0)
    np.testing.assert_allclose(weighted.centers, repeated.centers, rtol=1e-9)  # order of a sum


def test_what_a_fit_leaves():
    model = FuzzyCMeans(4, random_state=0).fit(BLOBS.astype(np.float32))
    assert model.memberships_.dtype == model.cluster_centers_.dtype == np.float32
    assert np.array_equal(model.labels_, model.predict(BLOBS.astype(np.float32)))
    assert model.history_[-1] == model.cost_
    assert model.stopped_ == "tol"
    on_a_center = FuzzyCMeans(3, init=WORKED[:3], max_iter=1).fit(WORKED).memberships(WORKED)
    assert np.isfinite(on_a_center).all()


@pytest.mark.parametrize("fuzziness", [1, 0.5, np.nan, np.inf, "soft", True])
def test_fuzziness_that_cannot_be_is_said(fuzziness):
    with pytest.raises(InputError, match="fuzziness must be a finite number above 1; got"):
        FuzzyCMeans(2, fuzziness=fuzziness).fit(WORKED)


def test_what_cannot_be_grouped_is_said():
    with pytest.raises(InputError, match=r"NaN in row 1, column 0"):
        FuzzyCMeans(2).fit([[0, 1], [np.nan, 2], [3, np.inf]])
    with pytest.raises(InputError, match="n_clusters=3 for 2: ask for 2"):
        FuzzyCMeans(3, random_state=0).fit([[0.0], [1], [1], [0]])
