"""What an encoder learned on a pile, as one file named by its SHA-256."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from sortal.data import shown
from sortal.errors import DataError
from sortal.whole import write_whole

__all__ = ["read_fit", "write_fit"]


def write_fit(folder: Path, arrays: Mapping[str, np.ndarray], words: list[str] | None = None) -> Path:
    """The fit as safetensors in `folder`; the same numbers give the same file. `words` go along."""
    held = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    if words is not None:
        held["words"] = np.frombuffer(json.dumps(words).encode(), np.uint8)
    content = safetensors.numpy.save(held)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{hashlib.sha256(content).hexdigest()}.safetensors"
    write_whole(path, content)
    return path


def read_fit(path: Path) -> tuple[dict[str, np.ndarray], list[str], str]:
    """Arrays, words and SHA-256 of a fit. DataError where it is damaged."""
    try:
        content = path.read_bytes()
        arrays = safetensors.numpy.load(content)
        words = json.loads(arrays.pop("words", np.frombuffer(b"[]", np.uint8)).tobytes())
    except (OSError, SafetensorError, ValueError) as e:
        raise DataError(
            f"{shown(str(path))}: the fit of an encoder must be readable; {shown(str(e))}."
        ) from e
    return arrays, words, hashlib.sha256(content).hexdigest()
