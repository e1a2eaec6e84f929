"""How far are training and test error apart? Nothing, L2, dropout and both, by the number of images.

Source: Srivastava et al. 2014, JMLR 15 (dropout, and beside it L2, table 9); Krogh and Hertz 1992 (L2).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import nn

from sortal.diagnose.linear_dropout import DropoutCheck, check_dropout
from sortal.diagnose.study_data import StudyData, beyond_guessing, errors, guess_error, mean_and_half_width
from sortal.errors import InputError
from sortal.nets.first_weights import first_weights
from sortal.progress import Progress
from sortal.tasks import Classify
from sortal.train.batches import ImageBatches
from sortal.train.device import Device, choose_device
from sortal.train.loop import train
from sortal.train.plan import Plan

__all__ = ["SIZES", "WAYS", "GapRun", "Regularisation", "dropout_checks", "regularisation"]

WAYS = ("none", "L2", "dropout", "both")
SIZES = (50, 100, 300, 1_000)
DROP = 0.5
DECAY = 5e-3  # ten times what is usual for large sets: the sets here are small
HIDDEN = 256


@dataclass(frozen=True)
class GapRun:
    """One network trained on `n_train` images until `steps` are done; errors are shares, of it as in use."""

    way: str
    n_train: int
    seed: int
    train_error: float
    test_error: float
    cpu_s: float

    @property
    def gap(self) -> float:
        return self.test_error - self.train_error


@dataclass(frozen=True)
class Regularisation:
    """The runs by size and way, and the linear model's statement beside its draws."""

    data: str
    n_test: int
    guess_error: float  # in test, of who always says the commonest name
    plan: Plan
    batch_size: int
    steps: int
    weight_decay: float
    drop: float
    runs: tuple[GapRun, ...]
    linear: tuple[DropoutCheck, ...]
    device: str

    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(sorted({run.n_train for run in self.runs}))

    @property
    def seeds(self) -> int:
        return len({run.seed for run in self.runs})

    def mean(self, what: str, way: str, n_train: int) -> tuple[float, float]:
        """Mean over the seeds of `train_error`, `test_error` or `gap`, and half of its 95 % interval."""
        found = [getattr(run, what) for run in self.runs if (run.way, run.n_train) == (way, n_train)]
        return mean_and_half_width(found)

    def gained(self, way: str, n_train: int) -> tuple[float, float]:
        """By how much `way` lowers the test error, paired by seed, as `mean`."""
        wrong = {(run.way, run.seed): run.test_error for run in self.runs if run.n_train == n_train}
        return mean_and_half_width([wrong["none", s] - wrong[way, s] for s in range(self.seeds)])

    def learned(self, n_train: int) -> bool:
        """Whether any way does better than guessing with so many images."""
        best = min(self.mean("test_error", way, n_train)[0] for way in WAYS)
        return beyond_guessing(best, self.guess_error, self.n_test)

    @property
    def verdict(self) -> tuple[str, ...]:
        sizes = map(self._of_size, self.sizes)
        return self._of_the_gap(), *sizes, *self._of_the_lost(), self._of_the_linear_model()

    def _of_the_gap(self) -> str:
        if not self.learned(self.sizes[-1]):
            return (
                f"Even with {self.sizes[-1]:,} images nothing was learned, so nothing can be said of the "
                "gap: give more epochs or more images."
            )
        gaps = {n: self.mean("gap", "none", n)[0] for n in (self.sizes[0], self.sizes[-1])}
        said = " and ".join(f"{gap:.1%} with {n:,} images" for n, gap in gaps.items())
        closes = ": more images close it" if gaps[self.sizes[0]] > gaps[self.sizes[-1]] else ""
        return f"Without a regulariser the test error lies above the training error by {said}{closes}."

    def _of_size(self, n_train: int) -> str:
        best = max(WAYS[1:], key=lambda way: self.gained(way, n_train)[0])
        gain, half = self.gained(best, n_train)
        before, after = (self.mean("test_error", way, n_train)[0] for way in ("none", best))
        named = {"both": "dropout with L2"}.get(best, best)
        figures = f"test error from {before:.1%} to {after:.1%}"
        if not self.learned(n_train):
            return (
                f"With {n_train:,} images nothing was learned: {min(before, after):.1%} wrong at best, "
                f"{self.guess_error:.1%} for who always says the commonest name."
            )
        if self.seeds < 2:
            return f"With {n_train:,} images {named} does best: {figures}; one seed cannot tell chance."
        if gain <= half:
            return (
                f"With {n_train:,} images no regulariser helps beyond chance; the best, {named}: {figures}, "
                f"{gain:.1%} ± {half:.1%} less."
            )
        less = f"{gain:.1%} ± {half:.1%} less (95% interval)"
        return f"With {n_train:,} images {named} helps most: {figures}, {less}."

    def _of_the_lost(self) -> tuple[str, ...]:
        """Networks that guess on the very images they were given: a mean that holds one says little."""
        lost = Counter(
            f"with {run.way if run.way != 'none' else 'nothing'} on {run.n_train:,} images"
            for run in self.runs
            if not beyond_guessing(run.train_error, self.guess_error, run.n_train)
        )
        if not lost:
            return ()
        said = ", ".join(f"{n} of {self.seeds} {where}" for where, n in lost.items())
        return (f"Some networks learned nothing, not even the images they were given: {said}.",)

    def _of_the_linear_model(self) -> str:
        apart = max(check.errors_apart for check in self.linear)
        return (
            "For a linear model dropout is an L2 penalty weighted by the inputs' second moment, exactly: "
            f"the mean loss over {self.linear[0].n_draws:,} draws and the formula are at most {apart:.1f} "
            f"standard errors apart, in {len(self.linear)} checks."
        )


