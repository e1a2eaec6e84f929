"""What flows through a network in one pass: each layer's output and the gradient that comes back to it.

Layers are told by hooks, activation functions by watching torch's own functions, so that a ReLU is seen as
a module and as a call. Only sums leave a hook; no activation is kept.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

from sortal.diagnose.time.cells import is_recurrent
from sortal.errors import InputError

__all__ = ["Flow", "Recorder"]

_NAMED = {
    "relu": "relu",
    "relu_": "relu",
    "tanh": "tanh",
    "tanh_": "tanh",
    "sigmoid": "sigmoid",
    "sigmoid_": "sigmoid",
}
CURVED: dict[Any, str] = {
    getattr(home, name): kind
    for home in (torch, Tensor, functional)
    for name, kind in _NAMED.items()
    if hasattr(home, name)
}
# Saturated is a slope under 5 % of the steepest: |tanh| over .975, a sigmoid 4 y (1 - y) under .05.
SLOPE = 0.05


@dataclass
class Flow:
    """One call of a layer, or of an activation function, which has the name of the layer before it.

    Figures are tensors of one number, unread.
    `idle` is the share of units that gave 0 for the whole batch (relu), or of values that are saturated.
    `signal` is the length of the loss's gradient by the output, None as long as none has come.
    """

    name: str
    kind: str
    module: nn.Module | None
    mean: Tensor
    variance: Tensor
    finite: Tensor
    dtype: torch.dtype
    idle: Tensor | None = None
    signal: Tensor | None = None
    reached: bool = False  # the output takes part in a graph


@dataclass
class Recorder:
    """`attach` to a network, let it run once forwards and back, read `layers` and `activations`, `detach`."""

    net: nn.Module
    layers: list[Flow] = field(default_factory=list)
    activations: list[Flow] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._inside: list[tuple[str, nn.Module]] = []
        self._channels_first = False
        self._handles: list[RemovableHandle] = []
        self._mode = _Curves(self._saw_curve)
        self._running = False

    def attach(self) -> "Recorder":
        for name, module in self.net.named_modules():
            if isinstance(module, torch.jit.ScriptModule):
                raise InputError(
                    f"net must be made of modules that can be watched; {name or 'it'} is scripted. Give what "
                    "it was scripted from."
                )
            self._handles.append(module.register_forward_pre_hook(self._entering(name)))
            self._handles.append(module.register_forward_hook(self._leaving(name), always_call=True))
        return self

    def detach(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []
        self._stop()

    def _entering(self, name: str) -> Callable[..., None]:
        def enter(module: nn.Module, given: object) -> None:
            if not self._inside and not torch.is_grad_enabled():
                return  # judged, not trained; what is cut off inside a pass that trains is seen
            if not self._running:
                self._mode.__enter__()  # type: ignore[no-untyped-call]
                self._running = True
            self._inside.append((name, module))

        return enter

    def _leaving(self, name: str) -> Callable[..., None]:
        def leave(module: nn.Module, given: object, out: object) -> None:
            if not self._inside:
                return
            self._inside.pop()
            shown = _tensors(out)[:1]
            if shown and _own_weight(module) is not None:
                self._channels_first = isinstance(module, nn.modules.conv._ConvNd)
                self.layers.append(self._flow(name, type(module).__name__, module, out, shown[0]))
            if not self._inside:
                self._stop()

        return leave

    def _stop(self) -> None:
        if self._running:
            self._mode.__exit__(None, None, None)  # type: ignore[no-untyped-call]
            self._running = False
        self._inside = []

    def _saw_curve(self, kind: str, out: Tensor) -> None:
        name, module = self._inside[-1] if self._inside else ("", self.net)
        if is_recurrent(module):
            return  # gates may well be shut or open; through time they are looked at apart
        if self.layers and _own_weight(module) is None:  # that of the layer before it, however it is called
            name = self.layers[-1].name
        flow = self._flow(name, kind, None, out, out)
        flow.idle = self._idle(kind, out.detach())
        self.activations.append(flow)

    def _idle(self, kind: str, out: Tensor) -> Tensor:
        if kind == "relu":
            units = 1 if self._channels_first and out.ndim > 2 else out.ndim - 1
            rest = [axis for axis in range(out.ndim) if axis != units]
            # What is never below 0 is 0 where its sum is; amax took 16 times as long on channels_last.
            return (out.sum(rest) if rest else out).le(0).float().mean()
        slope = 1 - out.square() if kind == "tanh" else 4 * out * (1 - out)
        return slope.lt(SLOPE).float().mean()

    def _flow(self, name: str, kind: str, module: nn.Module | None, whole: object, out: Tensor) -> Flow:
        seen = out.detach()
        values = seen.abs().float() if seen.is_complex() else seen.float()
        mean = values.mean()  # torch.var_mean took eight times as long as these two passes
        variance = torch.linalg.vector_norm(values - mean).square() / max(values.numel(), 1)
        flow = Flow(name, kind, module, mean, variance, torch.isfinite(mean + variance), out.dtype)
        for one in _tensors(whole):
            if one.requires_grad and module is not None:
                flow.reached = True
                one.register_hook(_noted(flow))  # type: ignore[no-untyped-call]
        return flow


def _noted(flow: Flow) -> Callable[[Tensor], None]:
    """Adds a gradient's length to the flow's signal: a recurrent layer gives outputs and a last state."""

    def note(gradient: Tensor) -> None:
        length = length_of(gradient)
        flow.signal = length if flow.signal is None else torch.hypot(flow.signal, length)

    return note


def length_of(tensor: Tensor) -> Tensor:
    """In float32 at least: half precision squares to infinity above 255."""
    seen = tensor.detach()
    half = seen.dtype in (torch.float16, torch.bfloat16)
    length: Tensor = torch.linalg.vector_norm(seen.float() if half else seen)
    return length


def _tensors(out: object) -> list[Tensor]:
    """Those of a layer's answer, also of a packed sequence, which is a tuple that begins with its values."""
    if isinstance(out, Tensor):
        return [out]
    return [one for part in out for one in _tensors(part)] if isinstance(out, tuple) else []


class _Curves(TorchFunctionMode):
    """Tells each call of an activation function."""

    def __init__(self, saw: Callable[[str, Tensor], None]) -> None:
        super().__init__()
        self._saw = saw

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        kind = CURVED.get(func)
        if kind is not None and isinstance(out, Tensor):
            self._saw(kind, out)
        return out


def _own_weight(module: nn.Module) -> Tensor | None:
    """The weight of a layer: its own parameter of more than one axis, not that of a norm or a bias."""
    own = module.parameters(recurse=False)
    return next((p for p in own if p.ndim > 1 and (p.is_floating_point() or p.is_complex())), None)
