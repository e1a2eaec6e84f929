"""GoogLeNet: filters of several sizes side by side.

Source: Szegedy et al. 2014, Going Deeper with Convolutions, arXiv:1409.4842, table 1, figures 2 and 3,
section 5. Two forms. `googlenet_paper` is the paper's: 5x5 filters, biases, local response normalisation.
`googlenet` has torchvision's names and loads its weights: batch normalisation (eps .001) in place of both,
3x3 filters in the branch of 5x5, a fourth pool of 2x2, dropout of .2, maps pooled to 4x4 for the auxiliary
heads. Its weights want images scaled to (x - .5) / .5; that belongs to them and is no part of the network.
The paper leaves the constants of the response normalisation open; ours are those of Caffe's GoogLeNet.
First weights: He et al.'s rule; the paper names none.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import relu

from sortal.errors import InputError
from sortal.nets.network import Network, drawn

__all__ = ["GoogLeNet", "googlenet", "googlenet_paper"]


@dataclass(frozen=True)
class Form:
    """What the two forms do differently."""

    batch_norm: bool
    wide: int  # the edge of the widest filters
    last_pool: int
    dropout: float
    least_size: int


TORCHVISION = Form(batch_norm=True, wide=3, last_pool=2, dropout=0.2, least_size=15)
PAPER = Form(batch_norm=False, wide=5, last_pool=3, dropout=0.4, least_size=31)


class GoogLeNet(Network):
    """Three convolutions, nine inceptions, global average, a head; `aux` adds two heads on the way."""

    def __init__(self, form: Form, num_classes: int, in_channels: int, aux: bool) -> None:
        super().__init__(num_classes, in_channels)
        self.least_size = form.least_size
        self.conv1 = Conv(form, in_channels, 64, 7, stride=2)
        self.maxpool1 = pool(3)
        self.conv2 = Conv(form, 64, 64, 1)
        self.conv3 = Conv(form, 64, 192, 3)
        self.maxpool2 = pool(3)
        self.inception3a = Inception(form, 192, 64, 96, 128, 16, 32, 32)
        self.inception3b = Inception(form, 256, 128, 128, 192, 32, 96, 64)
        self.maxpool3 = pool(3)
        self.inception4a = Inception(form, 480, 192, 96, 208, 16, 48, 64)
        self.inception4b = Inception(form, 512, 160, 112, 224, 24, 64, 64)
        self.inception4c = Inception(form, 512, 128, 128, 256, 24, 64, 64)
        self.inception4d = Inception(form, 512, 112, 144, 288, 32, 64, 64)
        self.inception4e = Inception(form, 528, 256, 160, 320, 32, 128, 128)
        self.maxpool4 = pool(form.last_pool)
        self.inception5a = Inception(form, 832, 256, 160, 320, 32, 128, 128)
        self.inception5b = Inception(form, 832, 384, 192, 384, 48, 128, 128)
        self.aux1 = Auxiliary(form, 512, num_classes) if aux else None
        self.aux2 = Auxiliary(form, 528, num_classes) if aux else None
        self.norm = nn.Identity() if form.batch_norm else nn.LocalResponseNorm(5, 1e-4, 0.75, 1.0)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(form.dropout)
        self.fc = nn.Linear(1024, num_classes)

    def maps(self, images: Tensor) -> Float[Tensor, "B 1024 h w"]:
        return self.maps_on_the_way(images)[2]

    def maps_on_the_way(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """After 4a and 4d, where the auxiliary heads stand, and at the end."""
        x = self.norm(self.maxpool1(self.conv1(images)))
        x = self.maxpool2(self.norm(self.conv3(self.conv2(x))))
        x = self.maxpool3(self.inception3b(self.inception3a(x)))
        early = self.inception4a(x)
        late = self.inception4d(self.inception4c(self.inception4b(early)))
        x = self.maxpool4(self.inception4e(late))
        return early, late, self.inception5b(self.inception5a(x))

    def hidden(self) -> tuple[nn.Module, ...]:
        return (self.dropout,)

    def heads(self) -> tuple[str, ...]:
        return ("fc",) if self.aux1 is None else ("fc", "aux1.fc2", "aux2.fc2")

    def all_scores(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The head's scores and those of the two auxiliary heads, whose losses the paper weighs by .3."""
        if self.aux1 is None or self.aux2 is None:
            raise InputError("this GoogLeNet has no auxiliary heads; build it with aux=True.")
        self.check(images)
        early, late, maps = self.maps_on_the_way(images)
        vectors = self.dropout(self.avgpool(maps).flatten(1))
        return self.head(vectors), self.aux1(early), self.aux2(late)


class Conv(nn.Module):
    """A convolution that keeps the size at stride 1, then ReLU; torchvision's form normalises between."""

    def __init__(self, form: Form, c_in: int, c_out: int, side: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, side, stride, side // 2, bias=not form.batch_norm)
        self.bn = nn.BatchNorm2d(c_out, eps=0.001) if form.batch_norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return relu(self.bn(self.conv(x)))


class Inception(nn.Module):
    """1x1, 3x3, 5x5 and pooling side by side, each behind or before a 1x1 bottleneck, concatenated."""

    def __init__(
        self, form: Form, c_in: int, one: int, three_in: int, three: int, five_in: int, five: int, pooled: int
    ) -> None:
        super().__init__()
        self.branch1 = Conv(form, c_in, one, 1)
        self.branch2 = nn.Sequential(Conv(form, c_in, three_in, 1), Conv(form, three_in, three, 3))
        self.branch3 = nn.Sequential(Conv(form, c_in, five_in, 1), Conv(form, five_in, five, form.wide))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, padding=1), Conv(form, c_in, pooled, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class Auxiliary(nn.Module):
    """A small classifier on maps of 4x4: gradients for the layers below, used in training only."""

    def __init__(self, form: Form, c_in: int, num_classes: int) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(4) if form.batch_norm else nn.AvgPool2d(5, 3)
        self.conv = Conv(form, c_in, 128, 1)
        self.fc1 = nn.Linear(128 * 4 * 4, 1024)
        self.dropout = nn.Dropout(0.7)
        self.fc2 = nn.Linear(1024, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.avgpool(x)
        if x.shape[2:] != (4, 4):
            raise InputError("the paper's auxiliary heads take images of 224 x 224; resize them.")
        scores: Tensor = self.fc2(self.dropout(relu(self.fc1(self.conv(x).flatten(1)))))
        return scores


def pool(side: int) -> nn.Module:
    """Halves the map; the last window may hang over the edge, which keeps 112 -> 56 -> 28 -> 14 -> 7."""
    return nn.MaxPool2d(side, 2, ceil_mode=True)


def googlenet(
    num_classes: int = 1000, in_channels: int = 3, *, aux: bool = False, seed: int | None = None
) -> GoogLeNet:
    """6,624,904 parameters, 13,004,888 with auxiliary heads; torchvision's form."""
    return drawn(lambda: GoogLeNet(TORCHVISION, num_classes, in_channels, aux), seed)


def googlenet_paper(
    num_classes: int = 1000, in_channels: int = 3, *, aux: bool = False, seed: int | None = None
) -> GoogLeNet:
    """6,998,552 parameters, 13,378,280 with auxiliary heads; the paper's own form."""
    return drawn(lambda: GoogLeNet(PAPER, num_classes, in_channels, aux), seed)
