"""Gates over time: how far they are open, and which units never move.

*Source* of the limits .1 and .9: Karpathy, Johnson and Fei-Fei 2015, arXiv:1506.02078, section 4.2.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from sortal.diagnose.time.sequence import State, run_layers
from sortal.diagnose.time.steps import Steps
from sortal.errors import InputError

__all__ = ["Gate", "gates", "gates_of"]

CLOSED, OPEN = 0.1, 0.9
KEEPS = {"z", "f"}  # open, they keep the state: GRU's update gate, LSTM's forget gate


@dataclass(frozen=True)
class Gate:
    """One gate of one layer and direction: `values` (B, T, H), by the place in time.

    Units that never open stay under .1 all the time, those that never close over .9. Where the gate keeps
    the state (z, f) the latter never forget, and the former never remember.
    """

    name: str
    layer: int
    reverse: bool
    values: np.ndarray

    @property
    def keeps(self) -> bool:
        return self.name in KEEPS

    @property
    def mean(self) -> np.ndarray:
        """(T,), over batch and units."""
        return np.asarray(self.values.mean((0, 2), dtype=np.float64))

    @property
    def spread(self) -> np.ndarray:
        """(T,), the standard deviation over batch and units."""
        return np.asarray(self.values.std((0, 2), dtype=np.float64))

    @property
    def never_open(self) -> tuple[int, ...]:
        return tuple(map(int, np.flatnonzero(self.values.max((0, 1)) < CLOSED)))

    @property
    def never_closed(self) -> tuple[int, ...]:
        return tuple(map(int, np.flatnonzero(self.values.min((0, 1)) > OPEN)))


def gates(rnn: nn.Module, inputs: Tensor, state: State | None = None) -> tuple[Gate, ...]:
    """The gates of a GRU (r, z) or LSTM (i, f, o), layer by layer; no candidates, which are no gates."""
    found = gates_of(run_layers(rnn, inputs, state))
    if not found:
        raise InputError("rnn must be a GRU or an LSTM; a plain RNN has no gates.")
    return found


def gates_of(layers: Sequence[Sequence[Steps]]) -> tuple[Gate, ...]:
    """Those of layers that have run; () where they have none."""
    found = []
    for layer, ways in enumerate(layers):
        for steps in ways:
            values = steps.in_time(steps.at.gates)
            for k, name in enumerate(steps.cell.gates):
                if name in "rzifo":
                    found.append(Gate(name, layer, steps.cell.reverse, values[:, :, k].swapaxes(0, 1)))
    return tuple(found)
