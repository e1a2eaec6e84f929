"""What the microscope costs in the loop, sampling every 50 steps.

The same training with and without it, interleaved, on one thread; both must end with equal bits. A sample is
taken every 5 steps, so that its cost stands out of the noise of other work: it is the median CPU time of 5
steps watched less that of 5 unwatched, and is set against 50 steps.

    python benchmarks/watching.py [--rounds 5]
"""

import argparse
import time
from itertools import pairwise
from statistics import median
from typing import Any

import torch
from measure import in_child, save, spread
from torch import nn

from sortal import nets
from sortal.diagnose import Microscope
from sortal.tasks import Adding, Classify
from sortal.train.loop import Moment, train
from sortal.train.plan import Plan
from sortal.train.sequence.memory import MemoryBatches

WANTED = 1.03
EVERY, OFTEN = 50, 5
STEPS = {"lenet5": 200, "resnet20": 100, "gru": 200}


class Given:
    """One batch, again and again."""

    def __init__(self, n: int, shape: tuple[int, ...]) -> None:
        generator = torch.Generator().manual_seed(0)
        self.n, self.batch = (
            n,
            {
                "inputs": torch.randn(shape, generator=generator),
                "labels": torch.randint(0, 10, shape[:1], generator=generator),
            },
        )

    def __len__(self) -> int:
        return self.n

    def epoch(self, number: int, start: int = 0) -> Any:
        for _ in range(start, self.n):
            yield self.batch

    def as_json(self) -> dict[str, Any]:
        return {"n": self.n}


def subject(name: str) -> tuple[nn.Module, Any, Any]:
    if name == "gru":
        net = nets.SequenceClassifier(2, 1, hidden=128, seed=0)
        return net, Adding(), MemoryBatches("adding", 100, 32, STEPS[name], 0)
    shape = (128, 1, 32, 32) if name == "lenet5" else (32, 3, 32, 32)
    return nets.builder(name)(seed=0), Classify(), Given(STEPS[name], shape)


def once(name: str, watched: bool) -> tuple[list[float], nn.Module]:
    """CPU seconds of each OFTEN steps, but for the first; the network."""
    net, task, batches = subject(name)
    plan = Plan(epochs=1, peak_lr=0.01)
    at: list[float] = []

    def clock(moment: Moment) -> None:
        if moment.step % OFTEN == OFTEN - 1:  # before the hooks of the next sample
            at.append(time.process_time())

    with Microscope(OFTEN) as seen:
        watchers = [clock, seen] if watched else [clock]
        train(net, task, batches, plan, device="cpu", watchers=watchers)
    return [after - before for before, after in pairwise(at)], net


def measured(name: str, rounds: int) -> dict[str, Any]:
    torch.set_num_threads(1)
    once(name, True)  # what is compiled and loaded
    samples, steps = [], []
    for _ in range(rounds):
        plain, first = once(name, False)
        watched, second = once(name, True)
        assert all(
            torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values())
        )
        steps.append(median(plain) / OFTEN)
        samples.append(median(watched) - median(plain))
    ratios = [1 + sample / (EVERY * step) for sample, step in zip(samples, steps)]
    return {
        "network": name, "step_ms": spread([1e3 * one for one in steps]),
        "sample_ms": spread([1e3 * one for one in samples]), "ratio": spread(ratios), "wanted": WANTED,
    }  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    found = [in_child(measured, name, rounds) for name in STEPS]
    save("watching", __doc__.split("\n    python")[0], found, key="network", packages=("torch",))
