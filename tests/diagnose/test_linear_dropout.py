"""Dropout's mean loss in a linear model is the loss and an L2 penalty: by enumeration, and by draws."""

from itertools import product

import numpy as np
import pytest
import torch

from sortal.diagnose import check_dropout, expected_loss, scaled_expected_loss
from sortal.errors import InputError

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(3, 3)) * (0.5, 1, 3)
Y, W = RANDOM.normal(size=3), RANDOM.normal(size=3)


@pytest.mark.parametrize("p", [0.2, 0.5, 0.9, 1.0])
def test_all_masks_weighted_by_their_probability(p):
    """2^9 masks: no draws, no error but rounding."""
    total = 0.0
    for mask in product((0, 1), repeat=X.size):
        kept = np.reshape(mask, X.shape)
        total += p ** kept.sum() * (1 - p) ** (X.size - kept.sum()) * np.square(Y - (kept * X) @ W).sum()
    fit, penalty = expected_loss(X, Y, W, p)
    assert np.isclose(fit + penalty, total, rtol=1e-12)
    gram = np.diag(np.sqrt(np.diag(X.T @ X)))  # G, written out
    assert np.isclose(penalty, p * (1 - p) * np.square(gram @ W).sum())


def test_torch_scaling_is_the_same_with_weights_divided():
    fit, penalty = scaled_expected_loss(X, Y, W, 0.3)
    assert np.isclose(fit, np.square(Y - X @ W).sum())
    assert np.isclose(penalty, 0.3 / 0.7 * ((X**2).sum(0) * W**2).sum())


def test_torch_itself_agrees_within_its_standard_error():
    chance = torch.random.get_rng_state()
    torch.manual_seed(0)
    x = torch.tensor(X).expand(40_000, 3, 3)
    losses = (torch.tensor(Y) - torch.nn.functional.dropout(x, 0.3) @ torch.tensor(W)).square().sum(1)
    torch.random.set_rng_state(chance)
    error = float(losses.std()) / 40_000**0.5
    # 4 standard errors: wrong by chance once in 16,000 seeds, and this seed is fixed.
    assert abs(float(losses.mean()) - sum(scaled_expected_loss(X, Y, W, 0.3))) < 4 * error


@pytest.mark.parametrize("scaled", [True, False])
def test_draws_agree_and_a_wrong_formula_would_not(scaled):
    found = check_dropout(X, Y, W, 0.5, scaled=scaled, n_draws=5_000)
    assert found.errors_apart < 4
    assert found.penalty > 20 * found.standard_error  # so its absence would be seen
    assert found == check_dropout(X, Y, W, 0.5, scaled=scaled, n_draws=5_000)


def test_nothing_dropped_is_the_plain_loss():
    found = check_dropout(X, Y, W, 0.0, n_draws=2)
    assert found.penalty == 0
    assert np.isclose(found.by_formula, found.plain_loss)
    assert found.standard_error == 0


def test_refusals():
    with pytest.raises(InputError, match=r"in \[0, 1\); got 1"):
        check_dropout(X, Y, W, 1.0)
    with pytest.raises(InputError, match="at least 2"):
        check_dropout(X, Y, W, 0.5, n_draws=1)
