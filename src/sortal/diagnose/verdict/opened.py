"""A run, a model or a named network, with the task and the batches that it is looked at by."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import torch
from torch import nn

from sortal.data import shown
from sortal.diagnose.microscope import Sample
from sortal.diagnose.samples import kept_samples
from sortal.diagnose.study_data import study_data
from sortal.errors import DataError, InputError
from sortal.nets import BUILDERS, builder, weights
from sortal.nets.checkpoint import read_checkpoint
from sortal.nets.network import Network
from sortal.progress import Progress
from sortal.tasks import Batch, Classify, Task
from sortal.train.batches import ImageBatches
from sortal.train.model import load_model
from sortal.train.network_model import load_network
from sortal.train.pretrained import loaded, outline, sizes_of

__all__ = ["Opened", "opened"]

BATCH = 32


@dataclass(frozen=True)
class Opened:
    """`lr` is the rate that the run was trained at, None for a network that was not.

    `samples` are those of a run that was watched while it learned.
    """

    name: str
    net: nn.Module
    task: Task
    batches: tuple[Batch, ...]
    lr: float | None
    samples: tuple[Sample, ...] = ()


def opened(
    subject: str, data: str | os.PathLike[str] | None, weights_from: str | None = None, *, n_batches: int = 3
) -> Opened:
    """`subject` is the folder of a run (`recipe` or `sequence train` with --into), a model folder, or a name.

    A name is that of a network of `sortal.nets`; its weights are drawn unless `weights_from` is given. Images
    come from `data` as for `sortal study`, scikit-learn's digits without it; sequences as the run reads them.
    The network is in training mode, as it would go on. `InputError` for anything else.
    """
    found = _opened(subject, data, weights_from, n_batches)
    return replace(found, samples=kept_samples(subject)) if Path(subject).is_dir() else found


def _opened(
    subject: str, data: str | os.PathLike[str] | None, weights_from: str | None, n_batches: int
) -> Opened:
    folder = Path(subject)
    if (folder / "sequence.json").exists():
        return _sequence_run(folder, data, n_batches)
    if (folder / "plan.json").exists():
        kind, lr = _plan(folder)
        if not (folder / "weights.safetensors").exists():
            raise InputError(f"{shown(subject)} must be a finished run; it has no weights.safetensors yet.")
        net = _of_weights(folder / "weights.safetensors", kind)
        return _of_images(folder.name, net, data, n_batches, lr)
    if (folder / "config.json").exists():
        return _of_images(folder.name, load_network(load_model(folder)), data, n_batches, None)
    if subject not in BUILDERS:
        raise InputError(
            f"{shown(subject)} must be the folder of a finished run, a model folder or a network of "
            "sortal.nets such as resnet20; it is none of them."
        )
    if weights_from is not None:
        found = builder(subject)(seed=0)
        weights.load(found, weights_from)
        return _of_images(subject, found, data, n_batches, None)
    images = study_data(data)
    net = builder(subject)(images.n_names, images.shape[0], seed=0)
    return _of_images(subject, net, data, n_batches, None)


def _sequence_run(folder: Path, data: str | os.PathLike[str] | None, n_batches: int) -> Opened:
    from sortal.train.sequence.run import open_run, prepare_run

    kept = open_run(folder)
    given = prepare_run(kept.recipe, data)
    batches = tuple(islice(given.learn.epoch(0), n_batches))
    return Opened(folder.name, kept.net.train(), given.task, batches, kept.recipe.plan.peak_lr)


def _of_images(
    name: str, net: Network, data: str | os.PathLike[str] | None, n_batches: int, lr: float | None
) -> Opened:
    images = study_data(data)
    if (images.n_names, images.shape[0]) != (net.num_classes, net.in_channels):
        raise InputError(
            f"data must have the network's {net.num_classes} names and {net.in_channels} channels; "
            f"{images.name} has {images.n_names} and {images.shape[0]}."
        )
    batches = ImageBatches(images.learn, BATCH, images.normalize)
    sized = (_sized(batch, net.least_size) for batch in islice(batches.epoch(0), n_batches))
    return Opened(name, net.train(), Classify(), tuple(sized), lr)


def _sized(batch: Batch, least: int) -> Batch:
    """Images smaller than the network takes are enlarged to what it takes at least."""
    if min(batch["inputs"].shape[2:]) >= least:
        return batch
    larger = torch.nn.functional.interpolate(batch["inputs"], (least, least), mode="bilinear")
    return {**batch, "inputs": larger}


def _plan(folder: Path) -> tuple[str, float]:
    """What a run of images says of itself: the network's class, the rate it was trained at."""
    try:
        record = json.loads((folder / "plan.json").read_bytes())
        return str(record["net"]), float(record["plan"]["peak_lr"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as e:
        what = f"{type(e).__name__} {e}"[:160]
        raise DataError(f"{folder}/plan.json must be the settings of a run: {what}. Train again.") from e


def _of_weights(path: Path, kind: str) -> Network:
    """The network of `sortal.nets` whose names and shapes the file holds, with its weights.

    The file's own, not those that plan.json tells: memory is taken for no more than what is there.
    """
    held = read_checkpoint(path)
    for name in _likely(kind):
        plain = outline(name)
        if set(plain.state_dict()) != set(held):
            continue
        with torch.device("meta"):
            fitted = BUILDERS[name](*sizes_of(held, plain))
        if all(value.shape == held[key].shape for key, value in fitted.state_dict().items()):
            return loaded(name, path, Progress())
    raise InputError(
        f"{shown(str(path))} must hold the weights of a network of sortal.nets; its run was one of "
        f"{shown(kind)}. Look at it from Python: diagnose.examine(net, task, batches)."
    )


def _likely(kind: str) -> Iterator[str]:
    """Builders, those whose class has the name first."""
    names = sorted(BUILDERS)
    yield from sorted(names, key=lambda name: name.rstrip("0123456789") not in kind.lower())
