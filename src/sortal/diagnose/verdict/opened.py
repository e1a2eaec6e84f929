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
from sortal.nets import BUILDERS, builder
from sortal.nets.checkpoint import read_checkpoint
from sortal.nets.network import Network
from sortal.progress import Progress
from sortal.tasks import Batch, Classify, Task
from sortal.train.batches import ImageBatches
from sortal.train.model import load_model
from sortal.train.network_model import load_network
from sortal.train.normalize import Normalize
from sortal.train.pretrained import loaded, normalize_of, outline, sizes_of

__all__ = ["Opened", "opened"]

BATCH = 32
FRAME = 4  # pixels: as many as MNIST's 28 are short of LeNet-5's 32


@dataclass(frozen=True)
class Opened:
    """`lr` is the rate that the run was trained at, None for a network that was not.

    `data` says what the batches are of; `samples` are those of a run that was watched while it learned.
    """

    name: str
    net: nn.Module
    task: Task
    batches: tuple[Batch, ...]
    lr: float | None
    data: str
    samples: tuple[Sample, ...] = ()


def opened(
    subject: str, data: str | os.PathLike[str] | None, weights_from: str | None = None, *, n_batches: int = 3,
    progress: Progress = Progress(),  # noqa: B008 (has no state)
) -> Opened:  # fmt: skip
    """`subject` is the folder of a run (`recipe` or `sequence train` with --into), a model folder, or a name.

    A name is that of a network of `sortal.nets`; its weights are drawn unless `weights_from` is given. Images
    come from `data` as for `sortal study`, or below it as for `sortal recipe`; scikit-learn's digits without
    it; sequences as the run reads them. Pixels are normalised as the weights want them. The network is in
    training mode, as it would go on. `InputError` for anything else.
    """
    found = _opened(subject, data, weights_from, n_batches, progress)
    return replace(found, samples=kept_samples(subject)) if Path(subject).is_dir() else found


def _opened(
    subject: str, data: str | os.PathLike[str] | None, weights_from: str | None, n_batches: int,
    progress: Progress,
) -> Opened:  # fmt: skip
    folder = Path(subject)
    if (folder / "sequence.json").exists():
        return _sequence_run(folder, data, n_batches)
    if (folder / "plan.json").exists():
        kind, lr = _plan(folder)
        if not (folder / "weights.safetensors").exists():
            raise InputError(f"{shown(subject)} must be a finished run; it has no weights.safetensors yet.")
        name, net = _of_weights(folder / "weights.safetensors", kind)
        wanted = normalize_of(name, net.in_channels, folder / "weights.safetensors", progress)
        return _of_images(folder.name, net, data, n_batches, lr, wanted)
    if (folder / "config.json").exists():
        net = load_network(load_model(folder))
        wanted = normalize_of("", net.in_channels, folder, progress)
        return _of_images(folder.name, net, data, n_batches, None, wanted)
    if subject not in BUILDERS:
        raise InputError(
            f"{shown(subject)} must be the folder of a finished run, a model folder or a network of "
            "sortal.nets such as resnet20; it is none of them."
        )
    if weights_from is not None:
        net = loaded(subject, weights_from, progress)
        wanted = normalize_of(subject, net.in_channels, weights_from, progress)
        return _of_images(subject, net, data, n_batches, None, wanted)
    images = study_data(data)
    net = builder(subject)(images.n_names, images.shape[0], seed=0)
    return _of_images(subject, net, data, n_batches, None, None)


def _sequence_run(folder: Path, data: str | os.PathLike[str] | None, n_batches: int) -> Opened:
    from sortal.train.sequence.run import open_run, prepare_run

    kept = open_run(folder)
    given = prepare_run(kept.recipe, data)
    batches = tuple(islice(given.learn.epoch(0), n_batches))
    of = f"{kept.recipe.name}, as the run reads it"
    return Opened(folder.name, kept.net.train(), given.task, batches, kept.recipe.plan.peak_lr, of)


def _of_images(
    name: str, net: Network, data: str | os.PathLike[str] | None, n_batches: int, lr: float | None,
    wanted: Normalize | None,
) -> Opened:  # fmt: skip
    images = study_data(None if data is None else _inside(Path(data), net.in_channels))
    if (images.n_names, images.shape[0]) != (net.num_classes, net.in_channels):
        raise InputError(
            f"data must have the network's {net.num_classes} names and {net.in_channels} channels; "
            f"{images.name} has {images.n_names} and {images.shape[0]}."
        )
    batches = ImageBatches(images.learn, BATCH, wanted or images.normalize)
    sized = (_sized(batch, net.least_size) for batch in islice(batches.epoch(0), n_batches))
    return Opened(name, net.train(), Classify(), tuple(sized), lr, images.name)


def _inside(folder: Path, channels: int) -> Path:
    """The folder of data that a recipe was given holds its data in a part of its own."""
    part = folder / ("mnist" if channels == 1 else "cifar10-jpeg.zip")
    return part if part.exists() else folder


def _sized(batch: Batch, least: int) -> Batch:
    """Images smaller than the network takes: a frame of zeros, or, where that would be most of it, enlarged.

    The recipe's LeNet-5 pads MNIST's 28 pixels itself; the network that its weights are put into does not.
    """
    images = batch["inputs"]
    short = least - min(images.shape[2:])
    if short <= 0:
        return batch
    if short <= FRAME and images.shape[2] == images.shape[3]:
        before, after = short // 2, short - short // 2
        framed = torch.nn.functional.pad(images, (before, after, before, after))
        return {**batch, "inputs": framed}
    larger = torch.nn.functional.interpolate(images, (least, least), mode="bilinear")
    return {**batch, "inputs": larger}


def _plan(folder: Path) -> tuple[str, float]:
    """What a run of images says of itself: the network's class, the rate it was trained at."""
    try:
        record = json.loads((folder / "plan.json").read_bytes())
        return str(record["net"]), float(record["plan"]["peak_lr"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as e:
        what = f"{type(e).__name__} {e}"[:160]
        raise DataError(f"{folder}/plan.json must be the settings of a run: {what}. Train again.") from e


def _of_weights(path: Path, kind: str) -> tuple[str, Network]:
    """The network of `sortal.nets` whose names and shapes the file holds, by name and with its weights.

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
            return name, loaded(name, path, Progress())
    raise InputError(
        f"{shown(str(path))} must hold the weights of a network of sortal.nets; its run was one of "
        f"{shown(kind)}. Look at it from Python: diagnose.examine(net, task, batches)."
    )


def _likely(kind: str) -> Iterator[str]:
    """Builders, those whose class has the name first."""
    names = sorted(BUILDERS)
    yield from sorted(names, key=lambda name: name.rstrip("0123456789") not in kind.lower())
