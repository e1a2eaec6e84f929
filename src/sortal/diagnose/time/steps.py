"""A cell run over a sequence, with all that the derivative of each step is made of.

1,000 steps are kept in 1,000 x H numbers, where their Jacobians take 1,000 x H x H.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch

from sortal.diagnose.time.cells import Cell
from sortal.kernels import CellSteps, run_cell, step_jacobians

__all__ = ["Steps", "stepped"]


@dataclass(frozen=True)
class Steps:
    """T steps of one cell over a batch, in the order in which it reads: `at[t]` is what `CellSteps` says."""

    cell: Cell
    inputs: np.ndarray
    at: CellSteps

    def __len__(self) -> int:
        return len(self.at.scales)

    @property
    def batch(self) -> int:
        return int(self.inputs.shape[1])

    @property
    def outputs(self) -> np.ndarray:
        """h of each step in the order of time, (T, B, H)."""
        return self.in_time(self.at.states[1:, :, : self.cell.hidden])

    def in_time(self, steps: np.ndarray) -> np.ndarray:
        """What was counted in the order of reading, in that of time; and the other way round."""
        return steps[::-1] if self.cell.reverse else steps

    def jacobian(self, t: int, item: int, out: np.ndarray) -> None:
        """dS_t/dS_{t-1} of one step of one item, (S, S), into `out`."""
        one = slice(t, t + 1)
        self._write(self.at.scales[one, item], self.at.diagonal[one, item], out[None])

    def fill(self, out: np.ndarray) -> None:
        """All Jacobians into `out` (B, T, S, S); t is the place in time."""
        scales, diagonal = self.in_time(self.at.scales), self.in_time(self.at.diagonal)
        for item, one in enumerate(out):
            self._write(scales[:, item], diagonal[:, item], one)

    def _write(self, scales: np.ndarray, diagonal: np.ndarray, out: np.ndarray) -> None:
        if self.cell.projection is None:
            step_jacobians(scales, self.cell.weight_hh, diagonal, out)
            return
        hidden, on = self.cell.hidden, np.arange(self.cell.units)
        out[:, :, :hidden] = self._shown(
            np.einsum("nrki,kij->nrij", scales, self.cell.by_gate(self.cell.weight_hh))
        )
        out[:, :hidden, hidden:] = self.cell.projection * diagonal[:, :1]
        out[:, hidden:, hidden:] = 0
        out[:, hidden + on, hidden + on] = diagonal[:, 1]

    def _shown(self, by_row: np.ndarray) -> np.ndarray:
        """Of derivatives (..., rows, units, n) of o tanh(c) and c those of the state, (..., S, n)."""
        if self.cell.projection is None:
            return by_row.reshape(*by_row.shape[:-3], self.cell.state, -1)
        h, c = by_row[..., 0, :, :], by_row[..., 1, :, :]
        return np.concatenate([self.cell.projection @ h, c], -2)

    def by_row(self, states: np.ndarray) -> np.ndarray:
        """Of gradients by the state, (..., S), those by each row of the units, (..., rows, units)."""
        if self.cell.projection is None:
            return states.reshape(*states.shape[:-1], -1, self.cell.hidden)
        h, c = np.split(states, [self.cell.hidden], -1)
        return np.stack([h @ self.cell.projection, c], -2)

    def input_scales(self) -> np.ndarray:
        """As `scales`, for the gates' sums by the input."""
        scales = self.at.scales.copy()
        if self.cell.kind == "gru":
            scales[:, :, 0, 2] = self.at.slope
        return scales

    def input_jacobians(self) -> np.ndarray:
        """dS_t/dx_t, (T, B, S, D), in the order in which the cell reads."""
        weights = self.cell.by_gate(self.cell.weight_ih)
        return self._shown(np.einsum("tbrki,kij->tbrij", self.input_scales(), weights))


def stepped(cell: Cell, inputs: np.ndarray, start: np.ndarray) -> Steps:
    """Run over `inputs` (T, B, D) from `start` (B, S), a cell that reads back from the last step on."""
    # A copy where it reads back: one step turned round counts as contiguous, and torch takes no such stride.
    given = inputs[::-1].copy() if cell.reverse else np.ascontiguousarray(inputs)
    parts = (torch.from_numpy(one) for one in (given, cell.weight_ih, cell.bias_ih))
    with torch.inference_mode():
        sums = torch.nn.functional.linear(*parts).numpy()
    if cell.projection is not None:
        return Steps(cell, given, _projected(cell, cell.projection, sums, start))
    return Steps(cell, given, run_cell(cell.kind, sums, cell.weight_hh, cell.bias_hh, start))


def _projected(cell: Cell, projection: np.ndarray, sums: np.ndarray, start: np.ndarray) -> CellSteps:
    """As a cell that is not projected, of o tanh(c) in the place of h: W h = (W P) o tanh(c).

    The first h is of no o tanh(c): what it adds to the first sums is added to what the input does.
    """
    first, hidden, c = sums.copy(), cell.hidden, start[:, cell.hidden :]
    first[0] += start[:, :hidden] @ cell.weight_hh.T
    begin = np.concatenate([np.zeros_like(c), c], -1)
    at = run_cell(cell.kind, first, cell.weight_hh @ projection, cell.bias_hh, begin)
    shown = at.states[..., : cell.units] @ projection.T
    shown[0] = start[:, :hidden]
    return replace(at, states=np.concatenate([shown, at.states[..., cell.units :]], -1))
