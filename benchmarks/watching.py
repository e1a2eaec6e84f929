"""What the microscope costs in the loop, sampling every 50 steps.

One training on one thread, sampled at every sixth step. Three steps in a row hold all that a sample does
(hooks in, the pass that is watched, reading, the step that the optimiser made); the next three hold nothing
of it. What the first three take longer than those behind and before them is the sample's cost, in CPU time:
neighbours share what else the machine does, and the median of many does not mind the rest. It is set against
50 plain steps. Watched and unwatched weights must be equal, bit for bit.

    python benchmarks/watching.py [--samples 60]
"""

import argparse
import time
from typing import Any

import numpy as np
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
EVERY, OFTEN = 50, 6
HALF = OFTEN // 2
NAMES = ("lenet5", "resnet20", "gru")


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


def subject(name: str, n_steps: int) -> tuple[nn.Module, Any, Any]:
    if name == "gru":
        net = nets.SequenceClassifier(2, 1, hidden=128, seed=0)
        return net, Adding(), MemoryBatches("adding", 100, 32, n_steps, 0)
    shape = (128, 1, 32, 32) if name == "lenet5" else (32, 3, 32, 32)
    return nets.builder(name)(seed=0), Classify(), Given(n_steps, shape)


def run(name: str, n_steps: int, watched: bool) -> tuple[np.ndarray, nn.Module]:
    """CPU seconds of each step but the first, from watcher to watcher; the network."""
    net, task, batches = subject(name, n_steps)
    at: list[float] = []

    def clock(moment: Moment) -> None:
        at.append(time.process_time())

    with Microscope(OFTEN) as seen:
        watchers = (
            [clock, seen] if watched else [clock]
        )  # the clock first: a step holds what was hooked before
        train(net, task, batches, Plan(epochs=1, peak_lr=0.01), device="cpu", watchers=watchers)
    return np.diff(at), net


def measured(name: str, n_samples: int) -> dict[str, Any]:
    torch.set_num_threads(1)
    few = [run(name, 2 * OFTEN, watched)[1].state_dict() for watched in (False, True)]  # loads and compiles
    assert all(torch.equal(a, b) for a, b in zip(*(one.values() for one in few)))
    steps, _ = run(name, OFTEN * (n_samples + 2), True)
    # steps[i] ends at step i + 1; samples are at steps OFTEN, 2 OFTEN, ...: hooked, read and compared in
    # steps[k OFTEN - 1] to steps[k OFTEN + 1].
    blocks = steps[OFTEN // 2 - 1 :][: (2 * n_samples + 1) * HALF].reshape(-1, HALF).sum(1)
    plain, held = blocks[::2], blocks[1::2]
    beside = (plain[:-1] + plain[1:]) / 2
    cost, step = held - beside, beside / HALF
    ratios = 1 + cost / (EVERY * step)
    return {
        "network": name, "samples": len(cost), "step_ms": spread(1e3 * step), "sample_ms": spread(1e3 * cost),
        "ratio": spread(ratios), "quartiles": np.quantile(ratios, [0.25, 0.75]).round(4).tolist(),
        "wanted": WANTED,
    }  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=60)
    n = parser.parse_args().samples
    found = [in_child(measured, name, n) for name in NAMES]
    save("watching", __doc__.split("\n    python")[0], found, key="network", packages=("torch",))
