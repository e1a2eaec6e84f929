"""dh_T/dh_t, the product of all steps between: how much of a past state is left, and in which directions.

A product of 1,000 steps leaves the range of any number, so its size is kept as a logarithm beside a matrix of
length 1. Singular values need more: after a few steps the largest has buried all others in rounding. They
are kept apart as in Q D V, an orthogonal matrix, a diagonal of logarithms and a matrix of rows near 1.

*Source:* Loh et al. 1992 (stable products as U D V); Tomas et al. 2012 (sorted columns for pivoting);
Benettin et al. 1980 (Lyapunov exponents by QR); Roy and Vetterli 2007 (effective rank).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from sortal.diagnose.time.jacobians import without_axes_of_one
from sortal.diagnose.time.sequence import State, run_layers
from sortal.diagnose.time.steps import Steps
from sortal.errors import InputError
from sortal.kernels import before_step, one_blas_thread

__all__ = [
    "SingularValues",
    "chain_norms",
    "horizon",
    "log_norms",
    "log_norms_by_lag",
    "lyapunov_exponents",
    "singular_values",
]

INFLUENCE = 0.01  # of what it was: less is forgotten


def log_norms(jacobians: np.ndarray) -> np.ndarray:
    """log |dh_T/dh_t| in Frobenius' norm by the lag T - t, (..., T + 1), of `jacobians` (..., T, S, S).

    Lag 0 is the identity, log(S) / 2. A product that is exactly 0 has -infinity.
    """
    grids = _chains(jacobians)
    n_steps, size = grids.shape[1:3]
    with one_blas_thread():
        held = (np.ascontiguousarray(one).__getitem__ for one in grids)
        found = np.array([_chain(at, at, n_steps, size, grids.dtype) for at in held])
    if not np.isfinite(found).all():  # looking through all steps beforehand took a tenth of the time
        _check_finite(grids)
    return found.reshape(*np.shape(jacobians)[:-3], n_steps + 1)


def log_norms_by_lag(rnn: nn.Module, inputs: Tensor, state: State | None = None) -> np.ndarray:
    """The same of a recurrent layer, (layers, directions, batch, T + 1), axes of 1 dropped but the last.

    One Jacobian is held at a time: 1,000 steps of 512 units take some 60 MB where all of them take 1 GB.
    """
    layers = run_layers(rnn, inputs, state)
    with one_blas_thread():
        found = [
            [[chain_norms(steps, item) for item in range(steps.batch)] for steps in ways] for ways in layers
        ]
    return without_axes_of_one(np.array(found), 1)


def chain_norms(steps: Steps, item: int) -> np.ndarray:
    """log |dS_T/dS_t| by lag of one item, (T + 1,), with one Jacobian held at a time."""
    size = steps.cell.state
    room = np.empty((size, size), steps.inputs.dtype)

    def at(t: int) -> np.ndarray:
        steps.jacobian(t, item, room)
        return room

    nothing = room[:0, :0]  # each is made when it is asked for
    return _chain(at, lambda t: nothing, len(steps), size, room.dtype)


def _chain(
    at: Callable[[int], np.ndarray],
    soon: Callable[[int], np.ndarray],
    n_steps: int,
    size: int,
    dtype: np.dtype,
) -> np.ndarray:
    """`soon` as `at`, without computing anything.

    By powers of two a product is brought back to a length near 1: that rounds nothing.
    """
    product, room = np.eye(size, dtype=dtype), np.empty((size, size), dtype)
    found, shift = np.full(n_steps + 1, -np.inf), 0
    found[0] = np.log(size) / 2
    for lag in range(1, n_steps + 1):
        t = n_steps - lag
        before_step(product, at(t), room, soon(max(t - 1, 0)))
        product, room = room, product
        norm = float(np.sqrt(np.vdot(product, product)))
        if norm == 0:
            break
        if not math.isfinite(norm):
            found[lag:] = norm
            break
        found[lag] = math.log(norm) + shift * math.log(2)
        if not 1 / 16 < norm < 16:
            power = math.frexp(norm)[1]
            shift += power
            product *= product.dtype.type(2.0**-power)
    return found


def horizon(log_norms: np.ndarray, share: float = INFLUENCE) -> int | None:
    """The lag from which on influence stays under `share` of what it is at lag 0; None if it never does."""
    over = np.flatnonzero(log_norms - log_norms[0] >= np.log(share))
    lag = int(over[-1]) + 1 if len(over) else 0
    return lag if lag < len(log_norms) else None


@dataclass(frozen=True)
class SingularValues:
    """Of dh_T/dh_t at `lags`: logarithms of the largest and the smallest, and the effective rank.

    The effective rank is exp(entropy of the values' shares): S where all are equal, 1 where one is left.
    """

    lags: tuple[int, ...]
    log_largest: np.ndarray
    log_smallest: np.ndarray
    effective_rank: np.ndarray


def singular_values(jacobians: np.ndarray, lags: Sequence[int] | None = None) -> SingularValues:
    """Those of the product of the last `lag` steps of `jacobians` (T, S, S), in float64.

    One QR and two products a step and two decompositions a lag; without `lags` at 1, 2, 5, 10, ... and T.
    A product that is singular has the smallest value 0: -infinity.
    """
    grid = _one_chain(jacobians)
    n_steps = len(grid)
    lags = _usual(n_steps) if lags is None else tuple(lags)
    if not lags or min(lags) < 1 or max(lags) > n_steps:
        raise InputError(f"lags must lie between 1 and the number of steps, {n_steps}; got {lags}.")
    found: dict[int, tuple[float, float, float]] = {}
    graded, sizes = np.eye(grid.shape[1]), np.zeros(grid.shape[1])
    turned = np.eye(grid.shape[1])
    with one_blas_thread():
        for lag in range(1, max(lags) + 1):
            turned, sizes, graded = _factored(grid[n_steps - lag].T @ turned, sizes, graded)
            if lag in lags:
                found[lag] = _values(sizes, graded)
    largest, smallest, rank = np.array([found[lag] for lag in lags]).T
    return SingularValues(lags, largest, smallest, rank)


def _factored(a: np.ndarray, sizes: np.ndarray, graded: np.ndarray) -> tuple[np.ndarray, ...]:
    """A D V as Q D' V' with D = exp(sizes): columns by falling size, then each row of R D scaled to 1.

    No logarithm of R is taken: half of it is 0, and those of zeros took as long as a fifth of the QR.
    """
    with np.errstate(divide="ignore"):
        order = np.argsort(-(np.log(np.linalg.norm(a, axis=0)) + sizes), kind="stable")
        q, r = np.linalg.qr(a[:, order])
        size = sizes[order]
        base = np.where(np.isfinite(size), size, 0)
        # By falling size a factor over e^300 belongs to a 0 of R only.
        rows = r * np.exp(np.minimum(size - base[:, None], 300))
        top = np.abs(rows).max(axis=1)
        rows /= np.where(top > 0, top, 1)[:, None]
        return q, base + np.log(top), rows @ graded[order]


def _values(sizes: np.ndarray, graded: np.ndarray) -> tuple[float, float, float]:
    """The largest value of D V is that of D scaled to 1; the smallest is the largest of the inverse."""
    top, low = sizes.max(), sizes.min()
    if top == -np.inf:
        return -np.inf, -np.inf, 0.0
    values = np.linalg.svd(np.exp(sizes - top)[:, None] * graded, compute_uv=False)
    shares = values[values > 0] / values.sum()
    rank = float(np.exp(-(shares * np.log(shares)).sum()))
    smallest = -np.inf
    if low > -np.inf:
        try:
            inverse = np.linalg.inv(graded) * np.exp(low - sizes)
            smallest = low - np.log(np.linalg.norm(inverse, 2))
        except np.linalg.LinAlgError:
            pass
    return float(top + np.log(values[0])), float(smallest), rank


def lyapunov_exponents(jacobians: np.ndarray) -> np.ndarray:
    """Finite-time Lyapunov exponents of `jacobians` (T, S, S), largest first: growth a step, as logarithms.

    By QR along the steps. Their sum is the mean of log |det J_t|; a singular step gives -infinity.
    """
    grid = _one_chain(jacobians)
    turned, total = np.eye(grid.shape[1]), np.zeros(grid.shape[1])
    with one_blas_thread(), np.errstate(divide="ignore"):
        for one in grid:
            turned, r = np.linalg.qr(one @ turned)
            total += np.log(np.abs(np.diag(r)))
    return np.sort(total / len(grid))[::-1]


def _usual(n_steps: int) -> tuple[int, ...]:
    """1, 2, 5, 10, 20, 50, ... and the last."""
    steps = (m * 10**p for p in range(9) for m in (1, 2, 5))
    return (*(lag for lag in steps if lag < n_steps), n_steps)


def _chains(jacobians: np.ndarray) -> np.ndarray:
    """(chains, T, S, S)."""
    shape = np.shape(jacobians)
    if len(shape) < 3 or shape[-1] != shape[-2] or 0 in shape:
        raise InputError(f"jacobians must have the shape (..., T, S, S); got {shape}.")
    grids = np.asarray(jacobians).reshape(-1, *shape[-3:])
    return grids if np.issubdtype(grids.dtype, np.floating) else grids.astype(np.float64)


def _check_finite(grids: np.ndarray) -> None:
    if not np.isfinite(grids).all():
        raise InputError("jacobians must be finite; these hold NaN or infinity. Look at weights and inputs.")


def _one_chain(jacobians: np.ndarray) -> np.ndarray:
    grids = _chains(jacobians)
    _check_finite(grids)
    if len(grids) != 1:
        raise InputError(f"jacobians must be those of one layer, direction and item; got {len(grids)}.")
    wide: np.ndarray = grids[0].astype(np.float64, copy=False)
    return wide
