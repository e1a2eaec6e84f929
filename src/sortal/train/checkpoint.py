"""Checkpoints: everything a run needs to go on as if nothing had happened.

RUN/checkpoints/00001234/   the state after step 1234, the only one but for the moment of its making
    net.safetensors         weights as they are
    optimizer.safetensors   momentum and the like, by the name of their parameter
    average.safetensors     the moving average, if the plan asks for one
    best.safetensors        the weights of the best epoch so far
    chance.safetensors      states of torch's generators
    task.safetensors        what the task carries from batch to batch
    state.json              where in which epoch, the curve, the sums of the epoch under way
    MANIFEST.sha256         covers all of them

Published as segments are: written beside, fsynced, renamed. A kill leaves this one or the one before.
"""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.optim import Optimizer

from sortal.errors import DataError, StoreError
from sortal.store import sync_folder
from sortal.train.manifest import MANIFEST, manifest_text, read_verified
from sortal.whole import sha256_of

__all__ = [
    "Checkpoint",
    "load_optimizer",
    "newest_checkpoint",
    "optimizer_tensors",
    "save_checkpoint",
    "tensor_bytes",
]

PARTS = ("net", "optimizer", "average", "best", "chance", "task")
MOST_BYTES = 1 << 34  # of one part

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class Checkpoint:
    """`parts` has an entry for each of `PARTS`, perhaps empty; `state` is JSON."""

    step: int
    parts: dict[str, dict[str, Tensor]]
    state: dict[str, Any]


def save_checkpoint(folder: Path, step: int, parts: Mapping[str, Tensors], state: Mapping[str, Any]) -> None:
    """Make the checkpoint of `step` the only one in `folder`.

    `StoreError` where the disk refuses; the one before is then still there.
    """
    target, fresh = folder / f"{step:08d}", folder / "new.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        for name in PARTS:
            _write(fresh / f"{name}.safetensors", tensor_bytes(parts[name]))
        _write(fresh / "state.json", json.dumps(state).encode("ascii"))
        digests = {path.name: sha256_of(path) for path in sorted(fresh.iterdir())}
        _write(fresh / MANIFEST, manifest_text(digests).encode("ascii"))
        sync_folder(fresh)
        if target.exists():  # the same step once more: the run was told to stop right after a checkpoint
            shutil.rmtree(fresh)
            return
        fresh.rename(target)
        sync_folder(folder)
        for older in _finished(folder)[:-1]:
            shutil.rmtree(older, ignore_errors=True)
    except OSError as e:
        raise StoreError(
            f"{folder}: the checkpoint of step {step} cannot be written: {e.strerror}; free space and run "
            "again to go on from the one before."
        ) from e


def tensor_bytes(tensors: Tensors, notes: dict[str, str] | None = None) -> bytes:
    """As safetensors, which keeps no strides and refuses two names of one memory."""
    plain = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    return safetensors.torch.save(plain, notes)


def newest_checkpoint(folder: Path) -> Checkpoint | None:
    """The newest checkpoint in `folder`, every byte checked, or None. `DataError`: it is damaged."""
    finished = _finished(folder)
    if not finished:
        return None
    path = finished[-1]
    wanted = {f"{name}.safetensors": MOST_BYTES for name in PARTS} | {"state.json": MOST_BYTES}
    contents = read_verified(path, wanted)
    try:
        parts = {name: safetensors.torch.load(contents[f"{name}.safetensors"]) for name in PARTS}
        state = json.loads(contents["state.json"])
    except (SafetensorError, ValueError) as e:
        raise DataError(f"{path}: no checkpoint of Sortal: {str(e)[:200]}; remove it and run again.") from e
    return Checkpoint(int(path.name), parts, state)


def optimizer_tensors(net: nn.Module, optimizer: Optimizer) -> dict[str, Tensor]:
    """The optimiser's state, by names that say whose it is: `conv1.weight:momentum_buffer`."""
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    return {
        f"{names[id(parameter)]}:{key}": torch.as_tensor(value)
        for parameter, held in optimizer.state.items()
        for key, value in held.items()
        if value is not None
    }


@torch.no_grad()
def load_optimizer(net: nn.Module, optimizer: Optimizer, saved: Tensors) -> None:
    parameters = dict(net.named_parameters())
    for name, value in saved.items():
        parameter, key = name.rsplit(":", 1)
        owner = parameters[parameter]
        # In the parameter's own order of memory: fused steps walk both side by side.
        held = (
            torch.empty_like(owner, dtype=value.dtype) if value.ndim else torch.empty((), device=owner.device)
        )
        optimizer.state[owner][key] = held.copy_(value).detach()


def _finished(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.name.isdigit() and path.is_dir())


def _write(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
