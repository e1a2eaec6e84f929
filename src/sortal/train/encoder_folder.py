"""A model folder of kind "encoder": a network that makes vectors and knows no names.

config.json           format, kind, encoder (name, digest, dim, spec), versions
encoder.onnx          the network as a graph for onnxruntime
network.safetensors   its weights, to go on from
curve.csv             how its training went, a line an epoch
CARD.md               for people
MANIFEST.sha256       covers all of them
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sortal.errors import DataError, InputError
from sortal.train.manifest import MANIFEST, read_verified
from sortal.train.model import FORMAT, Model, load_model
from sortal.train.model_folder import kind_of, write_folder

__all__ = ["EncoderFolder", "load_encoder", "load_folder", "save_encoder"]

MOST_CONFIG = 1 << 20  # bytes


@dataclass(frozen=True)
class EncoderFolder:
    """A folder of kind "encoder" that passed every check. `encoder` as in `Model`."""

    folder: Path
    encoder: dict[str, Any]


def save_encoder(
    folder: str | os.PathLike[str], *, encoder: Mapping[str, Any], card: str, extra_files: Mapping[str, Path]
) -> Path:
    """Write the folder, whole; an older model there is replaced. Raises as `save_model` does."""
    folder = Path(os.path.abspath(folder))
    config = {
        "format": FORMAT,
        "kind": "encoder",
        "encoder": dict(encoder),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {package: version(package) for package in ("sortal", "numpy", "torch", "safetensors")},
    }
    text = json.dumps(config, indent=1, allow_nan=False) + "\n"
    write_folder(folder, {"config.json": text.encode("ascii"), "CARD.md": card.encode()}, extra_files)
    return folder


def load_encoder(folder: str | os.PathLike[str]) -> EncoderFolder:
    """The encoder in `folder`, every byte checked. `InputError`: no folder; `DataError`: anything wrong."""
    folder = Path(os.path.abspath(folder))
    if not folder.is_dir():
        raise InputError(f"an encoder is a folder that holds {MANIFEST}; {folder} is not a folder.")
    data = read_verified(folder, {"config.json": MOST_CONFIG})["config.json"]
    try:
        config = json.loads(data)
        found = config["format"], config["kind"]
        encoder = dict(config["encoder"])
        encoder = {key: encoder[key] for key in ("name", "digest", "dim", "spec")}
        encoder["spec"] = dict(encoder["spec"])
    except (KeyError, TypeError, ValueError, RecursionError) as e:
        raise DataError(f"{folder}: config.json does not describe an encoder: {str(e)[:200]}.") from e
    if found != (FORMAT, "encoder"):
        raise DataError(f"{folder}: config.json must be of format {FORMAT} and kind encoder; got {found}.")
    return EncoderFolder(folder, encoder)


def load_folder(folder: str | os.PathLike[str]) -> Model | EncoderFolder:
    """Whichever of the two it is; raises what they raise."""
    return load_encoder(folder) if kind_of(Path(folder)) == "encoder" else load_model(folder)
