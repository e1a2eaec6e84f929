"""What an encoder is."""

from pathlib import Path
from typing import Any, Protocol

from sortal.arrays import Vectors
from sortal.data import Input

__all__ = ["Encoder"]


class Encoder(Protocol):
    """Turns prepared items into vectors.

    The same items give the same bits; rows do not depend on their neighbours in the batch.
    """

    name: str  # as a person would call it
    digest: str  # SHA-256 of the weights, or name and version where there are none
    dim: int  # numbers in a vector
    batch: int  # items to hand over at once

    @property
    def input(self) -> Input:
        """How it wants its items prepared, and of which kind they are."""
        ...

    @property
    def spec(self) -> dict[str, Any]:
        """All that `rebuild` needs, as JSON; part of what tells two encoders apart."""
        ...

    @property
    def weights(self) -> Path | None:
        """The file that holds the weights, or None where there are none."""
        ...

    def embed(self, items: Any, /) -> Vectors:
        """b items, stacked by `input` -> b x dim, float32."""
        ...
