"""Story 2: clipping cures a gradient that explodes, and does nothing for one that vanishes. Some 10 seconds.

    python examples/story_clipping.py OUT

The same recurrent layer twice, its recurrent matrix once larger and once smaller than a turn. Both are
trained with and without clipping to length 1.
"""

import sys
from pathlib import Path

import torch
from torch import nn

from sortal import nets
from sortal.diagnose import Clipping, Trial, examine, try_cures
from sortal.tasks import Adding
from sortal.train.loop import train
from sortal.train.plan import Plan
from sortal.train.sequence.memory import MemoryBatches

LENGTH = 40


def network(radius: float) -> nets.SequenceClassifier:
    """Inputs are so small that tanh is nearly straight: the radius alone decides."""
    net = nets.SequenceClassifier(2, 1, hidden=32, cell="RNN", seed=0)
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(0)
        nn.init.orthogonal_(net.rnn.weight_hh_l0)
        net.rnn.weight_hh_l0.mul_(radius)
        net.rnn.weight_ih_l0.mul_(1e-3)
    return net


def main(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    batches = list(MemoryBatches("adding", LENGTH, 50, 4, 0).epoch(0))
    lines = []
    for radius in (1.25, 0.6):
        net = network(radius)
        condition = examine(net, Adding(), batches).verdicts[1].condition
        lines.append(f"radius {radius}: {condition}")
        trials = try_cures(net, Adding(), batches, condition, lr=0.05, steps=200, cures=["clip"])
        lines += [f"  {told(trial)}" for trial in trials]
    seen = Clipping(1.0)
    plan = Plan(epochs=2, peak_lr=0.05, clip_norm=1.0, weight_decay=0.0)
    train(
        network(1.25),
        Adding(),
        MemoryBatches("adding", LENGTH, 50, 50, 0),
        plan,
        device="cpu",
        watchers=[seen],
    )
    lines.append(seen.report.words)
    (out / "clipping.txt").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


def told(trial: Trial) -> str:
    return (
        f"{trial.cure}: loss {trial.loss_before:.3g} -> {trial.loss:.3g} after {trial.steps} steps, then "
        f"{trial.condition}: {trial.words}"
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "story-clipping"))
