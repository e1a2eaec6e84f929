"""Batches of sequences: those of like length together, so that little is padding; of a text, its pieces."""

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from sortal.errors import InputError
from sortal.tasks import Batch

__all__ = ["SequenceBatches", "TextBatches"]

_POOL = 128  # batches whose sequences are sorted together: more leave less padding and less to chance
MAX_STEPS = 4_000  # of one sequence: a GRU of 256 keeps some 10 kB a step for the way back, times the batch

Columns = Mapping[str, Sequence[np.ndarray]]


class SequenceBatches:
    """Items of unequal length in batches; each column has an array an item, padded with 0.

    `lengths` are those of the first column. The order depends on (seed, epoch) alone: items are drawn into
    pools of 128 batches, sorted by length there (the last column's first), cut into batches, and these are
    mixed again. `alter` changes a batch while learning, with a generator of its own. With `shuffled=False`
    the order is by length and the same in every epoch, to be judged.

    `InputError` for an empty sequence and for one longer than `max_steps`, which memory might not hold.
    """

    def __init__(
        self,
        columns: Columns,
        batch_size: int,
        *,
        shuffled: bool = True,
        seed: int = 0,
        alter: Callable[[Batch, torch.Generator], Batch] | None = None,
        max_steps: int = MAX_STEPS,
    ) -> None:
        self.columns = {name: list(values) for name, values in columns.items()}
        self._first = next(iter(self.columns))
        self._lengths = {
            name: np.array([len(value) for value in values])
            for name, values in self.columns.items()
            if len(values) and np.ndim(values[0])
        }
        self.n = len(self.columns[self._first])
        if batch_size < 1 or not self.n:
            raise InputError(f"batches need a size and a sequence; got {batch_size} and {self.n} sequences.")
        for name, lengths in self._lengths.items():
            _check_lengths(name, lengths, max_steps)
        self._batch_size, self._shuffled, self._seed, self._alter = batch_size, shuffled, seed, alter

    def __len__(self) -> int:
        return (self.n + self._batch_size - 1) // self._batch_size

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        for i, rows in enumerate(self.rows(number)):
            if i >= start:
                batch = self._batch(rows)
                if self._alter and self._shuffled:
                    key = int(np.random.SeedSequence([self._seed, number, i]).generate_state(1)[0])
                    batch = self._alter(batch, torch.Generator().manual_seed(key))
                yield batch

    def rows(self, number: int) -> list[np.ndarray]:
        """The items of each batch of an epoch."""
        if not self._shuffled:
            return np.array_split(self._by_length(np.arange(self.n)), len(self))
        chance = np.random.default_rng([self._seed, number])
        order = chance.permutation(self.n)
        pools = np.array_split(order, -(-len(self) // _POOL))
        cut = np.array_split(np.concatenate([self._by_length(pool) for pool in pools]), len(self))
        return [cut[i] for i in chance.permutation(len(cut))]

    def padding(self) -> dict[str, float]:
        """The share of each column that is padding, in the first epoch."""
        batches = self.rows(0)
        return {
            name: 1 - lengths.sum() / sum(len(rows) * lengths[rows].max() for rows in batches)
            for name, lengths in self._lengths.items()
        }

    def as_json(self) -> dict[str, Any]:
        crc = {name: _crc(values) for name, values in self.columns.items()}
        alter = str(self._alter) if self._alter else None
        return {"n": self.n, "crc32": crc, "batch_size": self._batch_size, "seed": self._seed, "alter": alter}

    def _by_length(self, rows: np.ndarray) -> np.ndarray:
        return rows[np.lexsort([lengths[rows] for lengths in self._lengths.values()])]

    def _batch(self, rows: np.ndarray) -> Batch:
        batch = {name: _padded([values[row] for row in rows]) for name, values in self.columns.items()}
        return batch | {"lengths": torch.from_numpy(self._lengths[self._first][rows])}


class TextBatches:
    """A long text as `n_streams` rows of equal length, read in pieces of `n_steps`, one behind the other.

    `first` is true for the first piece, whose state is new. Each epoch begins up to one piece later than the
    text, so that pieces are cut elsewhere; with `shuffled=False` never.
    """

    def __init__(
        self, numbers: np.ndarray, n_streams: int, n_steps: int, *, shuffled: bool = True, seed: int = 0
    ) -> None:
        self._text = torch.from_numpy(np.ascontiguousarray(numbers))
        self._n_streams, self._n_steps, self._shuffled, self._seed = n_streams, n_steps, shuffled, seed
        # A row needs one symbol more than it has steps, to ask for; and room to begin later.
        spare = n_steps if shuffled else 0
        self._row = (len(numbers) - 1 - spare) // n_streams
        if n_streams < 1 or n_steps < 1 or self._row < n_steps:
            raise InputError(
                f"a text must have at least {n_streams * n_steps + 1 + spare:,} symbols for {n_streams} "
                "streams in "
                f"pieces of {n_steps}; it has {len(numbers):,}. Take fewer streams or shorter pieces."
            )

    def __len__(self) -> int:
        return self._row // self._n_steps

    def epoch(self, number: int, start: int = 0) -> Iterator[Batch]:
        late = (
            int(np.random.default_rng([self._seed, number]).integers(self._n_steps)) if self._shuffled else 0
        )
        begins = late + self._row * torch.arange(self._n_streams)[:, None]
        for piece in range(start, len(self)):
            at = begins + piece * self._n_steps + torch.arange(self._n_steps)
            yield {
                "inputs": self._text[at], "targets": self._text[at + 1],
                "first": torch.full((self._n_streams,), piece == 0),
            }  # fmt: skip

    def as_json(self) -> dict[str, Any]:
        return {
            "n": len(self._text), "crc32": zlib.crc32(self._text.numpy().data), "seed": self._seed,
            "n_streams": self._n_streams, "n_steps": self._n_steps,
        }  # fmt: skip


def _check_lengths(name: str, lengths: np.ndarray, max_steps: int) -> None:
    empty = np.flatnonzero(lengths == 0)
    if len(empty):
        raise InputError(
            f"{name} must have a step in every sequence; {len(empty):,} of {len(lengths):,} are empty, the "
            "first is "
            f"number {empty[0]:,}. Leave them out."
        )
    if lengths.max() > max_steps:
        raise InputError(
            f"{name} must have at most {max_steps:,} steps in a sequence, so that a batch fits in memory; "
            "number "
            f"{lengths.argmax():,} has {lengths.max():,}. Cut it into pieces, or raise max_steps."
        )


def _padded(values: list[np.ndarray]) -> torch.Tensor:
    """One array, as large as the largest in each dimension."""
    if not np.ndim(values[0]):
        return torch.from_numpy(np.array(values))
    shape = np.max([np.shape(value) for value in values], axis=0)
    whole = np.zeros((len(values), *shape), np.asarray(values[0]).dtype)
    for row, value in zip(whole, values):
        row[tuple(slice(n) for n in np.shape(value))] = value
    return torch.from_numpy(whole)


def _crc(values: Sequence[np.ndarray]) -> int:
    crc = 0
    for value in values:
        crc = zlib.crc32(np.ascontiguousarray(value).data, crc)
    return crc
