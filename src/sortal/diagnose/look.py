"""What a network has learned: its first filters, its maps by depth, and where the evidence for a class lies.

Arrays in, arrays out. The network is watched through hooks that are gone afterwards; its weights, gradients,
mode and torch's generators stay as they were.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.pooling import (
    AdaptiveAvgPool2d,
    AdaptiveMaxPool2d,
    AvgPool2d,
    LPPool2d,
    MaxPool2d,
)

from sortal.errors import InputError

__all__ = ["answers", "depths", "evidence", "feature_maps", "filters"]

POOLS = (AdaptiveAvgPool2d, AdaptiveMaxPool2d, AvgPool2d, LPPool2d, MaxPool2d)


def filters(net: nn.Module) -> np.ndarray:
    """The filters of the first convolution, (n, c, h, w): what the network sees first of an image."""
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):
            return layer.weight.detach().float().cpu().numpy().copy()
    raise InputError(
        f"net must have a convolution, whose filters can be shown; {type(net).__name__} has none."
    )


def depths(net: nn.Module, image: Tensor) -> tuple[str, ...]:
    """The layers that tell most of the way through the network, by name, in the order of depth.

    The last of each size of map before it is pooled, and the first convolution's where others of its size
    follow. Left out are maps of one pixel, which show no place, and modules that are called twice. `image` is
    (c, h, w), normalised as the weights were trained.
    """
    seen: list[tuple[str, nn.Module, torch.Size]] = []
    pooled: list[Tensor] = []  # held, so that no other tensor takes a pooled one's place

    def note(name: str, layer: nn.Module, out: Tensor) -> None:
        if isinstance(layer, POOLS):
            pooled.append(out)
        elif min(out.shape[2:]) > 1 and not any(out is one for one in pooled):
            seen.append((name, layer, out.shape[2:]))

    _watched(net, image, note)
    calls = Counter(name for name, _, _ in seen)
    once = [(name, layer, size) for name, layer, size in seen if calls[name] == 1]
    if not once:
        raise InputError(
            f"net must have maps of more than one pixel for this image; {type(net).__name__} has none."
        )
    last = {size: name for name, _, size in once}
    first = [name for name, layer, size in once if isinstance(layer, nn.Conv2d) and size == once[0][2]]
    wanted = {*last.values(), *(first[:1] if len(first) > 1 else ())}
    return tuple(name for name, _, _ in once if name in wanted)


def feature_maps(net: nn.Module, image: Tensor, layers: Sequence[str] | None = None) -> dict[str, np.ndarray]:
    """The maps (c, h, w) of `image` by the name of their layer, in the order of depth.

    `layers` are names of the network's modules; those of `depths` if not given.
    """
    wanted = depths(net, image) if layers is None else tuple(layers)
    _check_layers(net, wanted)
    found: dict[str, np.ndarray] = {}

    def note(name: str, layer: nn.Module, out: Tensor) -> None:
        if name in wanted:  # copied now: a ReLU behind may work in place
            found[name] = out[0].detach().float().cpu().numpy().copy()

    _watched(net, image, note)
    _check_called(wanted, found)
    return found


def answers(net: nn.Module, image: Tensor) -> np.ndarray:
    """The probability of each class, the softmax of the network's scores."""
    with torch.no_grad(), _in_use(net):
        return torch.softmax(net(image[None]).float(), 1)[0].cpu().numpy()


def evidence(net: nn.Module, image: Tensor, number: int, layer: str | None = None) -> np.ndarray:
    """Where in `image` the evidence for class `number` lies: Grad-CAM, (h, w) of the layer's maps, >= 0.

    The maps of `layer` are summed, each weighted by the mean of the score's gradient over its places, and
    what speaks against the class is cut off. `layer` is the last of `depths` if not given. A score that is
    linear in the means of the maps gives the class activation maps of Zhou et al. 2016.
    Source: Selvaraju et al. 2017, arXiv:1610.02391, equations 1 and 2.
    """
    layer = depths(net, image)[-1] if layer is None else layer
    _check_layers(net, (layer,))
    kept: dict[str, Tensor] = {}

    def keep(module: nn.Module, inputs: object, out: object) -> Tensor | None:
        if not (isinstance(out, Tensor) and out.ndim == 4):
            return None
        kept[layer] = out.detach().requires_grad_()  # the graph begins here: no weight gets a gradient
        return kept[layer].clone()  # a ReLU behind may work in place

    with _in_use(net), torch.enable_grad():
        handle = net.get_submodule(layer).register_forward_hook(keep)
        try:
            scores = net(image[None])
        finally:
            handle.remove()
        _check_called((layer,), kept)
        if not 0 <= number < scores.shape[1]:
            raise InputError(f"number must be a class from 0 to {scores.shape[1] - 1}; got {number}.")
        (gradient,) = torch.autograd.grad(scores[0, number], kept[layer])
    weights = gradient.mean((2, 3), keepdim=True)
    found: np.ndarray = torch.relu((weights * kept[layer].detach()).sum(1))[0].float().cpu().numpy()
    return found


@contextlib.contextmanager
def _in_use(net: nn.Module) -> Iterator[None]:
    """`net.eval()` for a while: each module's own mode comes back."""
    modes = {module: module.training for module in net.modules()}
    net.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def _watched(net: nn.Module, image: Tensor, note: Callable[[str, nn.Module, Tensor], None]) -> None:
    """Run `image` through; `note` is told each module's maps, (1, c, h, w), in the order of the calls."""
    if image.ndim != 3:
        raise InputError(f"image must have the shape (channels, height, width); got {tuple(image.shape)}.")

    def hook(name: str) -> Callable[..., None]:
        def told(layer: nn.Module, inputs: object, out: object) -> None:
            if isinstance(out, Tensor) and out.ndim == 4:
                note(name, layer, out)

        return told

    handles = [module.register_forward_hook(hook(name)) for name, module in net.named_modules() if name]
    try:
        with torch.no_grad(), _in_use(net):
            net(image[None])
    finally:
        for handle in handles:
            handle.remove()


def _check_layers(net: nn.Module, layers: Sequence[str]) -> None:
    names = dict(net.named_modules())
    for layer in layers:
        if layer not in names or not layer:
            raise InputError(f"layer must be the name of a module of the network; it has no {layer!r}.")


def _check_called(layers: Sequence[str], found: Mapping[str, object]) -> None:
    for layer in layers:
        if layer not in found:
            raise InputError(f"layer {layer!r} must give maps for an image; it gives none.")
