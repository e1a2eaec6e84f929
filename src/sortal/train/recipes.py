"""Published trainings, each with the figure it must reach. A recipe is a function that returns its settings.

Settings were chosen on images held out from the training set; test images were only counted at the end.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from sortal.train.augment import Augment
from sortal.train.normalize import Normalize
from sortal.train.plan import Plan

__all__ = ["RECIPES", "Recipe", "lenet5_mnist", "resnet20_cifar10", "resnet20_finetune", "smoke", "within"]


@dataclass(frozen=True)
class Recipe:
    """All that a training needs beside the folder of data.

    `net` is the name of a builder in `sortal.nets`, called with `net_options`; `start` a file of weights in
    the data folder. `hold_out` is the share of training images that only judge, `n_train` and `n_test` how
    many images are taken at most. `goal` is the least share of right answers on the test images.
    """

    name: str
    net: str
    data: Literal["mnist", "cifar10"]
    plan: Plan
    batch_size: int
    augment: Augment
    normalize: Normalize
    goal: float | None
    net_options: Mapping[str, Any] = field(default_factory=dict)
    label_smoothing: float = 0.0
    start: str | None = None
    hold_out: float = 0.0
    n_train: int | None = None
    n_test: int | None = None


def lenet5_mnist() -> Recipe:
    """LeNet-5 on MNIST, at most 0.60 % wrong in at most 150 CPU-seconds (LeCun et al. 1998: 0.95 %)."""
    return Recipe(
        name="lenet5-mnist",
        net="lenet5",
        net_options={"size": 28, "padding": 2},
        data="mnist",
        plan=Plan(epochs=16, peak_lr=0.1, warmup_epochs=1, weight_decay=5e-4, ema=0.999),
        batch_size=128,
        augment=Augment(shift=2, turn=15, zoom=0.15, shear=0.2),
        normalize=Normalize((0.1307,), (0.3081,)),
        goal=0.994,
    )


def resnet20_cifar10() -> Recipe:
    """ResNet-20 on CIFAR-10 as JPEGs, from scratch: at least 88 % right, on a GPU in minutes.

    He et al. 2015 have 91.25 % on the original pixels, which these are not.
    """
    return Recipe(
        name="resnet20-cifar10",
        net="resnet20",
        data="cifar10",
        plan=Plan(epochs=100, peak_lr=0.2, warmup_epochs=2, weight_decay=5e-4, ema=0.999),
        batch_size=128,
        augment=Augment(shift=4, mirror=True),
        normalize=Normalize((0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616)),
        goal=0.88,
    )


def resnet20_finetune() -> Recipe:
    """ResNet-20 of others, trained on the original pixels: 81.0 % on JPEGs as it comes; one epoch on them."""
    return Recipe(
        name="resnet20-finetune",
        net="resnet20",
        data="cifar10",
        plan=Plan(epochs=1, peak_lr=0.02, warmup_epochs=0.1, weight_decay=5e-4, ema=0.99),
        batch_size=128,
        augment=Augment(shift=4, mirror=True),
        normalize=Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        goal=0.865,
        start="checkpoints/resnet20-12fca82f.th",
    )


def smoke(recipe: Recipe) -> Recipe:
    """The same in seconds: two epochs on few images. Shows that it runs, reaches no goal."""
    plan = replace(recipe.plan, epochs=2, warmup_epochs=0.5, peak_lr=min(recipe.plan.peak_lr, 0.05), ema=0.9)
    return replace(
        recipe, name=f"{recipe.name} (smoke)", plan=plan, batch_size=32, n_train=512, n_test=256, goal=None
    )


def within(recipe: Recipe, epochs: int) -> Recipe:
    """The same with another budget: `Plan.within`."""
    return replace(recipe, plan=recipe.plan.within(epochs))


RECIPES: Mapping[str, Callable[[], Recipe]] = {
    "lenet5-mnist": lenet5_mnist,
    "resnet20-cifar10": resnet20_cifar10,
    "resnet20-finetune": resnet20_finetune,
}
