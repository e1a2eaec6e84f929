"""A network looked over on a few batches: its depth, its way through time, and a verdict for each."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from sortal.diagnose.depth.profile import Profile, layer_profile
from sortal.diagnose.depth.untouched import untouched
from sortal.diagnose.time.bptt import backward
from sortal.diagnose.time.cells import recurrent_layers, unwrapped
from sortal.diagnose.time.products import chain_norms
from sortal.diagnose.time.sequence import State, run_layers
from sortal.diagnose.time.steps import Steps
from sortal.diagnose.verdict.conditions import Sign, Verdict, agreed, sign_in_depth, sign_of_growth
from sortal.errors import InputError
from sortal.tasks import Batch, Task

__all__ = ["Examination", "Lags", "examine", "lags_of"]

ITEMS = 4  # of a batch whose products are taken: one costs 1,000 products of its states for 1,000 steps
SLOPE = 0.05  # as in depth


@dataclass(frozen=True)
class Lags:
    """One recurrent layer of the network, `name`, in one pass.

    `log_influence` is log |dh_T/dh_(T - lag)| less that of lag 0, the mean over items; `gradient` is
    |dL/dh_t| by the place in time. Both are (layers x directions, ...). `idle` is the share of states that
    are dead or saturated where the cell is plain, of candidates where it has gates.
    """

    name: str
    kind: str
    log_influence: np.ndarray
    gradient: np.ndarray
    idle: float


@dataclass(frozen=True)
class Examination:
    """What was seen on each batch, and the verdicts: of the depth first, then one a recurrent layer."""

    profiles: tuple[Profile, ...]
    lags: tuple[tuple[Lags, ...], ...]
    verdicts: tuple[Verdict, ...]

    @property
    def healthy(self) -> bool:
        return all(verdict.condition == "healthy" for verdict in self.verdicts)

    @property
    def worst(self) -> Verdict:
        """The first that is not healthy."""
        return next((one for one in self.verdicts if one.condition != "healthy"), self.verdicts[0])


def examine(net: nn.Module, task: Task, batches: Iterable[Batch], *, lr: float | None = None) -> Examination:
    """Look at `net` as it would learn `task` from each of `batches`; nothing of it moves.

    It is run in the mode that it is in. With `lr` a step of plain descent at that rate is judged too.
    """
    profiles, lags = [], []
    for batch in batches:
        profile = layer_profile(net, lambda batch=batch: task.loss(net, batch).loss, lr=lr)  # type: ignore[misc]
        if profile.first_bad:
            profile = _born(profile, net, task, batch)
        profiles.append(profile)
        lags.append(lags_of(net, lambda batch=batch: task.loss(net, batch).loss))  # type: ignore[misc]
    if not profiles:
        raise InputError("batches must hold at least one; got none.")
    signs = [agreed("depth", [sign_in_depth(profile) for profile in profiles])]
    for rows in zip(*lags):
        signs.append(agreed(rows[0].name or "the network", [_sign(one) for one in rows]))
    return Examination(tuple(profiles), tuple(lags), tuple(signs))


def lags_of(net: nn.Module, loss: Callable[[], Tensor]) -> tuple[Lags, ...]:
    """Each recurrent layer that `loss()` runs, in the order of the network's parts; () where it has none."""
    net, found = unwrapped(net), []
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
    for name, module in names.items():
        if name in caught:
            found.append(caught[name].lags(name, module))
    return tuple(found)


