"""Filters, maps and evidence: by hand on a tiny network, and nothing of the network moved."""

import numpy as np
import pytest
import torch
from torch import nn

from sortal import diagnose, nets
from sortal.errors import InputError


class Small(nn.Module):
    """One convolution, a ReLU in place, the mean of each map, two classes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn, self.relu = (
            nn.Conv2d(1, 2, 1, bias=False),
            nn.BatchNorm2d(2),
            nn.ReLU(inplace=True),
        )
        self.drop, self.head = nn.Dropout(0.5), nn.Linear(2, 2, bias=False)

    def forward(self, images):
        return self.head(self.drop(self.relu(self.bn(self.conv(images))).mean((2, 3))))


def small():
    net = Small()
    with torch.no_grad():
        net.conv.weight[:] = torch.tensor([1.0, -2.0])[:, None, None, None]
        net.head.weight[:] = torch.tensor([[3.0, 1.0], [-1.0, 4.0]])
        net.bn.running_var[:] = 1 - net.bn.eps
    return net


IMAGE = torch.tensor([[[1.0, -1.0, 0.0], [0.5, 2.0, -3.0]]])


def test_evidence_by_hand():
    """Maps are relu(x) and relu(-2x), each place's mean counts 1/6: weights 3/6 and 1/6, -1/6 and 4/6."""
    net, x = small(), IMAGE[0].numpy()
    up, down = np.maximum(x, 0), np.maximum(-2 * x, 0)
    assert np.allclose(diagnose.evidence(net, IMAGE, 0), np.maximum(3 * up + down, 0) / 6, atol=1e-6)
    assert np.allclose(diagnose.evidence(net, IMAGE, 1), np.maximum(-up + 4 * down, 0) / 6, atol=1e-6)


def test_evidence_before_a_relu_in_place_is_of_what_was_there():
    """Before it a map's gradient is 0 where the ReLU cuts: three of six places of the first map count."""
    x = IMAGE[0].numpy()
    passed = np.array([(x > 0).mean(), (x < 0).mean()]) / 6 * (3, 1)
    by_hand = np.maximum(passed[0] * x + passed[1] * -2 * x, 0)
    assert np.allclose(diagnose.evidence(small(), IMAGE, 0, layer="bn"), by_hand, atol=1e-6)
    maps = diagnose.feature_maps(small(), IMAGE, ["bn", "relu"])
    assert maps["bn"].min() < 0 <= maps["relu"].min()


def test_for_a_mean_of_maps_evidence_is_the_class_activation_map():
    """Zhou et al. 2016: the head's weights times the last maps, here of a ResNet-20."""
    net = nets.resnet20(seed=0).eval()
    image = torch.randn(3, 32, 32, generator=torch.Generator().manual_seed(0))
    maps = diagnose.feature_maps(net, image)["layer3"]
    by_hand = np.tensordot(net.head.weight[4].detach().numpy(), maps, 1) / 64
    assert np.allclose(diagnose.evidence(net, image, 4), np.maximum(by_hand, 0), atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_nothing_of_the_network_moves(training):
    net = small().train(training)
    net.head.eval()  # modes may differ, and each comes back
    net.conv.weight.requires_grad_(False)
    modes = [module.training for module in net.modules()]
    before = {name: value.clone() for name, value in net.state_dict().items()}
    chance = torch.get_rng_state()
    diagnose.evidence(net, IMAGE, 1)
    diagnose.feature_maps(net, IMAGE)
    diagnose.answers(net, IMAGE)
    diagnose.filters(net)[:] = 7  # a copy
    with pytest.raises(InputError):
        diagnose.evidence(net, IMAGE, 2)
    with pytest.raises(RuntimeError):
        diagnose.feature_maps(net, torch.zeros(5, 3, 3))
    assert [module.training for module in net.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert torch.equal(torch.get_rng_state(), chance)
    assert not any(module._forward_hooks for module in net.modules())
    assert all(parameter.grad is None for parameter in net.parameters())
    assert not net.conv.weight.requires_grad


def test_answers_are_probabilities_of_the_network_as_in_use():
    net = small().train()
    found = diagnose.answers(net, IMAGE)
    assert np.isclose(found.sum(), 1)
    assert np.array_equal(found, diagnose.answers(net, IMAGE))  # no dropout


@pytest.mark.parametrize(
    ("network", "layers"),
    [
        ("lenet5", ("c1", "c3")),
        ("lenet5_paper", ("c1", "s2", "c3", "s4")),
        ("resnet20", ("conv1", "layer1", "layer2", "layer3")),
        ("resnet18", ("bn1", "layer1", "layer2", "layer3", "layer4")),
    ],
)
def test_depths_are_the_last_of_each_size(network, layers):
    net = nets.builder(network)(seed=0)
    size = min(net.train_size, 64)
    assert diagnose.depths(net, torch.zeros(net.in_channels, size, size)) == layers


def test_depths_of_a_line_stop_before_the_pool():
    """As VGG's features: the pool, and the container that ends with it, are not the last maps."""
    features = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.ReLU(True),
        nn.Conv2d(4, 4, 3, padding=1),
        nn.ReLU(True),
        nn.MaxPool2d(2),
    )
    net = nn.Sequential(features, nn.Flatten(), nn.Linear(64, 2))
    assert diagnose.depths(net, torch.zeros(3, 8, 8)) == ("0.0", "0.3")
    assert list(diagnose.feature_maps(net, torch.zeros(3, 8, 8))) == ["0.0", "0.3"]


def test_the_first_filters_are_the_weights():
    net = nets.resnet20(seed=0)
    assert np.array_equal(diagnose.filters(net), net.conv1.weight.detach().numpy())


@pytest.mark.parametrize(
    ("call", "rule"),
    [
        (lambda: diagnose.filters(nn.Linear(2, 2)), "must have a convolution"),
        (lambda: diagnose.evidence(small(), IMAGE, 2), "a class from 0 to 1; got 2"),
        (lambda: diagnose.evidence(small(), IMAGE, 0, layer="conv2"), "it has no 'conv2'"),
        (lambda: diagnose.evidence(small(), IMAGE, 0, layer="drop"), "must give maps"),
        (lambda: diagnose.feature_maps(small(), IMAGE[None]), "image must have the shape"),
        (lambda: diagnose.depths(small(), torch.zeros(1, 1, 1)), "maps of more than one pixel"),
    ],
)
def test_refusals(call, rule):
    with pytest.raises(InputError, match=rule):
        call()
