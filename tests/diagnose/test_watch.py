"""Gradient lengths: those of autograd, epoch by epoch, and the loop ends with the same bits."""

import pytest
import torch

from sortal.diagnose import GradientNorms, gradient_norms
from sortal.tasks import Classify
from sortal.train.loop import train
from sortal.train.plan import Plan
from tests.train.tiny import batches, tiny

PLAN = Plan(epochs=2, peak_lr=0.05)


def test_the_mean_of_an_epoch_is_that_of_its_steps():
    norms, steps = GradientNorms(), []

    def by_hand(moment):
        steps.append((moment.epoch, moment.net.conv.weight.grad.norm().item()))

    train(tiny(), Classify(), batches(), PLAN, device="cpu", watchers=[norms, by_hand])
    assert [list(epoch) for epoch in norms.epochs] == [["conv", "head"]] * 2
    for epoch, found in enumerate(norms.epochs):
        lengths = [length for at, length in steps if at == epoch]
        assert found["conv"] == pytest.approx(sum(lengths) / len(lengths), rel=1e-6)


def test_watching_changes_no_bit():
    alone, watched = tiny(), tiny()
    train(alone, Classify(), batches(), PLAN, device="cpu")
    train(watched, Classify(), batches(), PLAN, device="cpu", watchers=[GradientNorms()])
    assert all(torch.equal(a, b) for a, b in zip(alone.state_dict().values(), watched.state_dict().values()))


def test_gradients_that_lie_there_now():
    net = tiny()
    assert gradient_norms(net) == {"conv": 0, "head": 0}
    net(torch.ones(2, 1, 8, 8)).sum().backward()
    assert gradient_norms(net)["head"] == pytest.approx(net.head.weight.grad.norm().item())
