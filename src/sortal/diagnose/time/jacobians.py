"""What a state owes to the one before it: dh_t/dh_{t-1} of every step, exact, by formula."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from sortal.diagnose.time.cells import unwrapped
from sortal.diagnose.time.sequence import State, run_layers
from sortal.diagnose.time.steps import Steps
from sortal.errors import InputError

__all__ = ["GRUForms", "gru_forms", "jacobians", "stack_jacobians"]


def jacobians(rnn: nn.Module, inputs: Tensor | PackedSequence, state: State | None = None) -> np.ndarray:
    """dh_t/dh_{t-1} for every t, each layer's input held fixed: (layers, directions, batch, T, S, S).

    Axes of length 1 are dropped, the last three never. S is H, for an LSTM 2 H, whose state is (h, c), and
    P + H where its h is projected to P. t is the place in the sequence: the step of a direction that reads
    back is dh_t/dh_{t+1}. The first step of each is by the state it starts from. Takes `inputs` and `state`
    as the module does; at a ReLU's corner the slope is 0, as torch has it. Of a packed sequence T is the
    longest item's; behind the end of another there are identities, since its state stays as it is.
    """
    if isinstance(inputs, PackedSequence):
        return without_axes_of_one(_of_packed(rnn, inputs, state), 3)
    return without_axes_of_one(_of_one_length(rnn, inputs, state), 3)


def _of_one_length(rnn: nn.Module, inputs: Tensor, state: State | None) -> np.ndarray:
    layers = run_layers(rnn, inputs, state)
    first = layers[0][0]
    size = first.cell.state
    shape = (len(layers), len(layers[0]), first.batch, len(first), size, size)
    out = np.empty(shape, first.inputs.dtype)
    for of_layer, ways in zip(out, layers):
        for of_way, steps in zip(of_layer, ways):
            steps.fill(of_way)
    return out


def _of_packed(rnn: nn.Module, inputs: PackedSequence, state: State | None) -> np.ndarray:
    """Items of each length by themselves, in the order in which they were before they were packed."""
    first = bool(getattr(unwrapped(rnn), "batch_first", False))
    padded, lengths = pad_packed_sequence(inputs, batch_first=first)
    parts: list[tuple[np.ndarray, np.ndarray]] = []
    for length in sorted(set(lengths.tolist())):
        rows = (lengths == length).nonzero().flatten()
        items = padded[rows, :length] if first else padded[:length, rows]
        parts.append((rows.numpy(), _of_one_length(rnn, items, _of_rows(state, rows))))
    longest = parts[-1][1]
    out = np.empty((*longest.shape[:2], len(lengths), *longest.shape[3:]), longest.dtype)
    out[:] = np.eye(longest.shape[-1], dtype=longest.dtype)
    for rows, made in parts:
        out[:, :, rows, : made.shape[3]] = made
    return out


def _of_rows(state: State | None, rows: Tensor) -> State | None:
    if isinstance(state, tuple):
        return state[0][:, rows], state[1][:, rows]
    return None if state is None else state[:, rows]


def stack_jacobians(rnn: nn.Module, inputs: Tensor, state: State | None = None) -> np.ndarray:
    """The same for the state of all layers together, (batch, T, layers x S, layers x S), nothing held fixed.

    Block lower triangular: a layer reads the new state of the one below, and none above. Its product over
    the steps is how far the first layer's past reaches the last one's present. The axis of a batch of 1 is
    dropped. Both directions at once have no such state: each layer reads the whole sequence of the one below.
    """
    layers = run_layers(rnn, inputs, state)
    if len(layers[0]) == 2:
        raise InputError("rnn must read in one direction for a state of the whole stack; this one has both.")
    first = layers[0][0]
    size, n_steps, batch = first.cell.state, len(first), first.batch
    out = np.zeros((batch, n_steps, len(layers) * size, len(layers) * size), first.inputs.dtype)
    own = np.empty((batch, n_steps, size, size), first.inputs.dtype)
    for layer, (steps,) in enumerate(layers):
        rows = slice(layer * size, (layer + 1) * size)
        steps.fill(own)
        out[:, :, rows, rows] = own
        if layer:
            shown = slice(rows.start - size, rows.start - size + steps.cell.hidden)  # h of the layer below
            by_input = steps.input_jacobians().transpose(1, 0, 2, 3)
            out[:, :, rows, : rows.start] = by_input @ out[:, :, shown, : rows.start]
    return without_axes_of_one(out, 3)


@dataclass(frozen=True)
class GRUForms:
    """A GRU's Jacobians and the form often taught for them, of equal shape.

    `approximate` is diag(z) + diag(tanh') diag(r) W_hn: it leaves out 1 - z and what the gates themselves
    owe to the state. `distance` is |exact - approximate| / |exact| in Frobenius' norm, one a step.
    """

    exact: np.ndarray
    approximate: np.ndarray
    distance: np.ndarray


def gru_forms(gru: nn.Module, inputs: Tensor, state: State | None = None) -> GRUForms:
    """Exact Jacobians of a GRU beside the approximate ones, and how far apart they are."""
    layers = run_layers(gru, inputs, state)
    if layers[0][0].cell.kind != "gru":
        raise InputError(f"gru must be a GRU; got a cell of the kind {layers[0][0].cell.kind!r}.")
    exact = jacobians(gru, inputs, state)
    rough = np.stack([np.stack([_approximate(steps) for steps in ways]) for ways in layers])
    rough = rough.reshape(exact.shape)
    apart = np.linalg.norm(exact - rough, axis=(-2, -1)) / np.linalg.norm(exact, axis=(-2, -1))
    return GRUForms(exact, rough, apart)


def _approximate(steps: Steps) -> np.ndarray:
    r, z, n = steps.in_time(steps.at.gates).transpose(2, 1, 0, 3)  # (B, T, H) each
    made: np.ndarray = ((1 - n * n) * r)[..., None] * steps.cell.by_gate(steps.cell.weight_hh)[2]
    on = np.arange(steps.cell.hidden)
    made[..., on, on] += z
    return made


def without_axes_of_one(array: np.ndarray, kept: int) -> np.ndarray:
    """Axes of length 1 dropped, but for the last `kept`."""
    front = tuple(n for n in array.shape[: array.ndim - kept] if n > 1)
    return array.reshape(*front, *array.shape[array.ndim - kept :])
