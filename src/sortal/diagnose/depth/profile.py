"""The state of every layer at one step: weights, activations, and the gradient on its way down.

Lengths of gradients say where learning dies: a signal that shrinks from layer to layer vanishes, one that
grows explodes. A rate of learning that is right moves weights by about 1/1000 of their length a step.
*Source* of the last: Karpathy, CS231n notes, "Ratio of weights:updates".
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sortal.diagnose.depth.recorder import Flow, Recorder
from sortal.diagnose.depth.shortcuts import Sever
from sortal.diagnose.depth.untouched import untouched
from sortal.diagnose.time.cells import unwrapped
from sortal.errors import InputError

__all__ = ["Activation", "Layer", "Profile", "layer_profile", "profile_of"]

NAN = float("nan")


@dataclass(frozen=True)
class Layer:
    """One call of a layer with weights. `signal` is |dL/d output|; `rms_gradient` that of one weight.

    `update_ratio` is |change of the weights| / |weights| of the last step; NaN where none was seen. A frozen
    layer has gradient NaN; one that no gradient can reach is `cut`: no_grad or detach lie above it.
    """

    name: str
    kind: str
    weight_norm: float
    gradient_norm: float
    update_ratio: float
    signal: float
    mean: float
    variance: float
    finite: bool
    frozen: bool
    cut: bool


@dataclass(frozen=True)
class Activation:
    """One call of an activation function behind layer `name`: share of dead units, or of saturated values."""

    name: str
    kind: str
    idle: float
    mean: float
    variance: float


@dataclass(frozen=True)
class Profile:
    """Layers and activations in the order of their calls, from the input to the loss."""

    loss: float
    layers: tuple[Layer, ...]
    activations: tuple[Activation, ...]
    n_shortcuts: int = 0
    note: str = ""

    @property
    def reached(self) -> tuple[Layer, ...]:
        """Layers whose signal is known."""
        return tuple(layer for layer in self.layers if math.isfinite(layer.signal))

    @property
    def decay(self) -> float:
        """The signal at the first layer over that at the last: far below 1 it vanishes on its way down."""
        found = self.reached
        return found[0].signal / max(found[-1].signal, 1e-300) if len(found) > 1 else NAN

    @property
    def first_bad(self) -> str | None:
        """The first layer that gives NaN or infinity."""
        return next((layer.name for layer in self.layers if not layer.finite), None)


def layer_profile(
    net: nn.Module, loss: Callable[[], Tensor], *, severed: bool = False, lr: float | None = None
) -> Profile:
    """One pass of `loss()`, which runs `net` and gives one number, watched; nothing of `net` moves.

    `severed=True` cuts the shortcuts while it runs. With `lr`, the update ratio is that of plain descent.
    """
    net = unwrapped(net)
    recorder, sever = Recorder(net), Sever()
    with untouched(net), torch.enable_grad():
        recorder.attach()
        try:
            with sever if severed else torch.enable_grad():
                value = loss()
            if not isinstance(value, Tensor) or value.numel() != 1:
                raise InputError("loss must give one number; got " + type(value).__name__ + ".")
            if value.requires_grad:
                value.backward()  # type: ignore[no-untyped-call]
            found = profile_of(recorder, value, lr=lr)
        finally:
            recorder.detach()
    if not found.layers:
        raise InputError("loss must run the network, which must have layers with weights; none was called.")
    return Profile(found.loss, found.layers, found.activations, sever.n_severed)


def profile_of(
    recorder: Recorder, loss: Tensor, *, lr: float | None = None, moved: dict[nn.Module, float] | None = None
) -> Profile:
    """What a recorder saw, read. `moved` are update ratios by module."""
    layers = tuple(_layer(flow, lr, (moved or {}).get(flow.module, NAN)) for flow in recorder.layers)  # type: ignore[arg-type]
    activations = tuple(
        Activation(flow.name, flow.kind, float(flow.idle), float(flow.mean), float(flow.variance))
        for flow in recorder.activations
        if flow.idle is not None
    )
    return Profile(float(loss.detach()), layers, activations)


def _layer(flow: Flow, lr: float | None, moved: float) -> Layer:
    assert flow.module is not None
    weights = [p for p in flow.module.parameters(recurse=False) if p.ndim > 1]
    trained = [p for p in weights if p.requires_grad]
    weight = _length([p.detach() for p in weights])
    held = [p.grad for p in trained if p.grad is not None]
    gradient = _length(held) if held else (NAN if not trained else 0.0)
    if lr is not None and trained:
        moved = lr * gradient / max(weight, 1e-300)
    return Layer(
        flow.name, flow.kind, weight, gradient, moved, NAN if flow.signal is None else float(flow.signal),
        float(flow.mean), float(flow.variance), bool(flow.finite), not trained, bool(trained) and not held,
    )  # fmt: skip


def _length(tensors: list[Tensor]) -> float:
    return float(torch.stack([one.abs().float().norm() for one in tensors]).norm()) if tensors else NAN
