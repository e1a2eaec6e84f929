"""VGG: 3x3 filters only, and depth.

Source: Simonyan and Zisserman 2014, arXiv:1409.1556, table 1, configurations A, B, D, E. Submodules carry
torchvision's names, whose weights load. Batch normalisation (Ioffe and Szegedy 2015) was added later.
First weights: He et al.'s rule; from deviation .01 the paper could train only configuration A.
"""

from jaxtyping import Float
from torch import Tensor, nn

from sortal.nets.network import Network, drawn

__all__ = ["VGG", "vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn"]

CHANNELS = (64, 128, 256, 512, 512)  # of the five stages; max pooling after each


class VGG(Network):
    """Five stages of 3x3 convolutions, two hidden layers with dropout, a head."""

    head_name = "classifier.6"
    least_size = 32

    def __init__(self, depths: tuple[int, ...], norm: bool, num_classes: int, in_channels: int) -> None:
        super().__init__(num_classes, in_channels)
        self.features = nn.Sequential(*layers(depths, norm, in_channels))
        self.avgpool = nn.AdaptiveAvgPool2d(7)
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(4096, 4096),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(4096, num_classes),
        )

    def maps(self, images: Tensor) -> Float[Tensor, "B 512 h w"]:
        maps: Tensor = self.features(images)
        return maps

    def hidden(self) -> tuple[nn.Module, ...]:
        return tuple(self.classifier)[:-1]


def layers(depths: tuple[int, ...], norm: bool, c_in: int) -> list[nn.Module]:
    """`depths` convolutions in each stage, each with its norm and ReLU, and a pool."""
    found: list[nn.Module] = []
    for depth, c_out in zip(depths, CHANNELS, strict=True):
        for _ in range(depth):
            found.append(nn.Conv2d(c_in, c_out, 3, padding=1))
            found += [nn.BatchNorm2d(c_out), nn.ReLU()] if norm else [nn.ReLU()]
            c_in = c_out
        found.append(nn.MaxPool2d(2))
    return found


A, B, D, E = (1, 1, 2, 2, 2), (2, 2, 2, 2, 2), (2, 2, 3, 3, 3), (2, 2, 4, 4, 4)


def vgg11(num_classes: int = 1000, in_channels: int = 3, *, seed: int | None = None) -> VGG:
    """Configuration A; 132,863,336 parameters."""
    return drawn(lambda: VGG(A, False, num_classes, in_channels), seed)


def vgg11_bn(num_classes: int = 1000, in_channels: int = 3, *, seed: int | None = None) -> VGG:
    """Configuration A with batch normalisation; 132,868,840 parameters."""
    return drawn(lambda: VGG(A, True, num_classes, in_channels), seed)


def vgg13(num_classes: int = 1000, in_channels: int = 3, *, seed: int | None = None) -> VGG:
    """Configuration B; 133,047,848 parameters."""
    return drawn(lambda: VGG(B, False, num_classes, in_channels), seed)


def vgg13_bn(num_classes: int = 1000, in_channels: int = 3, *, seed: int | None = None) -> VGG:
    """Configuration B with batch normalisation; 133,053,736 parameters."""
    return drawn(lambda: VGG(B, True, num_classes, in_channels), seed)


def vgg16(num_classes: int = 1000, in_channels: int = 3, *, seed: int | None = None) -> VGG:
    """Configuration D; 138,357,544 parameters."""
    return drawn(lambda: VGG(D, False, num_classes, in_channels), seed)


def vgg16_bn(num_classes: int = 1000, in_channels: int = 3, *, seed: int | None = None) -> VGG:
    """Configuration D with batch normalisation; 138,365,992 parameters."""
    return drawn(lambda: VGG(D, True, num_classes, in_channels), seed)


def vgg19(num_classes: int = 1000, in_channels: int = 3, *, seed: int | None = None) -> VGG:
    """Configuration E; 143,667,240 parameters."""
    return drawn(lambda: VGG(E, False, num_classes, in_channels), seed)


def vgg19_bn(num_classes: int = 1000, in_channels: int = 3, *, seed: int | None = None) -> VGG:
    """Configuration E with batch normalisation; 143,678,248 parameters."""
    return drawn(lambda: VGG(E, True, num_classes, in_channels), seed)
