"""Jacobians of every step: those of autograd in float64, on odd shapes; and nothing of the module moved."""

import numpy as np
import pytest
import torch
from torch import nn

from sortal import nets
from sortal.diagnose import gru_forms, jacobians, stack_jacobians
from sortal.errors import InputError
from tests.diagnose.time.recurrent import CASES, by_autograd, made


@pytest.mark.parametrize(("kind", "options", "shape"), CASES)
@pytest.mark.parametrize("given", [True, False])
def test_those_of_autograd(kind, options, shape, given):
    rnn, x, state = made(kind, options, shape)
    zeros = tuple(torch.zeros_like(part) for part in state) if kind == "LSTM" else torch.zeros_like(state)
    wanted = by_autograd(rnn, x, state if given else zeros).numpy()
    found = jacobians(rnn, x, state if given else None)
    kept = tuple(n for n in wanted.shape[:3] if n > 1) + wanted.shape[3:]
    assert found.shape == kept
    assert np.abs(found - wanted.reshape(kept)).max() < 1e-10


@pytest.mark.parametrize(
    ("kind", "options"), [("RNN", {}), ("GRU", {}), ("LSTM", {}), ("LSTM", {"proj_size": 2})]
)
def test_the_whole_stack_is_that_of_autograd_and_lower_triangular(kind, options):
    rnn, x, state = made(kind, options | {"num_layers": 3}, (4, 2, 2, 3))
    found = stack_jacobians(rnn, x, state)
    parts = state if kind == "LSTM" else (state,)
    sizes = [part.shape[-1] for part in parts]
    size = sum(sizes)

    def after(flat, t, item):  # flat is layer by layer, h then c
        begin = tuple(part[:, None].contiguous() for part in flat.view(3, size).split(sizes, 1))
        _, end = rnn(x[t : t + 1, item : item + 1], begin if kind == "LSTM" else begin[0])
        end = end if kind == "LSTM" else (end,)
        return torch.cat(end, 2).reshape(-1)

    for item in range(2):
        now = torch.cat([part[:, item] for part in parts], 1).reshape(-1)
        for t in range(4):
            wanted = torch.autograd.functional.jacobian(lambda flat: after(flat, t, item), now)  # noqa: B023
            assert np.abs(found[item, t] - wanted.numpy()).max() < 1e-10
            now = after(now, t, item).detach()
    for layer in range(3):
        assert not found[..., layer * size : (layer + 1) * size, (layer + 1) * size :].any()


def test_the_taught_form_of_a_gru_is_written_out_and_differs():
    gru, x, state = made("GRU", {}, (4, 1, 2, 3))
    forms = gru_forms(gru, x, state)
    h = torch.cat([state, gru(x, state)[0]])[:-1, 0]
    sums_x = x[:, 0] @ gru.weight_ih_l0.T + gru.bias_ih_l0
    sums_h = h @ gru.weight_hh_l0.T + gru.bias_hh_l0
    r, z = torch.sigmoid(sums_x + sums_h)[:, :6].chunk(2, 1)
    n = torch.tanh(sums_x[:, 6:] + r * sums_h[:, 6:])
    for t in range(4):
        by_hand = torch.diag(z[t]) + torch.diag(1 - n[t] ** 2) @ torch.diag(r[t]) @ gru.weight_hh_l0[6:]
        assert np.allclose(forms.approximate[t], by_hand.detach().numpy(), atol=1e-12)
    assert np.array_equal(forms.exact, jacobians(gru, x, state))
    assert (forms.distance > 0.05).all()


def test_extreme_gates():
    """z = 1 keeps the state, so both forms are the identity; z = 0 and r = 0 forget it."""
    gru, x, state = made("GRU", {}, (3, 1, 2, 4))
    with torch.no_grad():
        gru.bias_ih_l0[4:8] = 100
        assert np.allclose(gru_forms(gru, x, state).exact, np.eye(4), atol=1e-12)
        gru.bias_ih_l0[:8] = -100
        assert np.abs(jacobians(gru, x, state)).max() < 1e-12


def test_a_single_sequence_and_batch_first_are_taken_as_the_module_takes_them():
    gru, x, state = made("GRU", {"num_layers": 2}, (5, 1, 2, 3))
    whole = jacobians(gru, x, state)
    assert np.array_equal(jacobians(gru, x[:, 0], state[:, 0]), whole)
    first = nn.GRU(2, 3, 2, batch_first=True).double()
    first.load_state_dict(gru.state_dict())
    assert np.array_equal(jacobians(first, x.transpose(0, 1), state), whole)
    assert np.array_equal(jacobians(nn.DataParallel(gru), x, state), whole)


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_layers_of_ours_are_those_of_torch(kind):
    plain, x, state = made(kind, {"num_layers": 2, "bidirectional": True, "batch_first": True}, (4, 2, 3, 5))
    ours = getattr(nets, kind)(3, 5, num_layers=2, bidirectional=True).double()
    ours.load_state_dict(plain.state_dict())
    assert np.array_equal(jacobians(ours, x, state), jacobians(plain, x, state))


