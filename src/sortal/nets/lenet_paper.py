"""LeNet-5 as the paper has it.

Source: LeCun, Bottou, Bengio, Haffner 1998, Gradient-Based Learning Applied to Document Recognition,
Proceedings of the IEEE 86(11), section II.B, table I and appendix A. The white level is -.1, the black 1.175.
Where we differ: the targets of the output are random codes of +1 and -1, one of the ways that the paper
names, not drawings of the characters, so that any number of classes can be had; they lie with the weights.
First weights: deviation 1 / sqrt(fan-in) (LeCun, Bottou, Orr, Mueller 1998, Efficient BackProp, section 4.6),
which keeps the scale through this tanh. The paper's, uniform within 2.4 / fan-in, leaves F6 at .0004.
"""

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.nn.functional import avg_pool2d, conv2d

from sortal.nets.lenet import check_exact
from sortal.nets.network import Network, drawn, normal

__all__ = ["LeNet5Paper", "lenet5_paper"]

# Table I: the maps of S2 that each map of C3 sees: three in a row, four in a row, four in two pairs, all.
SEEN = (
    (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5),
    (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5),
    (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5),
    (0, 1, 2, 3, 4, 5),
)  # fmt: skip
PAIRS = [(c_out, c_in) for c_out, seen in enumerate(SEEN) for c_in in seen]


class LeNet5Paper(Network):
    """C1, S2, C3, S4, C5, F6 and distances to a code for each class."""

    head_name = "output"
    train_size = least_size = 32
    map_side = 1

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__(num_classes, in_channels)
        self.c1 = nn.Conv2d(in_channels, 6, 5)
        self.s2 = Subsampling(6)
        self.c3 = Connected()
        self.s4 = Subsampling(16)
        self.c5 = nn.Conv2d(16, 120, 5)
        self.avgpool = nn.Identity()
        self.f6 = nn.Linear(120, 84)
        self.squash = Squash()
        self.output = RBF(84, num_classes)

    def maps(self, images: Tensor) -> Float[Tensor, "B 120 h w"]:
        x = self.s2(self.squash(self.c1(images)))
        x = self.s4(self.squash(self.c3(x)))
        maps: Tensor = self.squash(self.c5(x))
        return maps

    def hidden(self) -> tuple[nn.Module, ...]:
        return self.f6, self.squash

    def check_size(self, height: int, width: int) -> None:
        check_exact(self.train_size, height, width)

    @torch.no_grad()
    def draw(self, generator: Generator | None) -> None:
        """Deviation 1 / sqrt(fan-in), biases zero."""
        for layer in (self.c1, self.c5, self.f6):
            normal(layer, layer.weight[0].numel() ** -0.5, generator)
        for pool in (self.s2, self.s4):
            pool.weight.normal_(0, 0.5, generator=generator)
            pool.bias.zero_()
        self.c3.draw(generator)
        self.output.draw(generator)


class Squash(nn.Module):
    """1.7159 tanh(2x / 3): +1 and -1 stay where they are, where the curve bends most."""

    def forward(self, x: Tensor) -> Tensor:
        return 1.7159 * torch.tanh(x * (2 / 3))


class Subsampling(nn.Module):
    """The sum of 2x2 pixels times a weight plus a bias, one pair a map, squashed."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels))
        self.bias = nn.Parameter(torch.empty(channels))
        self.squash = Squash()

    def forward(self, x: Float[Tensor, "B c h w"]) -> Float[Tensor, "B c h2 w2"]:
        summed = 4 * avg_pool2d(x, 2)
        scores: Tensor = self.squash(summed * self.weight[:, None, None] + self.bias[:, None, None])
        return scores


class Connected(nn.Module):
    """C3: 60 filters of 5x5, one for each pair of table I; 1,516 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(len(PAIRS), 5, 5))
        self.bias = nn.Parameter(torch.empty(len(SEEN)))

    def forward(self, x: Float[Tensor, "B 6 h w"]) -> Float[Tensor, "B 16 h2 w2"]:
        c_out, c_in = zip(*PAIRS)
        full = self.weight.new_zeros(len(SEEN), 6, 5, 5)
        full[c_out, c_in] = self.weight
        return conv2d(x, full, self.bias)

    @torch.no_grad()
    def draw(self, generator: Generator | None) -> None:
        for weight, (c_out, _) in zip(self.weight, PAIRS):
            weight.normal_(0, (25 * len(SEEN[c_out])) ** -0.5, generator=generator)
        self.bias.zero_()


class RBF(nn.Module):
    """Minus the squared distance to each class's code, so that the largest score wins as everywhere."""

    codes: Tensor

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.register_buffer("codes", torch.empty(out_features, in_features))

    def forward(self, x: Float[Tensor, "*B d"]) -> Float[Tensor, "*B k"]:
        return -(x[..., None, :] - self.codes).square().sum(-1)

    @torch.no_grad()
    def draw(self, generator: Generator | None) -> None:
        self.codes.bernoulli_(0.5, generator=generator).mul_(2).sub_(1)


def lenet5_paper(num_classes: int = 10, in_channels: int = 1, *, seed: int | None = None) -> LeNet5Paper:
    """60,000 trainable parameters."""
    return drawn(lambda: LeNet5Paper(num_classes, in_channels), seed)
