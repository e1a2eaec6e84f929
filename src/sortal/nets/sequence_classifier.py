"""Many to one: recurrent layers read a sequence, a linear head answers from their final states.

    net = SequenceClassifier(28, 10, hidden=128, seed=0)            # vectors in, (B, T, 28)
    net = SequenceClassifier(60, 18, symbol_width=32, seed=0)       # numbers of symbols in, (B, T)
    scores = net(inputs, lengths)                                   # (B, 10)

In two directions, the final states are that after the last step and that after the first.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sortal.nets.first_weights import first_weights
from sortal.nets.gru import GRU
from sortal.nets.lstm import LSTM
from sortal.nets.rnn import RNN

__all__ = ["CELLS", "SequenceClassifier"]

CELLS = {"RNN": RNN, "GRU": GRU, "LSTM": LSTM}


class SequenceClassifier(nn.Module):
    """`inputs` is the width of a step's vector, or the number of symbols where `symbol_width` is given.

    `memory` sets the gates for memories of up to so many steps (`chrono`).
    """

    def __init__(
        self,
        inputs: int,
        answers: int,
        *,
        hidden: int = 128,
        layers: int = 1,
        cell: str = "GRU",
        bidirectional: bool = False,
        dropout: float = 0.0,
        symbol_width: int | None = None,
        memory: float | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        with first_weights(seed):
            self.symbols = nn.Embedding(inputs, symbol_width, padding_idx=0) if symbol_width else None
            self.rnn = CELLS[cell](
                symbol_width or inputs, hidden, layers,
                bidirectional=bidirectional, dropout=dropout if layers > 1 else 0.0,
            )  # fmt: skip
            if memory is not None and cell != "RNN":  # which has no gates to set
                self.rnn.chrono(memory)
            self.drop = nn.Dropout(dropout)
            self.head = nn.Linear(hidden * (1 + bidirectional), answers)

    def embed(self, inputs: Tensor, lengths: Tensor | None = None) -> Float[Tensor, "B d"]:
        """The final states of the last layer, after each sequence's own last step."""
        x = inputs if self.symbols is None else self.drop(self.symbols(inputs))
        _, state = self.rnn(x, None, lengths)
        h = state[0] if isinstance(state, tuple) else state
        return torch.cat(tuple(h[-2:] if self.rnn.bidirectional else h[-1:]), 1)

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Float[Tensor, "B k"]:
        scores: Tensor = self.head(self.drop(self.embed(inputs, lengths)))
        return scores
