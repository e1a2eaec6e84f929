"""Small networks written as a line, in the notation of VGG's table: conv3-64, maxpool2, fc-10."""

import math
import re
from collections.abc import Sequence

from torch import nn

from sortal.errors import InputError
from sortal.nets.arithmetic import conv_output_size

__all__ = ["chain"]

_LAYER = re.compile(r"(?:conv(\d+)-(\d+)|(max|avg)pool(\d+)|fc-(\d+))(?:/(\d+))?")


def chain(text: str, input_shape: Sequence[int]) -> nn.Sequential:
    """The layers named in `text`, separated by commas, for items of `input_shape` (C, H, W).

    conv3-64 is 64 filters of 3x3 that pad "same", maxpool2 and avgpool2 take windows of 2x2, fc-10 is a
    linear layer over everything; conv3-64/2 has stride 2. There is nothing between them: activations have
    neither parameters nor operations that count. *Source:* Simonyan and Zisserman 2014, table 1.
    """
    if len(input_shape) != 3:
        raise InputError(f"a chain of layers needs an input of C x H x W; got {tuple(input_shape)}.")
    layers: list[nn.Module] = []
    shape = tuple(input_shape)
    for word in text.replace(" ", "").lower().split(","):
        added, shape = _layer(word, shape)
        layers += added
    return nn.Sequential(*layers)


def _layer(word: str, shape: tuple[int, ...]) -> tuple[list[nn.Module], tuple[int, ...]]:
    found = _LAYER.fullmatch(word)
    if not found or any(group and int(group) < 1 for group in found.groups() if group not in ("max", "avg")):
        raise InputError(
            f"a layer must be like conv3-64, conv3-64/2, maxpool2, avgpool2 or fc-10; got {word!r}."
        )
    size, filters, pool, window, out, stride = found.groups()
    if out:
        flat: list[nn.Module] = [nn.Flatten()] if len(shape) == 3 else []
        return [*flat, nn.Linear(math.prod(shape), int(out))], (int(out),)
    if len(shape) != 3:
        raise InputError(
            f"{word} cannot stand behind fc, which leaves no axes to slide along: put it before."
        )
    f = int(size or window)
    step = int(stride or (1 if size else f))
    padding = (f - 1) // 2 if size else 0
    height, width = (conv_output_size(n, f, padding, step) for n in shape[1:])
    if size:
        return [nn.Conv2d(shape[0], int(filters), f, step, padding)], (int(filters), height, width)
    kind = nn.MaxPool2d if pool == "max" else nn.AvgPool2d
    return [kind(f, step)], (shape[0], height, width)
