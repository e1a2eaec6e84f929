"""ResNet-18 for photographs of 32 x 32 that learns by comparing.

Source: Chen et al. 2020 (SimCLR), arXiv:2002.05709, appendix B.9: a stem of 3x3 with stride 1 and no pool,
which leaves maps of 4 x 4 where ImageNet's stem leaves one pixel; a projection head of one hidden layer.
First weights: He et al.'s rule.
"""

from torch import nn

from sortal.nets.contrastive import Projection
from sortal.nets.network import drawn
from sortal.nets.resnet import Basic, ResNet

__all__ = ["ContrastiveResNet", "contrastive_resnet"]


class ContrastiveResNet(ResNet):
    """Vectors of 512 numbers; the head, 512-512-128, is for the loss alone."""

    head_name = "projection"
    train_size, map_side = 32, 4

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__(Basic, (2, 2, 2, 2), num_classes, in_channels)
        self.conv1 = nn.Conv2d(in_channels, 64, 3, padding=1, bias=False)
        self.maxpool = nn.Identity()
        del self.fc
        self.projection = Projection(512, num_classes)


def contrastive_resnet(
    num_classes: int = 128, in_channels: int = 3, *, seed: int | None = None
) -> ContrastiveResNet:
    """`num_classes` is the width of the projection."""
    return drawn(lambda: ContrastiveResNet(num_classes, in_channels), seed)
