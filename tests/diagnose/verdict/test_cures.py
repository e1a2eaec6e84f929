"""Cures on copies: what helps by construction helps, what has no place is left out, the net stays."""

import math

import pytest
import torch
from torch import nn

from sortal.diagnose import try_cures
from sortal.errors import InputError
from sortal.tasks import Classify
from tests.diagnose.verdict.test_conditions import Reads, batch


def line(gain, depth=12, bias=0.0):
    torch.manual_seed(0)
    layers = []
    for _ in range(depth):
        linear = nn.Linear(16, 16)
        nn.init.normal_(linear.weight, std=gain / 4)
        nn.init.constant_(linear.bias, bias)
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(16, 3))


def points(n=4):
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(48) % 3
    return [
        {
            "inputs": torch.randn(48, 16, generator=generator) + 2 * nn.functional.one_hot(labels, 16),
            "labels": labels,
        }
        for _ in range(n)
    ]


def by_name(trials):
    return {trial.cure: trial for trial in trials}


def test_a_vanishing_line_is_helped_by_shortcuts_and_by_its_start():
    found = by_name(try_cures(line(0.3), Classify(), points(), "vanishing", lr=0.02, steps=60))
    assert list(found) == ["untreated", "shortcut", "normalisation", "initialise"]  # no gates: nothing recurs
    assert found["untreated"].condition != "healthy"
    assert found["untreated"].loss > 0.9 * found["untreated"].loss_before
    for name in ("shortcut", "initialise"):
        assert found[name].condition == "healthy"
        assert found[name].loss < 0.9 * found["untreated"].loss


def test_an_exploding_line_is_held_by_clipping():
    found = by_name(
        try_cures(
            line(4.0, 6), Classify(), points(), "exploding", lr=0.05, steps=60, cures=["clip", "initialise"]
        )
    )
    assert not found["untreated"].loss < found["untreated"].loss_before / 100 or found["untreated"].steps < 60
    assert found["clip"].steps == 60
    assert found["initialise"].loss < 1


def test_dead_units_live_again_after_a_new_start():
    found = by_name(try_cures(line(1.4, 4, bias=-50.0), Classify(), points(), "dead", lr=0.02, steps=40))
    assert found["untreated"].condition == "dead"
    assert found["initialise"].condition == "healthy"


def test_gates_and_a_shorter_window_for_a_recurrent_layer():
    net = Reads(nn.RNN(2, 6))
    with torch.no_grad():
        net.rnn.weight_hh_l0.copy_(torch.eye(6) * 0.4)
    found = by_name(
        try_cures(net, Classify(), [batch(60)], "vanishing", steps=3, cures=["gates", "shorter window"])
    )
    assert list(found) == ["untreated", "gates", "shorter window"]
    assert all(math.isfinite(one.loss) for one in found.values())
    assert found["untreated"].condition == "vanishing"
    assert found["gates"].condition == "healthy"  # set for 60 steps
    assert found["shorter window"].loss_before == pytest.approx(
        found["untreated"].loss_before
    )  # the same function


def test_the_network_itself_stays_as_it_was():
    net = line(1.4, 3)
    before, chance = {k: v.clone() for k, v in net.state_dict().items()}, torch.get_rng_state()
    one = try_cures(net, Classify(), points(1), "exploding", steps=2)
    assert one == try_cures(net, Classify(), points(1), "exploding", steps=2)
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert list(before) == list(net.state_dict())
    assert torch.equal(torch.get_rng_state(), chance)
    assert not any(module._forward_hooks for module in net.modules())


def test_nothing_to_learn_takes_no_steps():
    (untreated,) = try_cures(
        line(1.0, 2).requires_grad_(False), Classify(), points(1), "dead", steps=3, cures=[]
    )
    assert untreated.steps == 0
    assert untreated.loss == untreated.loss_before


@pytest.mark.parametrize(
    ("options", "rule"),
    [({"steps": 0}, "at least one step"), ({"cures": ["prayer"]}, "got 'prayer'")],
)
def test_refusals(options, rule):
    with pytest.raises(InputError, match=rule):
        try_cures(line(1.0), Classify(), points(1), "dead", **options)
