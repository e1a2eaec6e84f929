"""Many to many, aligned: a name for each word of a sentence, from the word, its spelling and its neighbours.

A word's vector stands beside the final states of a small GRU that reads its letters in both directions, so
that a word never seen still has an ending and a capital. Recurrent layers in both directions read the
sentence.

Source: Plank, Soegaard and Goldberg 2016, arXiv:1604.05529, with GRUs in place of LSTMs and no second loss.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from sortal.nets.first_weights import first_weights
from sortal.nets.gru import GRU

__all__ = ["Tagger"]


class Tagger(nn.Module):
    """`forget` is the share of words whose number is hidden while learning, so that spellings must serve."""

    def __init__(
        self,
        words: int,
        letters: int,
        tags: int,
        *,
        word_width: int = 100,
        letter_width: int = 32,
        letter_hidden: int = 64,
        hidden: int = 160,
        layers: int = 1,
        dropout: float = 0.4,
        forget: float = 0.2,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        self.forget = forget
        with first_weights(seed):
            self.words = nn.Embedding(words, word_width, padding_idx=0)
            self.letters = nn.Embedding(letters, letter_width, padding_idx=0)
            self.speller = GRU(letter_width, letter_hidden, bidirectional=True)
            self.rnn = GRU(
                word_width + 2 * letter_hidden, hidden, layers,
                bidirectional=True, dropout=dropout if layers > 1 else 0.0,
            )  # fmt: skip
            self.drop = nn.Dropout(dropout)
            self.head = nn.Linear(2 * hidden, tags)

    def forward(
        self, words: Int[Tensor, "B T"], spellings: Int[Tensor, "B T L"], lengths: Tensor | None = None
    ) -> Float[Tensor, "B T k"]:
        """Scores of each tag. `words` may hold 1 for one that is unknown; 0 pads words and letters."""
        if self.training and self.forget:
            hidden = torch.rand(words.shape, device=words.device) < self.forget
            words = words.masked_fill(hidden & (words > 0), 1)
        x = torch.cat([self.words(words), self.spelled(spellings)], 2)
        output, _ = self.rnn(self.drop(x), None, lengths)
        scores: Tensor = self.head(self.drop(output))
        return scores

    def spelled(self, spellings: Int[Tensor, "B T L"]) -> Float[Tensor, "B T d"]:
        """Final states of both directions. A word that stands in the batch often is read once."""
        distinct, which = torch.unique(spellings.flatten(0, 1), dim=0, return_inverse=True)
        lengths = (distinct != 0).sum(1).clamp(min=1)  # a word that pads is read as one letter that pads
        _, state = self.speller(self.letters(distinct), None, lengths)
        found: Tensor = torch.cat(tuple(state), 1)[which]
        return found.reshape(*spellings.shape[:2], -1)