def regularisation(
    data: StudyData,
    *,
    sizes: Sequence[int] = SIZES,
    epochs: int = 12,
    batch_size: int = 32,
    seeds: int = 5,
    device: str = "auto",
    progress: Progress = Progress(),  # noqa: B008 (has no state)
) -> Regularisation:
    """Train the same network with each regulariser on growing parts of the images.

    All runs have as many steps: `epochs` over the largest part, so that small parts are learned as long. L2
    is weight decay of SGD, on weights alone; dropout leaves out half of the inputs of both linear layers.
    The seeds draw parts and first weights; ways are compared on the same ones. Same arguments, same bits on
    CPU. `InputError` for sizes that the data do not have.
    """
    _check(sizes, len(data.learn), seeds)
    sizes, where = sorted(set(sizes)), choose_device(device)
    steps = epochs * -(-sizes[-1] // batch_size)
    # Without clipping one of five networks on 100 photographs went to pieces, and one on 50 nearly so.
    plan = Plan(epochs=epochs, peak_lr=0.05, weight_decay=0.0, clip_norm=5.0)
    runs = []
    for n_train in sizes:
        for way in WAYS:
            for seed in range(seeds):
                runs.append(_run(data.take(n_train, seed), way, plan, batch_size, steps, seed, where))
            last = runs[-seeds:]
            progress.say(
                f"{n_train:,} images, {way}: {sum(run.train_error for run in last) / seeds:.1%} wrong in "
                f"training, {sum(run.test_error for run in last) / seeds:.1%} in test, "
                f"{sum(run.cpu_s for run in last):.0f} CPU-s"
            )
    return Regularisation(
        data=data.name, n_test=len(data.test), guess_error=guess_error(data.test), plan=plan,
        batch_size=batch_size, steps=steps, weight_decay=DECAY, drop=DROP, runs=tuple(runs),
        linear=dropout_checks(), device=str(where),
    )  # fmt: skip


def dropout_checks(n_draws: int = 20_000) -> tuple[DropoutCheck, ...]:
    """The linear statement on drawn data, with and without torch's scaling, at three rates."""
    random = np.random.default_rng(0)
    x = random.normal(size=(30, 5)) * (0.2, 0.5, 1, 2, 3)  # columns of unlike second moments
    w = random.normal(size=5)
    y = x @ w + random.normal(size=30)
    return tuple(
        check_dropout(x, y, w, q, scaled=scaled, n_draws=n_draws, seed=i)
        for i, (q, scaled) in enumerate((q, scaled) for scaled in (False, True) for q in (0.2, 0.5, 0.8))
    )


class DropNet(nn.Sequential):
    """Two 3x3 convolutions, each pooled to a half, and two linear layers with dropout before each."""

    def __init__(self, shape: tuple[int, int, int], n_names: int, drop: float) -> None:
        channels, height, width = shape
        super().__init__(
            nn.Conv2d(channels, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Dropout(drop), nn.Linear(32 * (height // 4) * (width // 4), HIDDEN), nn.ReLU(),
            nn.Dropout(drop), nn.Linear(HIDDEN, n_names),
        )  # fmt: skip


def _run(
    data: StudyData, way: str, plan: Plan, batch_size: int, steps: int, seed: int, where: Device
) -> GapRun:
    with first_weights(seed):
        net = DropNet(data.shape, data.n_names, DROP if way in ("dropout", "both") else 0.0)
    batches = ImageBatches(data.learn, batch_size, data.normalize, seed=seed, device=where.device)
    plan = replace(
        plan, epochs=max(1, round(steps / len(batches))), seed=seed,
        weight_decay=DECAY if way in ("L2", "both") else 0.0,
    )  # fmt: skip
    trained = train(net, Classify(), batches, plan, device=where)
    cpu_s = round(sum(epoch.cpu_s for epoch in trained.curve), 1)
    return GapRun(way, len(data.learn), seed, *errors(net, data, where), cpu_s)


def _check(sizes: Sequence[int], n: int, seeds: int) -> None:
    if not sizes or min(sizes) < 2 or max(sizes) > n:
        raise InputError(f"sizes must lie between 2 and the {n:,} images to learn from; got {tuple(sizes)}.")
    if seeds < 1:
        raise InputError(f"seeds must be at least 1; got {seeds}.")
