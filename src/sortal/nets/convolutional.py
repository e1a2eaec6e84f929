"""A classifier as convolutions: the same answer at the training size, a map of answers on larger images.

Source: LeCun et al. 1998, section VII (the network replicated over a larger field); Sermanet et al. 2014,
OverFeat, arXiv:1312.6229, section 3.5; Long, Shelhamer, Darrell 2015, arXiv:1411.4038, section 3.1.
"""

import copy

from jaxtyping import Float
from torch import Tensor, nn

from sortal.errors import InputError
from sortal.nets.network import Network, traced

__all__ = ["FullyConvolutional", "fully_convolutional"]


class FullyConvolutional(nn.Module):
    """Scores (B, classes, height, width): one answer for each place of a window of the training size."""

    def __init__(self, net: Network) -> None:
        super().__init__()
        self.net = copy.deepcopy(net)
        pools = getattr(net.avgpool, "output_size", None) == 1
        self.pool = nn.AvgPool2d(net.map_side, 1) if pools else nn.Identity()
        names = {layer: name for name, layer in self.net.named_modules()}
        side = 1 if pools else net.map_side
        for layer in (*self.net.hidden(), self.net.head):
            if isinstance(layer, nn.Linear):
                self.net.set_submodule(names[layer], as_convolution(layer, side))
                side = 1
        if not isinstance(self.net.head, nn.Conv2d):
            self.net.set_submodule(net.head_name, AtEveryPlace(self.net.head))

    def forward(self, images: Tensor) -> Float[Tensor, "B k h w"]:
        if not traced():
            self.check(images)
        x: Tensor = self.pool(self.net.maps(images))
        for layer in (*self.net.hidden(), self.net.head):
            x = layer(x)
        return x

    def check(self, images: Tensor) -> None:
        """`InputError` where the images do not fit."""
        self.net.check_kind(images)
        size = self.net.train_size
        if min(images.shape[2:]) < size:
            raise InputError(
                f"images must be at least {size} x {size}, the training size; "
                f"got {images.shape[2]} x {images.shape[3]}. Enlarge them."
            )


def fully_convolutional(net: Network) -> FullyConvolutional:
    """`net` with its classifier turned into convolutions; the same weights, copied, in the same number.

    A layer that sees the whole last map becomes an F x F convolution, each later one a 1 x 1, which is a
    fully connected layer at every position; a global average becomes one over the training size's window.
    """
    return FullyConvolutional(net)


def as_convolution(layer: nn.Linear, side: int) -> nn.Conv2d:
    """The convolution with side x side filters that gives what `layer` gives on a flattened map."""
    channels = layer.in_features // side**2
    weight = layer.weight.detach().view(-1, channels, side, side)
    found = nn.Conv2d(channels, layer.out_features, side, device="meta")
    found.weight = nn.Parameter(weight)
    found.bias = layer.bias
    return found


class AtEveryPlace(nn.Module):
    """A head that is no linear layer, put to the vector of each place: LeNet-5's distances to codes."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, x: Float[Tensor, "B d h w"]) -> Float[Tensor, "B k h w"]:
        scores: Tensor = self.head(x.movedim(1, -1))
        return scores.movedim(-1, 1)
