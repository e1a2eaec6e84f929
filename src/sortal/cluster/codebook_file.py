"""Codebooks in one safetensors file: numbers only, nothing in it is ever executed.

Its metadata names the class and holds a SHA-256 of shapes and numbers: safetensors itself does not notice
a flipped bit.
"""

import hashlib
import json
import os
from pathlib import Path
from uuid import uuid4

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from sortal.errors import DataError, InputError

__all__ = ["read_codebooks", "write_codebooks"]

FORMAT = "sortal.codebooks.1"
MOST_BYTES = 1 << 30


def write_codebooks(path: Path, kind: str, codebooks: list[np.ndarray]) -> None:
    """Beside its place first, then moved there: a reader sees the old file or the new one."""
    tensors = {f"codebook_{m}": np.ascontiguousarray(codebook) for m, codebook in enumerate(codebooks)}
    metadata = {"format": FORMAT, "kind": kind, "sha256": _digest(kind, codebooks)}
    data = safetensors.numpy.save(tensors, metadata)
    part = path.with_name(f".{path.name}.{uuid4().hex}")  # not mkstemp's, which only its owner may read
    try:
        with part.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as e:
        raise InputError(
            f"path must name a file in a folder that can be written; got {path}: {e.strerror}."
        ) from e
    finally:
        part.unlink(missing_ok=True)


def read_codebooks(path: Path, kind: str, most: int = 1 << 16) -> list[np.ndarray]:
    """The codebooks of a file that `write_codebooks` made for `kind`, every byte checked.

    `DataError` for: no such file, too large, not safetensors, another class, tensors that are no codebooks,
    numbers that are not finite, a changed byte, more than `most` codebooks.
    """
    data = _read(path)
    try:
        tensors = safetensors.numpy.load(data)
        metadata = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")]).get("__metadata__") or {}
    except (SafetensorError, ValueError, KeyError, TypeError) as e:
        raise DataError(f"{path}: cannot be read as safetensors: {str(e)[:200]}; save it again.") from e
    if metadata.get("format") != FORMAT or metadata.get("kind") != kind:
        raise DataError(
            f"{path}: must hold a {kind} of format {FORMAT}; got {str(metadata.get('kind'))[:40]!r} of "
            f"{str(metadata.get('format'))[:40]!r}: load it with the class that saved it."
        )
    names = [f"codebook_{m}" for m in range(len(tensors))]
    if not 1 <= len(names) <= most or set(names) != set(tensors):
        raise DataError(
            f"{path}: must hold codebook_0, codebook_1 and so on, and nothing else; save it again."
        )
    codebooks = [tensors[name] for name in names]
    for name, codebook in zip(names, codebooks, strict=True):
        if codebook.ndim != 2 or not codebook.size or codebook.dtype not in (np.float32, np.float64):
            raise DataError(
                f"{path}: {name} must be codes x columns of float32 or float64; "
                f"got {codebook.dtype} of shape {codebook.shape}; save it again."
            )
        if not np.isfinite(codebook).all():
            raise DataError(f"{path}: {name} holds NaN or infinity; save it again.")
    if len({codebook.dtype for codebook in codebooks}) > 1 or metadata.get("sha256") != _digest(
        kind, codebooks
    ):
        raise DataError(f"{path}: numbers do not match their SHA-256, so they were changed; save it again.")
    return codebooks


def _read(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise DataError(f"{path}: must be a file of saved codebooks; there is none.")
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as e:
        raise DataError(f"{path}: cannot be read: {e.strerror}; check the file and its rights.") from e
    if len(data) > MOST_BYTES:
        raise DataError(f"{path}: codebooks take at most {MOST_BYTES} bytes, this file more; save it again.")
    return data


def _digest(kind: str, codebooks: list[np.ndarray]) -> str:
    digest = hashlib.sha256(kind.encode())
    for codebook in codebooks:
        digest.update(f";{codebook.dtype}{codebook.shape}".encode())
        digest.update(np.ascontiguousarray(codebook).tobytes())
    return digest.hexdigest()
