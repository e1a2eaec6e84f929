"""Weights that others have published, by name: who, where, how large, which hash, and what they want to see.

`sha256` is the beginning of the file's SHA-256 that its publisher wrote into the file's name. No other hash
stands here; the whole one is recorded at the first fetch (fetch.py).
Source: torchvision 0.29, `torchvision/models/*.py` (sizes, accuracies, preprocessing);
github.com/akamaster/pytorch_resnet_cifar10, README. torchvision's second recipe is `NAME-v2`.
"""

from dataclasses import dataclass
from difflib import get_close_matches

from sortal.errors import InputError

__all__ = ["PUBLISHED", "Published", "published"]

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALVES = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))  # torchvision's GoogLeNet was trained on these


@dataclass(frozen=True)
class Published:
    """One file of weights. `crop` is the share of the short side that is kept; sizes in megabytes of 10^6."""

    name: str
    network: str  # a function of sortal.nets
    publisher: str
    url: str
    megabytes: float
    top1: float  # per cent, as published, on `data`
    data: str = "ImageNet"
    size: int = 224
    crop: float | None = 224 / 256
    mean: tuple[float, float, float] = IMAGENET[0]
    std: tuple[float, float, float] = IMAGENET[1]

    @property
    def file(self) -> str:
        return self.url.rsplit("/", 1)[1]

    @property
    def sha256(self) -> str:
        """The first eight digits, from the file's name."""
        return self.file.rsplit(".", 1)[0].rsplit("-", 1)[1]

    @property
    def num_classes(self) -> int:
        return 1000 if self.data == "ImageNet" else 10


def published(name: str) -> Published:
    """The weights with that name. `InputError` lists what there is."""
    if name in PUBLISHED:
        return PUBLISHED[name]
    near = get_close_matches(name.lower(), PUBLISHED, 3, 0.5)
    meant = f" Did you mean {' or '.join(near)}?" if near else ""
    raise InputError(f"weights must be a file or one of {', '.join(PUBLISHED)}; got {name[:200]!r}.{meant}")


def _torchvision(name: str, file: str, mebibytes: float, top1: float) -> Published:
    network, _, recipe = name.partition("-")
    mean, std = HALVES if network == "googlenet" else IMAGENET
    return Published(
        name=name,
        network=network,
        publisher="torchvision",
        url=f"https://download.pytorch.org/models/{file}",
        megabytes=round(mebibytes * 1.048576, 1),
        top1=top1,
        crop=224 / (232 if recipe == "v2" else 256),
        mean=mean,
        std=std,
    )


def _akamaster(name: str, file: str, megabytes: float, top1: float) -> Published:
    return Published(
        name=name,
        network=name,
        publisher="akamaster",
        url=f"https://github.com/akamaster/pytorch_resnet_cifar10/raw/master/pretrained_models/{file}",
        megabytes=megabytes,
        top1=top1,
        data="CIFAR-10",
        size=32,
        crop=None,
    )


PUBLISHED = {
    one.name: one
    for one in (
        _torchvision("alexnet", "alexnet-owt-7be5be79.pth", 233.087, 56.522),
        _torchvision("googlenet", "googlenet-1378be20.pth", 49.731, 69.778),
        _torchvision("resnet18", "resnet18-f37072fd.pth", 44.661, 69.758),
        _torchvision("resnet34", "resnet34-b627a593.pth", 83.275, 73.314),
        _torchvision("resnet50", "resnet50-0676ba61.pth", 97.781, 76.130),
        _torchvision("resnet50-v2", "resnet50-11ad3fa6.pth", 97.790, 80.858),
        _torchvision("resnet101", "resnet101-63fe2227.pth", 170.511, 77.374),
        _torchvision("resnet101-v2", "resnet101-cd907fc2.pth", 170.530, 81.886),
        _torchvision("resnet152", "resnet152-394f9c45.pth", 230.434, 78.312),
        _torchvision("resnet152-v2", "resnet152-f82ba261.pth", 230.474, 82.284),
        _torchvision("vgg11", "vgg11-8a719046.pth", 506.840, 69.020),
        _torchvision("vgg11_bn", "vgg11_bn-6002323d.pth", 506.881, 70.370),
        _torchvision("vgg13", "vgg13-19584684.pth", 507.545, 69.928),
        _torchvision("vgg13_bn", "vgg13_bn-abd245e5.pth", 507.590, 71.586),
        _torchvision("vgg16", "vgg16-397923af.pth", 527.796, 71.592),
        _torchvision("vgg16_bn", "vgg16_bn-6c64b313.pth", 527.866, 73.360),
        _torchvision("vgg19", "vgg19-dcbb9e9d.pth", 548.051, 72.376),
        _torchvision("vgg19_bn", "vgg19_bn-c79401a0.pth", 548.143, 74.218),
        # Sizes but the first: 4 bytes a parameter and a tenth more, as the first has it.
        _akamaster("resnet20", "resnet20-12fca82f.th", 1.1, 91.73),
        _akamaster("resnet32", "resnet32-d509ac18.th", 1.9, 92.63),
        _akamaster("resnet44", "resnet44-014dd654.th", 2.7, 93.10),
        _akamaster("resnet56", "resnet56-4bfd9763.th", 3.5, 93.39),
        _akamaster("resnet110", "resnet110-1d1ed7c2.th", 7.1, 93.68),
    )
}
