"""A recurrent cell over a sequence, and the derivative of each of its steps by the state before.

For every kind of cell that derivative is, row by row, a sum of the gates' recurrent matrices, each row
scaled, and a diagonal. The matrices belong to the cell and only scales and diagonals to the step.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from sortal.kernels.threads import one_blas_thread

__all__ = ["GATES", "CellKind", "CellSteps", "before_step", "run_cell", "step_jacobians"]

CellKind = Literal["tanh", "relu", "gru", "lstm"]
GATES: dict[str, str] = {"tanh": "h", "relu": "h", "gru": "rzn", "lstm": "ifgo"}  # as weight_hh has its rows


@dataclass(frozen=True)
class CellSteps:
    """T steps of a batch; S is H, for an LSTM, whose state is (h, c), 2 H; rows is S / H.

    dS_t/dS_{t-1} = [sum over gates k of diag(scales_k) W_k] in the columns of h, and diag(diagonal) in the
    last H columns. `slope` is the scale of the last gate by its input: a GRU's without the reset gate.
    """

    states: Float[np.ndarray, "t_and_one b s"]
    gates: Float[np.ndarray, "t b k h"]
    scales: Float[np.ndarray, "t b rows k h"]
    diagonal: Float[np.ndarray, "t b rows h"]
    slope: Float[np.ndarray, "t b h"]


def run_cell(
    kind: CellKind,
    sums: Float[np.ndarray, "t b kh"],
    weight: Float[np.ndarray, "kh h"],
    bias: Float[np.ndarray, " kh"],
    start: Float[np.ndarray, "b s"],
) -> CellSteps:
    """`sums` is W_ih x + b_ih of all steps, `weight` and `bias` are weight_hh and bias_hh of torch.

    GRU: n = tanh(sum + r (W h + b)), h' = (1 - z) n + z h, the form of torch and cuDNN.
    """
    from sortal.kernels.recurrent_loops import gru, lstm, plain

    found = empty_steps(kind, sums, weight, start)
    parts = found.states, found.gates, found.scales, found.diagonal, found.slope
    across = np.ascontiguousarray(weight.T) if len(start) > 1 else weight  # one item needs none
    with one_blas_thread():
        if kind == "lstm":
            lstm(sums, weight, across, bias, *parts)
        elif kind == "gru":
            gru(sums, weight, across, bias, *parts)
        else:
            plain(kind == "relu", sums, weight, across, bias, *parts)
    return found


def empty_steps(kind: CellKind, sums: np.ndarray, weight: np.ndarray, start: np.ndarray) -> CellSteps:
    """Room for the steps; the first state is there."""
    (n_steps, batch, _), hidden, size = sums.shape, weight.shape[1], start.shape[1]
    n_gates, rows = len(GATES[kind]), size // hidden
    states = np.empty((n_steps + 1, batch, size), sums.dtype)
    states[0] = start
    shapes = (n_gates, hidden), (rows, n_gates, hidden), (rows, hidden), (hidden,)
    return CellSteps(states, *(np.empty((n_steps, batch, *shape), sums.dtype) for shape in shapes))


def step_jacobians(
    scales: Float[np.ndarray, "n rows k h"],
    weight: Float[np.ndarray, "kh h"],
    diagonal: Float[np.ndarray, "n rows h"],
    out: Float[np.ndarray, "n s s"],
) -> None:
    """The derivatives of n steps, written into `out`."""
    from sortal.kernels.recurrent_loops import jacobians, lstm_jacobians

    (lstm_jacobians if scales.shape[1] == 2 else jacobians)(scales, weight, diagonal, out)


def before_step(
    product: Float[np.ndarray, "s s"],
    step: Float[np.ndarray, "s s"],
    out: Float[np.ndarray, "s s"],
    soon: Float[np.ndarray, "n n"],
) -> None:
    """`product` @ `step` into `out`: a product of steps with the one before them. All are contiguous.

    An LSTM's step keeps its cells apart, d c_t/d c_{t-1} being diagonal: half the arithmetic is enough.
    `soon` is the step of the next call, which is fetched from memory, or has no numbers.
    """
    from sortal.kernels import recurrent_product_loops as loops

    if len(step) < loops.LEAST:
        np.matmul(product, step, out=out)
    else:
        loops.before_step(product, step, out, soon)
