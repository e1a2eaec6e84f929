"""Symbols (characters, words) and their numbers."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Int

from sortal.errors import InputError

__all__ = ["BEGIN", "END", "PADDING", "UNKNOWN", "Vocabulary"]

PADDING, UNKNOWN, BEGIN, END = range(4)  # numbers that every vocabulary has; its own symbols follow


@dataclass(frozen=True)
class Vocabulary:
    """0 pads, 1 stands for any symbol that is not here, 2 begins and 3 ends an answer, `symbols` follow."""

    symbols: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(set(self.symbols)) != len(self.symbols):
            raise InputError("symbols of a vocabulary must differ; one stands there twice.")

    def __len__(self) -> int:
        return len(self.symbols) + 4

    @classmethod
    def of(cls, texts: Iterable[Sequence[str]], least: int = 1) -> "Vocabulary":
        """The symbols that stand in `texts` at least so often, in sorted order."""
        counts = Counter(symbol for text in texts for symbol in text)
        return cls(tuple(sorted(symbol for symbol, count in counts.items() if count >= least)))

    def numbers(self, text: Sequence[str]) -> Int[np.ndarray, " n"]:
        """One number a symbol; a symbol that is not here becomes 1."""
        return np.array([self._number.get(symbol, UNKNOWN) for symbol in text], np.int64)

    def ended(self, text: Sequence[str]) -> Int[np.ndarray, " m"]:
        """As `numbers`, and the sign that it ends."""
        return np.append(self.numbers(text), END)

    def text(self, numbers: Iterable[int]) -> list[str]:
        """Symbols up to the end; unknown ones as "?"."""
        found = []
        for number in numbers:
            if number in (END, PADDING):
                break
            found.append(self.symbols[number - 4] if number >= 4 else "?")
        return found

    def n_unknown(self, texts: Iterable[Sequence[str]]) -> int:
        """How many symbols of `texts` are not here."""
        return sum(symbol not in self._number for text in texts for symbol in text)

    @cached_property
    def _number(self) -> dict[str, int]:
        return {symbol: i for i, symbol in enumerate(self.symbols, 4)}
