"""RNN, GRU and LSTM as ONNX: our networks into graphs, others' graphs into ours, and a quick stream.

    embed.recurrent.write(net, "gru.onnx")     # x, h0 -> output, h_n; onnxruntime gives torch's numbers
    net = embed.recurrent.read("theirs.onnx")  # a stack of GRU, RNN or LSTM nodes
    step = embed.recurrent.Stream(net)         # the graph by onnxruntime, one step a call
    y, h_n = step(x_t, h_n)

Source: ONNX operators GRU, RNN and LSTM, opset 14. Their blocks of rows stand in another order than torch's.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sortal.errors import DataError, InputError, MissingExtra
from sortal.whole import checked_target, write_whole

if TYPE_CHECKING:
    from sortal.nets import Recurrent

__all__ = ["Stream", "graph", "nodes_of", "read", "write"]

TOLERANCE = 1e-5  # in states that lie between -1 and 1, float32 in another order of sums
OPSET, IR = 17, 8
# What each operator does where nothing is said; anything else is another network.
ACTIVATIONS = {
    "RNN": ["Tanh"],
    "GRU": ["Sigmoid", "Tanh"],
    "LSTM": ["Sigmoid", "Tanh", "Tanh"],
}


def graph(net: "Recurrent") -> bytes:
    """An ONNX model of `net`: x (batch, time, features), h0 (and c0) -> output, h_n (and c_n), all float32.

    Batch and time are free. One operator a layer (a GRU's with linear_before_reset=1); no dropout.
    """
    onnx = _onnx()
    nodes, weights = nodes_of(net, onnx.helper.make_node)
    ways = 1 + net.bidirectional
    state = [net.num_layers * ways, "batch", net.hidden_size]

    def value(name: str, shape: list[Any]) -> Any:
        return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)

    made = onnx.helper.make_graph(
        nodes, net.kind.__name__,
        [value("x", ["batch", "time", net.input_size]), *(value(f"{s}0", state) for s in net.states)],
        [value("output", ["batch", "time", ways * net.hidden_size])]
        + [value(f"{s}_n", state) for s in net.states],
        [onnx.numpy_helper.from_array(array, name) for name, array in weights.items()],
    )  # fmt: skip
    opset = onnx.helper.make_opsetid("", OPSET)
    return bytes(onnx.helper.make_model(made, ir_version=IR, opset_imports=[opset]).SerializeToString())


def nodes_of(net: "Recurrent", node: Any) -> tuple[list[Any], dict[str, np.ndarray]]:
    """Time first, as the operators want it; y0, y1, ... are what goes into each layer. And the constants."""
    op, way = net.kind.__name__, "bidirectional" if net.bidirectional else "forward"
    said = {"hidden_size": net.hidden_size, "direction": way}
    if op == "GRU":
        said["linear_before_reset"] = 1
    constants = {"joined": np.array([0, 0, -1]), "split": np.full(net.num_layers, 1 + net.bidirectional)}
    each = range(net.num_layers)
    nodes = [node("Transpose", ["x"], ["y0"], perm=[1, 0, 2])]
    nodes += [node("Split", [f"{s}0", "split"], [f"{s}0.{i}" for i in each], axis=0) for s in net.states]
    for i, layer in enumerate(net.to_onnx()):
        held = {f"{name}.{i}": tensor.float().cpu().numpy() for name, tensor in zip("WRB", layer)}
        constants |= held
        begun, after = ([f"{s}{when}.{i}" for s in net.states] for when in ("0", "_n"))
        nodes += [
            node(op, [f"y{i}", *held, "", *begun], [f"Y.{i}", *after], **said),
            # (time, directions, batch, units) to (time, batch, directions * units)
            node("Transpose", [f"Y.{i}"], [f"turned.{i}"], perm=[0, 2, 1, 3]),
            node("Reshape", [f"turned.{i}", "joined"], [f"y{i + 1}"]),
        ]
    nodes.append(node("Transpose", [f"y{net.num_layers}"], ["output"], perm=[1, 0, 2]))
    nodes += [node("Concat", [f"{s}_n.{i}" for i in each], [f"{s}_n"], axis=0) for s in net.states]
    return nodes, constants


def write(net: "Recurrent", path: str | os.PathLike[str]) -> Path:
    """`graph(net)` as a file, whole, once onnxruntime gives torch's numbers from it: else `DataError`."""
    target, content = checked_target(path), graph(net)
    _verify(net, _session(content))
    write_whole(target, content)
    return target


class Stream:
    """`net.step` by onnxruntime on one core: half of torch's time for one stream of 128 units.

    Called with x (B, features) and the state of the call before, it gives output (B, hidden_size) and the
    state for the next, as float32 arrays. It keeps the weights it was made with, whatever `net` learns.
    `DataError` where the graph does not give torch's numbers.
    """

    def __init__(self, net: "Recurrent") -> None:
        if net.bidirectional:
            raise InputError("a stream needs a network of one direction: the other begins at the end.")
        self._session = _session(graph(net))
        _verify(net, self._session)
        self._features, self._states = net.input_size, [f"{state}0" for state in net.states]
        self._shape = (net.num_layers, net.hidden_size)

    def __call__(self, x: np.ndarray, state: Any = None) -> tuple[np.ndarray, Any]:
        if x.ndim != 2 or x.shape[1] != self._features or x.dtype != np.float32:
            raise InputError(
                f"x must be float32 of shape (batch, {self._features}); got {x.dtype} of {x.shape}."
            )
        layers, hidden = self._shape
        if state is None:
            zeros = np.zeros((layers, len(x), hidden), np.float32)
            state = zeros if len(self._states) == 1 else (zeros, zeros)
        given = [state] if isinstance(state, np.ndarray) else list(state)
        if len(given) != len(self._states):
            held = " and ".join(name[0] for name in self._states)
            raise InputError(f"state must hold {held}; got {len(given)} arrays.")
        for name, array in zip(self._states, given):
            if array.shape != (layers, len(x), hidden) or array.dtype != np.float32:
                raise InputError(
                    f"{name} must be float32 of shape {(layers, len(x), hidden)}; "
                    f"got {array.dtype} of {array.shape}."
                )
        output, *after = self._session.run(None, {"x": x[:, None], **dict(zip(self._states, given))})
        return output[:, 0], after[0] if len(after) == 1 else tuple(after)


def read(path: str | os.PathLike[str]) -> "Recurrent":
    """The stack of GRU, RNN or LSTM nodes of an ONNX file as one of our networks, in float32.

    What stands around the stack is left out. `DataError` where there is no such stack, or where its nodes are
    set to something else than torch's equations.
    """
    import torch

    from sortal import nets

    onnx, path = _onnx(), Path(path)
    try:
        model = onnx.load(path)
    except Exception as e:  # protobuf's own errors, and the system's
        raise DataError(f"{path}: the file must be a whole ONNX model; reading it failed: {_first(e)}") from e
    nodes = [node for node in model.graph.node if node.op_type in ACTIVATIONS]
    if len({node.op_type for node in nodes}) != 1:
        found = " and ".join(sorted({node.op_type for node in nodes})) or "none"
        raise DataError(f"{path}: the file must hold nodes of one kind, GRU, RNN or LSTM; it holds {found}.")
    constants = dict(_constants(model.graph, onnx.numpy_helper.to_array))
    layers = []
    for i, node in enumerate(nodes):
        where = f"{path}: {node.op_type} {node.name or i}"
        _check_node(node, onnx.helper.get_attribute_value, where)
        if i and not _feeds(nodes[i - 1], node, model.graph.node):
            raise DataError(f"{where}: the nodes must be one stack; it is not fed by the one before.")
        w, r, b = (*node.input, "", "")[1:4]
        if w not in constants or r not in constants or (b and b not in constants):
            raise DataError(f"{where}: its weights must be constants of the graph.")
        held = [torch.tensor(constants[name].astype(np.float32)) if name else None for name in (w, r, b)]
        layers.append(tuple(held))
    try:
        net: Recurrent = getattr(nets, nodes[0].op_type).from_onnx(layers)
    except InputError as e:
        raise DataError(f"{path}: {e}") from e
    return net


def _check_node(node: Any, value: Any, where: str) -> None:
    said = {attribute.name: value(attribute) for attribute in node.attribute}
    direction = said.get("direction", b"forward").decode()
    named = [name.decode() for name in said.get("activations", [])]
    usual = ACTIVATIONS[node.op_type] * (2 if direction == "bidirectional" else 1)
    for rule, holds in (
        (f"direction must be forward or bidirectional, not {direction}", direction != "reverse"),
        (f"activations must be {', '.join(usual)}", not named or named == usual),
        ("clip must be left out", not said.get("clip")),
        ("input_forget must be 0", not said.get("input_forget")),
        (
            "linear_before_reset must be 1: with 0 the reset stands before the product, another network",
            node.op_type != "GRU" or said.get("linear_before_reset") == 1,
        ),
        ("peepholes must be left out", len(node.input) < 8 or not node.input[7]),
    ):
        if not holds:
            raise DataError(f"{where}: {rule}.")


def _constants(graph: Any, array: Any) -> Iterator[tuple[str, np.ndarray]]:
    for held in graph.initializer:
        yield held.name, array(held)
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            yield node.output[0], array(node.attribute[0].t)


def _feeds(before: Any, after: Any, nodes: Any) -> bool:
    """Whether the sequences of `before` reach `after` through nodes that are not recurrent."""
    made_by: Mapping[str, Any] = {name: node for node in nodes for name in node.output if name}
    open_, seen = [after.input[0]], set()
    while open_:
        name = open_.pop()
        node = made_by.get(name)
        if node is None or name in seen:
            continue
        seen.add(name)
        if node.op_type in ACTIVATIONS:
            if name == before.output[0]:
                return True
            continue
        open_ += node.input
    return False


def _verify(net: "Recurrent", session: Any) -> None:
    """`DataError` where the graph's numbers are not torch's."""
    import torch

    source = np.random.default_rng(0)
    x = source.standard_normal((2, 3, net.input_size)).astype(np.float32)
    shape = (net.num_layers * (1 + net.bidirectional), 2, net.hidden_size)
    begun = [source.uniform(-1, 1, shape).astype(np.float32) for _ in net.states]
    theirs = session.run(None, {"x": x, **{f"{s}0": array for s, array in zip(net.states, begun)}})
    given = [torch.from_numpy(array).to(next(net.parameters())) for array in (x, *begun)]
    trained, net.training = net.training, False  # without dropout
    try:
        with torch.inference_mode():
            output, state = net(given[0], given[1] if len(begun) == 1 else tuple(given[1:]))
    finally:
        net.training = trained
    ours = [output, *([state] if len(begun) == 1 else state)]
    apart = max(float(abs(a.float().cpu().numpy() - b).max()) for a, b in zip(ours, theirs))
    if not apart <= TOLERANCE:  # also NaN
        raise DataError(
            f"the exported network must give torch's numbers; they differ by {apart:.1e}, {TOLERANCE:.0e} is "
            "allowed. Weights that are not finite, or very large, do that."
        )


def _session(content: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # a step is too short to be shared out
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _onnx() -> Any:
    try:
        import onnx
    except ImportError as e:
        raise MissingExtra("a recurrent network as ONNX", "nets") from e
    return onnx


def _first(e: Exception) -> str:
    return (str(e).strip().splitlines() or [type(e).__name__])[0][:200]
