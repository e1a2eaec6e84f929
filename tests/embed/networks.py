"""Tiny ONNX files, and published weights that are none."""

import hashlib
import http.server
import threading
from dataclasses import replace
from functools import partial

import numpy as np
from onnx import TensorProto, helper

from sortal.published import PUBLISHED


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


def colours_net(edge):
    """The mean of each channel, as an exported network of ours calls its input's sides and its output."""
    mean = [("ReduceMean", ["image"], ["vectors"], {"axes": [2, 3], "keepdims": 0})]
    return network(mean, input_shape=("b", 3, edge, edge), output_shape=("b", 3), outputs=("vectors",))


def put_into_cache(name, monkeypatch, folder):
    """A published network as if it had been fetched and exported before, in an empty cache; needs no torch.

    Its weights are noise and its graph is `colours_net`.
    """
    content = np.random.default_rng(0).bytes(1000)
    sha256 = hashlib.sha256(content).hexdigest()
    published = replace(PUBLISHED[name], url=f"http://127.0.0.1:1/{name}-{sha256[:8]}.pth", megabytes=0.001)
    monkeypatch.setenv("SORTAL_CACHE", str(folder))
    monkeypatch.setitem(PUBLISHED, name, published)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / published.file).write_bytes(content)
    graph = folder / f"{published.network}-{sha256[:16]}-{published.size}x{published.size}.onnx"
    graph.write_bytes(colours_net(published.size))
    record = hashlib.sha256(graph.read_bytes()).hexdigest()
    graph.with_name(graph.name + ".sha256").write_text(f"{record}  {graph.name}\n")
    return published


def serve(name, net, monkeypatch, folder):
    """The weights of `net` as the published ones of `name`, on a server of our own, and an empty cache."""
    import torch

    place = folder / "published"
    place.mkdir(parents=True)
    torch.save(net.state_dict(), place / "w.pth")
    sha256 = hashlib.sha256((place / "w.pth").read_bytes()).hexdigest()
    (place / "w.pth").rename(place / f"{name}-{sha256[:8]}.pth")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(place)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    published = replace(
        PUBLISHED[name], url=f"http://127.0.0.1:{server.server_port}/{name}-{sha256[:8]}.pth", publisher="us"
    )
    monkeypatch.setenv("SORTAL_CACHE", str(folder / "cache"))
    monkeypatch.setitem(PUBLISHED, name, published)
    return server


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words):
        pass
