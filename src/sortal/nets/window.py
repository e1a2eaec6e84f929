"""A feed-forward network on a window: the next symbol from the last `window` ones, and nothing before them.

The first layer has weights of its own for each position in the window, so parameters grow with it:
window * symbols * hidden there, where a recurrent layer has as many however far it looks back.

Source: Bengio et al. 2003, A neural probabilistic language model, JMLR 3, without its shared word vectors.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from sortal.errors import InputError
from sortal.nets.first_weights import first_weights

__all__ = ["WindowNetwork"]


class WindowNetwork(nn.Module):
    """Called as `SymbolModel` is: what it takes on from piece to piece is the last window - 1 symbols."""

    def __init__(self, symbols: int, window: int, *, hidden: int = 128, seed: int | None = None) -> None:
        super().__init__()
        if window < 1:
            raise InputError(f"window must be at least 1 symbol; got {window}.")
        self.n_symbols, self.window = symbols, window
        with first_weights(seed):
            # The sum of one column for each position: a linear layer on `window` one-hot vectors.
            self.first = nn.EmbeddingBag(window * symbols, hidden, mode="sum")
            nn.init.normal_(self.first.weight, std=window**-0.5)
            self.bias = nn.Parameter(torch.zeros(hidden))
            self.head = nn.Linear(hidden, symbols)

    def forward(
        self, symbols: Int[Tensor, "B T"], state: Tensor | None = None
    ) -> tuple[Float[Tensor, "B T k"], Tensor]:
        """Scores of the symbol after each one. Before the first stand zeros."""
        if state is None:
            state = symbols.new_zeros(len(symbols), self.window - 1)
        seen = torch.cat([state, symbols], 1)
        columns = seen.unfold(1, self.window, 1) + self.n_symbols * torch.arange(
            self.window, device=seen.device
        )
        h = torch.tanh(self.first(columns.flatten(0, 1)) + self.bias)
        return self.head(h).unflatten(0, symbols.shape), seen[:, symbols.shape[1] :]
