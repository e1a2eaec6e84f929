"""The yardstick of the recipe `names`: network and training of PyTorch's own tutorial, on the same split.

    SORTAL_DATA=data python benchmarks/surnames.py [--steps 100000] [--seed 0]

Source: S. Robertson, "NLP From Scratch: Classifying Names with a Character-Level RNN" (pytorch.org/tutorials,
as it was from 2017 to 2023): h = tanh(W x + U h), 128 units, letters one-hot in ASCII, one name a step, its
language drawn first, plain gradient steps of .005, 100,000 of them. It holds nothing out; here a fifth is.
"""

import argparse
import os
import time
import unicodedata
from pathlib import Path

import numpy as np
import torch
from torch import nn

from sortal.data.surnames import load_surnames
from sortal.nets import RNN
from sortal.train.sequence.surnames import by_name, split

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ .,;'"


def one_hot(name: str) -> torch.Tensor:
    plain = [c for c in unicodedata.normalize("NFD", name) if c in LETTERS]
    steps = torch.zeros(1, max(1, len(plain)), len(LETTERS))
    for i, letter in enumerate(plain):
        steps[0, i, LETTERS.index(letter)] = 1
    return steps


class Tutorial(nn.Module):
    """Its first weights are torch's own, as there."""

    def __init__(self, answers: int) -> None:
        super().__init__()
        self.rnn = RNN.from_torch(nn.RNN(len(LETTERS), 128, batch_first=True))
        self.head = nn.Linear(128, answers)

    def forward(self, steps: torch.Tensor) -> torch.Tensor:
        return self.head(self.rnn(steps)[1][0])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    torch.manual_seed(asked.seed)
    torch.set_num_threads(1)
    whole = load_surnames(Path(os.environ["SORTAL_DATA"]) / "names")
    learned, tested = split(whole)
    steps = [one_hot(name) for name in whole.names]
    of = [learned[whole.labels[learned] == label] for label in range(len(whole.languages))]
    net, chance = Tutorial(len(whole.languages)), np.random.default_rng(asked.seed)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.005)
    started = time.process_time()
    for _ in range(asked.steps):
        label = int(chance.integers(len(of)))
        scores = net(steps[chance.choice(of[label])])
        optimizer.zero_grad()
        nn.functional.cross_entropy(scores, torch.tensor([label])).backward()
        optimizer.step()
    with torch.inference_mode():
        said = np.array([int(net(steps[i]).argmax()) for i in tested])
    found = by_name(said, whole.labels[tested], whole.languages)
    print(*found.lines, sep="\n")
    cpu_s = time.process_time() - started
    print(f"right {found.numbers['right']:.2%}, macro {found.numbers['macro']:.2%}, {cpu_s:.0f} CPU-s")


if __name__ == "__main__":
    main()
