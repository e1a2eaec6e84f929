"""RNN, GRU, LSTM: the equations against torch's fused kernels, and what may change nothing."""

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from sortal import nets

KINDS = [nets.RNN, nets.GRU, nets.LSTM]
# float32 with sums in another order; float64
CLOSE = {torch.float32: 1e-5, torch.float64: 1e-10}
# layers, both directions; one of each; odd sizes; more features than states and fewer
SHAPES = [
    (1, 1, 1, 1, 1, False),
    (3, 11, 5, 7, 1, False),
    (4, 9, 7, 3, 2, True),
    (2, 6, 1, 5, 3, False),
    (5, 3, 4, 1, 1, True),
]


def tensors(state):
    return [state] if isinstance(state, torch.Tensor) else list(state)


def states_for(net, n, source):
    shape = (net.num_layers * (1 + net.bidirectional), n, net.hidden_size)
    drawn = [torch.randn(shape, generator=source, dtype=net.weight_ih_l0.dtype) for _ in net.states]
    return drawn[0] if len(drawn) == 1 else tuple(drawn)


def asked(net, x, h0, lengths, *, fused):
    """Output, final state, and the gradients of everything."""
    net.fused = fused
    net.zero_grad()
    leaves = [x.clone().requires_grad_(), *(s.clone().requires_grad_() for s in tensors(h0))]
    given = leaves[1] if len(leaves) == 2 else tuple(leaves[1:])
    output, state = net(leaves[0], given, lengths)
    weighed = [
        t * torch.linspace(-1, 1, t.numel(), dtype=t.dtype).reshape(t.shape)
        for t in (output, *tensors(state))
    ]
    sum(w.sum() for w in weighed).backward()
    return [output, *tensors(state), *(leaf.grad for leaf in leaves), *(p.grad for p in net.parameters())]


@pytest.mark.parametrize("dtype", CLOSE)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_both_paths_give_the_same_numbers_and_gradients(kind, shape, dtype):
    n, steps, features, hidden, layers, both = shape
    net = kind(features, hidden, layers, bidirectional=both, seed=1).to(dtype)
    source = torch.Generator().manual_seed(0)
    x = torch.randn(n, steps, features, generator=source, dtype=dtype)
    h0 = states_for(net, n, source)
    for lengths in (
        None,
        torch.arange(n) % (steps + 1),
        torch.full((n,), steps),
        torch.zeros(n, dtype=torch.int32),
    ):
        found = asked(net, x, h0, lengths, fused=False)
        expected = asked(net, x, h0, lengths, fused=True)
        for one, other in zip(found, expected):
            torch.testing.assert_close(
                one if one is not None else torch.zeros_like(other if other is not None else x),
                other if other is not None else torch.zeros_like(one if one is not None else x),
                rtol=0, atol=CLOSE[dtype],
            )  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_torchs_module_gives_the_same(kind):
    theirs = kind.kind(5, 7, num_layers=2, bidirectional=True, batch_first=True, dropout=0.25)
    ours = kind.from_torch(theirs)
    x = torch.randn(3, 11, 5)
    for fused in (True, False):
        ours.fused = fused
        torch.manual_seed(1)
        output, state = ours(x)
        torch.manual_seed(1)
        expected, last = theirs(x)
        torch.testing.assert_close(output, expected, rtol=0, atol=1e-5)  # dropout draws the same, too
        for one, other in zip(tensors(state), tensors(last)):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-5)
        assert ours(x[0])[0].shape == theirs(x[0])[0].shape
    back = ours.to_torch()
    assert type(back) is kind.kind
    assert all(torch.equal(value, back.state_dict()[key]) for key, value in theirs.state_dict().items())
    assert (back.dropout, back.batch_first, back.bidirectional) == (0.25, True, True)
    ours.load_state_dict(kind.kind(5, 7, 2, bidirectional=True).state_dict())


@pytest.mark.parametrize("kind", KINDS)
def test_a_packed_sequence_gives_what_it_gives_in_torch(kind):
    net = kind(4, 6, 2, bidirectional=True, seed=0)
    packed = pack_padded_sequence(torch.randn(3, 7, 4), [2, 7, 5], batch_first=True, enforce_sorted=False)
    expected, last = net.to_torch()(packed)
    for net.fused in (True, False):
        found, state = net(packed)
        torch.testing.assert_close(found.data, expected.data, rtol=0, atol=1e-5)
        torch.testing.assert_close(
            pad_packed_sequence(found), pad_packed_sequence(expected), rtol=0, atol=1e-5
        )
        for one, other in zip(tensors(state), tensors(last)):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-5)
