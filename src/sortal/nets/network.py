"""What every image network here has: checked images, maps, a vector, a head, weights from a seed."""

from collections.abc import Callable
from itertools import chain
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from sortal.errors import InputError

__all__ = ["Network", "check_count", "drawn", "he_normal", "new_head", "normal", "seeded", "traced"]

N = TypeVar("N", bound="Network")


class Network(nn.Module):
    """`forward(images)` is `head(embed(images))`; `embed` is maps, then the pool, then the hidden layers.

    `images` are float, (B, in_channels, height, width), normalised as the weights were trained.
    """

    head_name = "fc"  # where the last linear layer stands among the submodules
    least_size = 1  # the smallest edge that still gives a map
    train_size = 224
    map_side = 7  # the edge of `maps` at train_size
    avgpool: nn.Module

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__()
        check_count("num_classes", num_classes)
        check_count("in_channels", in_channels)
        self.in_channels = in_channels

    def maps(self, images: Tensor) -> Float[Tensor, "B c h w"]:
        """The last convolutional maps: all that knows of places."""
        raise NotImplementedError

    def hidden(self) -> tuple[nn.Module, ...]:
        """The layers between the pooled maps and the head."""
        return ()

    def embed(self, images: Tensor) -> Float[Tensor, "B d"]:
        """One vector an image: what the head sees. `InputError` where the images do not fit."""
        if not traced():
            self.check(images)
        vectors: Tensor = self.avgpool(self.maps(images)).flatten(1)
        for layer in self.hidden():
            vectors = layer(vectors)
        return vectors

    def forward(self, images: Tensor) -> Float[Tensor, "B k"]:
        scores: Tensor = self.head(self.embed(images))
        return scores

    @property
    def head(self) -> nn.Module:
        """The last layer, from vectors to one score a class."""
        return self.get_submodule(self.head_name)

    def heads(self) -> tuple[str, ...]:
        """Where all layers stand that give one score a class."""
        return (self.head_name,)

    @property
    def embed_dim(self) -> int:
        return int(self.head.in_features)  # type: ignore[arg-type]  # a Linear or an RBF: both have it

    @property
    def num_classes(self) -> int:
        return int(self.head.out_features)  # type: ignore[arg-type]

    def replace_head(self, num_classes: int, *, seed: int | None = None) -> None:
        """Put a new head for `num_classes` in the old one's place, drawn anew, on its device."""
        for name in self.heads():
            self.set_submodule(name, new_head(self.get_submodule(name), num_classes, seed))

    def draw(self, generator: Generator | None) -> None:
        """Give every weight and buffer its first value."""
        he_normal(self, generator)

    def check(self, images: Tensor) -> None:
        """`InputError` where these images do not fit this network, with the way out."""
        self.check_kind(images)
        self.check_size(images.shape[2], images.shape[3])

    def check_kind(self, images: Tensor) -> None:
        wanted = f"(batch, {self.in_channels}, height, width)"
        if images.ndim != 4:
            raise InputError(f"images must have the shape {wanted}; got {_shape(images)}.")
        if not images.is_floating_point():
            raise InputError(
                f"images must be float; got {images.dtype}. Scale them first: images.float() / 255, "
                "then the mean and deviation that the weights were trained with."
            )
        held = next(self.parameters()).dtype
        if images.dtype != held and not torch.is_autocast_enabled(images.device.type):
            raise InputError(
                f"images must be {held}, as the weights are; got {images.dtype}. Take images.to({held})."
            )
        if images.shape[1] != self.in_channels:
            last = images.shape[3] == self.in_channels
            way = (
                "Put the channels second: images.permute(0, 3, 1, 2)" if last else "Build it with in_channels"
            )
            raise InputError(
                f"images must have {self.in_channels} channels, as {wanted}; got {_shape(images)}. {way}."
            )

    def check_size(self, height: int, width: int) -> None:
        if height < self.least_size or width < self.least_size:
            raise InputError(
                f"images must be at least {self.least_size} x {self.least_size} for this network; "
                f"got {height} x {width}. Enlarge them."
            )


def drawn(make: Callable[[], N], seed: int | None) -> N:
    """What `make` gives, its weights drawn by its own rule.

    Drawn on the CPU, so that a seed gives the same weights on every device; with a seed torch's own generator
    stays as it was, without one it is the source. On torch's `meta` device nothing is drawn.
    """
    device = torch.get_default_device()
    generator = seeded(seed)
    with torch.device("meta"):  # torch would draw every weight once, by its own rule, for nothing
        net = make()
    if device.type == "meta":
        return net
    net.to_empty(device="cpu")
    net.draw(generator)
    return net.to(device)


@torch.no_grad()
def he_normal(net: Network, generator: Generator | None) -> None:
    """Normal weights of variance 2 / fan-in, which keeps the scale through ReLUs; biases zero; a small head.

    Source: He et al. 2015, arXiv:1502.01852, equation 10.
    """
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear) and layer is not net.head:
            normal(layer, (2 / layer.weight[0].numel()) ** 0.5, generator)
        elif isinstance(layer, nn.BatchNorm2d):
            layer.reset_parameters()
    if isinstance(net.head, nn.Linear):
        small_normal(net.head, generator)


@torch.no_grad()
def normal(layer: nn.Conv2d | nn.Linear, std: float, generator: Generator | None, bias: float = 0.0) -> None:
    layer.weight.normal_(0, std, generator=generator)
    if layer.bias is not None:
        layer.bias.fill_(bias)


def small_normal(head: nn.Linear, generator: Generator | None) -> None:
    """Deviation .1 / sqrt(fan-in): first losses near ln(classes); .01 gives VGG four times that."""
    normal(head, 0.1 * head.in_features**-0.5, generator)


def new_head(old: nn.Module, num_classes: int, seed: int | None) -> nn.Linear:
    """A linear layer for `old`'s vectors, where it lies, with small weights from `seed`."""
    check_count("num_classes", num_classes)
    held = next(chain(old.parameters(), old.buffers()))
    head = nn.Linear(int(old.in_features), num_classes, device="meta", dtype=held.dtype)  # type: ignore[arg-type]
    if not held.is_meta:
        head.to_empty(device="cpu")
        small_normal(head, seeded(seed))
    return head.to(held.device)


def seeded(seed: int | None) -> Generator | None:
    """A generator apart from torch's own; None, which is torch's own, without a seed."""
    if seed is None:
        return None
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**63:
        raise InputError(f"seed must be None or an integer of 0 or more; got {seed!r}.")
    return Generator().manual_seed(seed)


def traced() -> bool:
    """Whether an exporter is watching: its shapes are no numbers that could be checked."""
    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined,no-untyped-call]


def check_count(name: str, value: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InputError(f"{name} must be an integer of 1 or more; got {value!r}.")


def _shape(images: Tensor) -> str:
    return str(tuple(images.shape))
