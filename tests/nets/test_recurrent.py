"""RNN, GRU, LSTM: the equations against torch's fused kernels, and what may change nothing."""

import copy

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from sortal import nets
from sortal.errors import InputError

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


def states_of(state, i):
    """Those of one sequence."""
    return state[:, i] if isinstance(state, torch.Tensor) else tuple(s[:, i] for s in state)


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
        ours.eval()
        one, last = ours(x[0], states_of(state, 1))
        alike([one, *tensors(last)], flat(theirs.eval()(x[0], states_of(state, 1))), 1e-5)
        ours.train()
        theirs.train()
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
    with pytest.raises(InputError, match="left out"):
        net(packed, None, [2, 7, 5])
    with pytest.raises(InputError, match="batch, time, 4"):
        net(pack_padded_sequence(torch.randn(1, 7, 5), [7], batch_first=True))


# ---- what changes nothing

EXACT = {torch.float32: 1e-6, torch.float64: 1e-12}
STEPS = 100


@pytest.fixture(params=[(kind, fused, dtype) for kind in KINDS for fused in (True, False) for dtype in EXACT])
def case(request):
    """A network of two directions and two layers, 100 steps, lengths with 0 and 100 among them."""
    kind, fused, dtype = request.param
    net = kind(6, 24, 2, bidirectional=True, seed=3).to(dtype)
    net.fused = fused
    x = torch.randn(5, STEPS, 6, generator=torch.Generator().manual_seed(1), dtype=dtype)
    return net, x, torch.tensor([STEPS, 0, 37, 1, 62]), EXACT[dtype]


def alike(found, expected, tolerance):
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=tolerance)


def flat(answer):
    output, state = answer
    return [output, *tensors(state)]


@torch.no_grad()
def test_what_lies_behind_the_end_changes_nothing(case):
    net, x, lengths, tolerance = case
    expected = flat(net(x, None, lengths))
    beyond = torch.arange(STEPS) >= lengths[:, None]
    longer = torch.cat([x.masked_fill(beyond[:, :, None], torch.nan), x.new_full((5, 9, 6), torch.inf)], 1)
    output, *rest = flat(net(longer, None, lengths))
    assert not output[:, STEPS:].any()
    assert not expected[0][beyond].any()
    alike([output[:, :STEPS], *rest], expected, tolerance)


@torch.no_grad()
def test_the_other_sequences_and_their_order_change_nothing(case):
    net, x, lengths, tolerance = case
    output, *states = flat(net(x, None, lengths))
    order = torch.tensor([3, 0, 4, 2, 1])
    found, *others = flat(net(x[order], None, lengths[order]))
    alike([found, *others], [output[order], *(s[:, order] for s in states)], tolerance)
    for i, end in enumerate(lengths.tolist()):
        alone, *last = flat(net(x[i : i + 1, :end]))
        alike([alone, *last], [output[i : i + 1, :end], *(s[:, i : i + 1] for s in states)], tolerance)


@pytest.mark.parametrize("dtype", EXACT)
@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_chunks_and_single_steps_give_what_the_whole_gives(kind, fused, dtype):
    """Also the gradient: it is cut only where the state is carried without its history."""
    net = kind(6, 24, 2 if fused else 1, seed=3).to(dtype)  # one layer of equations takes long enough
    net.fused = fused
    x = torch.randn(2, STEPS, 6, generator=torch.Generator().manual_seed(1), dtype=dtype)

    def learned(chunks, cut):
        net.zero_grad()
        outputs, state = [], None
        for chunk in chunks:
            if cut and state is not None:
                state = tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()
            output, state = net(chunk, state)
            outputs.append(output)
        whole = torch.cat(outputs, 1)
        whole.square().mean().backward()
        return [whole.detach(), *(s.detach() for s in tensors(state))], [p.grad for p in net.parameters()]

    expected, slopes = learned([x], cut=False)
    for chunks, cut in (([x], True), (x.split([1, 0, 40, 59], 1), False)):
        found, gradients = learned(chunks, cut=cut)
        alike(found, expected, EXACT[dtype])
        alike(gradients, slopes, EXACT[dtype])
    truncated, gradients = learned(x.split(7, 1), cut=True)
    alike(truncated, expected, EXACT[dtype])
    assert max((a - b).abs().max() for a, b in zip(gradients, slopes)) > 1e-5
    state, outputs = None, []
    with torch.no_grad():
        for t in range(STEPS):
            output, state = net.step(x[:, t], state)
            outputs.append(output)
    alike([torch.stack(outputs, 1), *tensors(state)], expected, EXACT[dtype])


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_nan_stays_in_its_sequence_and_reaches_no_earlier_step(kind, fused):
    net = kind(3, 4, seed=0)
    net.fused = fused
    x = torch.randn(2, 6, 3)
    x[0, 3, 1] = torch.nan
    output, _ = net(x)
    assert output[0, 3:].isnan().all()
    assert output[0, :3].isfinite().all()
    assert output[1].isfinite().all()
    net(x, None, [3, 6])[0].sum().backward()  # behind the end it is not there
    assert all(p.grad.isfinite().all() for p in net.parameters())


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_no_steps_and_no_sequences(kind, fused):
    net = kind(3, 4, 2, bidirectional=True, seed=0)
    net.fused = fused
    h0 = states_for(net, 2, None)
    output, state = net(torch.zeros(2, 0, 3), h0)
    assert output.shape == (2, 0, 8)
    alike(tensors(state), tensors(h0), 0)
    output, state = net(torch.zeros(0, 5, 3), None, [])
    assert output.shape == (0, 5, 8)
    assert tensors(state)[0].shape == (4, 0, 4)
    assert net(torch.zeros(0, 5, 3))[0].shape == (0, 5, 8)


