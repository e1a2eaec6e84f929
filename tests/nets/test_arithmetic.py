"""Sizes, parameters, operations and receptive fields against closed formulas and torch's own counter."""

import itertools

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from sortal import nets
from sortal.errors import InputError
from sortal.nets.arithmetic import conv_output_size, count, pool_output_size, with_padding
from sortal.nets.chain import chain


@pytest.mark.parametrize(
    ("n", "f", "padding", "stride", "out"),
    [
        (32, 5, 0, 1, 28),
        (227, 11, 0, 4, 55),
        (224, 3, 1, 1, 224),
        (7, 3, "same", 1, 7),
        (5, 5, "valid", 3, 1),
    ],
)
def test_conv_output_size_of_the_papers(n, f, padding, stride, out):
    assert conv_output_size(n, f, padding, stride) == out


def test_conv_output_size_is_torchs():
    for n, f, p, s, d in itertools.product((1, 6, 7, 13), (1, 2, 3, 5), (0, 1, "same"), (1, 2, 3), (1, 2)):
        if p == "same" and (s > 1 or f % 2 == 0):
            continue  # torch refuses the one and warns of the other
        try:
            expected = nn.Conv1d(1, 1, f, s, p, d)(torch.zeros(1, 1, n)).shape[2]
        except RuntimeError:
            with pytest.raises(InputError, match="must fit into the padded input"):
                conv_output_size(n, f, p, s, d)
            continue
        assert conv_output_size(n, f, p, s, d) == expected, (n, f, p, s, d)


def test_pool_output_size_is_torchs():
    for n, f, p, s, ceil in itertools.product((4, 5, 9, 14), (2, 3), (0, 1), (1, 2, 3), (False, True)):
        expected = nn.MaxPool1d(f, s, p, ceil_mode=ceil)(torch.zeros(1, 1, n)).shape[2]
        assert pool_output_size(n, f, p, s, ceil) == expected, (n, f, p, s, ceil)


@pytest.mark.parametrize("bad", [(0, 3), (5, 0), (5, 3, -9), (5, 3, "half"), (2, 5)])
def test_conv_output_size_refuses(bad):
    with pytest.raises(InputError):
        conv_output_size(*bad)


def small() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, stride=2, groups=2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 4),
    )  # fmt: skip


def test_counts_by_hand():
    found = count(small(), (3, 32, 32))
    first, norm = found.layers[0], found.layers[1]
    assert (first.weights, first.biases, first.output_shape) == (3 * 8 * 9, 8, (8, 32, 32))
    assert first.macs == 32 * 32 * 8 * 3 * 3 * 3
    assert (norm.weights, norm.biases, norm.macs) == (0, 16, 0)
    grouped = found.layers[4]
    assert (grouped.macs, grouped.output_shape) == (7 * 7 * 16 * 4 * 9, (16, 7, 7))
    assert found.parameters == sum(p.numel() for p in small().parameters())
    assert found.activation_bytes == sum(layer.activation_bytes for layer in found.layers)
    assert [layer.receptive_field for layer in found.layers[:5]] == [(3, 3), (3, 3), (3, 3), (4, 4), (8, 8)]
    assert grouped.stride == (4, 4)


@pytest.mark.parametrize(
    ("net", "shape"),
    [
        (small(), (3, 40, 33)),
        (nn.ConvTranspose2d(3, 6, 4, 2, groups=3), (3, 9, 9)),
        (nn.Sequential(nn.Conv1d(4, 6, 5, dilation=2), nn.Flatten(), nn.LazyLinear(2)), (4, 30)),
        (nn.Conv3d(2, 3, 2), (2, 5, 6, 7)),
    ],
    ids=["2d", "transposed", "1d", "3d"],
)
def test_operations_are_those_of_torchs_counter(net, shape):
    net.eval()(torch.zeros(1, *shape))
    with FlopCounterMode(display=False) as counter:
        net(torch.zeros(1, *shape))
    assert count(net, shape).macs == counter.get_total_flops() // 2


@pytest.mark.parametrize("kind", [nn.GRU, nn.LSTM, nn.RNN])
def test_recurrent_layers(kind):
    net = kind(5, 7, num_layers=2, bidirectional=True, batch_first=True)
    found = count(net, (11, 5))
    matrices = sum(p.numel() for p in net.parameters() if p.dim() == 2)
    assert (found.weights, found.macs) == (matrices, 11 * matrices)
    assert found.layers[0].receptive_field is None


