import numpy as np
import pytest

from sortal.kernels import GATES, before_step, recurrent_reference, run_cell, step_jacobians

# One of each; more items than steps; a width that fills no vector.
SHAPES = [(1, 1, 1), (3, 5, 2), (20, 1, 7), (6, 3, 33)]
# Rounding of a step is carried on by the later ones, over 20 steps at most.
CLOSE = {np.float32: 2e-5, np.float64: 1e-13}


@pytest.mark.parametrize("kind", GATES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_twin_equals_reference(kind, shape, dtype):
    n_steps, batch, hidden = shape
    k, rows = len(GATES[kind]), 2 if kind == "lstm" else 1
    rng = np.random.default_rng(0)
    sums, weight, bias, start = (
        rng.normal(size=size).astype(dtype)
        for size in ((n_steps, batch, k * hidden), (k * hidden, hidden), k * hidden, (batch, rows * hidden))
    )
    weight /= hidden**0.5
    ours, theirs = (run(kind, sums, weight, bias, start) for run in (run_cell, recurrent_reference.run_cell))
    for name, wanted in vars(theirs).items():
        found = getattr(ours, name)
        assert found.dtype == dtype
        np.testing.assert_allclose(found, wanted, rtol=CLOSE[dtype], atol=CLOSE[dtype])
    grids = np.full((2, n_steps, rows * hidden, rows * hidden), np.nan, dtype)  # all of it is written
    for write, out in zip((step_jacobians, recurrent_reference.step_jacobians), grids, strict=True):
        write(theirs.scales[:, 0], weight, theirs.diagonal[:, 0], out)
    np.testing.assert_allclose(*grids, rtol=CLOSE[dtype], atol=CLOSE[dtype])


def test_very_large_sums_saturate_without_a_warning():
    sums = np.array([[[-1e4, 1e4, 1e4]]])
    with np.errstate(all="raise"):
        found = run_cell("gru", sums, np.zeros((3, 1)), np.zeros(3), np.full((1, 1), 0.3))
    assert found.states[1, 0, 0] == 0.3
    assert found.scales.tolist() == [[[[[0], [0], [0]]]]]


# Below the least that tiles are for; exactly so wide; rows and columns that fill no tile, and an odd size.
@pytest.mark.parametrize("size", [1, 2, 3, 34, 64, 67, 130])
@pytest.mark.parametrize("apart", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_product_with_the_step_before(size, apart, dtype):
    """An LSTM's step, one that is none by its last row alone, and one of odd size."""
    rng = np.random.default_rng(size)
    product, step = rng.normal(size=(2, size, size)).astype(dtype)
    kinds = [step]
    if apart and size % 2 == 0:
        step[:, size // 2 :] = np.vstack([np.diag(row) for row in rng.normal(size=(2, size // 2))])
        nearly = step.copy()
        nearly[-1, size // 2] = 1
        kinds.append(nearly)
    for one in kinds:
        ours, theirs = np.full((2, size, size), np.nan, dtype)
        before_step(product, one, ours, one)
        recurrent_reference.before_step(product, one, theirs, one)
        np.testing.assert_allclose(ours, theirs, rtol=10 * CLOSE[dtype], atol=size**0.5 * CLOSE[dtype])
