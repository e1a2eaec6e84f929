"""A language model: the next symbol from all before it, whose only trace is the state.

    scores, state = net(symbols)             # (B, T) -> (B, T, k)
    scores, state = net(more, state)         # goes on

Source: Mikolov et al. 2010, Recurrent neural network based language model; Karpathy's char-rnn for
characters.
"""

from typing import Any

from jaxtyping import Float, Int
from torch import Tensor, nn

from sortal.nets.first_weights import first_weights
from sortal.nets.sequence_classifier import CELLS

__all__ = ["SymbolModel"]


class SymbolModel(nn.Module):
    """`memory` sets the gates for memories of up to so many steps (`chrono`)."""

    def __init__(
        self,
        symbols: int,
        *,
        hidden: int = 256,
        layers: int = 1,
        width: int = 64,
        cell: str = "GRU",
        dropout: float = 0.0,
        memory: float | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        with first_weights(seed):
            self.symbols = nn.Embedding(symbols, width)
            self.rnn = CELLS[cell](width, hidden, layers, dropout=dropout if layers > 1 else 0.0)
            if memory is not None and cell != "RNN":
                self.rnn.chrono(memory)
            self.drop = nn.Dropout(dropout)
            self.head = nn.Linear(hidden, symbols)

    def forward(self, symbols: Int[Tensor, "B T"], state: Any = None) -> tuple[Float[Tensor, "B T k"], Any]:
        """Scores of the symbol after each one, and the state after the last."""
        output, state = self.rnn(self.symbols(symbols), state)
        return self.head(self.drop(output)), state
