"""A feed-forward network on a fixed window beside recurrent ones, on the same text.

The first has weights of its own for each position, so they grow with the window, and nothing before the
window can change what it says. A recurrent network has as many weights however far it looks, and its state
may keep what stood anywhere before. What each can see is measured, not assumed: a symbol is changed, and the
answers compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from sortal.data.vocabulary import Vocabulary
from sortal.diagnose.study_data import mean_and_half_width
from sortal.errors import InputError
from sortal.nets import SymbolModel, WindowNetwork
from sortal.progress import Progress
from sortal.tasks import LanguageModel, bits
from sortal.train.device import Device, choose_device
from sortal.train.loop import judge, train
from sortal.train.plan import Plan
from sortal.train.sequence_batches import TextBatches

__all__ = ["WindowRun", "WindowStudy", "reach", "window_study"]

WINDOWS = (1, 2, 4, 8, 16)
CELLS = ("RNN", "GRU")
HIDDEN = 128
N_STEPS = 50
FARTHEST = 100  # symbols back, as far as changes are tried


@dataclass(frozen=True)
class WindowRun:
    """One network.

    `first_weights` are those that read the input and the past; `reach` is how many symbols back a change
    still changes an answer, `FARTHEST` where all that were tried do.
    """

    network: str
    window: int | None
    seed: int
    parameters: int
    first_weights: int
    test_bits: float
    test_error: float
    reach: int
    cpu_s: float


@dataclass(frozen=True)
class WindowStudy:
    data: str
    n_train: int
    n_test: int
    n_symbols: int
    plan: Plan
    batch_size: int
    runs: tuple[WindowRun, ...]
    device: str

    @property
    def networks(self) -> list[str]:
        """In the order they were trained."""
        return list(dict.fromkeys(run.network for run in self.runs))

    def of(self, network: str) -> list[WindowRun]:
        return [run for run in self.runs if run.network == network]

    def mean(self, what: str, network: str) -> tuple[float, float]:
        """The mean over seeds and half of its 95 % interval."""
        return mean_and_half_width([getattr(run, what) for run in self.of(network)])

    @property
    def verdict(self) -> tuple[str, ...]:
        windows = [self.of(name)[0] for name in self.networks if self.of(name)[0].window]
        recurrent = [self.of(name)[0] for name in self.networks if not self.of(name)[0].window]
        small, large = windows[0], windows[-1]
        first = (
            f"The window's first layer has {small.first_weights:,} weights at {small.window} and "
            f"{large.first_weights:,} at {large.window}: apart for each position. "
            + " ".join(f"The {one.network} has {one.first_weights:,} at any length." for one in recurrent)
        )
        blind = all(run.reach < run.window for run in self.runs if run.window)
        memory = "No memory" if blind else "Against its construction"
        memory += f": a symbol further back than the window changed {'no' if blind else 'an'} answer. "
        memory += " ".join(f"In the {one.network} one {one.reach} back still did." for one in recurrent)
        best = min(windows, key=lambda one: self.mean("test_bits", one.network)[0])
        return first, memory, *(self._compared(best.network, one.network) for one in recurrent)

    def _compared(self, window: str, other: str) -> str:
        pairs = zip(self.of(window), self.of(other))
        mean, half = mean_and_half_width([a.test_bits - b.test_bits for a, b in pairs])
        how = "one seed: chance is not known" if not np.isfinite(half) else f"+- {half:.3f}, 95 %"
        better = f"{abs(mean):.3f} bits {'more' if mean > 0 else 'fewer'} a symbol than the {other} ({how})"
        return f"The best window network ({window}) needs {better}: {self.mean('test_bits', window)[0]:.3f}."


def window_study(
    text: str,
    name: str,
    *,
    windows: Sequence[int] = WINDOWS,
    epochs: int = 4,
    batch_size: int = 32,
    seeds: int = 3,
    device: str = "auto",
    progress: Progress = Progress(),  # noqa: B008 (has no state)
) -> WindowStudy:
    """Train a network for each window and the recurrent ones on nine tenths of `text`, judge by the rest.

    All have as many hidden units and as many steps. Same arguments, same bits on CPU.
    """
    if not windows or min(windows) < 1 or seeds < 1:
        raise InputError(f"windows and seeds must be at least 1; got {tuple(windows)} and {seeds}.")
    cut, where = len(text) * 9 // 10, choose_device(device)
    symbols = Vocabulary.of([text[:cut]])
    learned, tested = symbols.numbers(text[:cut]), symbols.numbers(text[cut:])
    plan = Plan(
        epochs=epochs, optimizer="adamw", peak_lr=5e-3, nesterov=False, weight_decay=0.01, warmup_epochs=0.2,
        clip_norm=1.0,
    )  # fmt: skip
    test = TextBatches(tested, 4, N_STEPS, shuffled=False)
    runs = []
    for network, window in [*((f"window {n}", n) for n in sorted(set(windows))), *((c, None) for c in CELLS)]:
        for seed in range(seeds):
            learn = TextBatches(learned, batch_size, N_STEPS, seed=seed)
            net = _network(network, window, len(symbols), seed)
            runs.append(_run(net, network, window, learn, test, replace(plan, seed=seed), where))
        progress.say(
            f"{network}: {runs[-1].parameters:,} parameters, {runs[-1].test_bits:.3f} bits, "
            f"{sum(run.cpu_s for run in runs[-seeds:]):.0f} CPU-s"
        )
    return WindowStudy(
        data=name, n_train=len(learned), n_test=len(tested), n_symbols=len(symbols), plan=plan,
        batch_size=batch_size, runs=tuple(runs), device=str(where),
    )  # fmt: skip


@torch.inference_mode()
def reach(net: nn.Module, n_symbols: int, farthest: int = FARTHEST, n_tries: int = 8) -> int:
    """How many symbols back a change still changes the last answer; 0: only the last symbol counts."""
    net.eval()
    chance = torch.Generator().manual_seed(0)
    text = torch.randint(n_symbols, (n_tries, farthest + 1), generator=chance)
    before = net(text)[0][:, -1]
    for back in range(farthest, 0, -1):
        changed = text.clone()
        changed[:, -1 - back] = (changed[:, -1 - back] + 1) % n_symbols
        if not torch.equal(net(changed)[0][:, -1], before):
            return back
    return 0


def _network(network: str, window: int | None, n_symbols: int, seed: int) -> nn.Module:
    if window is not None:
        return WindowNetwork(n_symbols, window, hidden=HIDDEN, seed=seed)
    return SymbolModel(n_symbols, hidden=HIDDEN, width=n_symbols, cell=network, seed=seed)


def _run(
    net: nn.Module, network: str, window: int | None, learn: TextBatches, test: TextBatches, plan: Plan,
    where: Device,
) -> WindowRun:  # fmt: skip
    trained = train(net, LanguageModel(), learn, plan, device=where)
    loss, right = judge(net, LanguageModel(), test, where)
    count = sum(p.numel() for p in net.parameters())
    head = net.get_submodule("head")
    assert isinstance(head, nn.Linear)
    first = count - sum(p.numel() for p in head.parameters())
    return WindowRun(
        network=network, window=window, seed=plan.seed, parameters=count, first_weights=first,
        test_bits=bits(loss), test_error=1 - right, reach=reach(net.cpu(), head.out_features),
        cpu_s=round(sum(epoch.cpu_s for epoch in trained.curve), 1),
    )  # fmt: skip
