"""The microscope in the loop: it sees what autograd sees, changes no bit, and stops what is dead."""

import math

import numpy as np
import pytest
import torch

from sortal.diagnose import Clipping, Microscope, clipping_report
from sortal.errors import InputError
from sortal.tasks import Classify
from sortal.train.loop import train
from sortal.train.plan import Plan
from tests.train.tiny import Carry, Pieces, Recurrent, batches, held, tiny

PLAN = Plan(epochs=3, peak_lr=0.05, clip_norm=0.5)


def watched(net, every=3, **options):
    with Microscope(every) as seen:
        done = train(net, Classify(), batches(), PLAN, device="cpu", watchers=[seen], **options)
    return seen, done


def test_watching_changes_no_bit_and_leaves_no_hook():
    alone, net = tiny(), tiny()
    train(alone, Classify(), batches(), PLAN, valid=held(), device="cpu")
    seen, _ = watched(net, valid=held())
    assert [sample.step for sample in seen.samples] == [3, 6, 9]
    assert all(torch.equal(a, b) for a, b in zip(alone.state_dict().values(), net.state_dict().values()))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())


def test_a_sample_is_what_autograd_and_the_optimiser_did():
    net, by_hand = tiny(), []

    def note(moment):
        weight = moment.net.conv.weight
        by_hand.append((float(weight.grad.norm()), weight.detach().clone()))

    with Microscope(3) as seen:
        train(net, Classify(), batches(), PLAN, device="cpu", watchers=[note, seen])
    for sample in seen.samples[:-1]:
        conv = sample.profile.layers[0]
        length, before = by_hand[sample.step]
        after = by_hand[sample.step + 1][1]
        assert conv.name == "conv"
        assert conv.gradient_norm == pytest.approx(length, rel=1e-5)
        assert conv.update_ratio == pytest.approx(float((after - before).norm() / before.norm()), rel=1e-4)
        assert math.isfinite(conv.signal)
        assert [one.kind for one in sample.profile.activations] == ["relu"]


def test_a_recurrent_layer_is_seen_by_lag():
    torch.manual_seed(0)
    net = Recurrent()
    with Microscope(2) as seen:
        train(net, Carry(), Pieces(), Plan(epochs=2, peak_lr=0.01), device="cpu", watchers=[seen])
    gradients = [sample.reach["rnn"].gradient for sample in seen.samples]
    assert [one.shape[1] for one in gradients] == [20, 14, 7, 20, 14][: len(gradients)]
    assert all(np.isfinite(one).all() and (one > 0).all() for one in gradients)


def test_a_dead_run_is_stopped_and_says_so():
    net = tiny()
    with torch.no_grad():
        net.bn.bias.fill_(-100)
    _, done = watched(net)
    assert "the gradient has died: it is 0 in every layer below head at steps 3 and 6" in done.stopped
    assert "all units of conv give 0" in done.stopped
    assert done.steps == 6
    assert not any(module._forward_hooks for module in net.modules())


def test_a_body_that_is_cut_off_by_design_has_not_died():
    class Held(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.head = torch.nn.Linear(64, 8), torch.nn.Linear(8, 3)

        def forward(self, x):
            with torch.no_grad():
                out = self.body(x.flatten(1))
            return self.head(out)

    seen, done = watched(Held())
    assert done.stopped == "all 3 epochs done"
    assert [[layer.cut for layer in one.profile.layers] for one in seen.samples] == [[True, False]] * 3


def test_a_loop_that_breaks_off_leaves_no_hook():
    net = tiny()

    def fail(moment):
        if moment.step == 2:
            raise RuntimeError

    with pytest.raises(RuntimeError), Microscope(3) as seen:
        train(net, Classify(), batches(), PLAN, device="cpu", watchers=[seen, fail])
    assert not any(module._forward_hooks for module in net.modules())
    with pytest.raises(InputError, match="at least 2"):
        Microscope(1)


def test_clipping_notes_the_lengths_of_the_loop():
    seen = Clipping(PLAN.clip_norm)
    done = train(tiny(), Classify(), batches(), PLAN, device="cpu", watchers=[seen])
    assert len(seen.norms) == done.steps
    by_loop = sum(epoch.clipped * 4 for epoch in done.curve) / done.steps  # 4 steps an epoch
    assert seen.report.acted == pytest.approx(by_loop)


def test_clipping_by_hand():
    found = clipping_report(np.array([1.0, 1, 1, 1, 40, 4]), 2.0)
    assert found.acted == pytest.approx(2 / 6)
    assert found.taken == pytest.approx((38 + 2) / 48)
    assert found.spikes == pytest.approx(38 / 40)
    assert "it cut explosions" in found.words
    assert "as a smaller rate" in clipping_report(np.array([4.0, 5, 6]), 2.0).words
    assert "never acted" in clipping_report(np.ones(3), 2.0).words
    assert clipping_report(np.array([1.0, math.inf]), 2.0).spikes == 1
    for call in (lambda: Clipping(0), lambda: clipping_report(np.ones(0), 1.0)):
        with pytest.raises(InputError):
            call()
