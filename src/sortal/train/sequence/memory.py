"""Problems that only memory solves, made anew for every batch."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from sortal.errors import InputError
from sortal.tasks import Adding, Batch, Copying
from sortal.train.device import Device
from sortal.train.loop import judge as judged
from sortal.train.sequence.prepared import Figures, Prepared
from sortal.train.sequence.recipes import SequenceRecipe

__all__ = ["MemoryBatches", "prepare"]

N_KINDS, N_COPIED = 8, 10  # symbols there are, and symbols to remember
NOTHING, NOW = 8, 9  # symbols that say "wait" and "say it now"


class MemoryBatches:
    """Batches of `problem` ("adding", "copying") over `length` steps, from (seed, epoch, number) alone."""

    def __init__(self, problem: str, length: int, batch_size: int, n_batches: int, seed: int) -> None:
        if problem not in ("adding", "copying"):
            raise InputError(f'problem must be "adding" or "copying"; got {problem!r}.')
        if length < 2:
            raise InputError(f"length must be at least 2 steps; got {length}.")
        self._settings: dict[str, Any] = {
            "problem": problem, "length": length, "batch_size": batch_size, "n_batches": n_batches,
            "seed": seed,
        }  # fmt: skip
        self._problem = _adding if problem == "adding" else _copying

    def __len__(self) -> int:
        return int(self._settings["n_batches"])

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        n, length, seed = (self._settings[name] for name in ("batch_size", "length", "seed"))
        for i in range(start, len(self)):
            inputs, targets = self._problem(np.random.default_rng([seed, number, i]), n, length)
            yield {"inputs": torch.from_numpy(inputs), "targets": torch.from_numpy(targets)}

    def as_json(self) -> dict[str, Any]:
        return self._settings


def prepare(recipe: SequenceRecipe, data: Path | None) -> Prepared:
    """Neither needs data. Judged by a thousand sequences and more that another seed draws."""
    problem, length = recipe.options["problem"], recipe.options["length"]
    seed, size = recipe.plan.seed, recipe.batch_size
    learn = MemoryBatches(problem, length, size, recipe.options["n_batches"], seed)
    test = MemoryBatches(problem, length, size, -(-1_000 // size), 2**31)
    task = Adding() if problem == "adding" else Copying()
    if problem == "adding":
        network, options = "SequenceClassifier", {"inputs": 2, "answers": 1}
        facts = (f"the sum of two of {length} numbers; always 1 has a loss of {1 / 6:.3f}",)
    else:
        network, options = "SymbolModel", {"symbols": N_KINDS + 2}
        facts = (f"{N_COPIED} symbols after {length} steps; who remembers none has {np.log(N_KINDS):.3f}",)

    def judge(net: nn.Module, device: Device) -> Figures:
        loss, right = judged(net, task, test, device)
        return Figures({"loss": loss, "right": right})

    return Prepared(network, {**options, **recipe.net}, task, learn, judge, facts=facts)


def _adding(chance: np.random.Generator, n: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Marks stand on one number of each half, as in Le, Jaitly and Hinton 2015."""
    inputs = np.zeros((n, length, 2), np.float32)
    inputs[..., 0] = chance.random((n, length))
    half, rows = length // 2, np.arange(n)
    at = chance.integers(half, size=n), chance.integers(half, length, size=n)
    for one in at:
        inputs[rows, one, 1] = 1
    return inputs, inputs[rows, at[0], 0] + inputs[rows, at[1], 0]


def _copying(chance: np.random.Generator, n: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Symbols, `length` steps of nothing with the sign to speak at the end, nothing while speaking."""
    wanted = chance.integers(N_KINDS, size=(n, N_COPIED))
    inputs = np.full((n, length + 2 * N_COPIED), NOTHING)
    inputs[:, :N_COPIED] = wanted
    inputs[:, N_COPIED + length - 1] = NOW
    return inputs, wanted
