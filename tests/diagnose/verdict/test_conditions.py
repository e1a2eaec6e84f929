"""Verdicts: their words and limits by hand, and networks whose condition is known by construction."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from sortal import nets
from sortal.diagnose import Profile, Sign, examine, lags_of, spectrum
from sortal.diagnose.depth.profile import Activation, Layer
from sortal.diagnose.verdict.conditions import agreed, sign_in_depth, sign_of_growth
from sortal.errors import InputError
from sortal.tasks import Answer, Classify, SequenceClassify, Task


def layer(name, signal, ratio=math.nan, finite=True):
    return Layer(name, "Linear", 1.0, 1.0, ratio, signal, 0.0, 1.0, finite, False, False)


def profile(*signals, idle=0.0, kind="relu", loss=1.0, **options):
    layers = tuple(layer(f"l{i}", signal, **options) for i, signal in enumerate(signals))
    return Profile(loss, layers, (Activation("act", kind, idle, 0.0, 1.0),))


@pytest.mark.parametrize(
    ("seen", "condition", "where"),
    [
        (profile(1e-2, 0.1, 1.0), "healthy", ""),
        (profile(1e-5, 5e-4, 0.1, 1.0), "vanishing", "l1"),
        (profile(0.0, 0.0, 0.0), "vanishing", "l0"),
        (profile(1e5, 2e3, 1.0), "exploding", "l1"),
        (profile(1.0, 1.0, ratio=0.2), "exploding", "l0"),
        (profile(1e-9, 1.0, idle=0.6), "dead", "act"),
        (profile(1e-9, 1.0, idle=0.9, kind="tanh"), "saturated", "act"),
        (profile(0.5, 1.0, idle=0.6, kind="tanh"), "healthy", ""),
        (profile(1.0, 1.0, finite=False), "not finite", "l0"),
        (profile(1.0, 1.0, loss=math.nan), "not finite", "the loss"),
        (profile(1.0), "healthy", ""),
    ],
)
def test_signs_in_depth(seen, condition, where):
    sign = sign_in_depth(seen)
    assert (sign.condition, sign.where) == (condition, where)


def test_a_layer_is_idle_by_the_mean_of_its_calls():
    """A captioner's tanh, called 16 times, was past the limit in one of them, and called saturated."""
    calls = tuple(Activation("mix", "tanh", idle, 0.0, 1.0) for idle in (0.9, 0.4, 0.4))
    seen = Profile(1.0, profile(1.0, 1.0).layers, (*calls, Activation("mix", "relu", 0.4, 0.0, 1.0)))
    assert sign_in_depth(seen).condition == "healthy"
    found = sign_in_depth(Profile(1.0, seen.layers, (*seen.activations, *calls[:1] * 22)))
    assert (found.condition, found.where, found.value) == ("saturated", "mix", pytest.approx(21.5 / 25))


def test_signs_through_time():
    falling = [math.log(0.5) * lag for lag in range(20)]
    assert sign_of_growth(falling, 0, relu=False).where == "lag 7"
    assert (
        sign_of_growth(falling[:8], 0, relu=False).condition == "healthy"
    )  # .8 % after 7 steps: short, not lost
    assert sign_of_growth([-one for one in falling], 0, relu=True).condition == "exploding"
    assert sign_of_growth([0, -math.inf], 0, relu=True).value == 0
    assert sign_of_growth(falling, 0.7, relu=True).condition == "dead"
    assert sign_of_growth(falling, 0.9, relu=False).condition == "saturated"


def test_most_batches_decide_and_the_graver_where_they_tie():
    signs = [
        Sign("healthy", "", 1, 0, ""),
        Sign("vanishing", "l0", 1e-5, 1e-3, ""),
        Sign("vanishing", "l0", 1e-4, 1e-3, ""),
    ]
    assert agreed("depth", signs).condition == "vanishing"
    assert agreed("depth", signs).sure == "2 of 3 batches, 100 times past the limit"
    assert agreed("depth", signs[:2]).condition == "vanishing"
    assert agreed("depth", signs[:1]).sure == "1 of 1 batches"


