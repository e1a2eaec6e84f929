"""Recurrent networks as ONNX: both ways, against onnxruntime, and one step at a time."""

import re

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from sortal import nets
from sortal.embed import recurrent
from sortal.errors import DataError, InputError
from tests.one_thread import one_thread  # noqa: F401 (a fixture)

KINDS = [nets.RNN, nets.GRU, nets.LSTM]
SHAPES = [(1, 1, 1, False), (5, 7, 2, True), (7, 3, 3, False), (4, 6, 1, True)]


def by_onnxruntime(content, given):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"]).run(None, given)


def numbers(state):
    return [s.numpy() for s in ([state] if isinstance(state, torch.Tensor) else state)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_graph_gives_torchs_numbers_and_its_weights_come_back(kind, shape, tmp_path):
    features, hidden, layers, both = shape
    net = kind(features, hidden, layers, bidirectional=both, seed=0)
    for bias in (p for name, p in net.named_parameters() if name.startswith("bias")):
        torch.nn.init.normal_(bias)  # both, as a trained network has them
    path = recurrent.write(net, tmp_path / "net.onnx")
    for n, steps in ((3, 11), (1, 1)):
        x = torch.randn(n, steps, features)
        h0 = [torch.randn(layers * (1 + both), n, hidden) for _ in net.states]
        with torch.no_grad():
            output, state = net(x, h0[0] if len(h0) == 1 else tuple(h0))
        given = {"x": x.numpy(), **{f"{name}0": h.numpy() for name, h in zip(net.states, h0)}}
        for one, other in zip(
            by_onnxruntime(path.read_bytes(), given), [output.numpy(), *numbers(state)], strict=True
        ):
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)
    again = recurrent.read(path)
    assert type(again) is kind
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in net.state_dict().items())


def test_rows_stand_in_onnxs_order():
    """Of the operators' documentation: GRU z, r, h; LSTM i, o, f, c; B holds both biases."""
    gru, lstm = nets.GRU(1, 1), nets.LSTM(1, 1)
    with torch.no_grad():
        for net in (gru, lstm):
            net.weight_ih_l0.copy_(torch.arange(len(net.rows))[:, None])
            net.bias_hh_l0.copy_(10 + torch.arange(len(net.rows)))
    w, _, b = gru.to_onnx()[0]  # torch: r, z, n
    assert w.flatten().tolist() == [1, 0, 2]
    assert b[0, 3:].tolist() == [11, 10, 12]
    w, _, b = lstm.to_onnx()[0]  # torch: i, f, g, o
    assert w.flatten().tolist() == [0, 3, 1, 2]
    assert b[0, 4:].tolist() == [10, 13, 11, 12]


@pytest.mark.slow
def test_torchs_exporter_keeps_a_network_around_a_gru_whole(tmp_path):
    class Tagger(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.letters, self.rnn = torch.nn.Embedding(30, 5), nets.GRU(5, 7, 2, bidirectional=True, seed=0)
            self.head = torch.nn.Linear(14, 3)

        def forward(self, tokens):
            return self.head(self.rnn(self.letters(tokens))[0])

    net, path = Tagger().eval(), tmp_path / "tagger.onnx"
    free = {"tokens": {0: torch.export.Dim("batch"), 1: torch.export.Dim("time")}}
    tokens = torch.randint(30, (2, 9))
    program = torch.onnx.export(net, (tokens,), dynamo=True, verbose=False, dynamic_shapes=free)
    program.save(path)
    model = onnx.load(path)
    grus = [node for node in model.graph.node if node.op_type == "GRU"]
    assert len(grus) == 2
    for node in grus:
        assert [a.i for a in node.attribute if a.name == "linear_before_reset"] == [1]
    name = model.graph.input[0].name
    for tokens in (torch.randint(30, (1, 1)), torch.randint(30, (5, 40))):
        (found,) = by_onnxruntime(path.read_bytes(), {name: tokens.numpy()})
        with torch.no_grad():
            np.testing.assert_allclose(found, net(tokens).numpy(), rtol=0, atol=1e-5)
    again = recurrent.read(path)
    assert all(torch.equal(value, again.state_dict()[key]) for key, value in net.rnn.state_dict().items())


# ---- a stream


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_gives_what_step_gives(kind, layers):
    net = kind(5, 7, layers, seed=0)
    stream = recurrent.Stream(net)
    x = torch.randn(2, 40, 5)
    state = ours = None
    for t in range(40):
        with torch.no_grad():
            expected, ours = net.step(x[:, t], ours)
        found, state = stream(x[:, t].numpy(), state)
        np.testing.assert_allclose(found, expected.numpy(), rtol=0, atol=1e-5)
    held = state if isinstance(state, tuple) else (state,)
    for one, other in zip(held, numbers(ours), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)


def test_a_stream_of_a_network_in_training_and_in_double_precision():
    net = nets.GRU(4, 5, 2, dropout=0.5, seed=0).double()
    y, _ = recurrent.Stream(net)(np.ones((1, 4), np.float32))
    assert net.training
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, net.eval().step(torch.ones(1, 4).double())[0].detach().numpy(), atol=1e-5)


