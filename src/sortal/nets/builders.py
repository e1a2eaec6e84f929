"""The builders by name, for a command line."""

from collections.abc import Callable
from difflib import get_close_matches

from sortal.errors import InputError
from sortal.nets.alexnet import alexnet
from sortal.nets.alexnet_two_group import alexnet_two_group
from sortal.nets.googlenet import googlenet, googlenet_paper
from sortal.nets.lenet import lenet5
from sortal.nets.lenet_paper import lenet5_paper
from sortal.nets.network import Network
from sortal.nets.resnet import resnet18, resnet34, resnet50, resnet101, resnet152
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
)
from sortal.nets.vgg import vgg11, vgg11_bn, vgg13, vgg13_bn, vgg16, vgg16_bn, vgg19, vgg19_bn

__all__ = ["BUILDERS", "builder"]

BUILDERS: dict[str, Callable[..., Network]] = {
    build.__name__: build
    for build in (
        alexnet,
        alexnet_two_group,
        googlenet,
        googlenet_paper,
        lenet5,
        lenet5_paper,
        resnet18,
        resnet34,
        resnet50,
        resnet101,
        resnet152,
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
        vgg11,
        vgg11_bn,
        vgg13,
        vgg13_bn,
        vgg16,
        vgg16_bn,
        vgg19,
        vgg19_bn,
    )
}


def builder(name: str) -> Callable[..., Network]:
    """The function of `sortal.nets` with that name. `InputError` lists them."""
    if name in BUILDERS:
        return BUILDERS[name]
    near = get_close_matches(name.lower(), BUILDERS, 3, 0.5)
    meant = f" Did you mean {' or '.join(near)}?" if near else ""
    raise InputError(f"a network must be one of {', '.join(BUILDERS)}; got {name[:60]!r}.{meant}")
