"""Networks for images: five families, from the papers, with torchvision's names for their parts.

from sortal import nets
net = nets.resnet20(num_classes=10, seed=0)
vectors = net.embed(images)      # float (B, 3, 32, 32) -> (B, 64)
scores = net.head(vectors)       # = net(images)
"""

from sortal.errors import MissingExtra

try:
    import torch as _torch  # noqa: F401
except ImportError as e:
    raise MissingExtra("sortal.nets", "nets") from e

from sortal.nets.lenet import lenet5
from sortal.nets.network import Network
from sortal.nets.resnet_small import (
    plain20,
    plain32,
    plain44,
    plain56,
    plain110,
    resnet20,
    resnet32,
    resnet44,
    resnet56,
    resnet110,
)  # fmt: skip

__all__ = [
    "Network",
    "lenet5",
    "plain20",
    "plain32",
    "plain44",
    "plain56",
    "plain110",
    "resnet20",
    "resnet32",
    "resnet44",
    "resnet56",
    "resnet110",
]
del MissingExtra
