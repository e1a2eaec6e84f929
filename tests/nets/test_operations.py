"""Operations and parameters of every published member: torchvision's figures, to their three decimals."""

import pytest
import torch

from sortal.nets import BUILDERS
from sortal.nets.arithmetic import count

# torchvision's documentation, "GFLOPS" (multiply-accumulates of convolutions and linear layers at 224 x 224).
PUBLISHED = {
    "alexnet": 0.714, "googlenet": 1.498,
    "resnet18": 1.814, "resnet34": 3.664, "resnet50": 4.089, "resnet101": 7.801, "resnet152": 11.514,
    "vgg11": 7.609, "vgg13": 11.308, "vgg16": 15.470, "vgg19": 19.632,
    "vgg11_bn": 7.609, "vgg13_bn": 11.308, "vgg16_bn": 15.470, "vgg19_bn": 19.632,
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_operations_are_the_published_ones(name):
    with torch.device("meta"):
        found = count(BUILDERS[name](), (3, 224, 224))
    assert round(found.macs / 1e9, 3) == PUBLISHED[name]


def test_he_et_al_count_resnet20_as_they_do():
    """Table 6 gives 0.27 M parameters; 40.5 million operations at 32 x 32 follow from its layers."""
    found = count(BUILDERS["resnet20"](), (3, 32, 32))
    layers = 27 * 16 * 1024 + 6 * 144 * 16 * 1024 + (144 * 32 + 5 * 288 * 32) * 256
    layers += (288 * 64 + 5 * 576 * 64) * 64 + 640
    assert found.macs == layers == 40_551_040


def test_auxiliary_heads_are_named_and_not_called():
    with torch.device("meta"):
        found = count(BUILDERS["googlenet"](aux=True), (3, 224, 224))
    aside = [layer for layer in found.layers if layer.output_shape is None]
    assert {layer.name.split(".")[0] for layer in aside} == {"aux1", "aux2"}
    assert found.parameters == 13_004_888


@pytest.mark.parametrize("name", ["lenet5", "resnet20", "resnet18", "googlenet"])
def test_fvcore_counts_the_same(name):
    """Its convolutions and linear layers, to the last one."""
    fvcore = pytest.importorskip("fvcore.nn", reason="fvcore is in no extra; docs/LOG.md has all members")
    net = BUILDERS[name]().eval()
    shape = net.in_channels, net.train_size, net.train_size
    theirs = fvcore.FlopCountAnalysis(net, torch.zeros(1, *shape)).by_operator()
    assert count(net, shape).macs == theirs["conv"] + theirs["linear"]
