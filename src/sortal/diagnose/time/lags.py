"""The recurrent layers of a network as they run in one pass: influence and gradient by lag."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence
from torch.utils.hooks import RemovableHandle

from sortal.diagnose.depth.untouched import untouched
from sortal.diagnose.time.bptt import backward
from sortal.diagnose.time.cells import as_array, recurrent_layers, unwrapped
from sortal.diagnose.time.gates import Gate, gates_of
from sortal.diagnose.time.products import chain_norms
from sortal.diagnose.time.sequence import State, run_layers
from sortal.diagnose.time.spectrum import Spectrum, spectrum
from sortal.diagnose.time.steps import Steps

__all__ = ["Caught", "Lags", "Reach", "catch", "lags_of"]

ITEMS = 4  # of a batch that are looked at: each costs as many products of its state's size as it has steps
SLOPE = 0.05  # under it a value is saturated, as in depth


@dataclass(frozen=True)
class Reach:
    """How far back one recurrent layer of the network, `name`, reaches in one pass, of a few items.

    `gradient` is |dL/dh_t| by the place in time, (layers x directions, T). `idle` is the share of states that
    are dead or saturated where the cell is plain, of candidates where it has gates. `first_bad` is the first
    step whose state is NaN or infinite, from 1 on; 0 is the first state.
    """

    name: str
    kind: str
    gradient: np.ndarray
    idle: float
    first_bad: int | None


@dataclass(frozen=True)
class Lags(Reach):
    """The same with what takes longer to see.

    `log_influence` is log |dh_T/dh_(T - lag)| less that of lag 0, the mean over items, (layers x directions,
    T + 1). `spectra` is empty where weights are not finite.
    """

    log_influence: np.ndarray
    gates: tuple[Gate, ...]
    spectra: Mapping[str, Spectrum]


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

    Where items are of several lengths, those are the longest, cut to their length. `rows` are their places in
    the batch, None where there is none.
    """

    layer: nn.Module
    inputs: Tensor
    state: State | None
    rows: Tensor | None
    gradient: Tensor | None = None  # (T, items, D)
    last: dict[int, Tensor] | None = None  # by part of the state: h, c

    def reach(self, name: str) -> Reach:
        return self._reach(name, run_layers(self.layer, self.inputs, self.state))

    def lags(self, name: str) -> Lags:
        layers = run_layers(self.layer, self.inputs, self.state)
        influence = np.stack([_influence(steps) for ways in layers for steps in ways])
        seen = vars(self._reach(name, layers))
        finite = all(bool(torch.isfinite(weight).all()) for weight in self.layer.parameters())
        spectra = spectrum(self.layer) if finite else {}
        return Lags(**seen, log_influence=influence, gates=gates_of(layers), spectra=spectra)

    def _reach(self, name: str, layers: list[list[Steps]]) -> Reach:
        cells = [steps for ways in layers for steps in ways]
        kind, idle = cells[0].cell.kind, max(map(_idle, cells))
        return Reach(name, kind, self._state_gradients(layers), idle, _first_bad(cells))

    def _state_gradients(self, layers: list[list[Steps]]) -> np.ndarray:
        direct = np.zeros_like(np.concatenate([steps.outputs for steps in layers[-1]], -1))
        if self.gradient is not None:
            direct = as_array(self.gradient).astype(direct.dtype)
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
            few = given[:, None] if self.rows is None else given.index_select(1, self.rows)
            found[..., slice(hidden, None) if part else slice(hidden)] = as_array(few)
        return found


def catch(name: str, module: nn.Module, caught: dict[str, Caught]) -> RemovableHandle:
    """A hook that keeps the last call of `module` as `caught[name]`."""

    def note(layer: nn.Module, given: tuple[object, ...], kwargs: dict[str, object], out: object) -> None:
        inputs = given[0] if given else kwargs.get("input", kwargs.get("x"))
        state = given[1] if len(given) > 1 else kwargs.get("hx", kwargs.get("h0"))
        lengths = given[2] if len(given) > 2 else kwargs.get("lengths")
        if not (isinstance(inputs, Tensor | PackedSequence) and isinstance(out, tuple)):
            return
        first = bool(getattr(layer, "batch_first", False))
        few, rows = _packed(inputs) if isinstance(inputs, PackedSequence) else _padded(inputs, lengths, first)
        seen = few(_values(inputs).detach())
        caught[name] = Caught(layer, seen.transpose(0, 1) if first else seen, _few(state, rows), rows)
        _watch(caught[name], out, few)

    return module.register_forward_hook(note, with_kwargs=True)


Few = Callable[[Tensor], Tensor]  # of what goes in or comes out, a few items as (T, items, D)


def _packed(inputs: PackedSequence) -> tuple[Few, Tensor]:
    """Each step holds the items that are that long, the longest first."""
    sizes = inputs.batch_sizes.tolist()
    n = min(ITEMS, sizes[-1])
    order = inputs.sorted_indices
    rows = torch.arange(n, device=inputs.data.device) if order is None else order[:n]
    return lambda values: torch.stack([step[:n] for step in values.split(sizes)]), rows


def _padded(inputs: Tensor, lengths: object, first: bool) -> tuple[Few, Tensor | None]:
    if inputs.ndim == 2:
        return lambda values: values[:, None], None
    n_steps = inputs.shape[1 if first else 0]
    rows = torch.arange(min(ITEMS, inputs.shape[0 if first else 1]), device=inputs.device)
    if lengths is not None:
        ends = torch.as_tensor(lengths, device=inputs.device)
        n_steps = max(int(ends.max()), 1)
        rows = torch.nonzero(ends == ends.max()).flatten()[:ITEMS]
    return lambda values: (values.transpose(0, 1) if first else values)[:n_steps].index_select(1, rows), rows


def _values(given: Tensor | PackedSequence) -> Tensor:
    return given.data if isinstance(given, PackedSequence) else given


def _few(state: object, rows: Tensor | None) -> State | None:
    if isinstance(state, tuple):
        return tuple(_few(part, rows) for part in state)  # type: ignore[return-value]
    if not isinstance(state, Tensor):
        return None
    return state.detach() if rows is None else state.detach().index_select(1, rows)


def _watch(kept: Caught, out: tuple[object, ...], few: Few) -> None:
    """The gradients by the outputs and by each part of the last state."""
    shown, state = out[0], out[1]
    last: dict[int, Tensor] = {}
    kept.last = last
    values = _values(shown) if isinstance(shown, Tensor | PackedSequence) else None
    if values is not None and values.requires_grad:
        values.register_hook(lambda gradient: setattr(kept, "gradient", few(gradient.detach())))  # type: ignore[no-untyped-call]
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
