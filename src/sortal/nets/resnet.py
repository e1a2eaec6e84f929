"""ResNet for ImageNet.

Source: He et al. 2015, arXiv:1512.03385, table 1 and figure 5, shortcuts of option B (1x1 where the shape
changes). Submodules carry torchvision's names, whose weights load.
Where we differ: stride placement is that of "v1.5", as torchvision's weights have it: a bottleneck halves the
map in its 3x3 convolution, where the paper does it in the first 1x1, which never sees three of four pixels.
First weights: He et al.'s rule, and a small head.
"""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import relu

from sortal.nets.network import Network, drawn

__all__ = ["ResNet", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]


class ResNet(Network):
    """A 7x7 stem, four stages of `depths` blocks, global average, a head."""

    def __init__(
        self,
        block: type["Basic"] | type["Bottleneck"],
        depths: tuple[int, ...],
        num_classes: int,
        in_channels: int,
    ) -> None:
        super().__init__(num_classes, in_channels)
        self.conv1 = nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool: nn.Module = nn.MaxPool2d(3, 2, padding=1)
        x = block.expansion
        self.layer1 = stage(block, 64, 64, 1, depths[0])
        self.layer2 = stage(block, 64 * x, 128, 2, depths[1])
        self.layer3 = stage(block, 128 * x, 256, 2, depths[2])
        self.layer4 = stage(block, 256 * x, 512, 2, depths[3])
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(512 * x, num_classes)

    def maps(self, images: Tensor) -> Float[Tensor, "B c h w"]:
        x = self.maxpool(relu(self.bn1(self.conv1(images))))
        maps: Tensor = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return maps


def stage(
    block: type["Basic"] | type["Bottleneck"], c_in: int, width: int, stride: int, depth: int
) -> nn.Sequential:
    first = block(c_in, width, stride)
    return nn.Sequential(first, *[block(width * block.expansion, width, 1) for _ in range(depth - 1)])


class Basic(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    expansion = 1

    def __init__(self, c_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = shortcut(c_in, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(relu(self.bn1(self.conv1(x)))))
        return relu(out + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """1x1 to fewer channels, 3x3, 1x1 to four times as many, and a shortcut."""

    expansion = 4

    def __init__(self, c_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample = shortcut(c_in, 4 * width, stride)

    def forward(self, x: Tensor) -> Tensor:
        out = relu(self.bn1(self.conv1(x)))
        out = self.bn3(self.conv3(relu(self.bn2(self.conv2(out)))))
        return relu(out + (x if self.downsample is None else self.downsample(x)))


def shortcut(c_in: int, c_out: int, stride: int) -> nn.Sequential | None:
    """Option B: nothing where the shape stays, else a 1x1 convolution."""
    if stride == 1 and c_in == c_out:
        return None
    return nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out))


def resnet18(num_classes: int = 1000, in_channels: int = 3, *, seed: int | None = None) -> ResNet:
    """11,689,512 parameters."""
    return drawn(lambda: ResNet(Basic, (2, 2, 2, 2), num_classes, in_channels), seed)


def resnet34(num_classes: int = 1000, in_channels: int = 3, *, seed: int | None = None) -> ResNet:
    """21,797,672 parameters."""
    return drawn(lambda: ResNet(Basic, (3, 4, 6, 3), num_classes, in_channels), seed)


def resnet50(num_classes: int = 1000, in_channels: int = 3, *, seed: int | None = None) -> ResNet:
    """25,557,032 parameters; v1.5."""
    return drawn(lambda: ResNet(Bottleneck, (3, 4, 6, 3), num_classes, in_channels), seed)


def resnet101(num_classes: int = 1000, in_channels: int = 3, *, seed: int | None = None) -> ResNet:
    """44,549,160 parameters; v1.5."""
    return drawn(lambda: ResNet(Bottleneck, (3, 4, 23, 3), num_classes, in_channels), seed)


def resnet152(num_classes: int = 1000, in_channels: int = 3, *, seed: int | None = None) -> ResNet:
    """60,192,808 parameters; v1.5."""
    return drawn(lambda: ResNet(Bottleneck, (3, 8, 36, 3), num_classes, in_channels), seed)
