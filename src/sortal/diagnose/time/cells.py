"""The cells of a recurrent module, one a layer and direction, read by the names of torch.nn's parameters."""

import re
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from sortal.errors import InputError
from sortal.kernels import GATES, CellKind

__all__ = ["Cell", "as_array", "cells", "is_recurrent", "recurrent_layers", "unwrapped"]


@dataclass(frozen=True)
class Cell:
    """One direction of one layer: what it computes, and its weights in float32 or float64.

    weight_hh is (gates x units, hidden). Each unit is one number of h, but where h is projected: there
    `projection`, (hidden, units), makes h of o tanh(c).
    """

    kind: CellKind
    layer: int
    reverse: bool
    weight_ih: np.ndarray
    weight_hh: np.ndarray
    bias_ih: np.ndarray
    bias_hh: np.ndarray
    projection: np.ndarray | None = None

    @property
    def hidden(self) -> int:
        """The length of h."""
        return int(self.weight_hh.shape[1])

    @property
    def units(self) -> int:
        return len(self.weight_hh) // len(self.gates)

    @property
    def state(self) -> int:
        """The length of the whole state: an LSTM's is (h, c)."""
        return self.hidden + self.units if self.kind == "lstm" else self.hidden

    @property
    def gates(self) -> str:
        """A letter each, in the order of their rows."""
        return GATES[self.kind]

    def by_gate(self, weight: np.ndarray) -> np.ndarray:
        """A weight as one matrix a gate."""
        return weight.reshape(len(self.gates), self.units, -1)


def cells(rnn: nn.Module) -> tuple[tuple[Cell, ...], ...]:
    """The cells of each layer from the input up: the one that reads forwards, then one that reads back."""
    rnn = unwrapped(rnn)
    if not is_recurrent(rnn):
        inside = list(recurrent_layers(rnn))
        hint = f" Give one of its own: {', '.join(inside)}." if inside else " It has no lags to look at."
        what = f"{type(rnn).__module__}.{type(rnn).__name__}"
        raise InputError(f"rnn must be an RNN, GRU or LSTM layer with weights of its own; got {what}.{hint}")
    kind = _kind(rnn)
    parameters = dict(rnn.named_parameters())
    n_layers = sum(re.fullmatch(r"weight_hh_l\d+", name) is not None for name in parameters)
    ways = ("", "_reverse") if "weight_hh_l0_reverse" in parameters else ("",)
    return tuple(tuple(_cell(parameters, kind, layer, way) for way in ways) for layer in range(n_layers))


def is_recurrent(module: nn.Module) -> bool:
    return isinstance(getattr(module, "weight_hh_l0", None), Tensor)


def recurrent_layers(net: nn.Module) -> dict[str, nn.Module]:
    """The recurrent layers of a network by name, in its own order; one that is the network itself is ''."""
    return {name: module for name, module in unwrapped(net).named_modules() if is_recurrent(module)}


def unwrapped(net: nn.Module) -> nn.Module:
    """The network inside DataParallel, DistributedDataParallel or torch.compile."""
    net = getattr(net, "_orig_mod", net)
    parallel = (nn.DataParallel, nn.parallel.DistributedDataParallel)
    return unwrapped(net.module) if isinstance(net, parallel) else net


def _kind(rnn: nn.Module) -> CellKind:
    if getattr(rnn, "proj_size", 0):
        return "lstm"
    rows, hidden = rnn.weight_hh_l0.shape  # type: ignore[misc]
    by_gates: dict[int, CellKind] = {3: "gru", 4: "lstm"}
    if rows // hidden in by_gates:
        return by_gates[rows // hidden]
    return "relu" if getattr(rnn, "nonlinearity", "tanh") == "relu" else "tanh"


def _cell(parameters: dict[str, nn.Parameter], kind: CellKind, layer: int, way: str) -> Cell:
    w_ih, w_hh = (_plain(parameters[f"weight_{side}_l{layer}{way}"], side) for side in ("ih", "hh"))
    b_ih, b_hh = (
        _plain(held, side) if (held := parameters.get(f"bias_{side}_l{layer}{way}")) is not None
        else np.zeros(len(w_hh), w_hh.dtype)
        for side in ("ih", "hh")
    )  # fmt: skip
    shown = parameters.get(f"weight_hr_l{layer}{way}")
    return Cell(
        kind, layer, way != "", w_ih, w_hh, b_ih, b_hh, None if shown is None else _plain(shown, "hr")
    )


def _plain(weight: Tensor, side: str) -> np.ndarray:
    if not weight.is_floating_point():
        raise InputError(f"weights of rnn must be real numbers; weight_{side} is {weight.dtype}.")
    return as_array(weight)


def as_array(tensor: Tensor) -> np.ndarray:
    """Detached, on the CPU, half precision as float32."""
    wide = tensor.dtype if tensor.dtype in (torch.float32, torch.float64) else torch.float32
    found: np.ndarray = tensor.detach().to("cpu", wide).contiguous().numpy()
    return found
