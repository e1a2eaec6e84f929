"""A recurrent module run over a sequence from outside, layer by layer, each step's derivative kept."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from sortal.diagnose.time.cells import Cell, as_array, cells, unwrapped
from sortal.diagnose.time.steps import Steps, stepped
from sortal.errors import InputError

__all__ = ["State", "run_layers"]

State = Tensor | tuple[Tensor, Tensor]


def run_layers(rnn: nn.Module, inputs: Tensor, state: State | None = None) -> list[list[Steps]]:
    """The steps of each layer and direction. Takes what the module takes; dropout between layers is off.

    `inputs` is (T, B, D), or (T, D) for one sequence; (B, T, D) where the module has batch_first. Half
    precision is computed in float32. Nothing of the module itself is called, so no hook of it fires.
    """
    stack = cells(rnn)
    x = _sequences(inputs, stack[0][0], bool(getattr(unwrapped(rnn), "batch_first", False)))
    starts = _starts(state, stack, x)
    found = []
    for layer, ways in enumerate(stack):
        steps = [stepped(cell, x, starts[layer * len(ways) + way]) for way, cell in enumerate(ways)]
        found.append(steps)
        if layer + 1 < len(stack):
            x = np.concatenate([one.outputs for one in steps], -1)
    return found


def _sequences(inputs: object, cell: Cell, batch_first: bool) -> np.ndarray:
    width = cell.weight_ih.shape[1]
    if not isinstance(inputs, Tensor):  # a PackedSequence too
        way = " Give the items of each length by themselves." * isinstance(inputs, PackedSequence)
        raise InputError(f"inputs must be a tensor; got {type(inputs).__name__}.{way}")
    if not inputs.is_floating_point():
        raise InputError(f"inputs must be real numbers in floating point; got {inputs.dtype}.")
    if inputs.ndim not in (2, 3) or inputs.shape[-1] != width or 0 in inputs.shape:
        raise InputError(
            f"inputs must have the shape (time, {width}) or "
            f"({'batch, time' if batch_first else 'time, batch'}, {width}); got {tuple(inputs.shape)}."
        )
    x = as_array(inputs).astype(cell.weight_hh.dtype, copy=False)
    if x.ndim == 2:
        return x[:, None]
    return x.swapaxes(0, 1) if batch_first else x


def _starts(state: State | None, stack: Sequence[Sequence[Cell]], x: np.ndarray) -> np.ndarray:
    """The first state of each cell, (cells, B, S)."""
    cell, batch = stack[0][0], x.shape[1]
    n = len(stack) * len(stack[0])
    if state is None:
        return np.zeros((n, batch, cell.state), x.dtype)
    parts = state if isinstance(state, tuple) else (state,)
    wanted = [(n, batch, cell.hidden)] + [(n, batch, cell.units)] * (cell.kind == "lstm")
    shapes = [tuple(part.shape) if part.ndim == 3 else (len(part), 1, *part.shape[1:]) for part in parts]
    if shapes != wanted:
        raise InputError(
            f"state must be {'(h, c), of the shapes' if len(wanted) == 2 else 'h, of the shape'} "
            f"{', '.join(map(str, wanted))}; got {', '.join(str(tuple(part.shape)) for part in parts)}."
        )
    whole = [as_array(part).astype(x.dtype, copy=False).reshape(one) for part, one in zip(parts, wanted)]
    return np.concatenate(whole, -1)