class Reads(nn.Module):
    """A recurrent layer, its last state read."""

    def __init__(self, rnn):
        super().__init__()
        self.rnn, self.head = rnn, nn.Linear(rnn.hidden_size, 3)

    def forward(self, x):
        out, _ = self.rnn(x)
        return self.head(out[:, -1] if self.rnn.batch_first else out[-1])


def batch(n_steps=50, first=False, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shape = (6, n_steps, 2) if first else (n_steps, 6, 2)
    return {"inputs": torch.randn(shape, generator=generator), "labels": torch.arange(6) % 3}


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize(("radius", "condition"), [(0.5, "vanishing"), (1.0, "healthy"), (1.4, "exploding")])
def test_a_recurrent_layer_by_its_radius(radius, condition, first):
    torch.manual_seed(0)
    rnn = nn.RNN(2, 16, batch_first=first)
    nn.init.orthogonal_(rnn.weight_hh_l0)
    with torch.no_grad():
        rnn.weight_hh_l0.mul_(radius)
        for name, weight in rnn.named_parameters():
            if not name.startswith("weight_hh"):
                weight.mul_(1e-9)
    net = Reads(rnn)
    found = examine(net, Classify(), [batch(first=first, seed=seed) for seed in range(3)])
    assert [one.subject for one in found.verdicts] == ["depth", "rnn"]
    assert found.verdicts[1].condition == condition
    assert found.healthy == (condition == "healthy")
    assert found.worst.condition == condition


def test_the_gradient_by_state_is_that_of_autograd():
    net = Reads(nn.GRU(2, 5, num_layers=2, bidirectional=True))
    net.head = nn.Linear(10, 3)
    given = batch(7)
    given = {"inputs": given["inputs"][:, :4], "labels": given["labels"][:4]}
    (lags,) = lags_of(net, lambda: Classify().loss(net, given).loss)
    assert lags.gradient.shape == (4, 7)
    assert lags.log_influence.shape == (4, 8)
    out, _ = net.rnn(given["inputs"])
    out.retain_grad()
    nn.functional.cross_entropy(net.head(out[-1]), given["labels"]).backward()
    # The last state of the forward direction of the last layer is read by nothing but the head.
    assert lags.gradient[2, -1] == pytest.approx(float(out.grad[-1, :, :5].norm()), rel=1e-5)


@pytest.mark.parametrize("cell", ["RNN", "GRU", "LSTM"])
def test_sequences_of_unequal_length_read_by_their_last_state(cell):
    """The gradient by the last state is what reaches the loss; items that are looked at are the longest."""
    net = nets.SequenceClassifier(2, 3, hidden=5, cell=cell, seed=0)
    given = batch(9, first=True) | {"lengths": torch.tensor([3, 9, 1, 9, 5, 2])}
    (lags,) = lags_of(net, lambda: SequenceClassify().loss(net, given).loss)
    assert lags.log_influence.shape == (1, 10)
    h = net.rnn(given["inputs"], None, given["lengths"])[0].detach().requires_grad_()
    nn.functional.cross_entropy(
        net.head(h[torch.arange(6), given["lengths"] - 1]), given["labels"]
    ).backward()
    assert lags.gradient[0, -1] == pytest.approx(float(h.grad[[1, 3], -1].norm()), rel=1e-4)
    found = examine(net, SequenceClassify(), [given])
    assert {layer.name for layer in found.profiles[0].reached} == {"rnn", "head"}


class Packs(nn.Module):
    """The same network fed packed sequences, its last state read."""

    def __init__(self, rnn, in_order):
        super().__init__()
        self.rnn, self.head, self.in_order = rnn, nn.Linear(rnn.hidden_size, 3), in_order

    def forward(self, x, lengths):
        packed = nn.utils.rnn.pack_padded_sequence(
            x, lengths, batch_first=self.rnn.batch_first, enforce_sorted=self.in_order
        )
        _, last = self.rnn(packed)
        return self.head((last[0] if isinstance(last, tuple) else last)[-1])


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("lengths", [[3, 9, 1, 9, 5, 2], [9, 9, 5, 3, 2, 1]])
def test_packed_sequences_are_looked_at_by_their_longest(kind, first, lengths):
    torch.manual_seed(0)
    net = Packs(getattr(nn, kind)(2, 5, num_layers=2, bidirectional=True, batch_first=first), lengths[0] == 9)
    given = batch(9, first)
    loss = lambda: nn.functional.cross_entropy(net(given["inputs"], lengths), given["labels"])  # noqa: E731
    (lags,) = lags_of(net, loss)
    assert lags.gradient.shape == (4, 9)
    assert lags.log_influence.shape == (4, 10)
    assert np.isfinite(lags.gradient).all()
    rows = [i for i, length in enumerate(lengths) if length == 9]
    x = given["inputs"] if first else given["inputs"].transpose(0, 1)
    # The same two items by themselves, unpacked: the gradient by the last state that the head reads.
    both = x[rows] if first else x[rows].transpose(0, 1)
    _, last = net.rnn(both)
    h = (last[0] if isinstance(last, tuple) else last).detach().requires_grad_()
    nn.functional.cross_entropy(net.head(h[-1]), given["labels"][rows], reduction="sum").backward()
    assert lags.gradient[3, 0] * 6 == pytest.approx(float(h.grad[-1].norm()), rel=1e-4)
    found = examine(net, Asks(lengths), [given])
    assert [layer.name for layer in found.profiles[0].layers] == ["rnn", "head"]
    assert [one.subject for one in found.verdicts] == ["depth", "rnn"]


class Asks(Task):
    def __init__(self, lengths):
        self.lengths = lengths

    def loss(self, net, batch):
        loss = nn.functional.cross_entropy(net(batch["inputs"], self.lengths), batch["labels"])
        return Answer(loss, 6, torch.zeros(()))


def test_a_projected_lstm_is_seen_through_time():
    net = Reads(nn.LSTM(2, 6, proj_size=4))
    net.head = nn.Linear(4, 3)
    given = batch(7)
    found = examine(net, Classify(), [given])
    assert [one.subject for one in found.verdicts] == ["depth", "rnn"]
    out, _ = net.rnn(given["inputs"][:, :4])
    out.retain_grad()
    (nn.functional.cross_entropy(net.head(out[-1]), given["labels"][:4], reduction="sum") / 6).backward()
    assert found.lags[0][0].gradient[0, -1] == pytest.approx(float(out.grad[-1].norm()), rel=1e-5)
    assert found.lags[0][0].log_influence.shape == (1, 8)


def test_the_step_at_which_nan_is_born():
    net, given = Reads(nn.GRU(2, 4)), batch(9)
    given["inputs"][3, 1, 0] = math.nan
    verdict = examine(net, Classify(), [given]).verdicts[1]
    assert (verdict.condition, verdict.sign.where) == ("not finite", "step 4")


def test_nothing_moves():
    net = Reads(nn.LSTM(2, 4, dropout=0.5, num_layers=2))
    before, chance = {k: v.clone() for k, v in net.state_dict().items()}, torch.get_rng_state()
    examine(net, Classify(), [batch()])
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert torch.equal(torch.get_rng_state(), chance)
    assert net.training
    assert all(p.grad is None for p in net.parameters())
    assert not any(module._forward_hooks for module in net.modules())


class Mean(Task):
    def loss(self, net, batch):
        return Answer(net(batch["inputs"]).mean(), 1, torch.zeros(()))


def test_half_precision_that_overflows_is_no_explosion():
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 1))
    with torch.no_grad():
        net[0].weight.fill_(100.0)
        net[1].weight.fill_(100.0)
    net.half()
    found = examine(net, Mean(), [{"inputs": torch.full((2, 4), 100.0).half()}])
    assert found.worst.condition == "not finite"
    assert "this is no explosion" in found.worst.sign.words
    with torch.no_grad():
        net[0].weight[0, 0] = math.nan
    found = examine(net, Mean(), [{"inputs": torch.full((2, 4), 100.0).half()}])
    assert "born in 0. Its weights hold it already." in found.worst.sign.words
    sane = {"inputs": torch.full((2, 4), math.nan)}
    found = examine(nn.Sequential(nn.Linear(4, 4)), Mean(), [sane])
    assert "born in 0. The batch holds it already, in its inputs." in found.worst.sign.words


