"""The body of a trained `SequenceClassifier` as an encoder: its final states are the vectors.

    encoder = trained_encoder(net, SoundPreprocess(rate=8_000, mels=40, scale="item"))

The graph takes the steps (or numbers of symbols) and first states, one operator a layer, and gives one vector
an item; onnxruntime runs it without torch.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from sortal.embed.onnx_sequence import OnnxSequence, kept_graph
from sortal.embed.recurrent import IR, OPSET, TOLERANCE, nodes_of
from sortal.embed.sequence_options import SequencePreprocess
from sortal.errors import DataError, MissingExtra

if TYPE_CHECKING:
    from sortal.nets.sequence_classifier import SequenceClassifier

__all__ = ["body_graph", "trained_encoder"]


def trained_encoder(net: "SequenceClassifier", want: SequencePreprocess) -> OnnxSequence:
    """`net.embed` by onnxruntime, items prepared as `want` says. Its file lies in the cache.

    `DataError` where the graph does not give torch's numbers.
    """
    encoder = OnnxSequence(kept_graph(body_graph(net)), want)
    _verify(net, encoder)
    return encoder


def body_graph(net: "SequenceClassifier") -> bytes:
    """An ONNX model: x (batch, time, features) or symbols (batch, time), and first states -> vectors."""
    try:
        import onnx
    except ImportError as e:
        raise MissingExtra("A recurrent network as ONNX", "nets") from e
    node, rnn = onnx.helper.make_node, net.rnn
    nodes, constants = nodes_of(rnn, node)
    ways = 1 + rnn.bidirectional
    constants |= {"from": np.array([-ways]), "to": np.array([1 << 31]), "of": np.array([0])}
    constants["flat"] = np.array([0, -1])
    nodes += [
        node("Slice", ["h_n", "from", "to", "of"], ["last"]),
        node("Transpose", ["last"], ["by_item"], perm=[1, 0, 2]),
        node("Reshape", ["by_item", "flat"], ["vectors"]),
    ]
    kinds = onnx.TensorProto
    given: list[tuple[str, Any, list[Any]]] = [("x", kinds.FLOAT, ["batch", "time", rnn.input_size])]
    if net.symbols is not None:
        constants["table"] = net.symbols.weight.detach().float().cpu().numpy()
        nodes.insert(0, node("Gather", ["table", "symbols"], ["x"], axis=0))
        given = [("symbols", kinds.INT64, ["batch", "time"])]
    given += [(f"{s}0", kinds.FLOAT, [rnn.num_layers * ways, "batch", rnn.hidden_size]) for s in rnn.states]
    value = onnx.helper.make_tensor_value_info
    made = onnx.helper.make_graph(
        nodes, "body", [value(*one) for one in given],
        [value("vectors", kinds.FLOAT, ["batch", ways * rnn.hidden_size])],
        [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()],
    )  # fmt: skip
    opset = onnx.helper.make_opsetid("", OPSET)
    return bytes(onnx.helper.make_model(made, ir_version=IR, opset_imports=[opset]).SerializeToString())


def _verify(net: "SequenceClassifier", encoder: OnnxSequence) -> None:
    import torch

    net.eval()
    for steps in encoder.probes():
        with torch.inference_mode():
            ours = net.embed(torch.from_numpy(steps)[None])[0].float().cpu().numpy()
        apart = float(np.abs(ours - encoder.vector(steps)).max())
        if not apart <= TOLERANCE:  # also NaN
            raise DataError(
                f"the exported network must give torch's numbers; they differ by {apart:.1e}, "
                f"{TOLERANCE:.0e} is allowed. Weights that are not finite, or very large, do that."
            )