# ---- first weights


@pytest.mark.parametrize("kind", KINDS)
def test_first_weights(kind):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    net, again, other = (kind(17, 33, 2, bidirectional=True, seed=seed) for seed in (7, 7, 8))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), again.parameters()))
    assert not torch.equal(net.weight_hh_l0, other.weight_hh_l0)
    for w_ih, w_hh, b_ih, b_hh in net.all_weights:
        assert not b_hh.any()
        for name in net.rows:
            block = net.row(w_hh, name)
            torch.testing.assert_close(block @ block.T, torch.eye(33), rtol=0, atol=1e-5)
            rows = net.row(w_ih, name)
            most = (6 / sum(rows.shape)) ** 0.5
            assert 0.9 * most < rows.abs().max() <= most
            assert set(net.row(b_ih, name).tolist()) == {1.0 if name == net.keeps else 0.0}


def test_the_number_of_threads_does_not_change_first_weights():
    before = torch.get_num_threads()
    try:
        found = []
        for n in (1, 2):
            torch.set_num_threads(n)
            found.append(nets.GRU(10, 130, seed=1).weight_hh_l0)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(*found)


@pytest.mark.parametrize("kind", [nets.GRU, nets.LSTM])
def test_chrono_gives_memories_of_the_range_that_is_asked_for(kind):
    """A state that nothing enters and no weight moves is left to (1 - 1/T) a step."""
    net = kind(1, 400).chrono(50, 10, seed=1)
    steps = net.row(net.bias_ih_l0, net.keeps).exp() + 1
    assert 10 <= steps.min() < 11
    assert 49 < steps.max() <= 50.001
    assert abs(steps.mean() - 30) < 2.4  # 4 standard errors of an even draw
    if kind is nets.LSTM:
        torch.testing.assert_close(net.row(net.bias_ih_l0, "i"), -net.row(net.bias_ih_l0, "f"))
    assert torch.equal(net.bias_ih_l0, kind(1, 400).chrono(50, 10, seed=1).bias_ih_l0)
    with torch.no_grad():
        net.weight_ih_l0.zero_()
        net.weight_hh_l0.zero_()
        trace = net.trace(torch.zeros(1, 20, 1), states_for(net, 1, None))
    name = net.states[-1]
    left = trace.values[name][0, 0, 19] / trace.values[name][0, 0, 9]
    torch.testing.assert_close(left, (1 - 1 / steps) ** 10)


# ---- extreme gates


def test_trace_shows_what_the_equations_say():
    net = nets.GRU(5, 7, seed=0)
    x, h0 = torch.randn(3, 9, 5), torch.randn(1, 3, 7)
    shown = net.trace(x, h0)
    output, h_n = net(x, h0)
    alike([shown.output, shown.state, shown.values["h"][0]], [output, h_n, output], 1e-6)
    h, z, r, n = (shown.values[name][0] for name in "hzrn")
    past = torch.cat([h0[0][:, None], h[:, :-1]], 1)
    torch.testing.assert_close(h, z * past + (1 - z) * n)
    assert ((z > 0) & (z < 1) & (r > 0) & (r < 1)).all()
    lengths = [9, 0, 4]
    both = nets.LSTM(5, 7, 2, bidirectional=True, seed=0).trace(x, None, lengths)
    assert set(both.values) == set("hcifgo")
    assert {value.shape for value in both.values.values()} == {(4, 3, 9, 7)}
    assert not any(value[:, 1].any() or value[:, 2, 4:].any() for value in both.values.values())


