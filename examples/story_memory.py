"""Story 1: on the adding problem a plain RNN dies at some lag, a GRU does not. Some 30 seconds.

    python examples/story_memory.py OUT

Two of 60 numbers are marked, at least one of them far back, and their sum is asked for. Who remembers neither
says 1 and has a loss of 1/6.
"""

import sys
from pathlib import Path

from sortal import nets
from sortal.diagnose import Microscope, examine, horizon
from sortal.diagnose.gradient_plots import (
    Drawn,
    by_epoch,
    gradient_by_lag,
    influence_by_lag,
    lag_by_step,
    spectra,
)
from sortal.tasks import Adding
from sortal.train.loop import train
from sortal.train.plan import Plan
from sortal.train.sequence.memory import MemoryBatches

LENGTH = 60
PLAN = Plan(epochs=5, optimizer="adamw", peak_lr=1e-2, weight_decay=0.0, clip_norm=1.0)


def main(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for cell in ("RNN", "GRU"):
        net = nets.SequenceClassifier(2, 1, hidden=32, cell=cell, memory=LENGTH, seed=0)
        with Microscope(every=50) as seen:
            batches = MemoryBatches("adding", LENGTH, 50, 100, 0)
            done = train(net, Adding(), batches, PLAN, device="cpu", watchers=[seen])
        found = examine(net, Adding(), list(MemoryBatches("adding", LENGTH, 50, 3, 1).epoch(0)))
        lags, verdict = found.lags[0][0], found.verdicts[1]
        save(out / f"gradient-by-lag-{cell}", gradient_by_lag(by_epoch(seen.samples, "rnn")))
        save(out / f"lag-by-step-{cell}", lag_by_step(seen.samples, "rnn"))
        save(out / f"influence-{cell}", influence_by_lag([lags]))
        save(out / f"spectrum-{cell}", spectra(lags.spectra))
        lag = horizon(lags.log_influence[0])
        print(
            f"{cell}: loss {done.curve[-1].loss:.4f} (1/6 = .1667 is nothing learned); {verdict.condition},"
        )
        print(f"  {verdict.sign.words}; horizon {lag or f'over {LENGTH}'} steps")
        assert (verdict.condition == "vanishing") == (cell == "RNN")


def save(path: Path, drawn: Drawn) -> None:
    path.with_suffix(".png").write_bytes(drawn.png)
    path.with_suffix(".svg").write_bytes(drawn.svg)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "story-memory"))
