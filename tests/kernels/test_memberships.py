import numpy as np
import pytest

from sortal.kernels import fuzzy_step, memberships_reference, soft_step

# One of each; k = n; one column; more rows than a block of lanes; very wide.
SHAPES = [(1, 1, 1), (5, 3, 5), (130, 1, 3), (4100, 2, 4), (65, 16, 20), (2, 70_000, 2)]
STEPS = [
    (fuzzy_step, memberships_reference.fuzzy_step, {"fuzziness": 2.0}),
    (fuzzy_step, memberships_reference.fuzzy_step, {"fuzziness": 1.3}),
    (fuzzy_step, memberships_reference.fuzzy_step, {"fuzziness": 7.5}),
    (soft_step, memberships_reference.soft_step, {"stiffness": 0.7}),
    (soft_step, memberships_reference.soft_step, {"stiffness": 300.0}),
]


def both(step, reference, x, centers, exponent, weights=None, origin=None):
    weights = np.ones(len(x)) if weights is None else weights
    origin = np.zeros(x.shape[1]) if origin is None else origin
    ours, theirs = np.empty((2, len(x), len(centers)))
    a = step(x, origin, centers - origin, weights, ours, **exponent)
    b = reference(x, origin, centers - origin, weights, theirs, **exponent)
    return (ours, *a), (theirs, *b)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("step", "reference", "exponent"), STEPS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_twin_equals_reference(shape, step, reference, exponent, dtype):
    n, d, k = shape
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, d)).astype(dtype)
    centers = np.float64(x[:k]) + 0.1
    weights = rng.integers(0, 3, n).astype(float)
    ours, theirs = both(step, reference, x, centers, exponent, weights, centers.mean(axis=0))
    # An exponential multiplies the rounding of a distance by its own size, which is up to 700.
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-9, atol=1e-300)
    for mine, other in zip(ours[1:], theirs[1:], strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-9, atol=1e-9)
    assert np.abs(ours[0].sum(axis=1) - 1).max() < 1e-14


@pytest.mark.parametrize(("step", "reference", "exponent"), STEPS)
@pytest.mark.parametrize("scale", [0.0, 5e-324, 1e-160, 1e-9, 1e9, 1e140])
def test_any_scale_gives_memberships(step, reference, exponent, scale):
    """Squares that underflow are ties; nothing is ever NaN."""
    x = np.random.default_rng(0).normal(size=(9, 2)) * scale
    ours, theirs = both(step, reference, x, x[:3], exponent)
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-9, atol=1e-300)
    assert np.isfinite(ours[1]).all()


@pytest.mark.parametrize("exponent", [1.01, 1.5, 2.0, 9.0])
def test_a_row_on_a_center_is_all_its_and_equal_centers_share(exponent):
    x = np.array([[0.0, 0], [1, 0], [5, 5], [5, 5]])
    ours, _ = both(fuzzy_step, memberships_reference.fuzzy_step, x, x, {"fuzziness": exponent})
    assert ours[0].tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0.5, 0.5], [0, 0, 0.5, 0.5]]


def test_a_huge_offset_costs_no_digits():
    x = np.random.default_rng(0).integers(0, 1024, (50, 3)) / 1024
    for step, reference, exponent in STEPS:
        near, _ = both(step, reference, x, x[:4], exponent)
        far, _ = both(step, reference, x + 2**20, x[:4] + 2**20, exponent, origin=np.full(3, 2.0**20))
        assert np.array_equal(near[0], far[0])


def test_the_number_of_threads_changes_no_bit(monkeypatch):
    x = np.random.default_rng(0).normal(size=(20_000, 3))
    for step, *_, exponent in STEPS:
        found = []
        for threads in ("1", "2"):
            monkeypatch.setenv("OMP_NUM_THREADS", threads)
            found.append(step(x, np.zeros(3), x[:5], np.ones(len(x)), **exponent))
        assert np.array_equal(found[0][0], found[1][0])
        assert found[0][2] == found[1][2]
