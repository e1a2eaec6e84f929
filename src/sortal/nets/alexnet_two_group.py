"""AlexNet in two groups, as it ran on two GPUs.

Source: Krizhevsky, Sutskever, Hinton 2012, ImageNet Classification with Deep Convolutional Neural Networks,
NeurIPS 25, sections 3 to 5 and figure 2. 227 x 227 in (the paper's 224 does not give its 55 x 55 maps).
Where we differ: response normalisation runs over the channels of both groups in one row, so the two channels
on each side of the seam see across it; dropout scales up while training instead of halving afterwards.
First weights: the paper's, deviation .01, and biases of 1 where a ReLU would otherwise start dead.
"""

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from sortal.nets.network import Network, drawn, normal

__all__ = ["AlexNetTwoGroup", "alexnet_two_group"]


class AlexNetTwoGroup(Network):
    """Five convolutions, the second, fourth and fifth in two groups; two hidden layers; a head."""

    head_name = "classifier.6"
    least_size = 67
    train_size, map_side = 227, 6

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__(num_classes, in_channels)
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, 96, 11, stride=4),
            nn.ReLU(),
            response_norm(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(96, 256, 5, padding=2, groups=2),
            nn.ReLU(),
            response_norm(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(256, 384, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(384, 384, 3, padding=1, groups=2),
            nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1, groups=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
        )
        self.avgpool = nn.AdaptiveAvgPool2d(6)  # nothing at 227; other sizes are not in the paper
        self.classifier = nn.Sequential(
            nn.Linear(256 * 6 * 6, 4096),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(4096, 4096),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(4096, num_classes),
        )

    def maps(self, images: Tensor) -> Float[Tensor, "B 256 h w"]:
        maps: Tensor = self.features(images)
        return maps

    def hidden(self) -> tuple[nn.Module, ...]:
        return tuple(self.classifier)[:-1]

    @torch.no_grad()
    def draw(self, generator: Generator | None) -> None:
        """Section 5: deviation .01; biases 1 in convolutions 2, 4 and 5 and in the hidden layers."""
        weighted = [m for m in self.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        for layer, bias in zip(weighted, (0.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0), strict=True):
            normal(layer, 0.01, generator, bias)


def response_norm() -> nn.Module:
    """a / (2 + .0001 * sum of a^2 over 5 channels)^.75, section 3.3. torch divides its alpha by the 5."""
    return nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)


def alexnet_two_group(
    num_classes: int = 1000, in_channels: int = 3, *, seed: int | None = None
) -> AlexNetTwoGroup:
    """60,965,224 parameters."""
    return drawn(lambda: AlexNetTwoGroup(num_classes, in_channels), seed)
