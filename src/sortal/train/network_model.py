"""The network in a model folder of kind "net": as safetensors, built again by name."""

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from sortal.errors import DataError, InputError
from sortal.nets import BUILDERS, Network
from sortal.nets.checkpoint import WRITTEN_BY
from sortal.train.checkpoint import tensor_bytes
from sortal.train.model import Model

__all__ = ["NETWORK_FILE", "load_network", "network_bytes"]

NETWORK_FILE = "network.safetensors"
MAX_CLASSES = 1_000_000

DTYPES = {"F32": torch.float32, "I64": torch.int64}  # weights and statistics; batch norm's counter of steps


def network_bytes(net: Network) -> bytes:
    return tensor_bytes(net.state_dict(), {WRITTEN_BY: type(net).__name__})


def load_network(model: Model) -> Network:
    """The network of a model folder that `load_model` has checked, ready for inference.

    Its builder is one of `sortal.nets.BUILDERS`; names, shapes and types are compared with the file's header
    before memory is taken for them. `InputError`: a model of another kind. `DataError`: what does not fit.
    """
    if model.config["kind"] != "net":
        raise InputError(f"{model.folder} has a head and no network; train one (--net).")
    if "beside" in model.config["builder"].get("training", {}):
        raise InputError(
            f"{model.folder} holds a recurrent network, which predicts and groups (--encoder); here one that "
            "reads images is asked for."
        )
    net = _built(model.folder, model.config["builder"])
    path = model.folder / NETWORK_FILE
    try:
        with safe_open(path, "pt") as file:
            _check(path, file, net)
            net.to_empty(device="cpu")
            with torch.no_grad():
                for name, value in net.state_dict().items():
                    value.copy_(file.get_tensor(name))
    except (OSError, SafetensorError) as e:
        raise DataError(f"{path} cannot be read: {str(e)[:200]}; train again.") from e
    if not all(bool(torch.isfinite(value).all()) for value in net.state_dict().values()):
        raise DataError(f"{path} holds NaN or infinity; train again.")
    return net.eval()


def _built(folder: Path, builder: Any) -> Network:
    """On torch's meta device: shapes without content."""
    try:
        name, arguments = builder["name"], builder["arguments"]
        counts = {key: arguments[key] for key in ("num_classes", "in_channels")}
    except (KeyError, TypeError) as e:
        raise DataError(f"{folder}: config.json names no network and its arguments; train again.") from e
    if name not in BUILDERS or any(type(n) is not int or not 0 < n <= MAX_CLASSES for n in counts.values()):
        raise DataError(
            f"{folder}: config.json asks for the network {str(name)[:40]!r} with {str(counts)[:80]}, which "
            "sortal.nets does not build. Update Sortal, or train again."
        )
    with torch.device("meta"):
        return BUILDERS[name](**counts)


def _check(path: Path, file: Any, net: Network) -> None:
    wanted = {name: (tuple(value.shape), value.dtype) for name, value in net.state_dict().items()}
    slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    found = {name: (tuple(one.get_shape()), DTYPES.get(one.get_dtype())) for name, one in slices.items()}
    if found != wanted:
        differ = sorted(key for key in {*found, *wanted} if found.get(key) != wanted.get(key))
        raise DataError(
            f"{path} must hold the tensors of the network that config.json names; {len(differ)} differ, the "
            f"first: {differ[0][:60]}. Train again."
        )
