"""AlexNet, as one tower.

Source: Krizhevsky 2014, One weird trick for parallelizing convolutional neural networks, arXiv:1404.5997,
footnote 1: the network of 2012 without groups and without response normalisation; alexnet_two_group.py has
the paper of 2012. Submodules carry torchvision's names, whose weights load; 224 x 224 in, framed by 2.
Where we differ, with torchvision: the fourth convolution has 256 filters, not 384.
First weights: He et al.'s rule; deviation .01, as in 2012, shrinks what passes through from layer to layer.
"""

from jaxtyping import Float
from torch import Tensor, nn

from sortal.nets.network import Network, drawn

__all__ = ["AlexNet", "alexnet"]


class AlexNet(Network):
    """Five convolutions, two hidden layers with dropout, a head."""

    head_name = "classifier.6"
    least_size = 63
    map_side = 6

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__(num_classes, in_channels)
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, 64, 11, stride=4, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 192, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(192, 384, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
        )
        self.avgpool = nn.AdaptiveAvgPool2d(6)
        self.classifier = nn.Sequential(
            nn.Dropout(),
            nn.Linear(256 * 6 * 6, 4096),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(4096, 4096),
            nn.ReLU(),
            nn.Linear(4096, num_classes),
        )

    def maps(self, images: Tensor) -> Float[Tensor, "B 256 h w"]:
        maps: Tensor = self.features(images)
        return maps

    def hidden(self) -> tuple[nn.Module, ...]:
        return tuple(self.classifier)[:-1]


def alexnet(num_classes: int = 1000, in_channels: int = 3, *, seed: int | None = None) -> AlexNet:
    """61,100,840 parameters."""
    return drawn(lambda: AlexNet(num_classes, in_channels), seed)
