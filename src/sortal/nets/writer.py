"""What writes symbol after symbol about something it was shown: a GRU with or without attention.

At each step the GRU's output h asks the memory m_1 ... m_n: weights are the softmax of h' W m_i, the context
c is their mean of the memory, and the next symbol is read from tanh(V [h; c]). *Source:* Luong, Pham and
Manning 2015, arXiv:1508.04025, "general" score; without their input feeding, so that all steps that are known
are computed in one call. Without attention it is read from h alone, as in Sutskever, Vinyals and Le 2014,
arXiv:1409.3215.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from sortal.nets.gru import GRU

__all__ = ["Writer", "Written"]

Written = dict[str, Tensor]  # what writing goes on from, each with one row an answer: h, memory, here


class Writer(nn.Module):
    """`memory_width` numbers in each place of the memory; None writes without attention."""

    def __init__(
        self, symbols: int, hidden: int, width: int, memory_width: int | None, dropout: float
    ) -> None:
        super().__init__()
        self.symbols = nn.Embedding(symbols, width, padding_idx=0)
        self.rnn = GRU(width, hidden)
        self.drop = nn.Dropout(dropout)
        self.attends = memory_width is not None
        if memory_width is not None:
            self.score = nn.Linear(memory_width, hidden, bias=False)
            self.mix = nn.Linear(memory_width + hidden, hidden)
        self.head = nn.Linear(hidden, symbols)

    def forward(self, state: Written, written: Int[Tensor, "B U"]) -> tuple[Float[Tensor, "B U k"], Written]:
        """Scores of the symbol after each one written, and the state to go on from."""
        h, last = self.rnn(self.drop(self.symbols(written)), state["h"][None])
        state = state | {"h": last[0]}
        if self.attends:
            context = self.weights(h, state) @ state["memory"]
            h = torch.tanh(self.mix(torch.cat([h, context], 2)))
        return self.head(self.drop(h)), state

    def weights(self, h: Float[Tensor, "B U d"], state: Written) -> Float[Tensor, "B U n"]:
        """Where each step looks: shares that sum to 1 over the places that are there."""
        scores = h @ self.score(state["memory"]).transpose(1, 2)
        if "here" in state:
            scores = scores.masked_fill(~state["here"][:, None], -torch.inf)
        shares: Tensor = scores.softmax(2)
        return shares
