"""What a network learned elsewhere is worth on these images: the same splits, budget and seeds for each way.

P0 is how it scores on what it was trained on, P1 a frozen body with a new head, then fine-tuned, and P2 the
same network from scratch. Needs the extra `nets`.
"""

import contextlib
import copy
import json
import os
import shutil
import zlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from sortal.arrays import Labels, Vectors
from sortal.data import LabelledImages
from sortal.errors import DataError, InputError, StoreError
from sortal.nets import Network
from sortal.progress import Progress
from sortal.train.cost import Cost, Meter
from sortal.train.device import Device, choose_device
from sortal.train.labels import balancing_weights, check_labels
from sortal.train.loop import Trained
from sortal.train.run_folder import difference
from sortal.train.split import draw_per_name, held_out_mask
from sortal.train.transfer_report import Cell, OwnData, Transfer, summed_up
from sortal.train.ways import (
    Course,
    body_vectors,
    check_images,
    fine_tune,
    fit_head,
    from_scratch,
    says,
    weights_digest,
)
from sortal.whole import write_whole

__all__ = ["transfer"]


def transfer(
    images: LabelledImages,
    body: Network,
    fresh: Callable[[int], Network],
    course: Course,
    *,
    per_class: Sequence[int | None] = (None,),
    seeds: int = 3,
    held_out: float = 0.2,
    own: LabelledImages | None = None,
    device: Device | str = "auto",
    folder: str | os.PathLike[str] | None = None,
    progress: Progress = Progress(),  # noqa: B008 (has no state)
) -> Transfer:
    """Train on `images` in every way, with so many of each name, and judge all by the same held-out ones.

    `body` has the weights of elsewhere and its own head; it is left as it was. `fresh(seed)` is the same
    network, untrained, with one class a name. None in `per_class` is all there are. Each seed draws other
    items to learn from, other first weights, another order; `held_out` of each name, which only measure, are
    the same for all. `own` are named images of what `body` was trained on, names in the order of its classes.
    With `folder` what is finished is kept: a run that was killed goes on, and more sizes or seeds can follow.
    `InputError`: images that do not fit the network, a name with one image, another run's folder.
    """
    if type(seeds) is not int or seeds < 1:
        raise InputError(f"seeds must be a whole number from 1; got {seeds!r}.")
    if not 0 < held_out < 1:
        raise InputError(f"held_out must be a share between 0 and 1; got {held_out!r}. Try 0.2.")
    where = device if isinstance(device, Device) else choose_device(device)
    check_labels(images.labels, images.names, held_out=True)
    check_images(images, body)
    if own is not None:
        check_images(own, body)
    held = held_out_mask(images.labels, held_out, 0)
    run = _Run(images.take(~held), images.take(held), body, fresh, course, where, progress)
    kept = _Kept(None if folder is None else Path(folder))
    kept.claim(run.settings())
    sizes = _sizes(per_class, run.learn, progress)
    if (said := balancing_weights(run.learn.labels, run.learn.names)[1]) and None in sizes:
        progress.say(said)
    own_data = None if own is None else kept.own_data(own, run.own_data)
    cells = []
    for size in sizes:
        for seed in range(seeds):
            for way in ("frozen", "fine-tuned", "scratch"):
                cells.append(kept.cell(way, size, seed, run.cell))
    return summed_up(cells, run.learn, run.test, own_data, course.epochs, str(where))


def _sizes(wanted: Sequence[int | None], learn: LabelledImages, progress: Progress) -> list[int | None]:
    """Ascending, all of them last; a number that every name falls short of is all of them."""
    most = int(np.bincount(learn.labels).max())
    if not wanted or any(size is not None and (type(size) is not int or size < 1) for size in wanted):
        raise InputError(f"per_class must be whole numbers from 1, or all; got {wanted!r}.")
    few = sorted({size for size in wanted if size is not None and size < most})
    over = sorted({size for size in wanted if size is not None and size >= most})
    if over:
        progress.say(
            f"no name has more than {most:,} images to learn from: {over[0]:,} of each is all of them"
        )
    return [*few, None] if None in wanted or over else [*few]


