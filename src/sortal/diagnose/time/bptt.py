"""Backpropagation through time taken apart: what each step adds to dL/dW_hh, and dL/dh_t of every step.

W_hh acts at every step. Its gradient is the sum of what it did at each of them, and each of these terms
reached the loss through all steps behind it: how long the terms are says how far back learning reaches.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from sortal.diagnose.time.cells import unwrapped
from sortal.diagnose.time.jacobians import without_axes_of_one
from sortal.diagnose.time.sequence import State, run_layers
from sortal.diagnose.time.steps import Steps
from sortal.errors import InputError

__all__ = ["BpttTerms", "backward", "bptt_terms"]


@dataclass(frozen=True)
class BpttTerms:
    """The terms as outer products: of `sums`, dL by W_hh h_{t-1} + b_hh, with `before`, h_{t-1}.

    Shapes: sums (layers, directions, batch, T, gates x H), before (..., H), state_gradients (..., S); t is
    the place in time. A term is summed over the batch, as the gradient is.
    """

    sums: np.ndarray
    before: np.ndarray
    state_gradients: np.ndarray

    def terms(self) -> np.ndarray:
        """Each step's part of dL/dW_hh, (layers, directions, T, gates x H, H), leading axes of 1 dropped.

        Over T they add up to autograd's gradient.
        """
        return without_axes_of_one(np.einsum("ldbti,ldbtj->ldtij", self.sums, self.before, optimize=True), 3)

    def total(self) -> np.ndarray:
        """dL/dW_hh, (layers, directions, gates x H, H)."""
        return without_axes_of_one(np.einsum("ldbti,ldbtj->ldij", self.sums, self.before, optimize=True), 2)

    def norms(self) -> np.ndarray:
        """The length of each term, (layers, directions, T), from products of rows, no term being built."""
        u, v = (part.astype(np.float64).transpose(0, 1, 3, 2, 4) for part in (self.sums, self.before))
        squared = ((u @ u.swapaxes(-1, -2)) * (v @ v.swapaxes(-1, -2))).sum((-1, -2))
        return without_axes_of_one(np.sqrt(np.maximum(squared, 0)), 1)

    def states(self) -> np.ndarray:
        """dL/dh_t, (layers, directions, batch, T, S), leading axes of 1 dropped; an LSTM's is of (h, c)."""
        return without_axes_of_one(self.state_gradients, 2)

    def state_norms(self) -> np.ndarray:
        """|dL/dh_t| over the batch, (layers, directions, T)."""
        return without_axes_of_one(np.linalg.norm(self.state_gradients, axis=(2, 4)), 1)


def bptt_terms(
    rnn: nn.Module, inputs: Tensor, loss: Callable[[Tensor], Tensor], state: State | None = None
) -> BpttTerms:
    """Run `rnn` over `inputs` and take apart the gradient of `loss(outputs)`, which gives one number.

    `outputs` come as the module gives them. With a loss of the last step alone, T - 1 - t is the lag.
    """
    layers = run_layers(rnn, inputs, state)
    first = bool(getattr(unwrapped(rnn), "batch_first", False))
    outputs = np.concatenate([steps.outputs for steps in layers[-1]], -1)
    shown = outputs[:, 0] if inputs.ndim == 2 else outputs.swapaxes(0, 1) if first else outputs
    leaf = torch.tensor(np.ascontiguousarray(shown), requires_grad=True)
    with torch.enable_grad():
        value = loss(leaf)
        if not isinstance(value, Tensor) or value.numel() != 1 or not value.requires_grad:
            raise InputError(
                "loss must give one number that hangs on the outputs; look for detach or no_grad."
            )
        if not bool(torch.isfinite(value)):
            raise InputError(f"loss must be finite; it is {value.item()}. Look at the outputs it was given.")
        (gradient,) = torch.autograd.grad(value, leaf)
    direct = gradient.numpy().reshape(shown.shape)
    direct = direct[:, None] if inputs.ndim == 2 else direct.swapaxes(0, 1) if first else direct
    return backward(layers, direct)


def backward(
    layers: Sequence[Sequence[Steps]], direct: np.ndarray, last: np.ndarray | None = None
) -> BpttTerms:
    """From dL by the outputs of the last layer, (T, B, directions x H), down to the first.

    `last` is dL by the state that each cell ends with, (cells, B, S).
    """
    n_ways, found = len(layers[0]), []
    for layer in reversed(range(len(layers))):
        ways = layers[layer]
        shares = np.split(direct, n_ways, axis=-1)
        parts = [
            _through_time(steps, share, 0 if last is None else last[layer * n_ways + way])
            for way, (steps, share) in enumerate(zip(ways, shares))
        ]
        if layer:
            direct = sum(_to_inputs(steps, part[2]) for steps, part in zip(ways, parts))  # type: ignore[assignment]
        found.append([_in_time(steps, part) for steps, part in zip(ways, parts)])
    # (layers, directions) of three arrays -> three arrays (layers, directions, B, T, ...)
    return BpttTerms(*(np.array([[way[k] for way in ways] for ways in found[::-1]]) for k in range(3)))


def _through_time(
    steps: Steps, direct: np.ndarray, last: np.ndarray | float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """dL by the gates' sums of h, h before, and dL by the state, in the order of reading."""
    at, hidden, weight = steps.at, steps.cell.hidden, steps.cell.weight_hh
    direct = steps.in_time(direct)
    states = np.zeros_like(at.states[1:])
    sums = np.empty((len(steps), steps.batch, len(weight)), states.dtype)
    units = steps.cell.units
    ahead: np.ndarray = np.asarray(last)
    for t in reversed(range(len(steps))):
        states[t] = ahead
        states[t, :, :hidden] += direct[t]
        by_row = steps.by_row(states[t])
        sums[t] = np.einsum("brkh,brh->bkh", at.scales[t], by_row).reshape(steps.batch, -1)
        ahead = np.zeros_like(states[t])
        ahead[:, :hidden] = sums[t] @ weight
        ahead[:, -units:] += (at.diagonal[t] * by_row).sum(1)
    return sums, at.states[:-1, :, :hidden], states


def _to_inputs(steps: Steps, states: np.ndarray) -> np.ndarray:
    """dL by the inputs, in the order of time."""
    sums = np.einsum("tbrkh,tbrh->tbkh", steps.input_scales(), steps.by_row(states))
    sums = sums.reshape(*states.shape[:2], -1)
    return steps.in_time(sums @ steps.cell.weight_ih)


def _in_time(steps: Steps, parts: Sequence[np.ndarray]) -> list[np.ndarray]:
    return [steps.in_time(part).swapaxes(0, 1) for part in parts]
