"""The model folder: everything needed to predict, and nothing that can run by itself.

config.json      format, kind, builder and arguments, input, encoder, labels, report, versions
weights.safetensors  the head
labels.json      the labels alone, for other programs
CARD.md          for people
MANIFEST.sha256  covers all of them; `sha256sum -c MANIFEST.sha256`
...              further files by name, such as encoder.onnx

Of kind "net" the head is that of a network that was trained: network.safetensors has its weights, its builder
is one of sortal.nets, and encoder.onnx is its body, so that predicting needs no torch. Of kind "encoder" it
has no head and knows no names: encoder_folder.py.
"""

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from sortal.errors import DataError, InputError
from sortal.store import checked_name
from sortal.train.beside import Beside
from sortal.train.card import write_card
from sortal.train.head import Head
from sortal.train.linear_head import linear_arguments, linear_head, linear_shapes, linear_tensors
from sortal.train.manifest import MANIFEST, read_verified
from sortal.train.model_folder import LIMITS, kind_of, standing, write_folder
from sortal.train.report import HeadReport

__all__ = ["FORMAT", "Model", "load_model", "save_model"]

FORMAT = 1


@dataclass(frozen=True)
class Model:
    """A model folder that passed every check."""

    folder: Path
    config: dict[str, Any]
    head: Head

    @property
    def encoder(self) -> dict[str, Any]:
        """Name, digest, dim and what else the encoder needs to be made again."""
        return dict(self.config["encoder"])

    @property
    def input(self) -> dict[str, Any]:
        """Kind, size, crop, resampling and normalisation that the encoder wants."""
        return dict(self.config["input"])

    @property
    def beside(self) -> Beside | None:
        """How its network stood beside a plain head; None where that was not measured."""
        found = self.config["builder"].get("training", {}).get("beside")
        return None if found is None else Beside.from_json(found)


def save_model(
    folder: str | os.PathLike[str],
    head: Head,
    *,
    encoder: Mapping[str, Any],
    input: Mapping[str, Any],
    trained_on: str,
    n_named_by_group: int = 0,
    extra_files: Mapping[str, Path] | None = None,
    network: Mapping[str, Any] | None = None,
) -> Path:
    """Write the model folder and return its path; an older Sortal model there is replaced whole.

    Killed at any moment, `load_model` finds the old model or the new one. Of two at once the second waits.
    `encoder` and `input` go into config.json as they are (`encoder` has at least name, digest and dim).
    `network` makes it of kind "net": name and arguments of its builder, and how it was trained.
    `InputError`: the path holds something that is no Sortal model or not its own, an extra file has no plain
    name, the model is larger than `load_model` reads. `StoreError`: the disk refuses.
    """
    folder = Path(os.path.abspath(folder))
    config = _config(head, encoder, input, network)
    card = write_card(head.report, config, trained_on, n_named_by_group)
    files = {
        "config.json": _json(config),
        "labels.json": _json(list(head.labels)),
        "weights.safetensors": safetensors.numpy.save(linear_tensors(head)),
        "CARD.md": card.encode("utf-8", "replace"),
    }
    write_folder(folder, files, extra_files or {})
    return folder


def load_model(folder: str | os.PathLike[str]) -> Model:
    """The model in `folder`, after every byte, shape and number has been checked; needs no pile.

    `InputError` where there is no folder, `DataError` (one line, naming the file) for anything wrong inside.
    """
    folder = Path(os.path.abspath(folder))
    while True:
        seen = standing(folder)
        try:
            return _load(folder, seen[0])
        except (InputError, DataError):
            if standing(folder) == seen:  # else a new model took its place while it was read
                raise


def _load(folder: Path, source: Path) -> Model:
    if not os.path.isdir(source):
        raise InputError(
            f"a model is a folder made by `sortal train`; {folder} is not a folder. Check the path."
        )
    if not (source / MANIFEST).exists():
        raise DataError(f"{folder}: a model folder holds {MANIFEST}, this one does not; check the path.")
    if kind_of(source) == "encoder":
        raise DataError(
            f"{folder}: it holds an encoder, which knows no names: group a pile with it (sortal organize "
            f"PILE --encoder {folder.name}), name the groups, train."
        )
    contents = read_verified(source, LIMITS)
    config = _parse_json(folder, "config.json", contents["config.json"])
    try:
        labels = _check_config(folder, config, _parse_json(folder, "labels.json", contents["labels.json"]))
        arguments = _head(config)["arguments"]
        tensors = _tensors(folder, contents["weights.safetensors"], linear_shapes(arguments))
        head = linear_head(arguments, tensors, labels, HeadReport.from_json(config["report"]))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as e:
        what = f"{type(e).__name__} {e}".replace("\n", " ")[:200]
        raise DataError(f"{folder}: config.json does not describe a model: {what}; train again.") from e
    return Model(source, config, head)