@pytest.mark.parametrize("fused", [True, False])
def test_z_of_one_keeps_the_state(fused):
    net = nets.GRU(5, 7, 2, seed=0).clamp(z=1)
    net.fused = fused
    h0 = torch.randn(2, 3, 7)
    output, h_n = net(torch.randn(3, 50, 5), h0)
    # torch's kernel computes n + z (h - n), which rounds at every step
    torch.testing.assert_close(h_n, h0, rtol=0, atol=1e-5 if fused else 0)
    torch.testing.assert_close(output[:, 0], output[:, 49], rtol=0, atol=1e-5 if fused else 0)
    assert (net.trace(torch.randn(3, 4, 5)).values["z"] == 1).all()


@pytest.mark.parametrize("fused", [True, False])
def test_r_of_zero_lets_the_past_in_through_z_alone(fused):
    net = nets.GRU(5, 7, seed=0).clamp(r=0)
    net.fused = fused
    x = torch.randn(3, 9, 5)
    shown = net.trace(x)
    w_n, b_n = net.row(net.weight_ih_l0, "n"), net.row(net.bias_ih_l0, "n")
    torch.testing.assert_close(shown.values["n"][0], torch.tanh(x @ w_n.T + b_n))  # no state in it
    torch.testing.assert_close(net(x)[0], shown.output)
    net.clamp(z=0)  # and now not at all: what was before does not matter
    torch.testing.assert_close(net(x)[0], net(x, torch.randn(1, 3, 7))[0])
    torch.testing.assert_close(net(x)[0], torch.tanh(x @ w_n.T + b_n))


@pytest.mark.parametrize("fused", [True, False])
def test_z_of_zero_is_a_recurrent_network(fused):
    """Its past goes through the reset gate; r = 1 beside it gives `RNN` itself."""
    net = nets.GRU(5, 7, seed=0).clamp(z=0)
    net.fused = fused
    x, h0 = torch.randn(3, 9, 5), torch.randn(1, 3, 7)
    shown = net.trace(x, h0)
    torch.testing.assert_close(shown.values["h"], shown.values["n"])
    net.clamp(r=1)
    plain = nets.RNN(5, 7)
    with torch.no_grad():
        for key, value in plain.state_dict().items():
            value.copy_(net.row(net.state_dict()[key], "n"))
    torch.testing.assert_close(net(x, h0)[0], plain(x, h0)[0])


def test_clamped_gates_between_and_of_all_layers():
    net = nets.LSTM(5, 7, 2, bidirectional=True, seed=0).clamp(f=0.25, i=1)
    shown = net.trace(torch.randn(3, 9, 5)).values
    torch.testing.assert_close(shown["f"], torch.full_like(shown["f"], 0.25))
    assert (shown["i"] == 1).all()
    net(torch.randn(3, 9, 5))[0].sum().backward()
    assert all(p.grad.isfinite().all() for p in net.parameters())


# ---- what does not fit