@dataclass
class _Run:
    """What all cells share; vectors of the frozen body are made once, by the first cell that wants them."""

    learn: LabelledImages
    test: LabelledImages
    body: Network
    fresh: Callable[[int], Network]
    course: Course
    device: Device
    progress: Progress

    def settings(self) -> dict[str, Any]:
        """All that decides what a cell holds, beside its way, size and seed."""
        sets = {"learn": self.learn, "test": self.test}
        return {
            "course": asdict(self.course),
            "names": list(self.learn.names),
            "images": {
                name: [len(one), *map(_crc32, (one.pixels, one.labels))] for name, one in sets.items()
            },
            "network": type(self.body).__name__,
            "weights": weights_digest(self.body),
        }

    def own_data(self, own: LabelledImages) -> OwnData:
        self.progress.say(f"how it names {len(own):,} images of its own kind")
        found = says(self.body, own, self.course.normalize, self.device)
        return OwnData.counted(int((found == own.labels).sum()), len(own))

    def cell(self, way: str, size: int | None, seed: int, folder: Path | None) -> Cell:
        rows = np.arange(len(self.learn)) if size is None else draw_per_name(self.learn.labels, size, seed)
        of = "all" if size is None else f"{size:,} of each name"
        self.progress.say(f"{way}, {of}, seed {seed}: {len(rows):,} images to learn from")
        make = {"frozen": self._frozen, "fine-tuned": self._fine_tuned, "scratch": self._scratch}[way]
        found, cost = make(rows, seed, folder)
        right = float((found == self.test.labels).mean())
        return Cell(way, size, seed, len(rows), right, cost, tuple(found.tolist()))

    def _frozen(self, rows: Labels, seed: int, folder: Path | None) -> tuple[Labels, Cost]:
        vectors, test, read = self._vectors
        meter = Meter(str(self.device.device))
        net = copy.deepcopy(self.body)
        fit_head(net, vectors[rows], self.learn.labels[rows], seed)
        weights, bias = (part.detach().cpu().numpy() for part in net.head.parameters())
        cost = meter.cost() + read.share(len(rows) / len(vectors))
        return np.asarray((test @ weights.T + bias).argmax(axis=1), dtype=np.int64), cost

    def _fine_tuned(self, rows: Labels, seed: int, folder: Path | None) -> tuple[Labels, Cost]:
        vectors, _, read = self._vectors
        meter = Meter(str(self.device.device))
        net = copy.deepcopy(self.body)
        images = self.learn.take(rows)
        fit_head(net, vectors[rows], images.labels, seed)
        head = meter.cost() + read.share(len(rows) / len(vectors))
        trained = fine_tune(
            net, images, self.course, seed, device=self.device, folder=folder, progress=self.progress
        )
        cost = head + _training_cost(trained, meter)
        return says(net, self.test, self.course.normalize, self.device), cost

    def _scratch(self, rows: Labels, seed: int, folder: Path | None) -> tuple[Labels, Cost]:
        meter = Meter(str(self.device.device))
        net = self.fresh(seed)
        trained = from_scratch(
            net, self.learn.take(rows), self.course, seed, device=self.device, folder=folder,
            progress=self.progress,
        )  # fmt: skip
        cost = _training_cost(trained, meter)
        return says(net, self.test, self.course.normalize, self.device), cost

    @cached_property
    def _vectors(self) -> tuple[Vectors, Vectors, Cost]:
        """Of the images to learn from, of those to test, and what the first cost."""
        meter = Meter(str(self.device.device))
        body = copy.deepcopy(self.body)
        learn = body_vectors(body, self.learn, self.course.normalize, self.device)
        cost = meter.cost()
        return learn, body_vectors(body, self.test, self.course.normalize, self.device), cost


def _training_cost(trained: Trained, meter: Meter) -> Cost:
    """Seconds by the curve, which also holds those before a kill."""
    cpu, wall = sum(epoch.cpu_s for epoch in trained.curve), sum(epoch.wall_s for epoch in trained.curve)
    return Cost(cpu, wall, meter.cost().peak_mb)


def _crc32(array: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(array).data)


class _Kept:
    """The folder of a run: settings.json, own.json, cells/WAY-SIZE-SEED.json, training/ of one under way."""

    def __init__(self, path: Path | None) -> None:
        self.path = path

    def claim(self, settings: dict[str, Any]) -> None:
        """Make the folder this run's; `InputError` where it is another's, naming what differs."""
        if self.path is None:
            return
        file = self.path / "settings.json"
        try:
            (self.path / "cells").mkdir(parents=True, exist_ok=True)
            stands = json.loads(file.read_bytes()) if file.exists() else None
        except OSError as e:
            raise StoreError(f"{self.path} cannot be used: {e.strerror}; choose another place.") from e
        except ValueError as e:
            raise DataError(f"{file} must be the settings of a run; {e}. Choose another folder.") from e
        asked = json.loads(json.dumps(settings))
        if stands is None:
            write_whole(file, (json.dumps(asked, indent=1) + "\n").encode())
        elif differs := difference(stands if isinstance(stands, dict) else {}, asked):
            raise InputError(
                f"{self.path} holds a run with other settings ({differs}); choose another folder, or remove "
                "this one."
            )

    def own_data(self, own: LabelledImages, make: Callable[[LabelledImages], OwnData]) -> OwnData:
        """As it was counted before on the same images, or counted now and kept."""
        if self.path is None:
            return make(own)
        file, images = self.path / "own.json", [len(own), _crc32(own.pixels), _crc32(own.labels)]
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            kept = json.loads(file.read_bytes())
            if kept["images"] == images:
                return OwnData.counted(kept["n_right"], len(own))
        found = make(own)
        write_whole(file, json.dumps({"images": images, "n_right": round(found.right * found.n)}).encode())
        return found

    def cell(
        self, way: str, size: int | None, seed: int, make: Callable[[str, int | None, int, Path | None], Cell]
    ) -> Cell:
        """The cell as it was finished before, or made now and kept."""
        if self.path is None:
            return make(way, size, seed, None)
        name = f"{way}-{'all' if size is None else size}-{seed}"
        file, training = self.path / "cells" / f"{name}.json", self.path / "training" / name
        if file.exists():
            try:
                return Cell.from_json(json.loads(file.read_bytes()))
            except (ValueError, KeyError, TypeError) as e:
                raise DataError(f"{file} is damaged ({e}); remove it and run again.") from e
        cell = make(way, size, seed, training)
        write_whole(file, json.dumps(asdict(cell)).encode())
        shutil.rmtree(training, ignore_errors=True)
        return cell
