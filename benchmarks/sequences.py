"""What our recurrent networks cost beside bare torch.nn: a training step, and one step of a stream.

Training: a GRU, RNN or LSTM of 128 units and a linear head on a batch of row-wise MNIST's shape (28 steps of
28 numbers): forward, cross-entropy, backward, SGD. Beside it torch's module with the same weights. Ours must
not take over 1.05 times as long. With unequal lengths, torch's user packs and pads by hand. The written
equations stand beside both: they are for reading and for watching, not for speed.

Stream: one sequence of 128 numbers a step into 128 units, the state handed from call to call: our exported
graph by onnxruntime, and torch.nn's module under inference_mode. Ours must be 1.7 times as fast.

The weights after three steps, and the streams' last outputs, must agree to 1e-5 before anything is timed. One
thread, CPU seconds, interleaved.

    python benchmarks/sequences.py [--rounds 9] [--steps 20]
"""

import argparse
import copy
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from measure import in_child, save, spread
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from sortal import nets
from sortal.embed.recurrent import Stream

BATCH, TIME, FEATURES, UNITS = 64, 28, 28, 128
MOST_STEP, LEAST_STREAM = 1.05, 1.7
Step = Callable[[Tensor, Tensor], Tensor]


class Classifier(nn.Module):
    """The last state through a linear layer; `packing` is what torch's user writes for unequal lengths."""

    def __init__(self, rnn: nn.Module, packing: bool | None) -> None:
        super().__init__()
        self.rnn, self.head, self.packing = rnn, nn.Linear(UNITS, 10), packing

    def forward(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        if self.packing and lengths is not None:
            packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            output, _ = pad_packed_sequence(self.rnn(packed)[0], batch_first=True, total_length=x.shape[1])
        elif lengths is not None:
            output, _ = self.rnn(x, None, lengths)
        else:
            output, _ = self.rnn(x)
        last = output[:, -1] if lengths is None else output[torch.arange(len(x)), lengths - 1]
        scores: Tensor = self.head(last)
        return scores


def trained(net: nn.Module, batches: list[tuple[Tensor, Tensor]], lengths: Tensor | None) -> None:
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for x, labels in batches:
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x, lengths), labels).backward()
        optimizer.step()


def training(kind: str, unequal: bool, rounds: int, steps: int) -> dict[str, Any]:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    batches = [(torch.randn(BATCH, TIME, FEATURES), torch.randint(10, (BATCH,))) for _ in range(steps)]
    lengths = torch.randint(1, TIME + 1, (BATCH,)) if unequal else None
    ours = getattr(nets, kind)(FEATURES, UNITS, seed=0)
    written = copy.deepcopy(ours)
    written.fused = False
    ways = {
        "torch.nn": Classifier(ours.to_torch(), packing=True),
        "sortal": Classifier(ours, packing=False),
        "sortal, equations": Classifier(written, packing=False),
    }
    for net in ways.values():
        net.head.load_state_dict(ways["torch.nn"].head.state_dict())
    ends = {way: copy.deepcopy(net) for way, net in ways.items()}
    for net in ends.values():  # also the warm-up
        trained(net, batches[:3], lengths)
    for end in ends.values():
        for wanted, found in zip(ends["torch.nn"].state_dict().values(), end.state_dict().values()):
            torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(rounds):
        for way in list(ways)[:: 1 if turn % 2 else -1]:
            fresh = copy.deepcopy(ways[way])
            start = time.process_time()
            trained(fresh, batches, lengths)
            seconds[way].append((time.process_time() - start) / steps)
    return seconds


def stream(kind: str, rounds: int, steps: int) -> dict[str, Any]:
    torch.set_num_threads(1)
    net = getattr(nets, kind)(UNITS, UNITS, seed=0).eval()
    by_graph, theirs = Stream(net), net.to_torch()
    x = np.random.default_rng(0).standard_normal((steps, 1, UNITS)).astype(np.float32)
    tensors = torch.from_numpy(x)

    def torchs() -> np.ndarray:
        state = None
        with torch.inference_mode():
            for one in tensors:
                output, state = theirs(one[:, None], state)
        return output[:, 0].numpy()

    def graphs() -> np.ndarray:
        state = None
        for one in x:
            output, state = by_graph(one, state)
        return output

    assert abs(torchs() - graphs()).max() < 1e-5
    ways = {"torch.nn": torchs, "sortal": graphs}
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(rounds):
        for way in list(ways)[:: 1 if turn % 2 else -1]:
            start = time.process_time()
            ways[way]()
            seconds[way].append((time.process_time() - start) / steps)
    return seconds


def rows_of(
    name: str, found: dict[str, Any], wanted: Callable[[float], bool], goal: str
) -> list[dict[str, Any]]:
    rows = []
    for way in [key for key in found if isinstance(found[key], list)]:
        ratios = [one / bare for one, bare in zip(found[way], found["torch.nn"])]
        rows.append({
            "what, by what": f"{name}, {way}",
            "CPU-us": round(1e6 * float(np.median(found[way])), 1),
            "CPU-s / torch.nn's (median, least, most)": spread(ratios),
            "wanted": goal if way == "sortal" else None,
            "reached": bool(wanted(float(np.median(ratios)))) if way == "sortal" else None,
        })  # fmt: skip
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=20)
    asked = parser.parse_args()
    rows = []
    for kind in ("RNN", "GRU", "LSTM"):
        for unequal in (False, True):
            found = in_child(training, kind, unequal, asked.rounds, asked.steps)
            name = f"{kind}, training step" + (", unequal lengths" if unequal else "")
            rows += rows_of(name, found, lambda r: r <= MOST_STEP, f"<= {MOST_STEP}")
    for kind in ("RNN", "GRU", "LSTM"):
        found = in_child(stream, kind, asked.rounds, 50 * asked.steps)
        rows += rows_of(
            f"{kind}, a step of a stream", found, lambda r: r <= 1 / LEAST_STREAM, f"<= 1 / {LEAST_STREAM}"
        )
    save("sequences", "Recurrent networks beside torch.nn", rows, key="what, by what", packages=("torch",))


if __name__ == "__main__":
    main()
