"""Terms of backpropagation through time add up to autograd's gradient; those of states are autograd's."""

import numpy as np
import pytest
import torch
from torch import nn

from sortal.diagnose import bptt_terms, gates
from sortal.errors import InputError
from tests.diagnose.time.recurrent import CASES, made


def loss(outputs):
    weights = torch.linspace(-1, 2, outputs.numel(), dtype=outputs.dtype).view(outputs.shape)
    return (outputs * weights).sin().sum()


@pytest.mark.parametrize(("kind", "options", "shape"), CASES)
def test_the_terms_add_up_to_the_gradient(kind, options, shape):
    rnn, x, state = made(kind, options, shape)
    found = bptt_terms(rnn, x, loss, state)
    loss(rnn(x, state)[0]).backward()
    ways = ("", "_reverse") if rnn.bidirectional else ("",)
    wanted = torch.stack([
        torch.stack([getattr(rnn, f"weight_hh_l{layer}{way}").grad for way in ways])
        for layer in range(rnn.num_layers)
    ]).squeeze()  # fmt: skip
    terms, total = found.terms(), found.total()
    assert np.allclose(terms.sum(-3).reshape(wanted.shape), wanted, rtol=1e-10, atol=1e-12)
    assert np.allclose(total.reshape(wanted.shape), wanted, rtol=1e-10, atol=1e-12)
    assert np.allclose(found.norms(), np.linalg.norm(terms, axis=(-2, -1)), atol=1e-9)


def test_each_term_is_that_of_its_own_weight():
    """W_hh written out as one parameter a step: autograd then tells the terms apart itself."""
    torch.manual_seed(0)
    rnn = nn.RNN(2, 3).double()
    x = torch.randn(5, 1, 2, dtype=torch.float64)
    copies = [rnn.weight_hh_l0.detach().clone().requires_grad_() for _ in x]
    h, states = torch.zeros(1, 3, dtype=torch.float64), []
    for one, weight in zip(x, copies, strict=True):
        h = torch.tanh(one @ rnn.weight_ih_l0.T + rnn.bias_ih_l0 + h @ weight.T + rnn.bias_hh_l0)
        h.retain_grad()
        states.append(h)
    loss(h[None]).backward()
    found = bptt_terms(rnn, x, lambda outputs: loss(outputs[-1:]))
    assert np.allclose(found.terms(), torch.stack([weight.grad for weight in copies]), atol=1e-14)
    assert np.allclose(found.states(), torch.stack([state.grad[0] for state in states]), atol=1e-14)
    assert np.allclose(found.state_norms(), [float(state.grad.norm()) for state in states])


def test_float32_is_within_a_millionth():
    rnn, x, state = made("GRU", {"num_layers": 2}, (30, 4, 3, 8))
    rnn, x, state = rnn.float(), x.float(), state.float()
    loss(rnn(x, state)[0]).backward()
    found = bptt_terms(rnn, x, loss, state).total()[1]
    wanted = rnn.weight_hh_l1.grad.numpy()
    assert np.linalg.norm(found - wanted) < 1e-6 * np.linalg.norm(wanted)


def test_nothing_moves():
    rnn, x, _ = made("LSTM", {"num_layers": 2}, (4, 2, 2, 3))
    chance = torch.get_rng_state()
    bptt_terms(rnn, x, loss)
    assert torch.equal(torch.get_rng_state(), chance)
    assert all(parameter.grad is None for parameter in rnn.parameters())


@pytest.mark.parametrize(
    ("bad", "rule"),
    [
        (lambda out: out, "must give one number"),
        (lambda out: out.detach().sum(), "hangs on the outputs"),
        (lambda out: out.sum() / 0, "must be finite; it is"),
    ],
)
def test_refusals(bad, rule):
    rnn, x, _ = made("GRU", {}, (4, 2, 2, 3))
    with pytest.raises(InputError, match=rule):
        bptt_terms(rnn, x, bad)


def test_gates_that_never_move():
    lstm, x, _ = made("LSTM", {"bidirectional": True}, (6, 2, 2, 4))
    with torch.no_grad():
        lstm.bias_ih_l0[4 + 1] = 50  # the forget gate of unit 1
        lstm.bias_ih_l0[2] = -50  # the input gate of unit 2
    found = {(gate.name, gate.reverse): gate for gate in gates(lstm, x)}
    assert list(found) == [(name, reverse) for reverse in (False, True) for name in "ifo"]
    assert found["f", False].never_closed == (1,)
    assert found["f", False].keeps
    assert found["i", False].never_open == (2,)
    assert found["f", True].never_closed == ()
    assert found["f", False].values.shape == (2, 6, 4)
    assert np.allclose(found["o", True].mean, found["o", True].values.mean((0, 2)))
    with pytest.raises(InputError, match="has no gates"):
        gates(nn.RNN(2, 3), x)
