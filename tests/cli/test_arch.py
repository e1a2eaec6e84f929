"""sortal arch: what networks cost."""

import pytest


def test_layers_and_sums(sortal):
    (record,) = sortal("arch", "conv3-6,fc-10", "--input", "1x28x28", "--json").json("arch")["networks"]
    assert (record["parameters"], record["macs"]) == (47_110, 89_376)
    shown = sortal("arch", "resnet20").out
    assert "resnet20 on 3x32x32: 269,722 parameters" in shown
    assert "layer3.2.conv2" in shown


def test_compare_and_padding(sortal):
    out = sortal("arch", "--compare", "conv3-64,conv3-64", "conv5-64", "--input", "64x56x56").out
    assert "73,856" in out
    assert "102,464" in out
    assert len(out.splitlines()) == 3
    same, valid = sortal("arch", "vgg11", "--padding", "same", "--padding", "valid", "--json").json("arch")[
        "networks"
    ]
    assert same["parameters"] == valid["parameters"]
    assert same["macs"] > valid["macs"]


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (("resnet21",), "resnet20"),
        (("resnet20", "--input", "3x0x4"), "--input must be the sizes"),
        (("resnet20", "--input", "3x4x4x4x4"), "--input must be the sizes"),
        (("conv3-4",), "needs --input"),
        (("fc-4,conv3-4", "--input", "1x4x4"), "cannot stand behind fc"),
        (("lenet5", "--padding", "same"), "do not go through the network"),
    ],
)
def test_refusals(sortal, arguments, rule):
    assert rule in sortal("arch", *arguments).error()
