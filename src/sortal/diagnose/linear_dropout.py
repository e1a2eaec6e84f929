"""Dropout in a linear model is an L2 penalty, weighted by the inputs' second moment. Exactly.

Each number of X (n, d) is kept with probability p or set to zero: R, of X's shape, holds 1 or 0. Over R,

    E |y - (R * X) w|^2 = |y - p X w|^2 + p (1 - p) |G w|^2,    G = diag(X'X)^(1/2).

(R * X) w has the mean p X w, and its variance, p (1 - p) sum_j X_ij^2 w_j^2, adds over the rows to
p (1 - p) sum_j (X'X)_jj w_j^2. torch divides what it keeps by p = 1 - q, so there w stands for p w:

    E |y - dropout(X) w|^2 = |y - X w|^2 + q / (1 - q) |G w|^2.

Source: Srivastava et al. 2014, JMLR 15, section 9.1; Wager, Wang and Liang 2013, arXiv:1307.1493.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sortal.errors import InputError

__all__ = ["DropoutCheck", "check_dropout", "expected_loss", "scaled_expected_loss"]

Inputs = Float[np.ndarray, "n d"]
Targets = Float[np.ndarray, " n"]
Weights = Float[np.ndarray, " d"]


@dataclass(frozen=True)
class DropoutCheck:
    """The loss by the formula, and as a mean over draws with that mean's standard error."""

    q: float  # the share dropped
    scaled: bool  # as torch does it
    plain_loss: float  # without dropout
    penalty: float
    by_formula: float
    by_draws: float
    standard_error: float
    n_draws: int

    @property
    def errors_apart(self) -> float:
        """How many standard errors lie between the two; above 4 by chance once in 16,000 times."""
        return abs(self.by_draws - self.by_formula) / self.standard_error if self.standard_error else 0.0


def expected_loss(x: Inputs, y: Targets, w: Weights, p: float) -> tuple[float, float]:
    """|y - p X w|^2 and p (1 - p) |G w|^2, whose sum is the mean loss where `p` is the share kept."""
    moment = np.square(x).sum(0)  # the diagonal of X'X
    return float(np.square(y - p * (x @ w)).sum()), float(p * (1 - p) * (moment * w**2).sum())


def scaled_expected_loss(x: Inputs, y: Targets, w: Weights, q: float) -> tuple[float, float]:
    """|y - X w|^2 and q / (1 - q) |G w|^2: what is kept of `x` is divided by 1 - `q`, as torch does it."""
    return expected_loss(x, y, w / (1 - q), 1 - q)


def check_dropout(
    x: Inputs, y: Targets, w: Weights, q: float, *, scaled: bool = True, n_draws: int = 20_000, seed: int = 0
) -> DropoutCheck:
    """The formula beside the mean of `n_draws` losses, each with its own R. `q` is the share dropped."""
    if not 0 <= q < 1:
        raise InputError(f"q must be the share dropped, in [0, 1); got {q}.")
    if n_draws < 2:
        raise InputError(f"n_draws must be at least 2, or there is no standard error; got {n_draws}.")
    random = np.random.default_rng(seed)
    used = w / (1 - q) if scaled else w
    losses = np.empty(n_draws)
    block = max(1, 2**20 // x.size)  # draws at once: some 10 MB
    for at in range(0, n_draws, block):
        kept = random.random((min(block, n_draws - at), *x.shape)) >= q
        losses[at : at + block] = np.square(y - (kept * x) @ used).sum(1)
    fit, penalty = scaled_expected_loss(x, y, w, q) if scaled else expected_loss(x, y, w, 1 - q)
    return DropoutCheck(
        q=q, scaled=scaled, plain_loss=float(np.square(y - x @ w).sum()), penalty=penalty,
        by_formula=fit + penalty, by_draws=float(losses.mean()),
        standard_error=float(losses.std(ddof=1) / n_draws**0.5), n_draws=n_draws,
    )  # fmt: skip
