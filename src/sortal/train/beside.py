"""A trained network beside the plain way: a linear head on vectors that needed no training."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

import numpy as np

from sortal.arrays import Mask
from sortal.train.bootstrap import interval, resampled
from sortal.train.report import decoded

__all__ = ["Beside", "beside"]


@dataclass(frozen=True)
class Beside:
    """Shares of the same `n` held-out items named right, and their difference with its 95 % interval."""

    net: str
    encoder: str  # whose vectors the plain head stands on
    n: int
    right: float
    plain_right: float
    low: float
    high: float

    def __str__(self) -> str:
        """What a person should know before taking the network."""
        if self.high < 0:
            verdict = f"{self.net} is the worse choice here"
        elif self.low > 0:
            verdict = f"{self.net} is the better choice here"
        else:
            verdict = f"{self.net} is not shown to be better, and costs more"
        return (
            f"a linear head on {self.encoder}'s vectors names {self.plain_right:.1%} of the same {self.n:,} "
            f"held-out items right, {self.net} {self.right:.1%}: {verdict} (difference "
            f"{100 * (self.right - self.plain_right):+.1f} points, 95 % interval {100 * self.low:+.1f} to "
            f"{100 * self.high:+.1f})"
        )

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Beside":
        """Raises TypeError, KeyError or ValueError where the record has another shape."""
        return cast(Beside, decoded(cls, record))


def beside(net: str, right: Mask, encoder: str, plain: Mask) -> Beside:
    """Which held-out items each named right, compared item by item (`bootstrap.resampled`)."""
    draws = resampled(np.stack([right, plain])[:, None])
    low, high = interval(draws[:, 0] - draws[:, 1])
    return Beside(net, encoder, len(right), float(right.mean()), float(plain.mean()), low, high)