@dataclass
class Caught:
    """A call of a recurrent layer: what went in, of a few items, and the gradient by what came out."""

    inputs: Tensor
    state: State | None
    batch_axis: int | None
    gradient: Tensor | None = None

    def lags(self, name: str, module: nn.Module) -> Lags:
        layers = run_layers(module, self.inputs, self.state)
        cell = layers[0][0].cell
        outputs = np.concatenate([one.outputs for one in layers[-1]], -1)
        direct = np.zeros_like(outputs)
        if self.gradient is not None:
            given = self.gradient.detach().float().cpu().numpy()
            given = given[:, None] if self.batch_axis is None else given.swapaxes(0, 1 - self.batch_axis)
            direct = given[:, :ITEMS].astype(outputs.dtype)
        cells = [steps for ways in layers for steps in ways]
        terms = backward(layers, direct)
        gradient = np.linalg.norm(terms.state_gradients, axis=(2, 4)).reshape(len(cells), -1)
        influence = np.stack([_influence(steps) for steps in cells])
        return Lags(name, cell.kind, influence, gradient, max(_idle(steps) for steps in cells))


def catch(name: str, module: nn.Module, caught: dict[str, Caught]) -> torch.utils.hooks.RemovableHandle:
    """A hook that keeps the last call of `module` as `caught[name]`."""

    def note(layer: nn.Module, given: tuple[object, ...], kwargs: dict[str, object], out: object) -> None:
        inputs = given[0] if given else kwargs.get("input")
        state = given[1] if len(given) > 1 else kwargs.get("hx")
        shown = out[0] if isinstance(out, tuple) else out
        if not (isinstance(inputs, Tensor) and isinstance(shown, Tensor)):  # packed: no one length
            return
        axis = None if inputs.ndim == 2 else 0 if getattr(layer, "batch_first", False) else 1
        few = (
            inputs.detach()
            if axis is None
            else inputs.detach().narrow(axis, 0, min(ITEMS, inputs.shape[axis]))
        )
        kept = caught[name] = Caught(few, _few(state), axis)
        if shown.requires_grad:
            shown.register_hook(lambda gradient: setattr(kept, "gradient", gradient))  # type: ignore[no-untyped-call]

    return module.register_forward_hook(note, with_kwargs=True)


def _few(state: object) -> State | None:
    if isinstance(state, tuple):
        return tuple(_few(part) for part in state)  # type: ignore[return-value]
    if not isinstance(state, Tensor):
        return None
    return state.detach()[:, :ITEMS] if state.ndim == 3 else state.detach()


def _influence(steps: Steps) -> np.ndarray:
    found = np.stack([chain_norms(steps, item) for item in range(steps.batch)])
    found = np.where(np.isnan(found).any(), np.nan, found)
    return np.asarray((found - found[:, :1]).mean(0))


def _idle(steps: Steps) -> float:
    """A plain cell's states; the candidate of a GRU or LSTM, whose gates may well be shut or open."""
    if steps.cell.kind == "relu":
        return float((steps.at.gates[:, :, 0].max((0, 1)) <= 0).mean())
    candidate = steps.at.gates[:, :, {"tanh": 0, "gru": 2, "lstm": 2}[steps.cell.kind]]
    return float((1 - candidate**2 < SLOPE).mean())


def _sign(lags: Lags) -> Sign:
    """That of the cell which is worst off."""
    signs = [sign_of_growth(row.tolist(), lags.idle, relu=lags.kind == "relu") for row in lags.log_influence]
    return max(signs, key=lambda sign: (sign.condition != "healthy", sign.decades))


def _born(profile: Profile, net: nn.Module, task: Task, batch: Batch) -> Profile:
    """Half precision that overflows is told from a loss that has no value: the same in float32 says which."""
    from copy import deepcopy
    from dataclasses import replace

    if not any(p.dtype in (torch.float16, torch.bfloat16) for p in net.parameters()):
        return profile
    wide = deepcopy(unwrapped(net)).float()
    given = {name: value.float() if value.is_floating_point() else value for name, value in batch.items()}
    again = layer_profile(wide, lambda: task.loss(wide, given).loss)
    overflow = again.first_bad is None
    words = (
        "In float32 it is finite: half precision overflows, this is no explosion."
        if overflow
        else "In float32 too."
    )
    return replace(profile, note=words)