x234 = torch.zeros(2, 3, 4)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((torch.zeros(2, 3, 5),), r"shape \(batch, time, 4\); got \(2, 3, 5\)\.$"),
        ((torch.zeros(2, 4, 3),), r"got \(2, 4, 3\). Put the features last"),
        ((torch.zeros(4),), r"shape \(batch, time, 4\); got \(4,\)"),
        ((x234.to(torch.complex64),), "be torch.float32, .*got torch.complex64. Take torch.view_as_real"),
        ((x234.long(),), "got torch.int64. .*nn.Embedding first"),
        ((x234.double(),), r"got torch.float64. Take x.to\(torch.float32\)"),
        ((x234, torch.zeros(2, 2, 5)), r"h0 must have the shape \(1, 2, 5\), .*got \(2, 2, 5\)"),
        ((x234, torch.zeros(1, 2, 5).double()), "h0 must be torch.float32, as x is; got torch.float64"),
        ((x234, (torch.zeros(1, 2, 5),) * 2), "h0 must hold h; got 2 tensors"),
        ((x234, None, [3, 4]), "from 0 to 3, the steps of x; got 4 for sequence 1"),
        ((x234, None, [-1, 4]), "got -1 for sequence 0"),
        ((x234, None, [1.0, 2.0]), "lengths must be whole numbers; got torch.float32"),
        ((x234, None, [True, False]), r"got torch.bool. lengths_of\(mask\) makes them"),
        ((x234, None, [[3, 2], [1, 2]]), r"one number for each of 2 sequences; got the shape \(2, 2\)"),
        ((x234, None, 3), r"got the shape \(\)"),
        ((x234, None, "ab"), "lengths must be whole numbers; got 'ab'"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("fused", [True, False])
def test_sequences_that_do_not_fit(given, message, fused):
    net = nets.GRU(4, 5, seed=0)
    net.fused = fused
    with pytest.raises(InputError, match=message) as caught:
        net(*given)
    assert "\n" not in str(caught.value)


def test_a_single_state_is_no_lstms():
    with pytest.raises(InputError, match="h0 must hold h and c; got 1 tensors"):
        nets.LSTM(4, 5)(x234, torch.zeros(1, 2, 5))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nets.GRU(0, 5), "input_size must be an integer of 1 or more; got 0"),
        (lambda: nets.GRU(4, True), "hidden_size must be an integer of 1 or more; got True"),
        (lambda: nets.GRU(4, 5, 0), "num_layers must be an integer of 1 or more; got 0"),
        (lambda: nets.GRU(4, 5, 2, dropout=1.0), "dropout must be a share of 0 or more and below 1; got 1.0"),
        (lambda: nets.GRU(4, 5, dropout=0.1), "acts between layers, .*Take num_layers=2"),
        (lambda: nets.GRU(4, 5, seed=-1), "seed must be None or an integer"),
        (lambda: nets.GRU(4, 5, bidirectional=True).step(x234[0]), "needs a network of one direction"),
        (lambda: nets.GRU(4, 5).step(x234), r"x must have the shape \(batch, 4\); got \(2, 3, 4\)"),
        (lambda: nets.GRU(4, 5).clamp(f=1), "gates of a GRU, it has r, z; got 'f'"),
        (lambda: nets.RNN(4, 5).clamp(z=1), "gates of a RNN, it has none; got 'z'"),
        (lambda: nets.GRU(4, 5).clamp(z=1.5), "must lie from 0 to 1; got z=1.5"),
        (lambda: nets.RNN(4, 5).chrono(100), "an RNN has none. Take a GRU or an LSTM"),
        (lambda: nets.GRU(4, 5).chrono(1), "1 < shortest <= longest, in steps; got shortest=2, longest=1"),
        (lambda: nets.GRU.from_torch(torch.nn.LSTM(2, 3)), "module must be a torch.nn.GRU; got LSTM"),
        (lambda: nets.RNN.from_torch(torch.nn.RNN(2, 3, nonlinearity="relu")), "'relu' has no twin"),
        (lambda: nets.LSTM.from_torch(torch.nn.LSTM(2, 3, proj_size=1)), "proj_size=1 has no twin"),
        (lambda: nets.GRU.from_onnx([]), "at least one layer's W, R and B; got none"),
        (
            lambda: nets.GRU.from_onnx([(torch.zeros(1, 12, 3), torch.zeros(1, 15, 5), None)]),
            r"W of layer 0 must have the shape \(1, 15, 3\) in a GRU of 5 units; got \(1, 12, 3\)",
        ),
        (lambda: nets.lengths_of(torch.ones(2, 3)), r"mask must be bool .*got torch.float32 of \(2, 3\)"),
        (
            lambda: nets.lengths_of(torch.tensor([[True, True], [False, True]])),
            "row 1 is False at step 0 and True behind it",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be(call, message):
    with pytest.raises(InputError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


# ---- the rest


def test_a_mask_says_lengths():
    mask = torch.tensor([[True, True, False], [False, False, False], [True, True, True]])
    assert nets.lengths_of(mask).tolist() == [2, 0, 3]


def test_modules_without_biases_and_in_double_precision():
    theirs = torch.nn.GRU(3, 4, bias=False, batch_first=True).double().eval()
    ours = nets.GRU.from_torch(theirs)
    assert not ours.training
    x = torch.randn(2, 5, 3, dtype=torch.float64)
    torch.testing.assert_close(ours(x)[0], theirs(x)[0])


def test_the_path_is_plain_and_nothing_else_switches_it():
    net = nets.GRU(3, 4, seed=0)
    assert "fused=True" in repr(net)
    net.fused = False
    assert "fused=False" in repr(copy.deepcopy(net))
    net.cell = lambda *_: pytest.fail("the equations ran")
    net.fused = True
    net(torch.zeros(1, 2, 3), None, [1])


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision(kind):
    net = kind(3, 4, 2, seed=0)
    x = torch.randn(2, 5, 3)
    expected = net(x)[0]
    for net.fused in (True, False):
        with torch.autocast("cpu", torch.bfloat16):
            assert abs(net(x, None, [5, 3])[0][0] - expected[0]).max() < 0.05
        low = copy.deepcopy(net).bfloat16()
        assert abs(low(x.bfloat16())[0] - expected).max() < 0.05