TWO = np.zeros((2, 4), np.float32)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((np.zeros((1, 3), np.float32),), r"float32 of shape \(batch, 4\); got float32 of \(1, 3\)"),
        ((np.zeros((1, 4)),), r"got float64 of \(1, 4\)"),
        ((np.zeros((4,), np.float32),), r"got float32 of \(4,\)"),
        ((TWO, np.zeros((1, 1, 5), np.float32)), r"h0 must be .*\(1, 2, 5\); got .*\(1, 1, 5\)"),
        ((TWO, np.zeros((1, 2, 5))), r"got float64 of \(1, 2, 5\)"),
        ((TWO, [np.zeros((1, 2, 5), np.float32)] * 2), "hold h; got 2 arrays"),
    ],
)  # fmt: skip
def test_steps_that_do_not_fit(given, message):
    stream = recurrent.Stream(nets.GRU(4, 5, seed=0))
    with pytest.raises(InputError, match=message):
        stream(*given)


def test_a_stream_has_one_direction():
    with pytest.raises(InputError, match="one direction"):
        recurrent.Stream(nets.GRU(4, 5, bidirectional=True))


def test_weights_that_are_not_finite_are_not_exported(tmp_path):
    net = nets.GRU(4, 5)
    torch.nn.init.constant_(net.weight_ih_l0, torch.nan)
    with pytest.raises(DataError, match="must give torch's numbers; they differ by nan"):
        recurrent.write(net, tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match=r"must be a folder to write net\.onnx into"):
        recurrent.write(nets.GRU(4, 5), tmp_path / "nowhere" / "net.onnx")


# ---- files of others


def file(tmp_path, *nodes, change=None):
    """Nodes (op, inputs, outputs, attributes) over 3 features and 4 units as a file."""
    rows = {"RNN": 4, "GRU": 12, "LSTM": 16}[nodes[0][0] if nodes[0][0] in ("RNN", "LSTM") else "GRU"]
    source = np.random.default_rng(0)
    arrays = {
        "W": source.normal(size=(1, rows, 3)), "R": source.normal(size=(1, rows, 4)),
        "W2": source.normal(size=(1, rows, 4)), "B": np.ones((1, 2 * rows)), "P": np.ones((1, 12)),
    } | (change or {})  # fmt: skip
    graph = helper.make_graph(
        [helper.make_node(op, given, made, **attributes) for op, given, made, attributes in nodes], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(a.astype(np.float32), n) for n, a in arrays.items()],
    )  # fmt: skip
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    onnx.save(model, tmp_path / "a.onnx")
    return tmp_path / "a.onnx"


AFTER = {"hidden_size": 4, "linear_before_reset": 1}
GRU = ("GRU", ["x", "W", "R"], ["y"], AFTER)


def test_a_file_of_others(tmp_path):
    nodes = [
        ("GRU", ["x", "W", "R"], ["y1"], AFTER),
        ("Squeeze", ["y1"], ["s"], {}),
        ("GRU", ["s", "W2", "R", "B"], ["y"], AFTER),
    ]
    net = recurrent.read(file(tmp_path, *nodes))
    assert (type(net), net.num_layers, net.input_size, net.hidden_size) == (nets.GRU, 2, 3, 4)
    assert not net.bias_ih_l0.any()
    assert net.bias_hh_l1.eq(1).all()


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([("Relu", ["x"], ["y"], {})], "nodes of one kind, GRU, RNN or LSTM; it holds none"),
        ([GRU, ("RNN", ["y", "W", "R"], ["z"], {})], "it holds GRU and RNN"),
        ([("GRU", ["x", "W", "R"], ["y"], {"hidden_size": 4})], "before_reset must be 1: .*another network"),
        ([("GRU", ["x", "W", "R"], ["y"], AFTER | {"direction": "reverse"})], "not reverse"),
        ([("GRU", ["x", "W", "R"], ["y"], AFTER | {"clip": 1.0})], "clip must be left out"),
        ([("RNN", ["x", "W", "R"], ["y"], {"activations": ["Relu"]})], "activations must be Tanh"),
        ([("LSTM", ["x", "W", "R", "", "", "", "", "P"], ["y"], {})], "peepholes must be left out"),
        ([("LSTM", ["x", "W", "R"], ["y"], {"input_forget": 1})], "input_forget must be 0"),
        ([GRU, ("GRU", ["x", "W", "R"], ["z"], AFTER)], "must be one stack"),
        ([("GRU", ["x", "W", "x"], ["y"], AFTER)], "GRU 0: its weights must be constants"),
        ([GRU, ("GRU", ["y", "W", "R"], ["z"], AFTER)], r"W of layer 1 must have the shape \(1, 12, 4\)"),
    ],
)  # fmt: skip
def test_files_that_hold_another_network(tmp_path, nodes, message):
    with pytest.raises(DataError, match=re.escape("a.onnx: ") + ".*" + message) as caught:
        recurrent.read(file(tmp_path, *nodes))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "shape"), [("R", (1, 12, 5)), ("R", ()), ("W", (12, 3)), ("B", (1, 7)), ("W", (3, 12, 3))]
)  # fmt: skip
def test_weights_of_odd_shapes(tmp_path, name, shape):
    with pytest.raises(DataError, match="must have"):
        recurrent.read(
            file(tmp_path, ("GRU", ["x", "W", "R", "B"], ["y"], AFTER), change={name: np.ones(shape)})
        )


def test_a_file_that_is_none(tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"nothing of the kind")
    with pytest.raises(DataError, match=r"a.onnx: the file must be a whole ONNX model"):
        recurrent.read(tmp_path / "a.onnx")
    with pytest.raises(DataError, match=r"b.onnx: the file must be a whole ONNX model"):
        recurrent.read(tmp_path / "b.onnx")
