"""A file of weights as names and tensors, whoever wrote it. Nothing in it is ever run.

Read are safetensors, torch's zip format and torch's old format, plain or wrapped (`state_dict`, `model`),
with the prefixes that DataParallel and torch.compile leave.
"""

import os
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sortal.errors import DataError, InputError

__all__ = ["WRITTEN_BY", "read_checkpoint", "written_by"]

WRAPPERS = ("state_dict", "model", "model_state_dict", "net")
WRITTEN_BY = "network"  # in the notes of a safetensors file of ours: the class of the network
PREFIXES = ("module.", "_orig_mod.", "model.")


def read_checkpoint(path: str | os.PathLike[str], *, most_bytes: int | None = None) -> dict[str, Tensor]:
    """The tensors of `path` by their bare names, on the CPU.

    `InputError` where there is no such file; `DataError`, in one line, where it is longer than `most_bytes`,
    truncated, of another kind, or holds anything else than tensors.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            start, n_bytes = file.read(9), os.fstat(file.fileno()).st_size
    except OSError as e:
        raise InputError(f"weights must be a file that can be read; {path}: {e.strerror}.") from e
    if most_bytes is not None and n_bytes > most_bytes:
        raise DataError(
            f"{path}: {n_bytes / 1e6:,.0f} MB are too much for this network, whose file has at most "
            f"{most_bytes / 1e6:,.0f} MB; it belongs to another."
        )
    if start[:4] == b"PK\x03\x04":
        _check_zip(path, n_bytes)
        found = _torch_load(path, mmap=True)
    elif start[:2] == b"\x80\x02":
        found = _torch_load(path, mmap=False)
    elif start[8:] == b"{":
        found = _safetensors(path)
    else:
        raise DataError(f"{path}: weights must be safetensors or a file of torch.save; this is neither.")
    return _bare(_unwrapped(found, path), path)


def written_by(path: Path) -> str | None:
    """The class of the network that `path` is of, where the file says so."""
    from safetensors import safe_open

    with path.open("rb") as file:
        if file.read(9)[8:] != b"{":
            return None
    with safe_open(path, "pt") as opened:
        return (opened.metadata() or {}).get(WRITTEN_BY)


def _check_zip(path: Path, n_bytes: int) -> None:
    """torch stores without compression: a record that claims more than the file holds is a bomb."""
    try:
        with zipfile.ZipFile(path) as archive:
            records = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as e:
        raise DataError(f"{path}: the file must be whole; it is truncated or damaged. Fetch it again.") from e
    if any(r.compress_type != zipfile.ZIP_STORED for r in records) or (
        sum(record.file_size for record in records) > n_bytes
    ):
        raise DataError(
            f"{path}: torch stores its tensors uncompressed; this file claims more than it holds."
        )


def _torch_load(path: Path, *, mmap: bool) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except pickle.UnpicklingError as e:
        if "weights_only" in str(e) or "Unsupported" in str(e):
            raise DataError(
                f"{path}: weights must be tensors alone; this file holds other Python objects, which loading "
                "would run as code, so nothing was loaded. Ask its publisher for safetensors or a state_dict."
            ) from e
        raise _damaged(path, e) from e
    except Exception as e:  # torch raises anything on broken files
        raise _damaged(path, e) from e


def _safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    try:
        return dict(load_file(path))
    except Exception as e:  # the format's own errors, and torch's on a type it lacks
        raise _damaged(path, e) from e


def _damaged(path: Path, e: Exception) -> DataError:
    said = (str(e).strip().splitlines() or [type(e).__name__])[0][:160]
    return DataError(f"{path}: the file must be whole and hold weights; reading it failed: {said}")


def _unwrapped(found: Any, path: Path) -> Mapping[str, Any]:
    for name in WRAPPERS:
        if isinstance(found, Mapping) and isinstance(found.get(name), Mapping):
            found = found[name]
            break
    if not isinstance(found, Mapping) or not found:
        raise DataError(
            f"{path}: weights must be tensors by name; this file holds "
            f"{'none' if isinstance(found, Mapping) else f'a {type(found).__name__}'}."
        )
    return found


def _bare(found: Mapping[str, Any], path: Path) -> dict[str, Tensor]:
    """Without the prefixes that all names share; `DataError` for anything that is no plain tensor."""
    for name, value in found.items():
        if not isinstance(name, str) or not isinstance(value, Tensor) or value.layout != torch.strided:
            raise DataError(f"{path}: weights must be dense tensors by name; {str(name)[:60]!r} is no such.")
        if value.nbytes > value.untyped_storage().nbytes():  # one number said to be a billion
            raise DataError(f"{path}: {name[:60]!r} claims more numbers than the file holds.")
    while prefix := next((p for p in PREFIXES if all(name.startswith(p) for name in found)), ""):
        found = {name.removeprefix(prefix): value for name, value in found.items()}
    return dict(found)
