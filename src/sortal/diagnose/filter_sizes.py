"""One size of filter, or several side by side? At equal multiply-accumulates.

Source: Szegedy et al. 2015, arXiv:1409.4842, section 4 (the naive Inception module): sizes 1, 3 and 5 side by
side, concatenated, let the next layer choose at which scale to look.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from sortal.diagnose.study_data import StudyData, beyond_guessing, errors, guess_error, mean_and_half_width
from sortal.errors import InputError
from sortal.nets.arithmetic import count
from sortal.nets.first_weights import first_weights
from sortal.progress import Progress
from sortal.tasks import Classify
from sortal.train.batches import ImageBatches
from sortal.train.device import Device, choose_device
from sortal.train.loop import train
from sortal.train.plan import Plan

__all__ = [
    "FILTERS",
    "SEVERAL",
    "FilterCost",
    "FilterNet",
    "FilterRun",
    "FilterSizes",
    "equal_costs",
    "filter_sizes",
]

SEVERAL = "1x1, 3x3, 5x5"
FILTERS: Mapping[str, tuple[int, ...]] = {"3x3": (3,), "5x5": (5,), SEVERAL: (1, 3, 5)}
WIDTHS = (24, 48)  # channels of the two stages where filters have several sizes; the others are matched to it
SPARE = 0.02  # by which share multiply-accumulates may differ


class Mixed(nn.Module):
    """Convolutions of several sizes on the same maps, concatenated, normalised, ReLU."""

    def __init__(self, c_in: int, c_out: int, sizes: Sequence[int]) -> None:
        super().__init__()
        shares = [c_out // len(sizes)] * len(sizes)
        shares[-1] += c_out - sum(shares)
        self.branches = nn.ModuleList(
            nn.Conv2d(c_in, c, f, padding=(f - 1) // 2, bias=False) for c, f in zip(shares, sizes)
        )
        self.norm = nn.BatchNorm2d(c_out)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.norm(torch.cat([branch(x) for branch in self.branches], 1)))


class FilterNet(nn.Sequential):
    """Two stages of two layers, halved by pooling in between, global average, one linear layer."""

    def __init__(self, c_in: int, n_names: int, widths: tuple[int, int], sizes: Sequence[int]) -> None:
        first, second = widths
        super().__init__(
            Mixed(c_in, first, sizes), Mixed(first, first, sizes), nn.MaxPool2d(2),
            Mixed(first, second, sizes), Mixed(second, second, sizes),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(second, n_names),
        )  # fmt: skip


@dataclass(frozen=True)
class FilterRun:
    """One network trained. Errors are shares, of the network as in use."""

    filters: str
    seed: int
    train_error: float
    test_error: float
    cpu_s: float


@dataclass(frozen=True)
class FilterCost:
    """What a network costs for one image. `widths` are the channels of its two stages."""

    filters: str
    widths: tuple[int, int]
    parameters: int
    macs: int
    receptive_field: int  # pixels along an axis that one place of the last maps sees


@dataclass(frozen=True)
class FilterSizes:
    """What the networks cost, the runs, and what they say."""

    data: str
    n_train: int
    n_test: int
    guess_error: float  # in test, of who always says the commonest name
    plan: Plan
    batch_size: int
    costs: tuple[FilterCost, ...]
    runs: tuple[FilterRun, ...]
    device: str

    @property
    def seeds(self) -> int:
        return len({run.seed for run in self.runs})

    def mean(self, what: str, filters: str) -> tuple[float, float]:
        """Mean over the seeds of `train_error` or `test_error`, and half of its 95 % interval."""
        return mean_and_half_width([getattr(run, what) for run in self.runs if run.filters == filters])

    def gained(self, filters: str) -> tuple[float, float]:
        """By how much several sizes lower the test error of `filters`, paired by seed, as `mean`."""
        wrong = {(run.filters, run.seed): run.test_error for run in self.runs}
        return mean_and_half_width([wrong[filters, s] - wrong[SEVERAL, s] for s in range(self.seeds)])

    @property
    def apart(self) -> float:
        """Largest share by which the networks' multiply-accumulates differ."""
        macs = [cost.macs for cost in self.costs]
        return max(macs) / min(macs) - 1

    @property
    def learned(self) -> bool:
        """Whether any network does better than guessing."""
        best = min(self.mean("test_error", name)[0] for name in FILTERS)
        return beyond_guessing(best, self.guess_error, self.n_test)

    @property
    def verdict(self) -> tuple[str, ...]:
        if not self.learned:
            return (
                f"No network does better than always saying the commonest name ({self.guess_error:.1%} wrong "
                "in test), so nothing can be said of filters: give them more epochs or more images.",
            )
        return (
            f"At equal cost, {min(cost.macs for cost in self.costs):,} multiply-accumulates an image within "
            f"{self.apart:.1%}:",
            *(self._beside(name) for name in FILTERS if name != SEVERAL),
        )

    def _beside(self, name: str) -> str:
        gain, half = self.gained(name)
        figures = (
            f"{self.mean('test_error', SEVERAL)[0]:.1%} wrong in test with {SEVERAL} side by side, "
            f"{self.mean('test_error', name)[0]:.1%} with {name} alone"
        )
        if self.seeds < 2:
            return f"{figures}; one seed cannot tell a difference from chance."
        if abs(gain) <= half:
            return f"{figures}: no difference that {self.seeds} seeds can tell ({gain:+.1%} ± {half:.1%})."
        better = "several sizes are" if gain > 0 else "one size is"
        return f"{figures}: {better} better ({gain:+.1%} ± {half:.1%}, 95% interval)."


