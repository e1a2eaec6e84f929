"""A small convolutional network that learns by comparing: a vector to keep, and a projection for the loss.

Source: Chen et al. 2020 (SimCLR), arXiv:2002.05709, section 2.1: body, vector, and a projection head of one
hidden layer, which only the loss sees. Where we differ: four convolutions for 32 x 32 instead of a ResNet.
The contrast of each image is stretched first, as hog does: how light it was says nothing of its kind.
First weights: He et al.'s rule.
"""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import relu

from sortal.nets.network import Network, drawn

__all__ = ["ContrastiveNet", "Projection", "contrastive_net"]


class ContrastiveNet(Network):
    """conv5/2-16, conv3-32, pool, conv3-64, pool, conv3-64, 2 x 2 average, 128; the head is 128-64."""

    head_name = "projection"
    least_size = 8
    train_size, map_side = 32, 4

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__(num_classes, in_channels)
        self.conv1, self.bn1 = nn.Conv2d(in_channels, 16, 5, 2, padding=2, bias=False), nn.BatchNorm2d(16)
        self.conv2, self.bn2 = nn.Conv2d(16, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32)
        self.conv3, self.bn3 = nn.Conv2d(32, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64)
        self.conv4, self.bn4 = nn.Conv2d(64, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64)
        self.pool = nn.MaxPool2d(2)
        self.avgpool = nn.AdaptiveAvgPool2d(2)
        self.vector = nn.Linear(256, 128)
        self.projection = Projection(128, num_classes)

    def maps(self, images: Tensor) -> Float[Tensor, "B 64 h w"]:
        x = relu(self.bn1(self.conv1(stretched(images))))
        x = self.pool(relu(self.bn2(self.conv2(x))))
        x = self.pool(relu(self.bn3(self.conv3(x))))
        return relu(self.bn4(self.conv4(x)))

    def hidden(self) -> tuple[nn.Module, ...]:
        return (self.vector,)


class Projection(nn.Sequential):
    """A hidden layer as wide as the vector (B, `width`), and the projection (B, `out`)."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, out))
        self.in_features, self.out_features = width, out


def stretched(images: Float[Tensor, "B c h w"]) -> Float[Tensor, "B c h w"]:
    """Each image from -1, its darkest value, to 1; one of a single value is -1 all over."""
    low = images.amin((1, 2, 3), keepdim=True)
    spread = images.amax((1, 2, 3), keepdim=True) - low
    return (images - low) * (2 / spread.clamp(min=1e-6)) - 1


def contrastive_net(
    num_classes: int = 64, in_channels: int = 1, *, seed: int | None = None
) -> ContrastiveNet:
    """`num_classes` is the width of the projection."""
    return drawn(lambda: ContrastiveNet(num_classes, in_channels), seed)
