"""A cell run over a sequence, with all that the derivative of each step is made of.

1,000 steps are kept in 1,000 x H numbers, where their Jacobians take 1,000 x H x H.
"""

from dataclasses import dataclass

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
        step_jacobians(self.at.scales[one, item], self.cell.weight_hh, self.at.diagonal[one, item], out[None])

    def fill(self, out: np.ndarray) -> None:
        """All Jacobians into `out` (B, T, S, S); t is the place in time."""
        scales, diagonal = self.in_time(self.at.scales), self.in_time(self.at.diagonal)
        for item, one in enumerate(out):
            step_jacobians(scales[:, item], self.cell.weight_hh, diagonal[:, item], one)

    def input_scales(self) -> np.ndarray:
        """As `scales`, for the gates' sums by the input."""
        scales = self.at.scales.copy()
        if self.cell.kind == "gru":
            scales[:, :, 0, 2] = self.at.slope
        return scales

    def input_jacobians(self) -> np.ndarray:
        """dS_t/dx_t, (T, B, S, D), in the order in which the cell reads."""
        weights = self.cell.by_gate(self.cell.weight_ih)
        made: np.ndarray = np.einsum("tbrki,kij->tbrij", self.input_scales(), weights)
        return made.reshape(len(self), self.batch, self.cell.state, -1)


def stepped(cell: Cell, inputs: np.ndarray, start: np.ndarray) -> Steps:
    """Run over `inputs` (T, B, D) from `start` (B, S), a cell that reads back from the last step on."""
    given = np.ascontiguousarray(inputs[::-1] if cell.reverse else inputs)
    parts = (torch.from_numpy(one) for one in (given, cell.weight_ih, cell.bias_ih))
    with torch.inference_mode():
        sums = torch.nn.functional.linear(*parts).numpy()
    return Steps(cell, given, run_cell(cell.kind, sums, cell.weight_hh, cell.bias_hh, start))
