"""The names of all weights equal torchvision's (0.29) and akamaster's, in order and shape.

Written as rules from its source, since torchvision is no dependency.
"""

import pytest
import torch

from sortal import nets

NORM = {"weight": 1, "bias": 1, "running_mean": 1, "running_var": 1, "num_batches_tracked": 0}


def keys_of(name, **given):
    with torch.device("meta"):
        return {key: tuple(value.shape) for key, value in nets.builder(name)(**given).state_dict().items()}


def conv(name, c_out, c_in, side, bias=True):
    found = {f"{name}.weight": (c_out, c_in, side, side)}
    return found | ({f"{name}.bias": (c_out,)} if bias else {})


def norm(name, c):
    return {f"{name}.{key}": (c,) * axes for key, axes in NORM.items()}


def linear(name, d_out, d_in):
    return {f"{name}.weight": (d_out, d_in), f"{name}.bias": (d_out,)}


def ours_equal(expected, name, **given):
    found = keys_of(name, **given)
    assert list(found) == list(expected)
    assert found == expected


def test_alexnet():
    shapes = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)}
    expected = {}
    for place, shape in shapes.items():
        expected |= conv(f"features.{place}", *shape)
    for place, shape in {1: (4096, 9216), 4: (4096, 4096), 6: (1000, 4096)}.items():
        expected |= linear(f"classifier.{place}", *shape)
    ours_equal(expected, "alexnet")


VGG = {
    "vgg11": [64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"],
    "vgg13": [64, 64, "M", 128, 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"],
    "vgg16": [64, 64, "M", 128, 128, "M", *[256] * 3, "M", *[512] * 3, "M", *[512] * 3, "M"],
    "vgg19": [64, 64, "M", 128, 128, "M", *[256] * 4, "M", *[512] * 4, "M", *[512] * 4, "M"],
}


@pytest.mark.parametrize("name", VGG)
@pytest.mark.parametrize("normed", [False, True])
def test_vgg(name, normed):
    expected, place, c_in = {}, 0, 3
    for c_out in VGG[name]:
        if c_out == "M":
            place += 1
            continue
        expected |= conv(f"features.{place}", c_out, c_in, 3)
        expected |= norm(f"features.{place + 1}", c_out) if normed else {}
        place, c_in = place + (3 if normed else 2), c_out
    for place, shape in {0: (4096, 25088), 3: (4096, 4096), 6: (1000, 4096)}.items():
        expected |= linear(f"classifier.{place}", *shape)
    ours_equal(expected, name + "_bn" * normed)


RESNET = {
    "resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3), "resnet50": (3, 4, 6, 3),
    "resnet101": (3, 4, 23, 3), "resnet152": (3, 8, 36, 3),
}  # fmt: skip


@pytest.mark.parametrize("name", RESNET)
def test_resnet(name):
    deep = name not in ("resnet18", "resnet34")
    expected, c_in = conv("conv1", 64, 3, 7, bias=False) | norm("bn1", 64), 64
    for stage, depth in enumerate(RESNET[name]):
        width = 64 * 2**stage
        c_out = width * (4 if deep else 1)
        for i in range(depth):
            block = f"layer{stage + 1}.{i}"
            sides = [(width, c_in, 1), (width, width, 3), (c_out, width, 1)]
            for j, shape in enumerate(sides if deep else [(width, c_in, 3), (width, width, 3)], 1):
                expected |= conv(f"{block}.conv{j}", *shape, bias=False) | norm(f"{block}.bn{j}", shape[0])
            if i == 0 and c_in != c_out:
                expected |= conv(f"{block}.downsample.0", c_out, c_in, 1, bias=False)
                expected |= norm(f"{block}.downsample.1", c_out)
            c_in = c_out
    ours_equal(expected | linear("fc", 1000, c_in), name)


INCEPTIONS = {
    "3a": (192, 64, 96, 128, 16, 32, 32), "3b": (256, 128, 128, 192, 32, 96, 64),
    "4a": (480, 192, 96, 208, 16, 48, 64), "4b": (512, 160, 112, 224, 24, 64, 64),
    "4c": (512, 128, 128, 256, 24, 64, 64), "4d": (512, 112, 144, 288, 32, 64, 64),
    "4e": (528, 256, 160, 320, 32, 128, 128), "5a": (832, 256, 160, 320, 32, 128, 128),
    "5b": (832, 384, 192, 384, 48, 128, 128),
}  # fmt: skip


def basic(name, c_out, c_in, side):
    return conv(f"{name}.conv", c_out, c_in, side, bias=False) | norm(f"{name}.bn", c_out)


@pytest.mark.parametrize("aux", [False, True])
def test_googlenet(aux):
    expected = basic("conv1", 64, 3, 7) | basic("conv2", 64, 64, 1) | basic("conv3", 192, 64, 3)
    for place, (c_in, one, three_in, three, five_in, five, pooled) in INCEPTIONS.items():
        at = f"inception{place}"
        expected |= basic(f"{at}.branch1", one, c_in, 1)
        expected |= basic(f"{at}.branch2.0", three_in, c_in, 1) | basic(f"{at}.branch2.1", three, three_in, 3)
        expected |= basic(f"{at}.branch3.0", five_in, c_in, 1) | basic(f"{at}.branch3.1", five, five_in, 3)
        expected |= basic(f"{at}.branch4.1", pooled, c_in, 1)
    for i, c_in in ((1, 512), (2, 528)) if aux else ():
        expected |= basic(f"aux{i}.conv", 128, c_in, 1)
        expected |= linear(f"aux{i}.fc1", 1024, 2048) | linear(f"aux{i}.fc2", 1000, 1024)
    ours_equal(expected | linear("fc", 1000, 1024), "googlenet", aux=aux)


def test_settings_that_no_key_shows():
    """What torchvision's weights were trained with and a name does not tell."""
    with torch.device("meta"):
        google, resnet, vgg = nets.googlenet(), nets.resnet50(), nets.vgg16()
    norms = [layer for layer in google.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    assert {layer.eps for layer in norms} == {1e-3}
    pools = (google.maxpool1, google.maxpool2, google.maxpool3, google.maxpool4)
    assert [(p.kernel_size, p.stride, p.ceil_mode) for p in pools] == [(3, 2, True)] * 3 + [(2, 2, True)]
    assert resnet.layer2[0].conv2.stride == (2, 2)  # v1.5
    assert resnet.layer2[0].conv1.stride == (1, 1)
    assert {layer.eps for layer in resnet.modules() if isinstance(layer, torch.nn.BatchNorm2d)} == {1e-5}
    assert all(layer.padding == (1, 1) for layer in vgg.features if isinstance(layer, torch.nn.Conv2d))


@pytest.mark.parametrize("name", ["resnet20", "resnet110", "plain56"])
def test_small_resnet(name):
    n = (int(name.removeprefix("resnet").removeprefix("plain")) - 2) // 6
    expected, c_in = conv("conv1", 16, 3, 3, bias=False) | norm("bn1", 16), 16
    for stage, c_out in enumerate((16, 32, 64), 1):
        for i in range(n):
            block = f"layer{stage}.{i}"
            expected |= conv(f"{block}.conv1", c_out, c_in, 3, bias=False) | norm(f"{block}.bn1", c_out)
            expected |= conv(f"{block}.conv2", c_out, c_out, 3, bias=False) | norm(f"{block}.bn2", c_out)
            c_in = c_out
    ours_equal(expected | linear("linear", 10, 64), name)