def filter_sizes(
    data: StudyData,
    *,
    epochs: int = 10,
    batch_size: int = 64,
    seeds: int = 5,
    device: str = "auto",
    progress: Progress = Progress(),  # noqa: B008 (has no state)
) -> FilterSizes:
    """Train one network with 3x3 filters, one with 5x5, one with 1x1, 3x3 and 5x5 side by side.

    All cost as much, have as many layers and the same training; seeds draw first weights and order, and
    differences are taken within a seed. Same arguments, same bits on CPU.
    """
    if seeds < 1:
        raise InputError(f"seeds must be at least 1; got {seeds}.")
    where = choose_device(device)
    plan = Plan(epochs=epochs, peak_lr=0.1, warmup_epochs=min(1, epochs / 4))
    costs = equal_costs(data.shape, data.n_names)
    runs = []
    for cost in costs:
        for seed in range(seeds):
            runs.append(_run(data, cost, replace(plan, seed=seed), batch_size, where))
        last = runs[-seeds:]
        progress.say(
            f"{cost.filters}: {cost.macs:,} multiply-accumulates, {cost.parameters:,} parameters, "
            f"{sum(run.test_error for run in last) / seeds:.1%} wrong in test, "
            f"{sum(run.cpu_s for run in last):.0f} CPU-s"
        )
    return FilterSizes(
        data.name, len(data.learn), len(data.test), guess_error(data.test), plan, batch_size, costs,
        tuple(runs), str(where),
    )  # fmt: skip


def equal_costs(shape: tuple[int, int, int], n_names: int) -> tuple[FilterCost, ...]:
    """The three networks for images of `shape`, their widths chosen so that as many MACs are counted."""
    several = _cost(SEVERAL, WIDTHS, shape, n_names)
    found = []
    for name, sizes in FILTERS.items():
        if name == SEVERAL:
            found.append(several)
            continue
        k = sizes[0] ** 2
        widths = min(
            ((a, b) for a in range(4, 97) for b in range(2 * a - 6, 2 * a + 7)),
            key=lambda w: abs(_one_size_macs(k, w, shape, n_names) - several.macs),
        )
        found.append(_cost(name, widths, shape, n_names))
    assert max(cost.macs for cost in found) <= (1 + SPARE) * min(cost.macs for cost in found)
    return tuple(found)


def _one_size_macs(k: int, widths: tuple[int, int], shape: tuple[int, int, int], n_names: int) -> int:
    (c, height, width), (a, b) = shape, widths
    places, fewer = height * width, (height // 2) * (width // 2)
    return places * k * (c * a + a * a) + fewer * k * (a * b + b * b) + b * n_names


def _cost(name: str, widths: tuple[int, int], shape: tuple[int, int, int], n_names: int) -> FilterCost:
    with torch.device("meta"):
        net = FilterNet(shape[0], n_names, widths, FILTERS[name])
    found = count(net, shape)
    sees = [layer.receptive_field for layer in found.layers if layer.kind == "Conv2d"]
    return FilterCost(name, widths, found.parameters, found.macs, max(one[0] for one in sees if one))


def _run(data: StudyData, cost: FilterCost, plan: Plan, batch_size: int, where: Device) -> FilterRun:
    with first_weights(plan.seed):
        net = FilterNet(data.shape[0], data.n_names, cost.widths, FILTERS[cost.filters])
    at = where.device
    batches = ImageBatches(data.learn, batch_size, data.normalize, seed=plan.seed, device=at)
    trained = train(net, Classify(), batches, plan, device=where)
    cpu_s = round(sum(epoch.cpu_s for epoch in trained.curve), 1)
    return FilterRun(cost.filters, plan.seed, *errors(net, data, where), cpu_s)