def test_half_precision_is_computed_in_float32():
    gru, x, _ = made("GRU", {}, (3, 1, 2, 4))
    found = jacobians(gru.bfloat16(), x.bfloat16())
    assert found.dtype == np.float32
    assert np.abs(found - jacobians(gru.double(), x.bfloat16().double())).max() < 1e-6


def test_nothing_moves():
    gru, x, state = made("GRU", {"num_layers": 2, "dropout": 0.5}, (5, 2, 2, 3))
    gru.register_forward_hook(lambda *_: pytest.fail("the module itself was called"))
    chance, before = torch.get_rng_state(), {k: v.clone() for k, v in gru.state_dict().items()}
    x.requires_grad_()
    jacobians(gru, x, state)[:] = 7
    assert torch.equal(torch.get_rng_state(), chance)
    assert all(torch.equal(v, before[k]) for k, v in gru.state_dict().items())
    assert gru.training
    assert x.grad is None
    assert all(p.grad is None and p.requires_grad for p in gru.parameters())


@pytest.mark.parametrize(
    ("call", "rule"),
    [
        (
            lambda: jacobians(nn.Linear(2, 2), torch.zeros(3, 2)),
            "layer with weights of its own; got torch.nn.modules.linear.Linear",
        ),
        (lambda: jacobians(nn.Sequential(nn.GRU(2, 2)), torch.zeros(3, 2)), "Give one of its own: 0"),
        (
            lambda: jacobians(nn.LSTM(2, 3, proj_size=1), torch.zeros(3, 2), (torch.zeros(1, 3),) * 2),
            r"of the shapes \(1, 1, 1\), \(1, 1, 3\)",
        ),
        (lambda: jacobians(nn.GRU(2, 3), torch.zeros(3, 3)), r"\(time, batch, 2\); got \(3, 3\)"),
        (lambda: jacobians(nn.GRU(2, 3), torch.zeros(0, 2)), r"got \(0, 2\)"),
        (lambda: jacobians(nn.GRU(2, 3), torch.zeros(3, 2).long()), "floating point; got torch.int64"),
        (lambda: jacobians(nn.GRU(2, 3), torch.zeros(3, 2).cfloat()), "floating point; got torch.complex64"),
        (lambda: jacobians(nn.GRU(2, 3), torch.zeros(3, 2), torch.zeros(2, 3)), r"of the shape \(1, 1, 3\)"),
        (
            lambda: jacobians(nn.LSTM(2, 3), torch.zeros(3, 2), torch.zeros(1, 3)),
            r"\(h, c\), of the shapes \(1, 1, 3\), \(",
        ),
        (lambda: stack_jacobians(nn.GRU(2, 3, bidirectional=True), torch.zeros(3, 2)), "in one direction"),
        (lambda: gru_forms(nn.RNN(2, 3), torch.zeros(3, 2)), "must be a GRU"),
    ],
)
def test_refusals(call, rule):
    with pytest.raises(InputError, match=rule):
        call()


@pytest.mark.parametrize(("kind", "options", "shape"), CASES[4:8] + CASES[-1:])
@pytest.mark.parametrize("given", [True, False])
def test_items_of_a_packed_sequence_are_those_by_themselves(kind, options, shape, given):
    rnn, x, state = made(kind, options, (5, 4, *shape[2:]))
    lengths = [2, 5, 1, 2]
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=rnn.batch_first, enforce_sorted=False)
    found = jacobians(rnn, packed, state if given else None)
    for item, length in enumerate(lengths):
        one = x[item : item + 1, :length] if rnn.batch_first else x[:length, item : item + 1]
        parts = tuple(part[:, item : item + 1] for part in (state if kind == "LSTM" else (state,)))
        begin = parts if kind == "LSTM" else parts[0]
        wanted = jacobians(rnn, one, begin if given else None)
        assert np.abs(found[..., item, :length, :, :] - wanted).max() < 1e-12
        assert np.array_equal(
            found[..., item, length:, :, :],
            np.broadcast_to(np.eye(found.shape[-1]), found[..., item, length:, :, :].shape),
        )


def test_a_packed_sequence_that_is_sorted_and_one_that_others_refuse():
    gru, x, _ = made("GRU", {}, (3, 2, 2, 3))
    packed = nn.utils.rnn.pack_padded_sequence(x, [3, 2])
    assert np.array_equal(jacobians(gru, packed)[0], jacobians(gru, x[:, :1]))
    with pytest.raises(InputError, match=r"got PackedSequence\. Give the items of each length by themselves"):
        stack_jacobians(gru, packed)
