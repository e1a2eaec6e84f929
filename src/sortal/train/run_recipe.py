"""A recipe carried out: data in, a trained network and its figure on the test images out."""

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from sortal import nets
from sortal.data import LabelledImages, load_labelled, load_mnist, shown
from sortal.errors import InputError
from sortal.progress import Progress
from sortal.tasks import Classify
from sortal.train.batches import ImageBatches
from sortal.train.curve import Epoch
from sortal.train.device import choose_device
from sortal.train.labels import balancing_weights, check_labels
from sortal.train.loop import Trained, Watcher, judge, train
from sortal.train.recipes import Recipe
from sortal.train.split import draw_evenly, held_out_mask

__all__ = ["Outcome", "run_recipe"]


@dataclass(frozen=True)
class Outcome:
    """`before` and `right` are shares of right answers on the test images; seconds are those of training."""

    recipe: str
    right: float
    before: float | None
    goal: float | None
    n_train: int
    n_test: int
    cpu_s: float
    wall_s: float
    trained: Trained

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def run_recipe(
    recipe: Recipe,
    data: str | os.PathLike[str] | None,
    *,
    device: str = "auto",
    folder: str | os.PathLike[str] | None = None,
    watchers: Sequence[Watcher] = (),
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    progress: Progress = Progress(),  # noqa: B008 (has no state)
) -> Outcome:
    """Train as `recipe` says on the data below `data`, and count right answers on the test images once.

    Without `data` scikit-learn's digits, enlarged, stand in, for smoke runs. `InputError` where the folder
    lacks what the recipe needs.
    """
    where = choose_device(device)
    learn, test = _images(recipe, data)
    learn, test = _at_most(learn, recipe.n_train, recipe.plan.seed), _at_most(test, recipe.n_test, 0)
    check_labels(learn.labels, learn.names, held_out=recipe.hold_out > 0)
    weights, said = balancing_weights(learn.labels, learn.names)
    for line in (f"device: {where}", f"{len(learn):,} images to learn from, {len(test):,} to test", said):
        if line:
            progress.say(line)
    task = Classify(label_smoothing=recipe.label_smoothing, weights=weights)
    net, started = _network(recipe, data, len(learn.names))
    kept, held = _split(learn, recipe)
    seed, at = recipe.plan.seed, where.device
    batches = ImageBatches(
        kept, recipe.batch_size, recipe.normalize, augment=recipe.augment, seed=seed, device=at
    )
    testing = ImageBatches(test, 500, recipe.normalize, shuffled=False, device=at)
    valid = ImageBatches(held, 500, recipe.normalize, shuffled=False, device=at) if held else None
    net.to(at)
    before = judge(net, task, testing, where)[1] if started else None
    if before is not None:
        progress.say(f"as it comes: {before:.2%} of the test images right")
    trained = train(
        net, task, batches, recipe.plan, valid=valid, device=where, folder=folder, watchers=watchers,
        on_epoch=on_epoch, progress=progress,
    )  # fmt: skip
    return Outcome(
        recipe=recipe.name, right=judge(net, task, testing, where)[1], before=before, goal=recipe.goal,
        n_train=len(kept), n_test=len(test), cpu_s=round(sum(epoch.cpu_s for epoch in trained.curve), 1),
        wall_s=round(sum(epoch.wall_s for epoch in trained.curve), 1), trained=trained,
    )  # fmt: skip


def _network(recipe: Recipe, data: str | os.PathLike[str] | None, n_names: int) -> tuple[nn.Module, bool]:
    """The network, and whether it has learned before."""
    net = getattr(nets, recipe.net)(num_classes=n_names, seed=recipe.plan.seed, **recipe.net_options)
    if recipe.start is None or data is None:
        return net, False
    from sortal.nets import weights

    weights.load(net, Path(data) / recipe.start)
    return net, True


def _images(recipe: Recipe, data: str | os.PathLike[str] | None) -> tuple[LabelledImages, LabelledImages]:
    if data is None:
        if recipe.n_train is None:
            raise InputError(f"{recipe.name} needs its data: name the folder that holds {recipe.data}.")
        return _stand_in(recipe)
    folder = Path(data)
    if recipe.data == "mnist":
        inside = folder / "mnist"
        return load_mnist(inside if inside.is_dir() else folder)
    source = next((at for at in (folder / "cifar10-jpeg.zip", folder / "cifar10") if at.exists()), folder)
    if not source.exists():
        raise InputError(
            f"data must be a folder that holds cifar10-jpeg.zip or cifar10/; got {shown(str(data))}."
        )
    return load_labelled(source, part="train"), load_labelled(source, part="test")


def _stand_in(recipe: Recipe) -> tuple[LabelledImages, LabelledImages]:
    """scikit-learn's 1,797 digits of 8 x 8, each pixel made a square, in the shape of the recipe's images."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = np.asarray(digits.images * (255 / 16)).astype(np.uint8)
    if recipe.data == "mnist":
        pixels = np.pad(pixels.repeat(3, 1).repeat(3, 2), ((0, 0), (2, 2), (2, 2)))[..., None]
    else:
        pixels = pixels.repeat(4, 1).repeat(4, 2)[..., None].repeat(3, 3)
    whole = LabelledImages(pixels, digits.target.astype(np.int64), tuple("0123456789"))
    return whole.take(np.arange(1_200)), whole.take(np.arange(1_200, len(pixels)))


def _at_most(images: LabelledImages, limit: int | None, seed: int) -> LabelledImages:
    return images if limit is None else images.take(draw_evenly(images.labels, limit, seed))


def _split(images: LabelledImages, recipe: Recipe) -> tuple[LabelledImages, LabelledImages | None]:
    if not recipe.hold_out:
        return images, None
    held = held_out_mask(images.labels, recipe.hold_out, recipe.plan.seed)
    return images.take(~held), images.take(held)
