"""What the training loop costs beside a loop written plainly for the same network.

The plain loop is the tutorial's: forward, cross-entropy, backward, SGD with Nesterov's momentum, a list of
batches. Ours gets the same batches through `train`, with schedule, sums, the watch for NaN and the decay that
spares norms. Both run on one thread and are interleaved; with equal settings (no decay, a constant rate) both
must first end with equal weights. Its step must not take over 1.03 times as long.

The tutorial's loop leaves images in their own order; ours takes channels_last, which a plain loop may take
too: beside that one, the fair one, ours is held to the goal. For ResNet-20 the plain loop is akamaster's,
without its printing.

    python benchmarks/training.py [lenet5|resnet20] [--rounds 5] [--steps 40]
"""

import argparse
import copy
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from measure import in_child, save, spread
from torch import Tensor, nn

from sortal import nets
from sortal.tasks import Classify
from sortal.train.loop import train
from sortal.train.plan import Plan

WANTED = 1.03
SHAPES = {"lenet5": (128, 1, 32, 32), "resnet20": (32, 3, 32, 32)}
RATE = 0.01
FAIR = "plain, channels_last"
COMPARED = 6  # steps; rounding grows with each, and after 20 ResNet-20's weights have parted


class Given:
    """Batches that lie ready, the same every epoch."""

    def __init__(self, batches: list[dict[str, Tensor]]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def epoch(self, number: int, start: int = 0) -> Iterator[dict[str, Tensor]]:
        yield from self.batches[start:]

    def as_json(self) -> dict[str, Any]:
        return {"n": len(self)}


def plainly(net: nn.Module, batches: list[dict[str, Tensor]]) -> None:
    optimizer = torch.optim.SGD(net.parameters(), lr=RATE, momentum=0.9, nesterov=True)
    net.train()
    for batch in batches:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(batch["inputs"]), batch["labels"])
        loss.backward()
        optimizer.step()


def plainly_channels_last(net: nn.Module, batches: list[dict[str, Tensor]]) -> None:
    order = torch.channels_last
    net.to(memory_format=order)  # type: ignore[call-overload]
    plainly(net, [{**one, "inputs": one["inputs"].contiguous(memory_format=order)} for one in batches])


def ours(net: nn.Module, batches: list[dict[str, Tensor]], plan: Plan) -> None:
    train(net, Classify(), Given(batches), plan, device="cpu")


def measure(name: str, rounds: int, steps: int) -> dict[str, Any]:
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    shape = SHAPES[name]
    batches = [
        {
            "inputs": torch.randn(shape, generator=generator),
            "labels": torch.randint(0, 10, shape[:1], generator=generator),
        }
        for _ in range(steps)
    ]
    net = getattr(nets, name)(seed=0)
    constant = Plan(epochs=1, peak_lr=RATE, final_lr=1.0, weight_decay=0.0)
    loops = {
        "plain": plainly,
        FAIR: plainly_channels_last,
        "sortal": lambda net, batches: ours(net, batches, constant),
        "sortal, clipping and EMA": lambda net, batches: ours(
            net, batches, Plan(epochs=1, peak_lr=RATE, clip_norm=1.0, ema=0.999)
        ),
    }
    ends = {}
    for loop, run in loops.items():  # also the warm-up
        ends[loop] = copy.deepcopy(net)
        run(ends[loop], batches[:COMPARED])
    for wanted, found in zip(ends["plain"].state_dict().values(), ends["sortal"].state_dict().values()):
        # The fused step rounds differently from the one in a loop.
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)
    seconds: dict[str, list[float]] = {loop: [] for loop in loops}
    for _ in range(rounds):
        for loop, run in loops.items():
            fresh = copy.deepcopy(net)
            start = time.process_time()
            run(fresh, batches)
            seconds[loop].append(time.process_time() - start)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("nets", nargs="*", default=list(SHAPES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=40)
    asked = parser.parse_args()
    rows = []
    for name in asked.nets:
        found = in_child(measure, name, asked.rounds, asked.steps)
        n = asked.steps * SHAPES[name][0]
        for loop in [key for key in found if isinstance(found[key], list)]:
            ratios, fair = (
                [one / plain for one, plain in zip(found[loop], found[peer])] for peer in ("plain", FAIR)
            )
            rows.append({
                "network, loop": f"{name}, {loop}",
                "batch": SHAPES[name][0],
                "images per CPU-s": round(n / float(np.median(found[loop])), 1),
                "CPU-s a step / plain (median, least, most)": spread(ratios),
                "CPU-s a step / plain in channels_last": spread(fair),
                "wanted": WANTED if loop == "sortal" else None,
                "reached": bool(np.median(fair) <= WANTED) if loop == "sortal" else None,
            })  # fmt: skip
    save("training", "A training step beside a loop written plainly", rows, key="network, loop")


if __name__ == "__main__":
    main()
