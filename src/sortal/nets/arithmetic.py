"""What a network costs, layer by layer, without running it: sizes, parameters, operations, memory.

The network is called once on tensors that have a shape and no content (torch's meta device), its parameters
replaced by such tensors too, so that counting VGG-19 takes no memory and leaves the network as it was. Every
call that torch makes on the way is seen, in modules and outside of them.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sortal.errors import InputError
from sortal.nets.operations import Calls, tensors_in

__all__ = ["Arithmetic", "Layer", "conv_output_size", "count", "pool_output_size", "with_padding"]


# ---- one axis


def conv_output_size(n: int, f: int, padding: int | str = 0, stride: int = 1, dilation: int = 1) -> int:
    """Numbers along one axis after a filter of `f`: floor((n + 2p - f) / s) + 1.

    padding: rows added at both ends, or "valid" (none), or "same" ((f - 1) / 2 on average, so that stride 1
    keeps n; more at the end where f is even, as in torch). A dilated filter is dilation (f - 1) + 1 wide.
    *Source:* Dumoulin and Visin 2016, arXiv:1603.07285, relationship 6.
    """
    reach = dilation * (f - 1) + 1
    if min(n, f, stride, dilation) < 1:
        raise InputError(f"n, f, stride and dilation must be at least 1; got {n}, {f}, {stride}, {dilation}.")
    if isinstance(padding, str) and padding not in ("same", "valid"):
        raise InputError(f'padding must be a number, "same" or "valid"; got {padding!r}.')
    added = {"same": reach - 1, "valid": 0}[padding] if isinstance(padding, str) else 2 * padding
    if added < 0 or n + added < reach:
        raise InputError(
            f"a filter must fit into the padded input; got f={f} (reach {reach}) for n={n} with {added} rows "
            "added: take a smaller filter, more padding or a larger input."
        )
    return (n + added - reach) // stride + 1


def pool_output_size(
    n: int, f: int, padding: int = 0, stride: int | None = None, ceil_mode: bool = False
) -> int:
    """As `conv_output_size`, for pooling: the stride is f if not given.

    ceil_mode: a last window that reaches beyond the end counts, if it begins inside input or left padding.
    """
    stride = stride or f
    out = conv_output_size(n, f, padding, stride)
    if ceil_mode and (out - 1) * stride + f < n + 2 * padding and out * stride < n + padding:
        out += 1
    return out


# ---- a network


@dataclass(frozen=True)
class Layer:
    """One call of one layer. Shapes and counts are for a single item: the batch axis is left out.

    receptive_field and stride are numbers of input pixels along each axis that filters slide along: how far
    one output sees, padding included, and how far apart lies what two neighbours see. None before the first
    filter and after layers that see everything before them, such as recurrent ones.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...] | None  # None: not called, as auxiliary heads outside training
    weights: int  # numbers in parameters of more than one axis; 0 where an earlier call has counted them
    biases: int  # in those of one axis: also the scale and shift of a norm
    macs: int  # multiply-accumulates of convolutions and linear maps
    activation_bytes: int  # of its output, as float32
    receptive_field: tuple[int, ...] | None
    stride: tuple[int, ...] | None

    @property
    def parameters(self) -> int:
        return self.weights + self.biases


@dataclass(frozen=True)
class Arithmetic:
    """All layers in the order they are called, and their sums."""

    input_shape: tuple[int, ...]
    layers: tuple[Layer, ...]

    @property
    def weights(self) -> int:
        return sum(layer.weights for layer in self.layers)

    @property
    def biases(self) -> int:
        return sum(layer.biases for layer in self.layers)

    @property
    def parameters(self) -> int:
        return self.weights + self.biases

    @property
    def macs(self) -> int:
        return sum(layer.macs for layer in self.layers)

    @property
    def activation_bytes(self) -> int:
        """Of all outputs together: what training keeps for one item, where nothing is done in place."""
        return sum(layer.activation_bytes for layer in self.layers)


def count(net: nn.Module, inputs: Sequence[int] | Tensor) -> Arithmetic:
    """What `net` costs for one item.

    inputs: the shape of one item, (3, 224, 224), or a batch whose shape and dtype are taken (token numbers).
    The network is called in evaluation mode. Convolutions (also transposed) and linear maps count, those of
    recurrent layers and products with a parameter included; norms, activations, pooling and biases do not, as
    in torchvision's and fvcore's figures. `InputError` for an input that the network does not take.
    """
    example = _example(inputs)
    watched = _without_content(net).eval()
    shape = tuple(example.shape[1:])
    recorder = _Recorder(watched)
    with torch.no_grad(), recorder, recorder.mode:
        try:
            watched(example)
        except InputError:
            raise
        except (RuntimeError, ValueError, IndexError, NotImplementedError) as e:
            at = recorder.current or type(net).__name__
            said = str(e).splitlines()[0]
            raise InputError(
                f"inputs of shape {_by(shape)} do not go through the network: {at}: {said}"
            ) from e
    return Arithmetic(shape, (*recorder.layers, *recorder.not_called()))