@pytest.mark.parametrize("kind", [nets.GRU, nets.LSTM, nets.RNN])
def test_our_recurrent_layers_cost_the_same_on_both_paths(kind):
    """Each step multiplies each weight once, so operations grow with the length and parameters do not."""
    gates = len(kind.rows)
    one_way = gates * 7 * (5 + 7) + gates * 7 * (2 * 7 + 7)
    net = kind(5, 7, num_layers=2, bidirectional=True, seed=0)
    for net.fused in (True, False):
        for steps in (1, 11):
            found = count(net, (steps, 5))
            assert (found.weights, found.biases, len(found.layers)) == (2 * one_way, 2 * 2 * 2 * gates * 7, 1)
            assert found.macs == steps * 2 * one_way


def test_tokens_and_a_map_written_out():
    class Written(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.zeros(5, 7))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.tanh(x @ self.w)

    net = nn.Sequential(nn.Embedding(100, 5), Written())
    found = count(net, torch.zeros(64, 11, dtype=torch.long))
    assert (found.input_shape, found.macs, found.weights) == ((11,), 11 * 5 * 7, 535)


def test_branches_see_as_far_as_their_widest():
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(1, 2, 5, padding=2), nn.Conv2d(1, 2, 3, padding=1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cat([self.a(x), self.b(x)], 1)

    found = count(nn.Sequential(Two(), nn.Conv2d(4, 1, 3)), (1, 9, 9))
    assert found.layers[-1].receptive_field == (7, 7)


def test_what_is_shared_counts_once_and_what_is_not_called_is_named():
    one = nn.Linear(4, 4)
    found = count(nn.Sequential(one, one), (4,))
    assert found.parameters == 20
    assert found.macs == 32
    net = nn.Sequential(nn.Linear(4, 4))
    net.add_module("aside", nn.Identity())
    net.aside.extra = nn.Linear(4, 2)
    last = count(net, (4,)).layers[-1]
    assert (last.name, last.output_shape, last.parameters) == ("aside.extra", None, 10)


def test_the_network_stays_as_it_was():
    net = small().train()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    count(net, (3, 32, 32))
    assert net.training
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert not net[0]._forward_hooks
    assert not net[0]._forward_pre_hooks


def test_counting_takes_no_memory():
    with torch.device("meta"):
        net = nn.Linear(10**6, 10**6)
    assert count(net, (10**6,)).parameters == 10**12 + 10**6


@pytest.mark.parametrize("shape", [(1, 32, 32), (3, 2, 2), (), (3, 0, 4)])
def test_inputs_that_do_not_fit(shape):
    with pytest.raises(InputError, match=r"inputs"):
        count(small(), shape)


def test_padding_changes_operations_and_no_parameters():
    net = nn.Sequential(nn.Conv2d(1, 6, 5, padding=1), nn.ReLU(), nn.Conv2d(6, 6, 3, stride=2, padding=0))
    same, valid = (count(with_padding(net, way), (1, 32, 32)) for way in ("same", "valid"))
    assert (same.layers[0].weights, same.layers[0].parameters) == (150, 156)
    assert same.parameters == valid.parameters
    assert same.macs > valid.macs
    assert (same.layers[0].output_shape, valid.layers[0].output_shape) == ((6, 32, 32), (6, 28, 28))
    assert net[0].padding == (1, 1)
    with torch.no_grad():
        assert with_padding(net, "same")(torch.zeros(1, 1, 32, 32)).shape == (1, 6, 16, 16)
    with pytest.raises(InputError, match="same"):
        with_padding(net, "full")


def test_two_3x3_see_what_one_5x5_sees_with_fewer_parameters():
    two, one = (count(chain(text, (64, 56, 56)), (64, 56, 56)) for text in ("conv3-64,conv3-64", "conv5-64"))
    assert two.layers[-1].receptive_field == one.layers[-1].receptive_field == (5, 5)
    assert (two.weights, one.weights) == (2 * 9 * 64**2, 25 * 64**2)


def test_a_1x1_convolution_is_a_linear_layer_at_every_position():
    conv, linear = nn.Conv2d(8, 3, 1), nn.Linear(8, 3)
    with torch.no_grad():
        linear.weight.copy_(conv.weight.flatten(1))
        linear.bias.copy_(conv.bias)
        x = torch.randn(2, 8, 4, 5)
        torch.testing.assert_close(conv(x), linear(x.movedim(1, 3)).movedim(3, 1))
    assert count(conv, (8, 4, 5)).macs == count(linear, (4, 5, 8)).macs


def test_chain():
    net = chain("conv5-6, maxpool2, conv3-16/2, avgpool2, fc-10", (1, 28, 28))
    assert net(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
    for bad in ("conv3", "conv0-4", "fc-4,conv3-4", "lstm-4", "", "maxpool99"):
        with pytest.raises(InputError):
            chain(bad, (1, 28, 28))