def _config(
    head: Head, encoder: Mapping[str, Any], wanted: Mapping[str, Any], network: Mapping[str, Any] | None
) -> dict[str, Any]:
    if encoder.get("dim") != head.dim:
        raise InputError(f"encoder must have the dim of the head, {head.dim}; got {encoder.get('dim')!r}.")
    packages = ("sortal", "numpy", "scikit-learn", "safetensors", *(("torch",) if network else ()))
    linear = {"name": "linear", "arguments": linear_arguments(head)}
    built = (
        {"kind": "net", "builder": dict(network), "head": linear}
        if network
        else {"kind": "head", "builder": linear}
    )
    return {
        "format": FORMAT,
        **built,
        "input": dict(wanted),
        "encoder": dict(encoder),
        "labels": list(head.labels),
        "report": head.report.to_json(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {package: version(package) for package in packages},
    }


def _head(config: Mapping[str, Any]) -> dict[str, Any]:
    """Name and arguments of the head's builder: the whole model, or the last layer of a network."""
    found: dict[str, Any] = config["head" if config["kind"] == "net" else "builder"]
    return found


def _check_config(folder: Path, config: Any, labels: Any) -> tuple[str, ...]:
    """The labels of a config whose format, kind and builder we know."""
    found = config["format"]
    if type(found) is int and found > FORMAT:
        raise DataError(
            f"{folder}: the model has format {found}, this Sortal reads up to {FORMAT}; update Sortal."
        )
    if found != FORMAT or type(found) is not int:
        raise DataError(f"{folder}: config.json names format {found!r}; Sortal reads {FORMAT}. Train again.")
    kind, name = config["kind"], _head(config)["name"]
    if kind not in ("head", "net") or name != "linear":
        raise DataError(
            f"{folder}: config.json asks for {str(kind)[:40]!r} built by {str(name)[:40]!r}; "
            "this Sortal builds a head or net by linear. Update Sortal."
        )
    if labels != config["labels"]:
        raise DataError(f"{folder}: labels.json and config.json must hold the same labels; train again.")
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise ValueError("labels must be a list of texts")
    if any(checked_name(label) != label for label in labels):
        raise ValueError("labels must be without space around them and in Unicode form NFC")
    if len(labels) < 2 or len(set(labels)) != len(labels):
        raise ValueError("labels must be at least two different texts")
    if config["encoder"]["dim"] != _head(config)["arguments"]["dim"] or not isinstance(config["input"], dict):
        raise ValueError("encoder, input and builder must agree")
    return tuple(labels)


def _tensors(folder: Path, data: bytes, shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    try:
        tensors: dict[str, np.ndarray] = safetensors.numpy.load(data)
    except (SafetensorError, ValueError, KeyError, TypeError) as e:
        raise DataError(f"{folder}: weights.safetensors cannot be read: {str(e)[:200]}; train again.") from e
    found = {name: tensor.shape for name, tensor in tensors.items()}
    if found != shapes or any(tensor.dtype != np.float32 for tensor in tensors.values()):
        raise DataError(
            f"{folder}: weights.safetensors must hold the float32 tensors that config.json describes, "
            f"{shapes}; it holds {str(found)[:300]}. Train again."
        )
    for name, tensor in tensors.items():
        if not np.isfinite(tensor).all():
            raise DataError(f"{folder}: weights.safetensors: {name} holds NaN or infinity; train again.")
    return tensors


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=True, allow_nan=False) + "\n").encode("ascii")


def _parse_json(folder: Path, name: str, data: bytes) -> Any:
    def finite(text: str) -> float:
        if not math.isfinite(number := float(text)):
            raise ValueError(f"{text[:20]} is no finite number")
        return number

    try:
        return json.loads(data, parse_float=finite, parse_constant=finite)
    except (ValueError, RecursionError) as e:
        raise DataError(
            f"{folder}: {name} is not JSON that Sortal writes: {str(e)[:200]}; train again."
        ) from e
