"""Many to many, unaligned: one GRU reads, in both directions, another writes, with or without attention.

Source: Cho et al. 2014, arXiv:1406.1078, for the pair of GRUs; Bahdanau, Cho and Bengio 2015,
arXiv:1409.0473, for reading in both directions; the attention is that of writer.py.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from sortal.nets.first_weights import first_weights
from sortal.nets.gru import GRU
from sortal.nets.writer import Writer, Written

__all__ = ["Translator"]


class Translator(nn.Module):
    def __init__(
        self,
        words: int,
        symbols: int,
        *,
        hidden: int = 128,
        width: int = 64,
        attention: bool = True,
        dropout: float = 0.2,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        with first_weights(seed):
            self.words = nn.Embedding(words, width, padding_idx=0)
            self.reader = GRU(width, hidden, bidirectional=True)
            self.bridge = nn.Linear(2 * hidden, hidden)
            self.drop = nn.Dropout(dropout)
            self.writer = Writer(symbols, hidden, width, 2 * hidden if attention else None, dropout)

    @property
    def head(self) -> nn.Module:
        return self.writer.head

    def read(self, inputs: Int[Tensor, "B T"], lengths: Tensor | None = None) -> Written:
        """The state before the first symbol is written."""
        memory, final = self.reader(self.drop(self.words(inputs)), None, lengths)
        state = {"h": torch.tanh(self.bridge(torch.cat(tuple(final), 1)))}
        if self.writer.attends:
            state |= {"memory": memory, "here": inputs != 0}
        return state

    def write(self, state: Written, written: Int[Tensor, "B U"]) -> tuple[Float[Tensor, "B U k"], Written]:
        found: tuple[Tensor, Written] = self.writer(state, written)
        return found

    def forward(
        self, inputs: Int[Tensor, "B T"], lengths: Tensor | None, written: Int[Tensor, "B U"]
    ) -> Float[Tensor, "B U k"]:
        return self.write(self.read(inputs, lengths), written)[0]