def test_recurrent_weights_that_are_not_finite_are_a_verdict():
    """The eigenvalues of NaN ended the whole look in a LinAlgError."""
    net = Reads(nn.GRU(2, 4))
    with torch.no_grad():
        net.rnn.weight_hh_l0[0, 0] = math.nan
    found = examine(net, Classify(), [batch(5)])
    assert [one.condition for one in found.verdicts] == ["not finite", "not finite"]
    assert found.lags[0][0].spectra == {}
    with pytest.raises(InputError, match="recurrent weights must be finite"):
        spectrum(net.rnn)


def test_a_caller_in_inference_mode_is_told_so():
    """All layers were said to be cut off by no_grad or detach."""
    net, given = nn.Sequential(nn.Flatten(), nn.Linear(14, 3)), batch(7, first=True)
    with torch.inference_mode(), pytest.raises(InputError, match="outside of torch"):
        examine(net, Classify(), [given])
    with torch.no_grad():
        assert examine(net, Classify(), [given]).healthy


@pytest.mark.slow  # the compiler's import alone takes 3 s
def test_a_compiled_network_is_looked_at_as_it_was():
    net, given = nn.Sequential(nn.Flatten(), nn.Linear(14, 3)), batch(7, first=True)
    found = examine(torch.compile(nn.DataParallel(net), backend="eager"), Classify(), [given])
    assert [layer.name for layer in found.profiles[0].layers] == ["1"]