def with_padding(net: nn.Module, padding: str) -> nn.Module:
    """A copy whose convolutions pad "same" ((F - 1) / 2 a side, whatever the stride) or "valid" (not at all).

    Operations change with it, parameters do not. The weights are shared with `net`.
    """
    if padding not in ("same", "valid"):
        raise InputError(f'padding must be "same" or "valid"; got {padding!r}.')
    changed = copy.deepcopy(net, {id(t): t for t in [*net.parameters(), *net.buffers()]})
    for module in changed.modules():
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
            reach = [d * (f - 1) for f, d in zip(module.kernel_size, module.dilation)]
            module.padding = tuple(r // 2 if padding == "same" else 0 for r in reach)
            module._reversed_padding_repeated_twice = [p for p in reversed(module.padding) for _ in range(2)]
    return changed


def _example(inputs: Sequence[int] | Tensor) -> Tensor:
    if isinstance(inputs, Tensor):
        return torch.empty(1, *inputs.shape[1:], dtype=inputs.dtype, device="meta")
    if not inputs or any(type(n) is not int or n < 1 for n in inputs):
        raise InputError(f"inputs must be the sizes of one item, such as (3, 224, 224); got {tuple(inputs)}.")
    return torch.empty(1, *inputs, device="meta")


def _without_content(net: nn.Module) -> nn.Module:
    """A copy of the modules over parameters and buffers that take no memory."""
    memo: dict[int, Any] = {}
    for parameter in net.parameters():
        memo[id(parameter)] = nn.Parameter(
            torch.empty_like(parameter, device="meta"), parameter.requires_grad
        )
    for buffer in net.buffers():
        memo[id(buffer)] = torch.empty_like(buffer, device="meta")
    return copy.deepcopy(net, memo)


def _by(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


# ---- which layer a call belongs to


@dataclass
class _Open:
    name: str
    module: nn.Module
    macs: int = 0
    children: int = 0


class _Recorder:
    """Follows the modules as they are entered and left, and writes a `Layer` for each that does something."""

    def __init__(self, net: nn.Module) -> None:
        self.net = net
        self.mode = Calls(self._counted)
        self.layers: list[Layer] = []
        self.open: list[_Open] = []
        self.seen: set[int] = set()
        self.names = {id(module): name for name, module in net.named_modules()}
        self.current = ""
        self.handles: list[Any] = []

    def __enter__(self) -> "_Recorder":
        for module in self.net.modules():
            self.handles.append(module.register_forward_pre_hook(self._enter, prepend=True))
            self.handles.append(module.register_forward_hook(self._leave))
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self.handles:
            handle.remove()

    def _counted(self, macs: int) -> None:
        if self.open:
            self.open[-1].macs += macs

    def _enter(self, module: nn.Module, _args: Any) -> None:
        if self.open:
            self.open[-1].children += 1
        self.current = self.names[id(module)]
        self.open.append(_Open(self.current, module))

    def _leave(self, module: nn.Module, _args: Any, out: Any) -> None:
        done = self.open.pop()
        own = list(module.parameters(recurse=False))
        if done.children and not own and not done.macs:
            return
        result = next(tensors_in([out]), None)
        self.layers.append(self._layer(done, result))

    def _layer(self, done: _Open, result: Tensor | None) -> Layer:
        weights, biases = self._parameters(done.module)
        seen = self.mode.field(result)
        size = 0 if result is None else result.numel()
        return Layer(
            done.name or type(done.module).__name__, type(done.module).__name__,
            None if result is None else tuple(result.shape[1:]), weights, biases, done.macs, 4 * size,
            seen.size if seen and seen.size else None, seen.jump if seen and seen.size else None,
        )  # fmt: skip

    def _parameters(self, module: nn.Module) -> tuple[int, int]:
        counts = [0, 0]
        for parameter in module.parameters(recurse=False):
            if id(parameter) not in self.seen:
                counts[parameter.dim() < 2] += parameter.numel()
            self.seen.add(id(parameter))
        return counts[0], counts[1]

    def not_called(self) -> list[Layer]:
        """Modules with parameters of their own that the call never reached."""
        rest = []
        for name, module in self.net.named_modules():
            weights, biases = self._parameters(module)
            if weights + biases:
                rest.append(Layer(name, type(module).__name__, None, weights, biases, 0, 0, None, None))
        return rest
