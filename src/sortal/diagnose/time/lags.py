"""The recurrent layers of a network as they run in one pass: influence and gradient by lag."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from sortal.diagnose.depth.untouched import untouched
from sortal.diagnose.time.bptt import backward
from sortal.diagnose.time.cells import as_array, recurrent_layers, unwrapped
from sortal.diagnose.time.gates import Gate, gates_of
from sortal.diagnose.time.products import chain_norms
from sortal.diagnose.time.sequence import State, run_layers
from sortal.diagnose.time.spectrum import Spectrum, spectrum
from sortal.diagnose.time.steps import Steps

__all__ = ["Caught", "Lags", "catch", "lags_of"]

ITEMS = 4  # of a batch that are looked at: each costs as many products of its state's size as it has steps
SLOPE = 0.05  # under it a value is saturated, as in depth


@dataclass(frozen=True)
class Lags:
    """One recurrent layer of the network, `name`, in one pass, of a few items.

    `log_influence` is log |dh_T/dh_(T - lag)| less that of lag 0, the mean over items; `gradient` is
    |dL/dh_t| by the place in time. Both are (layers x directions, ...). `idle` is the share of states that
    are dead or saturated where the cell is plain, of candidates where it has gates.
    """

    name: str
    kind: str
    log_influence: np.ndarray
    gradient: np.ndarray
    idle: float
    gates: tuple[Gate, ...]
    spectra: Mapping[str, Spectrum]
    first_bad: int | None  # the first step whose state is NaN or infinite, from 1 on; 0 is the first state


def lags_of(net: nn.Module, loss: Callable[[], Tensor]) -> tuple[Lags, ...]:
    """Each recurrent layer that `loss()` runs, in the order of the network's parts; () where it has none.

    A layer that is called often counts by its last call. Nothing of the network moves.
    """
    net = unwrapped(net)
    names = recurrent_layers(net)
    if not names:
        return ()
    caught: dict[str, Caught] = {}
    handles = [catch(name, module, caught) for name, module in names.items()]
    try:
        with untouched(net), torch.enable_grad():
            value = loss()
            if value.requires_grad:
                value.backward()  # type: ignore[no-untyped-call]
    finally:
        for handle in handles:
            handle.remove()
    return tuple(caught[name].lags(name) for name in names if name in caught)


@dataclass
class Caught:
    """A call of a recurrent layer: what went in, of a few items, and the gradients by what came out.

    Where lengths are given, the items are the longest, cut to their length.
    """

    layer: nn.Module
    inputs: Tensor
    state: State | None
    batch_axis: int | None
    rows: Tensor
    gradient: Tensor | None = None
    last: dict[int, Tensor] | None = None  # by part of the state: h, c

    def layers(self) -> list[list[Steps]]:
        return run_layers(self.layer, self.inputs, self.state)

    def lags(self, name: str) -> Lags:
        layers = self.layers()
        influence = np.stack([_influence(steps) for ways in layers for steps in ways])
        cells = [steps for ways in layers for steps in ways]
        gradient = self.state_gradients(layers)
        return Lags(
            name, cells[0].cell.kind, influence, gradient, max(map(_idle, cells)),
            gates_of(layers), spectrum(self.layer), _first_bad(cells),
        )  # fmt: skip

    def state_gradients(self, layers: list[list[Steps]]) -> np.ndarray:
        """|dL/dh_t|, (layers x directions, T)."""
        direct = np.concatenate([steps.outputs for steps in layers[-1]], -1) * 0
        if self.gradient is not None:
            given = self.gradient
            if self.batch_axis is None:
                given = given[:, None]
            elif self.batch_axis == 0:
                given = given.transpose(0, 1)
            few = given if self.batch_axis is None else given.index_select(1, self.rows)
            direct = as_array(few[: len(direct)]).astype(direct.dtype)
        with np.errstate(over="ignore", invalid="ignore"):  # what has exploded is infinite
            terms = backward(layers, direct, self._last(layers))
            lengths = np.linalg.norm(terms.state_gradients, axis=(2, 4))
        return np.asarray(lengths.reshape(-1, lengths.shape[-1]))

    def _last(self, layers: list[list[Steps]]) -> np.ndarray | None:
        if not self.last:
            return None
        first, hidden = layers[0][0], layers[0][0].cell.hidden
        found = np.zeros((len(layers) * len(layers[0]), first.batch, first.cell.state), first.inputs.dtype)
        for part, given in self.last.items():
            few = given[:, None] if given.ndim == 2 else given.index_select(1, self.rows)
            found[..., part * hidden : (part + 1) * hidden] = as_array(few)
        return found


def catch(name: str, module: nn.Module, caught: dict[str, Caught]) -> RemovableHandle:
    """A hook that keeps the last call of `module` as `caught[name]`; packed sequences are passed by."""

    def note(layer: nn.Module, given: tuple[object, ...], kwargs: dict[str, object], out: object) -> None:
        inputs = given[0] if given else kwargs.get("input", kwargs.get("x"))
        state = given[1] if len(given) > 1 else kwargs.get("hx", kwargs.get("h0"))
        lengths = given[2] if len(given) > 2 else kwargs.get("lengths")
        if not (isinstance(inputs, Tensor) and isinstance(out, tuple) and isinstance(out[0], Tensor)):
            return
        axis = None if inputs.ndim == 2 else 0 if getattr(layer, "batch_first", False) else 1
        caught[name] = _caught(layer, inputs.detach(), state, lengths, axis)
        _watch(caught[name], out)

    return module.register_forward_hook(note, with_kwargs=True)


def _caught(layer: nn.Module, inputs: Tensor, state: object, lengths: object, axis: int | None) -> Caught:
    if axis is None:
        return Caught(layer, inputs, _few(state, None), None, torch.zeros(0, dtype=torch.long))
    n_steps = inputs.shape[1 - axis]
    rows = torch.arange(min(ITEMS, inputs.shape[axis]), device=inputs.device)
    if lengths is not None:
        ends = torch.as_tensor(lengths, device=inputs.device)
        n_steps = max(int(ends.max()), 1)
        rows = torch.nonzero(ends == ends.max()).flatten()[:ITEMS]
    few = inputs.index_select(axis, rows).narrow(1 - axis, 0, n_steps)
    return Caught(layer, few, _few(state, rows), axis, rows)


def _few(state: object, rows: Tensor | None) -> State | None:
    if isinstance(state, tuple):
        return tuple(_few(part, rows) for part in state)  # type: ignore[return-value]
    if not isinstance(state, Tensor):
        return None
    return state.detach() if rows is None else state.detach().index_select(1, rows)


def _watch(kept: Caught, out: tuple[object, ...]) -> None:
    """The gradients by the outputs and by each part of the last state."""
    shown, state = out[0], out[1]
    last: dict[int, Tensor] = {}
    kept.last = last
    if isinstance(shown, Tensor) and shown.requires_grad:
        shown.register_hook(lambda gradient: setattr(kept, "gradient", gradient.detach()))  # type: ignore[no-untyped-call]
    for part, one in enumerate(state if isinstance(state, tuple) else (state,)):
        if isinstance(one, Tensor) and one.requires_grad:
            one.register_hook(lambda gradient, part=part: last.__setitem__(part, gradient.detach()))  # type: ignore[no-untyped-call]


def _influence(steps: Steps) -> np.ndarray:
    found = np.stack([chain_norms(steps, item) for item in range(steps.batch)])
    return np.asarray((found - found[:, :1]).mean(0))


def _first_bad(cells: list[Steps]) -> int | None:
    bad = np.flatnonzero(~np.logical_and.reduce([np.isfinite(one.at.states).all((1, 2)) for one in cells]))
    return int(bad[0]) if len(bad) else None


def _idle(steps: Steps) -> float:
    """A plain cell's states; the candidate of a GRU or LSTM, whose gates may well be shut or open."""
    if steps.cell.kind == "relu":
        return float((steps.at.gates[:, :, 0].max((0, 1)) <= 0).mean())
    candidate = steps.at.gates[:, :, {"tanh": 0, "gru": 2, "lstm": 2}[steps.cell.kind]]
    return float((1 - candidate**2 < SLOPE).mean())
