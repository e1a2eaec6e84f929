"""LeNet-5 in its common form.

Source: LeCun, Bottou, Bengio, Haffner 1998, Gradient-Based Learning Applied to Document Recognition,
Proceedings of the IEEE 86(11), section II.B and figure 2.

Where we differ: C3 sees all six maps, subsampling is max pooling without parameters, activations are ReLU,
the output is linear. `size` and `padding` keep the paper's 32 x 32 frame or MNIST's own 28 x 28 (padding=2
gives what a frame of zeros gives); C5's filters cover the whole of S4, 5 x 5 in both.
First weights: He et al.'s rule for ReLU in place of the paper's uniform one, which was made for its tanh.
"""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import relu

from sortal.errors import InputError
from sortal.nets.network import Network, drawn

__all__ = ["LeNet5", "lenet5"]


class LeNet5(Network):
    """C1, S2, C3, S4, C5, F6 and a linear output."""

    head_name = "output"
    map_side = 1

    def __init__(self, num_classes: int, in_channels: int, size: int, padding: int) -> None:
        super().__init__(num_classes, in_channels)
        self.train_size = self.least_size = size
        self.c1 = nn.Conv2d(in_channels, 6, 5, padding=padding)
        self.s2 = nn.MaxPool2d(2)
        self.c3 = nn.Conv2d(6, 16, 5)
        self.s4 = nn.MaxPool2d(2)
        self.c5 = nn.Conv2d(16, 120, s4_side(size, padding))
        self.avgpool = nn.Identity()
        self.f6 = nn.Linear(120, 84)
        self.activation = nn.ReLU()
        self.output = nn.Linear(84, num_classes)

    def maps(self, images: Tensor) -> Float[Tensor, "B 120 h w"]:
        x = self.s2(relu(self.c1(images)))
        x = self.s4(relu(self.c3(x)))
        return relu(self.c5(x))

    def hidden(self) -> tuple[nn.Module, ...]:
        return self.f6, self.activation

    def check_size(self, height: int, width: int) -> None:
        check_exact(self.train_size, height, width)


def lenet5(
    num_classes: int = 10, in_channels: int = 1, *, size: int = 32, padding: int = 0, seed: int | None = None
) -> LeNet5:
    """61,706 parameters at size 32, and at size 28 with padding 2."""
    return drawn(lambda: LeNet5(num_classes, in_channels, size, padding), seed)


def s4_side(size: int, padding: int) -> int:
    """The edge of S4's maps: (frame - 4) / 2, less 4, by 2."""
    frame = size + 2 * padding
    if size < 1 or padding < 0 or frame < 16:
        raise InputError(
            f"size + 2 * padding must be at least 16, so that C5 has a map to see; "
            f"got size={size}, padding={padding}. The paper's frame is 32."
        )
    return ((frame - 4) // 2 - 4) // 2


def check_exact(size: int, height: int, width: int) -> None:
    if (height, width) != (size, size):
        raise InputError(
            f"images must be {size} x {size} for this LeNet-5; got {height} x {width}. Resize them, build "
            "it with their size (MNIST: size=28, padding=2), or take fully_convolutional(net) for larger."
        )
