"""What single calls of torch functions cost and see: multiply-accumulates and receptive fields."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

__all__ = ["Calls", "Field", "tensors_in"]

CONVOLUTIONS = {f"conv{n}d": n for n in (1, 2, 3)}
TRANSPOSED = {f"conv_transpose{n}d": n for n in (1, 2, 3)}
POOLS = {f"{kind}_pool{n}d": n for kind in ("max", "avg", "lp") for n in (1, 2, 3)}
ADAPTIVE = {f"adaptive_{kind}_pool{n}d": n for kind in ("max", "avg") for n in (1, 2, 3)}
RECURRENT = ("gru", "lstm", "rnn_tanh", "rnn_relu", "gru_cell", "lstm_cell", "rnn_tanh_cell", "rnn_relu_cell")
SLIDING = CONVOLUTIONS | POOLS | ADAPTIVE
EVERYTHING = (*TRANSPOSED, *RECURRENT)  # what they see is no window of the input
PRODUCTS = ("matmul", "__matmul__", "__rmatmul__", "mm", "addmm", "bmm", "baddbmm", "mv", "einsum")


@dataclass(frozen=True)
class Field:
    """Along each axis: how many inputs one number sees, and how far apart those of neighbours lie.

    *Source:* Araujo, Norris, Sim 2019, Computing receptive fields of convolutional neural networks.
    """

    size: tuple[int, ...]
    jump: tuple[int, ...]

    def through(self, reach: Sequence[int], stride: Sequence[int]) -> "Field":
        size = tuple(s + (r - 1) * j for s, r, j in zip(self.size, reach, self.jump))
        return Field(size, tuple(j * s for j, s in zip(self.jump, stride)))

    def over(self, extent: Sequence[int]) -> "Field":
        """Of all positions together."""
        return self.through(extent, (1,) * len(self.size))

    def joined(self, other: "Field") -> "Field":
        return Field(
            tuple(map(max, self.size, other.size)),
            tuple(map(max, self.jump, other.jump)),
        )


def _each(value: Any, n: int) -> tuple[int, ...]:
    given = tuple(value) if isinstance(value, Sequence) else (value,)
    return given if len(given) == n else given * n


def _bound(names: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    return dict(zip(names.split(), args)) | kwargs


class Calls(TorchFunctionMode):
    """Sees every call of a torch function: counts its operations and carries receptive fields along."""

    def __init__(self, counted: Callable[[int], None]) -> None:
        super().__init__()
        self.counted = counted
        self.fields: dict[int, tuple[Tensor, Field]] = {}  # by id; the tensor is held, or ids would return

    def mark(self, tensor: Tensor, seen: Field) -> None:
        self.fields[id(tensor)] = tensor, seen

    def field(self, value: Any) -> Field | None:
        found = self.fields.get(id(value))
        return found[1] if found else None

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        name = getattr(func, "__name__", "")
        self.counted(_macs(name, args, kwargs, out))
        n = SLIDING.get(name)
        known = [self.fields[id(t)] for t in tensors_in([*args, *kwargs.values()]) if id(t) in self.fields]
        if (known or n) and name not in EVERYTHING:
            start = Field((1,) * n, (1,) * n) if n else known[0][1]
            seen = reduce(Field.joined, [field for _, field in known], start)
            if n:
                seen = _slide(seen, name, n, args, kwargs)
            for result in tensors_in([out]):
                self.mark(result, _flat(seen, known[0][0], result) if known else seen)
        return out


def _slide(seen: Field, name: str, n: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Field:
    if name in CONVOLUTIONS:
        given = _bound("input weight bias stride padding dilation groups", args, kwargs)
        dilation = _each(given.get("dilation", 1), n)
        reach = tuple(d * (f - 1) + 1 for f, d in zip(given["weight"].shape[2:], dilation))
        return seen.through(reach, _each(given.get("stride", 1), n))
    if name in POOLS:
        first = "input norm_type kernel_size stride" if name.startswith("lp") else "input kernel_size stride"
        given = _bound(first, args, kwargs)
        reach = _each(given["kernel_size"], n)
        return seen.through(reach, _each(given.get("stride") or reach, n))
    given = _bound("input output_size", args, kwargs)
    extent = given["input"].shape[-n:]
    into = [size or i for size, i in zip(_each(given["output_size"], n), extent)]
    stride = [i // o for i, o in zip(extent, into)]
    return seen.through([i - (o - 1) * s for i, o, s in zip(extent, into, stride)], stride)


def _flat(seen: Field, before: Tensor, after: Tensor) -> Field:
    """Where the axes to slide along go (flatten, mean), each number sees what all positions saw."""
    n = len(seen.size)
    return seen.over(before.shape[2:]) if before.dim() == n + 2 and after.dim() < n + 2 else seen


def tensors_in(values: Any) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from tensors_in(value)


def _macs(name: str, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> int:
    if name in CONVOLUTIONS:
        weight = _bound("input weight", args, kwargs)["weight"]
        return int(out.numel() * math.prod(weight.shape[1:]))
    if name in TRANSPOSED:
        given = _bound("input weight", args, kwargs)
        return int(given["input"].numel() * math.prod(given["weight"].shape[1:]))
    if name == "linear":
        return int(out.numel() * _bound("input weight", args, kwargs)["weight"].shape[-1])
    if name in RECURRENT:
        tensors = list(tensors_in(args))
        matrices = sum(t.numel() for t in tensors[1:] if isinstance(t, nn.Parameter) and t.dim() == 2)
        return int(math.prod(tensors[0].shape[:-1]) * matrices)
    if name in PRODUCTS:
        weights = [t for t in tensors_in(args) if isinstance(t, nn.Parameter) and t.dim() >= 2]
        others = [t for t in tensors_in(args) if not isinstance(t, nn.Parameter)]
        if len(weights) == 1 and others:  # a linear map written out
            shared = weights[0].shape[-2] if _parameter_is_right(args, weights[0]) else weights[0].shape[-1]
            return int(out.numel() * shared)
    return 0


def _parameter_is_right(args: tuple[Any, ...], weight: Tensor) -> bool:
    return bool(list(tensors_in(args))[-1] is weight)