class Cut(nn.Module):
    def __init__(self, how):
        super().__init__()
        self.how = how
        self.body, self.mid, self.head = nn.Linear(2, 4), nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x):
        with torch.set_grad_enabled(self.how != "no_grad"):
            out = torch.relu(self.body(x[0]))
        out = self.head(torch.relu(self.mid(out.detach() if self.how == "detach" else out)))
        return out.detach() if self.how == "whole" else out


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("no_grad", "no gradient reaches what lies below mid: no_grad or detach cuts it off"),
        ("detach", "no gradient reaches what lies below mid: no_grad or detach cuts it off"),
        ("whole", "no gradient reaches any layer: no_grad or detach cuts it off"),
    ],
)
def test_a_layer_that_is_cut_off_is_not_healthy(how, words):
    net = Cut(how)
    found = examine(net, Classify(), [batch(3)])
    assert (found.worst.condition, found.worst.sign.words) == ("vanishing", words)
    assert [layer.name for layer in found.profiles[0].layers] == ["body", "mid", "head"]
    assert [one.name for one in found.profiles[0].activations] == ["body", "mid"]
    net.body.requires_grad_(False)
    assert examine(Cut("no").requires_grad_(False), Classify(), [batch(3)]).verdicts[0].sign.words == (
        "every layer is frozen: no gradient is asked for"
    )


def test_a_frozen_body_that_is_cut_off_is_healthy():
    net = Cut("no_grad")
    net.body.requires_grad_(False)
    assert examine(net, Classify(), [batch(3)]).healthy


def test_what_cannot_be_looked_at_is_refused():
    net = nn.Sequential(nn.Flatten(), nn.Linear(2, 3))
    with pytest.raises(InputError, match=r"its inputs have the shape \(0, 2\)"):
        examine(net, Classify(), [{"inputs": torch.zeros(0, 2), "labels": torch.zeros(0).long()}])
    with pytest.raises(InputError, match="0 is scripted"):
        examine(nn.Sequential(torch.jit.script(net)), Classify(), [batch(3)])


def test_no_batches_are_refused():
    with pytest.raises(InputError, match="at least one"):
        examine(nn.Linear(2, 2), Classify(), [])
