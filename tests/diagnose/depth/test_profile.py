"""Layers of any network in one pass: by hand on small ones, and nothing of the network moved."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from sortal import nets
from sortal.diagnose import coherence, layer_profile
from sortal.errors import InputError


def line(*layers):
    torch.manual_seed(0)
    return nn.Sequential(*layers)


X = torch.randn(6, 4, generator=torch.Generator().manual_seed(1))


def test_by_hand():
    net = line(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))
    hidden = torch.tanh(net[0](X))
    first = net[0](X).detach().requires_grad_()
    net[2](torch.tanh(first)).square().sum().backward()
    net.zero_grad()
    found = layer_profile(net, lambda: net(X).square().sum(), lr=0.1)
    assert [(layer.name, layer.kind) for layer in found.layers] == [("0", "Linear"), ("2", "Linear")]
    assert found.layers[0].signal == pytest.approx(float(first.grad.norm()), rel=1e-5)
    assert found.layers[0].variance == pytest.approx(float(net[0](X).detach().var(correction=0)), rel=1e-5)
    net(X).square().sum().backward()
    length = float(net[2].weight.grad.norm())
    assert found.layers[1].gradient_norm == pytest.approx(length, rel=1e-5)
    assert found.layers[1].update_ratio == pytest.approx(
        0.1 * length / float(net[2].weight.detach().norm()), rel=1e-5
    )
    (tanh,) = found.activations
    assert (tanh.kind, tanh.idle) == ("tanh", pytest.approx(float((hidden.abs() > 0.95**0.5).float().mean())))
    assert found.decay == pytest.approx(found.layers[0].signal / found.layers[1].signal)


@pytest.mark.parametrize("relu", [nn.ReLU(), nn.ReLU(inplace=True), torch.relu, nn.functional.relu])
def test_dead_units_are_seen_however_a_relu_is_called(relu):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.fc, self.relu = nn.Conv2d(1, 4, 3), nn.Linear(4, 8), relu

        def forward(self, images):
            x = self.relu(self.conv(images))
            return self.relu(self.fc(x.mean((2, 3))))

    torch.manual_seed(0)
    net = Net()
    with torch.no_grad():
        net.conv.bias[:] = torch.tensor([-100.0, 100, 100, 100])
        net.fc.bias[:] = torch.tensor([-1e4] * 6 + [1e4] * 2)
    found = layer_profile(net, lambda: net(torch.randn(3, 1, 6, 6)).sum())
    assert [(one.name, one.idle) for one in found.activations] == [("conv", 0.25), ("fc", 0.75)]


def test_gates_of_a_recurrent_layer_are_no_activations():
    rnn = nets.GRU(4, 5, seed=0)
    rnn.fused = False  # by its equations, sigmoid by sigmoid
    found = layer_profile(rnn, lambda: torch.tanh(rnn(X[:, None])[0]).sum())
    assert [layer.kind for layer in found.layers] == ["GRU"]
    assert found.activations == ()


def test_nothing_moves():
    net = line(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Dropout(), nn.Flatten(), nn.Linear(32, 2))
    net[1].eval()
    image = torch.randn(3, 1, 6, 6)
    net(image).sum().backward()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    grads = [parameter.grad.clone() for parameter in net.parameters()]
    chance, modes = torch.get_rng_state(), [module.training for module in net.modules()]

    def loss():
        net.train()
        return net(image).sum()

    layer_profile(net, loss)
    layer_profile(net, loss, severed=True)
    coherence(net, loss)
    with pytest.raises(ZeroDivisionError):
        layer_profile(net, lambda: net(image).sum() * (1 / 0))
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(torch.equal(parameter.grad, grad) for parameter, grad in zip(net.parameters(), grads))
    assert torch.equal(torch.get_rng_state(), chance)
    assert [module.training for module in net.modules()] == modes
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())
    assert torch.overrides._get_current_function_mode() is None


class Block(nn.Module):
    def __init__(self, shortcut):
        super().__init__()
        self.a, self.b, self.shortcut = nn.Linear(4, 4), nn.Linear(4, 4), shortcut

    def forward(self, x):
        out = self.b(torch.relu(self.a(x)))
        return torch.relu(out + x if self.shortcut else out)


@pytest.mark.parametrize("n", [1, 3])
def test_a_severed_network_is_the_plain_one(n):
    residual, plain = (
        nn.Sequential(*[Block(shortcut) for _ in range(n)], nn.Linear(4, 1)) for shortcut in (1, 0)
    )
    plain.load_state_dict(residual.state_dict())
    first = nn.Linear(4, 4)  # without weights above it the input is a leaf: no branch point
    cut = layer_profile(residual, lambda: residual(first(X)).sum(), severed=True)
    alone = layer_profile(plain, lambda: plain(first(X)).sum())
    assert cut.n_shortcuts == n
    assert cut.layers == alone.layers
    assert layer_profile(residual, lambda: residual(first(X)).sum()).layers != alone.layers


@pytest.mark.parametrize(("network", "n"), [("resnet20", 9), ("plain20", 0), ("resnet18", 8), ("vgg11", 0)])
def test_shortcuts_of_known_networks_are_found(network, n):
    net = nets.builder(network)(seed=0)
    size = 64 if network == "resnet18" else 32
    image = torch.randn(2, 3, size, size)
    found = layer_profile(net, lambda: net(image).square().mean(), severed=True)
    assert found.n_shortcuts == n


def test_coherence_is_near_1_with_shortcuts():
    plain, residual = nets.plain32(seed=0), nets.resnet32(seed=0)
    image, labels = torch.randn(4, 3, 16, 16), torch.arange(4)
    means = []
    for net in (plain, residual):
        found = coherence(net, lambda net=net: cross_entropy(net(image), labels))
        assert ("layer1.3", "layer1.4") in found
        assert ("layer1.4", "layer2.0") not in found  # other shapes
        means.append(np.mean(list(found.values())))
    assert means[1] > means[0] + 0.2


def test_shared_frozen_and_unreached_layers():
    shared = nn.Linear(4, 4)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.below, self.frozen, self.twice, self.head = (
                nn.Linear(4, 4),
                nn.Linear(4, 4),
                shared,
                nn.Linear(4, 1),
            )

        def forward(self, x):
            with torch.no_grad():
                x = self.below(x)
            return self.head(self.twice(torch.tanh(self.twice(self.frozen(x)))))

    net = Net()
    net.frozen.requires_grad_(False)
    found = layer_profile(nn.DataParallel(net), lambda: net(X).sum())
    below, frozen, once, again, head = found.layers
    assert below.cut
    assert math.isnan(below.signal)
    assert frozen.frozen
    assert math.isnan(frozen.gradient_norm)
    assert once.name == again.name == "twice"
    assert once.signal != again.signal
    assert not head.cut


def test_complex_and_whole_numbers_and_what_has_no_second_derivative():
    class Once(torch.autograd.Function):
        @staticmethod
        def forward(context, x):
            return 2 * x

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(context, gradient):
            return 2 * gradient

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.turn, self.head = nn.Linear(4, 4, dtype=torch.cfloat), nn.Linear(4, 1)
            self.table = nn.Parameter(torch.ones(2, 2, dtype=torch.long), requires_grad=False)

        def forward(self, x):
            return self.head(Once.apply(self.turn(x.cfloat()).abs()))

    found = layer_profile(net := Net(), lambda: net(X).sum())
    assert [layer.name for layer in found.reached] == ["turn", "head"]
    assert all(layer.gradient_norm > 0 for layer in found.reached)


def test_where_nan_is_born():
    net = line(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 1))
    with torch.no_grad():
        net[1].weight[0, 0] = math.nan
    found = layer_profile(net, lambda: net(X).sum())
    assert math.isnan(found.loss)
    assert found.first_bad == "1"


@pytest.mark.parametrize(
    ("loss", "rule"),
    [
        (lambda net: net(X), "must give one number"),
        (lambda net: torch.zeros(()), "none was called"),
    ],
)
def test_refusals(loss, rule):
    net = line(nn.Linear(4, 2))
    with pytest.raises(InputError, match=rule):
        layer_profile(net, lambda: loss(net))
