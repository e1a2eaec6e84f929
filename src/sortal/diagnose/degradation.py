"""Do deeper networks learn worse? Plain against residual ones, by their error on the *training* images.

Source: He et al. 2015, arXiv:1512.03385, sections 1 and 4.2: with more layers a plain network gets worse on
the very images it learns from, so the reason is no overfitting; with shortcuts it does not. That batch norm
without shortcuts makes gradients grow with depth: Yang et al. 2019, arXiv:1902.08129.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sortal.diagnose.study_data import StudyData, errors, guess_error
from sortal.diagnose.watch import GradientNorms
from sortal.errors import InputError
from sortal.nets.network import drawn
from sortal.nets.resnet_small import SmallPlainNet, SmallResNet
from sortal.progress import Progress
from sortal.tasks import Classify
from sortal.train.batches import ImageBatches
from sortal.train.device import Device, choose_device
from sortal.train.loop import train
from sortal.train.plan import Plan

__all__ = ["DEPTHS", "Degradation", "DepthRun", "degradation"]

DEPTHS = (20, 32, 44, 56)  # of the paper


@dataclass(frozen=True)
class DepthRun:
    """One network trained. Errors are shares; `train_error` was counted while it learned, epoch by epoch.

    `first_gradients` and `last_gradients` are the mean lengths of the gradient in the first and last epoch,
    one a layer from the image to the answer.
    """

    depth: int
    residual: bool
    seed: int
    parameters: int
    train_error: tuple[float, ...]
    test_error: float
    layers: tuple[str, ...]
    first_gradients: tuple[float, ...]
    last_gradients: tuple[float, ...]
    cpu_s: float

    @property
    def name(self) -> str:
        return f"{'resnet' if self.residual else 'plain'}{self.depth}"


@dataclass(frozen=True)
class Degradation:
    """The runs by depth, plain ones first, and what they say."""

    data: str
    n_train: int
    n_test: int
    guess_error: float  # in training, of who always says the commonest name
    plan: Plan
    batch_size: int
    runs: tuple[DepthRun, ...]
    device: str

    def error(self, residual: bool, depth: int) -> float:
        """Training error of the last epoch, the mean of the seeds."""
        found = [r.train_error[-1] for r in self.runs if (r.residual, r.depth) == (residual, depth)]
        return sum(found) / len(found)

    def change(self, residual: bool) -> float:
        """How much larger the training error is at the greatest depth than at the least."""
        depths = sorted({run.depth for run in self.runs})
        return self.error(residual, depths[-1]) - self.error(residual, depths[0])

    @property
    def degrades(self) -> bool:
        """Plain networks get worse with depth, and residual ones by less than half as much.

        Nothing can be said of networks that have learned little of their images: guesses differ too.
        """
        worse = self.change(False) > self.noise(False) and self.change(True) < self.change(False) / 2
        return worse and self.learned

    @property
    def learned(self) -> bool:
        """Whether networks of the least depth are nearer to no mistake than to guessing."""
        least = min(run.depth for run in self.runs)
        return max(self.error(residual, least) for residual in (False, True)) < self.guess_error / 2

    def noise(self, residual: bool) -> float:
        """Two standard errors of the change over the images, at least one image."""
        wrong = max(run.train_error[-1] for run in self.runs if run.residual == residual)
        return float(max(2 * (wrong * (1 - wrong) / self.n_train) ** 0.5, 1 / self.n_train))

    @property
    def verdict(self) -> tuple[str, ...]:
        depths = sorted({run.depth for run in self.runs})
        return (
            self._of_kind(False, depths),
            self._of_kind(True, depths),
            self._of_degradation(),
            self._of_gradients(depths[-1]),
        )

    def _of_degradation(self) -> str:
        if not self.learned:
            return (
                "Even the shallowest networks are nearer to guessing, which is wrong on "
                f"{self.guess_error:.1%} of the images they learn from, than to no mistake, so nothing can "
                "be said of depth: give them more epochs or more images."
            )
        if not self.degrades:
            return (
                "This run does not show the degradation of He et al. 2015: give it more epochs, more images "
                "or other depths."
            )
        spared = 1 - max(self.change(True), 0) / self.change(False)
        one_seed = len({run.seed for run in self.runs}) < 2
        return (
            "This is the degradation of He et al. 2015: it is the error on the training images, so it is no "
            f"overfitting; shortcuts take away {spared:.0%} of it. The deeper plain network could copy the "
            "shallower one, but descent does not find that."
            + " One seed does not rule out chance."
            * one_seed
        )

    def _of_kind(self, residual: bool, depths: Sequence[int]) -> str:
        wrong = ", ".join(f"{self.error(residual, depth):.1%} at {depth}" for depth in depths)
        change = self.change(residual)
        said = "get worse" if change > 0 else "get better"
        if abs(change) <= self.noise(residual):
            said = "do not change beyond chance"
        kind = "Residual" if residual else "Plain"
        return (
            f"{kind} networks {said} from {depths[0]} to {depths[-1]} layers: after {self.plan.epochs} "
            f"epochs they are wrong on {wrong} layers of the images they learn from."
        )

    def _of_gradients(self, depth: int) -> str:
        ratio = {
            run.residual: run.first_gradients[0] / max(run.first_gradients[-2], 1e-30)
            for run in self.runs
            if run.depth == depth
        }
        said = "batch norm keeps it from vanishing, as the paper found"
        if ratio[False] < 1e-3:
            said = "in the plain network it vanishes on its way down"
        elif ratio[False] > 10:
            said = "in the plain network it does not vanish, it grows on its way down"
        return (
            f"In the first epoch the gradient of the first convolution is {ratio[False]:.3g} times as long "
            f"as that of the last in plain{depth}, {ratio[True]:.3g} times in resnet{depth}: {said}."
        )


def degradation(
    data: StudyData,
    *,
    depths: Sequence[int] = DEPTHS,
    epochs: int = 20,
    batch_size: int = 64,
    seeds: int = 1,
    device: str = "auto",
    progress: Progress = Progress(),  # noqa: B008 (has no state)
) -> Degradation:
    """Train plain and residual networks of each depth alike, and watch their gradients.

    The paper's training but for two things: SGD with momentum .9, rate .1, weight decay 1e-4; an epoch of
    warm-up, which the paper needs at 110 layers; a cosine in place of steps, which at so few epochs stop the
    deepest networks half-way (ResNet-56 after 15: 11.1 % wrong by steps). No augmentation.
    Same arguments, same bits on CPU. `InputError` for a depth that is not 6 n + 2.
    """
    _check(depths, seeds)
    plan = Plan(
        epochs=epochs, peak_lr=0.1, warmup_epochs=min(1, epochs / 4), weight_decay=1e-4,
        nesterov=False,
    )  # fmt: skip
    where = choose_device(device)
    runs = []
    for residual in (False, True):
        for depth in sorted(set(depths)):
            for seed in range(seeds):
                run = _run(data, depth, residual, replace(plan, seed=seed), batch_size, where)
                progress.say(
                    f"{run.name}, seed {seed}: {run.train_error[-1]:.1%} of training images wrong after "
                    f"{epochs} epochs, {run.cpu_s:.0f} CPU-s"
                )
                runs.append(run)
    return Degradation(
        data.name, len(data.learn), len(data.test), guess_error(data.learn), plan, batch_size, tuple(runs),
        str(where),
    )  # fmt: skip


def _run(data: StudyData, depth: int, residual: bool, plan: Plan, batch_size: int, where: Device) -> DepthRun:
    n, seed, kind = (depth - 2) // 6, plan.seed, SmallResNet if residual else SmallPlainNet
    net = drawn(lambda: kind(n, data.n_names, data.shape[0]), seed)
    norms = GradientNorms()
    batches = ImageBatches(data.learn, batch_size, data.normalize, seed=seed, device=where.device)
    trained = train(net, Classify(), batches, plan, device=where, watchers=[norms])
    first, last = norms.epochs[0], norms.epochs[-1]
    return DepthRun(
        depth=depth, residual=residual, seed=seed, parameters=sum(p.numel() for p in net.parameters()),
        train_error=tuple(1 - epoch.right for epoch in trained.curve),
        test_error=errors(net, data, where)[1],
        layers=tuple(first), first_gradients=tuple(first.values()), last_gradients=tuple(last.values()),
        cpu_s=round(sum(epoch.cpu_s for epoch in trained.curve), 1),
    )  # fmt: skip


def _check(depths: Sequence[int], seeds: int) -> None:
    for depth in depths:
        if depth < 8 or (depth - 2) % 6:
            raise InputError(f"depths must be 6 n + 2, such as 20, 32, 44, 56; got {depth}.")
    if len(set(depths)) < 2:
        raise InputError(f"depths must hold at least two, to be compared; got {tuple(depths)}.")
    if seeds < 1:
        raise InputError(f"seeds must be at least 1; got {seeds}.")
