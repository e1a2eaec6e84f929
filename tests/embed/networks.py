"""Tiny ONNX files."""

from onnx import TensorProto, helper


def network(nodes, *, input_shape, output_shape=("b", "d"), constants=None, outputs=("out",)):
    """A model of `nodes` (op, inputs, outputs, attributes) from "image" to `outputs`, float32 all through."""
    graph = helper.make_graph(
        [helper.make_node(op, given, made, **attributes) for op, given, made, attributes in nodes],
        "g",
        [_value("image", input_shape)],
        [_value(name, output_shape) for name in outputs],
        [
            helper.make_tensor(name, TensorProto.FLOAT, shape, values)
            for name, (shape, values) in (constants or {}).items()
        ],
    )
    opset = helper.make_opsetid("", 13)
    return helper.make_model(graph, ir_version=8, opset_imports=[opset]).SerializeToString()


def pixels_net(input_shape=("b", 3, 5, 7)):
    """Every number of the input, in the order in which it came."""
    return network([("Flatten", ["image"], ["out"], {"axis": 1})], input_shape=input_shape)


def log_net(input_shape=("b", 3, 6, 6)):
    """-infinity where a level is zero: an image with black in it has no vector."""
    nodes = [("Log", ["image"], ["logs"], {}), ("Flatten", ["logs"], ["out"], {"axis": 1})]
    return network(nodes, input_shape=input_shape)


def _value(name, shape):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
