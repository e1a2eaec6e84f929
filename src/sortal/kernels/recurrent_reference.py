"""What the loops of `recurrent` compute, in NumPy."""

import numpy as np
from scipy.special import expit

from sortal.kernels.recurrent import CellKind, CellSteps, empty_steps

__all__ = ["before_step", "run_cell", "step_jacobians"]

Parts = list[np.ndarray]  # one a gate
Step = tuple[np.ndarray, Parts, list[Parts], Parts, np.ndarray]  # as the fields of CellSteps


def run_cell(
    kind: CellKind, sums: np.ndarray, weight: np.ndarray, bias: np.ndarray, start: np.ndarray
) -> CellSteps:
    found, hidden = empty_steps(kind, sums, weight, start), weight.shape[1]
    step = {"gru": _gru, "lstm": _lstm}.get(kind, _relu if kind == "relu" else _tanh)
    for t, of_x in enumerate(sums):
        state = found.states[t]
        of_h = state[:, :hidden] @ weight.T + bias
        by_x, by_h = (np.split(one, len(weight) // hidden, axis=1) for one in (of_x, of_h))
        after, gates, scales, diagonal, slope = step(by_x, by_h, state)
        found.states[t + 1] = after
        found.gates[t] = np.stack(gates, 1)
        found.scales[t] = np.stack([np.stack(row, 1) for row in scales], 1)
        found.diagonal[t] = np.stack(diagonal, 1)
        found.slope[t] = slope
    return found


def step_jacobians(scales: np.ndarray, weight: np.ndarray, diagonal: np.ndarray, out: np.ndarray) -> None:
    n, rows, n_gates, hidden = scales.shape
    out[:] = 0
    blocks, on = out.reshape(n, rows, hidden, -1), np.arange(hidden)
    matrices = weight.reshape(n_gates, hidden, hidden)
    blocks[..., :hidden] = np.einsum("nrki,kij->nrij", scales, matrices)
    blocks[:, :, on, blocks.shape[3] - hidden + on] += diagonal


def before_step(product: np.ndarray, step: np.ndarray, out: np.ndarray, soon: np.ndarray) -> None:
    np.matmul(product, step, out=out)


def _tanh(of_x: Parts, of_h: Parts, h: np.ndarray) -> Step:
    after = np.tanh(of_x[0] + of_h[0])
    slope = 1 - after * after
    return after, [after], [[slope]], [0 * h], slope


def _relu(of_x: Parts, of_h: Parts, h: np.ndarray) -> Step:
    after = np.maximum(of_x[0] + of_h[0], 0)
    slope = (after > 0).astype(h.dtype)
    return after, [after], [[slope]], [0 * h], slope


def _gru(of_x: Parts, of_h: Parts, h: np.ndarray) -> Step:
    r, z, m = expit(of_x[0] + of_h[0]), expit(of_x[1] + of_h[1]), of_h[2]
    n = np.tanh(of_x[2] + r * m)
    slope = (1 - z) * (1 - n * n)
    scales = [slope * m * r * (1 - r), (h - n) * z * (1 - z), slope * r]
    return (1 - z) * n + z * h, [r, z, n], [scales], [z], slope


def _lstm(of_x: Parts, of_h: Parts, state: np.ndarray) -> Step:
    c = state[:, state.shape[1] // 2 :]
    i, f, o = (expit(of_x[k] + of_h[k]) for k in (0, 1, 3))
    g = np.tanh(of_x[2] + of_h[2])
    new = f * c + i * g
    shown = np.tanh(new)
    slope = o * (1 - shown * shown)
    of_c = [g * i * (1 - i), c * f * (1 - f), i * (1 - g * g), np.zeros_like(o)]
    of_shown = [slope * one for one in of_c[:3]] + [shown * o * (1 - o)]
    after = np.concatenate([o * shown, new], 1)
    return after, [i, f, g, o], [of_shown, of_c], [slope * f, f], np.zeros_like(o)
