"""ResNet for small images, and the same without shortcuts.

Source: He et al. 2015, arXiv:1512.03385, section 4.2: 6n + 2 layers, one convolution, three stages of n
blocks with 16, 32, 64 channels, global average, one linear layer. Shortcuts are option A: every second
pixel, new channels zero, no parameters; the plain networks have as many parameters as the residual ones.
Submodules carry the names of akamaster/pytorch_resnet_cifar10, whose checkpoints load; as there, half of
the zero channels lie before the old ones and half behind.
First weights: He et al.'s rule (reference 13 of the paper), and a small head.
Any image size; the paper trains on 32 x 32.
"""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pad, relu

from sortal.nets.network import Network, drawn

__all__ = [
    "SmallPlainNet", "SmallResNet",
    "plain20", "plain32", "plain44", "plain56", "plain110",
    "resnet20", "resnet32", "resnet44", "resnet56", "resnet110",
]  # fmt: skip


class Block(nn.Module):
    """Two 3x3 convolutions, each normalised; no shortcut."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_out, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(c_out)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(c_out)

    def residual(self, x: Tensor) -> Tensor:
        out: Tensor = self.bn2(self.conv2(relu(self.bn1(self.conv1(x)))))
        return out

    def forward(self, x: Tensor) -> Tensor:
        return relu(self.residual(x))


class Residual(Block):
    """The same two, plus what came in."""

    def forward(self, x: Tensor) -> Tensor:
        new = self.conv1.out_channels - self.conv1.in_channels
        return relu(self.residual(x) + (narrowed(x, new) if new else x))


class SmallNet(Network):
    """6 `n` + 2 layers; images (B, C, H, W) become 64 maps of a quarter of their sides."""

    head_name = "linear"
    train_size, map_side = 32, 8
    block: type[Block]

    def __init__(self, n: int, num_classes: int, in_channels: int) -> None:
        super().__init__(num_classes, in_channels)
        block = self.block
        self.conv1 = nn.Conv2d(in_channels, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(*[block(16, 16, 1) for _ in range(n)])
        self.layer2 = nn.Sequential(block(16, 32, 2), *[block(32, 32, 1) for _ in range(n - 1)])
        self.layer3 = nn.Sequential(block(32, 64, 2), *[block(64, 64, 1) for _ in range(n - 1)])
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(64, num_classes)

    def maps(self, images: Tensor) -> Float[Tensor, "B 64 h w"]:
        x = relu(self.bn1(self.conv1(images)))
        maps: Tensor = self.layer3(self.layer2(self.layer1(x)))
        return maps


class SmallResNet(SmallNet):
    """With shortcuts."""

    block = Residual


class SmallPlainNet(SmallNet):
    """The paper's plain network. Weights of either fit the other and mean nothing there."""

    block = Block


def narrowed(x: Float[Tensor, "B c h w"], new: int) -> Float[Tensor, "B d h2 w2"]:
    """Option A: every second pixel, and `new` channels of zeros."""
    return pad(x[:, :, ::2, ::2], (0, 0, 0, 0, new // 2, new // 2))


def resnet20(num_classes: int = 10, in_channels: int = 3, *, seed: int | None = None) -> SmallResNet:
    """269,722 parameters; 91.25 % on CIFAR-10 in the paper."""
    return drawn(lambda: SmallResNet(3, num_classes, in_channels), seed)


def resnet32(num_classes: int = 10, in_channels: int = 3, *, seed: int | None = None) -> SmallResNet:
    """464,154 parameters; 92.49 % on CIFAR-10 in the paper."""
    return drawn(lambda: SmallResNet(5, num_classes, in_channels), seed)


def resnet44(num_classes: int = 10, in_channels: int = 3, *, seed: int | None = None) -> SmallResNet:
    """658,586 parameters; 92.83 % on CIFAR-10 in the paper."""
    return drawn(lambda: SmallResNet(7, num_classes, in_channels), seed)


def resnet56(num_classes: int = 10, in_channels: int = 3, *, seed: int | None = None) -> SmallResNet:
    """853,018 parameters; 93.03 % on CIFAR-10 in the paper."""
    return drawn(lambda: SmallResNet(9, num_classes, in_channels), seed)


def resnet110(num_classes: int = 10, in_channels: int = 3, *, seed: int | None = None) -> SmallResNet:
    """1,727,962 parameters; 93.57 % on CIFAR-10 in the paper, after a warm-up at a tenth of the step."""
    return drawn(lambda: SmallResNet(18, num_classes, in_channels), seed)


def plain20(num_classes: int = 10, in_channels: int = 3, *, seed: int | None = None) -> SmallPlainNet:
    """ResNet-20 without shortcuts."""
    return drawn(lambda: SmallPlainNet(3, num_classes, in_channels), seed)


def plain32(num_classes: int = 10, in_channels: int = 3, *, seed: int | None = None) -> SmallPlainNet:
    """ResNet-32 without shortcuts."""
    return drawn(lambda: SmallPlainNet(5, num_classes, in_channels), seed)


def plain44(num_classes: int = 10, in_channels: int = 3, *, seed: int | None = None) -> SmallPlainNet:
    """ResNet-44 without shortcuts."""
    return drawn(lambda: SmallPlainNet(7, num_classes, in_channels), seed)


def plain56(num_classes: int = 10, in_channels: int = 3, *, seed: int | None = None) -> SmallPlainNet:
    """ResNet-56 without shortcuts."""
    return drawn(lambda: SmallPlainNet(9, num_classes, in_channels), seed)


def plain110(num_classes: int = 10, in_channels: int = 3, *, seed: int | None = None) -> SmallPlainNet:
    """ResNet-110 without shortcuts."""
    return drawn(lambda: SmallPlainNet(18, num_classes, in_channels), seed)
