"""Products of many steps: those of plain arithmetic where that still can, and laws where it cannot."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from sortal.diagnose import (
    horizon,
    jacobians,
    log_norms,
    log_norms_by_lag,
    lyapunov_exponents,
    singular_values,
    spectrum,
    stack_jacobians,
)
from sortal.errors import InputError
from tests.diagnose.time.recurrent import CASES, made


def chain(n_steps=12, size=5, seed=0, scale=1.0):
    return scale * np.random.default_rng(seed).normal(size=(n_steps, size, size)) / size**0.5


def product(grid, lag):
    out = np.eye(grid.shape[1])
    for one in grid[len(grid) - lag :]:
        out = one @ out
    return out


@pytest.mark.parametrize("size", [1, 2, 7])
def test_norms_and_singular_values_are_those_of_the_plain_product(size):
    grid = chain(size=size)
    lengths, values = log_norms(grid), singular_values(grid, range(1, 13))
    for lag in range(13):
        assert np.isclose(lengths[lag], np.log(np.linalg.norm(product(grid, lag))))
    for at, lag in enumerate(values.lags):
        by_hand = np.linalg.svd(product(grid, lag), compute_uv=False)
        shares = by_hand / by_hand.sum()
        assert np.isclose(values.log_largest[at], np.log(by_hand[0]))
        assert np.isclose(values.effective_rank[at], np.exp(-(shares * np.log(shares)).sum()))
        if by_hand[-1] > 1e-9 * by_hand[0]:  # else the plain product has no digit of it
            assert np.isclose(values.log_smallest[at], np.log(by_hand[-1]), rtol=1e-5)


@pytest.mark.parametrize("rate", [0.1, 0.7, 3.0])
def test_a_thousand_steps_neither_under_nor_overflow(rate):
    """Rotations between diagonal steps: each singular value is known, from rate^1000 up to (4 rate)^1000."""
    rng = np.random.default_rng(1)
    turns = [np.linalg.qr(rng.normal(size=(4, 4)))[0] for _ in range(1001)]
    sizes = rate * np.array([4.0, 2.0, 1.5, 1.0])
    grid = np.array([after @ np.diag(sizes) @ before.T for before, after in pairwise(turns)])
    values = singular_values(grid, [1, 500, 1000])
    for at, lag in enumerate(values.lags):
        assert np.isclose(values.log_largest[at], lag * np.log(sizes[0]), rtol=1e-12, atol=1e-9)
        assert np.isclose(values.log_smallest[at], lag * np.log(sizes[-1]), rtol=1e-12, atol=1e-9)
    assert np.isclose(values.effective_rank[-1], 1)
    assert np.isclose(log_norms(grid)[-1], 1000 * np.log(sizes[0]), rtol=1e-12)
    assert np.allclose(lyapunov_exponents(grid), np.log(sizes), atol=2e-2)


def test_exponents_add_up_to_the_mean_log_determinant():
    grid = chain(40, 6)
    found = lyapunov_exponents(grid)
    assert np.isclose(found.sum(), np.log(np.abs(np.linalg.det(grid))).mean())
    assert list(found) == sorted(found, reverse=True)


def test_a_step_without_full_rank():
    """Dead ReLU units: the smallest value is 0, the others go on."""
    grid = chain(8, 4)
    grid[3, 1] = 0
    values = singular_values(grid, [4, 8])
    assert values.log_smallest[1] == -np.inf or values.log_smallest[1] < -30
    assert np.isclose(values.log_largest[1], np.log(np.linalg.norm(product(grid, 8), 2)))
    grid[3] = 0
    values = singular_values(grid, [4, 8])
    assert values.log_largest[1] == -np.inf
    assert values.effective_rank[1] == 0
    assert log_norms(grid)[5:].tolist() == [-np.inf] * 4
    assert lyapunov_exponents(grid)[-1] == -np.inf


@pytest.mark.parametrize(("kind", "options", "shape"), CASES)
def test_lean_norms_are_those_of_all_jacobians(kind, options, shape):
    rnn, x, state = made(kind, options, shape)
    grid = jacobians(rnn, x, state)
    if options.get("bidirectional"):  # a direction that reads back goes through time the other way round
        grid[:, 1] = grid[:, 1, ..., ::-1, :, :]
    assert np.allclose(log_norms_by_lag(rnn, x, state), log_norms(grid), atol=1e-10)


def test_the_stack_reaches_from_the_first_layer_to_the_last():
    rnn, x, state = made("GRU", {"num_layers": 2}, (6, 1, 2, 3))
    h = state.clone().requires_grad_()
    end = rnn(x, h)[1]
    by_hand = [torch.autograd.grad(end[1, 0, i], h, retain_graph=True)[0][0, 0] for i in range(3)]
    assert np.allclose(product(stack_jacobians(rnn, x, state), 6)[3:, :3], torch.stack(by_hand), atol=1e-10)


@pytest.mark.parametrize("lag", [2, 9])
def test_a_step_that_is_not_finite_is_refused_even_behind_one_that_is_zero(lag):
    grid = chain(10, 4)
    grid[10 - lag, 1, 2] = np.nan
    grid[5] = 0
    with pytest.raises(InputError, match="must be finite"):
        log_norms(grid)


def test_whole_numbers_are_taken():
    assert np.allclose(log_norms([[[0, 2], [1, 0]]]), np.log([2, 5]) / 2)


def test_horizon():
    falling = np.log(0.5) * np.arange(20.0)
    assert horizon(falling) == 7  # 0.5^6 = 0.016, 0.5^7 = 0.008
    assert horizon(falling, 0.25) == 3
    assert horizon(np.zeros(5)) is None
    again = falling.copy()
    again[10] = 0  # it comes back once
    assert horizon(again) == 11


@pytest.mark.parametrize("kind", ["RNN", "GRU"])
def test_spectrum(kind):
    rnn, *_ = made(kind, {"num_layers": 2}, (1, 1, 2, 6))
    found = spectrum(rnn)
    names = ["weight_hh_l0", "weight_hh_l1"]
    assert list(found) == (
        names if kind == "RNN" else [f"{name}[{gate}]" for name in names for gate in "rzn"]
    )
    one = found["weight_hh_l1" if kind == "RNN" else "weight_hh_l1[n]"]
    assert np.array_equal(one.matrix, rnn.weight_hh_l1.detach().numpy()[-6:])
    for k in (0, 1, 7):
        assert np.allclose(one.power(k), np.linalg.matrix_power(one.matrix, k))
        assert np.isclose(one.log_norms(7)[k], np.log(np.linalg.norm(one.power(k), 2)))
    assert one.radius == max(abs(np.linalg.eigvals(one.matrix)))
    assert np.allclose(one.vectors @ np.diag(one.values) @ np.linalg.inv(one.vectors), one.matrix)


def test_the_spectrum_of_a_projected_layer_is_of_what_h_meets():
    rnn, *_ = made("LSTM", {"proj_size": 2}, (1, 1, 2, 6))
    found = spectrum(rnn)["weight_hh_l0[f]"]
    whole = rnn.weight_hh_l0[6:12] @ rnn.weight_hr_l0  # by units: the same eigenvalues, and zeros
    assert np.isclose(found.radius, float(torch.linalg.eigvals(whole.detach()).abs().max()))


@pytest.mark.parametrize(("scale", "word"), [(0.9, "vanishes"), (1.0, "keeps"), (1.1, "explodes")])
def test_the_modulus_decides_not_the_sign(scale, word):
    rnn = nn.RNN(1, 4)
    nn.init.orthogonal_(rnn.weight_hh_l0)
    with torch.no_grad():
        rnn.weight_hh_l0.mul_(-scale)
    one = spectrum(rnn)["weight_hh_l0"]
    assert one.word.startswith(word)
    assert np.allclose(one.log_norms(200)[200], 200 * np.log(scale), atol=1e-3)


@pytest.mark.parametrize(
    ("call", "rule"),
    [
        (lambda: log_norms(np.zeros((3, 2))), r"shape \(..., T, S, S\); got \(3, 2\)"),
        (lambda: singular_values(chain(), [13]), "between 1 and the number of steps, 12"),
        (lambda: singular_values(np.zeros((2, 3, 2, 2))), "of one layer, direction and item; got 2"),
        (lambda: lyapunov_exponents(np.full((2, 3, 3), np.nan)), "must be finite"),
    ],
)
def test_refusals(call, rule):
    with pytest.raises(InputError, match=rule):
        call()
