"""How a network is to be trained: one frozen record, all that decides the result beside network and data."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from sortal.errors import InputError

__all__ = ["Plan"]


@dataclass(frozen=True)
class Plan:
    """Defaults are those of a small convolutional network from scratch.

    The rate climbs to `peak_lr` over `warmup_epochs`, then falls by a half cosine to `peak_lr * final_lr`, or
    with "step" is divided by 10 at each of `steps_at`, shares of the epochs. `weight_decay` spares norms and
    biases. `body_lr` multiplies the rate of everything but the network's head. `clip_norm` bounds the length
    of the whole gradient. `ema` is the decay of a moving average of the weights, which is then what is
    judged and kept. `patience` epochs without a better score end the run.
    """

    epochs: int = 10
    optimizer: Literal["sgd", "adamw"] = "sgd"
    peak_lr: float = 0.1
    final_lr: float = 0.0
    body_lr: float = 1.0
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 5e-4
    schedule: Literal["cosine", "step"] = "cosine"
    warmup_epochs: float = 0.0
    steps_at: tuple[float, ...] = (0.5, 0.75)
    clip_norm: float | None = None
    ema: float | None = None
    patience: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps_at", tuple(self.steps_at))  # JSON has lists only
        for name, rule, holds in self._rules():
            if not holds:
                raise InputError(f"{name} must be {rule}; got {getattr(self, name)!r}.")

    def _rules(self) -> list[tuple[str, str, bool]]:
        return [
            ("epochs", "a whole number from 1", _whole(self.epochs, 1)),
            ("optimizer", '"sgd" or "adamw"', self.optimizer in ("sgd", "adamw")),
            ("schedule", '"cosine" or "step"', self.schedule in ("cosine", "step")),
            ("peak_lr", "a number above 0", _in(self.peak_lr, 0, math.inf) and self.peak_lr > 0),
            ("final_lr", "a share of peak_lr, 0 to 1", _in(self.final_lr, 0, 1)),
            ("body_lr", "0 or more", _in(self.body_lr, 0, math.inf)),
            ("momentum", "in [0, 1)", _in(self.momentum, 0, 1) and self.momentum < 1),
            ("nesterov", "used with a momentum above 0", not self.nesterov or self.momentum > 0),
            ("weight_decay", "0 or more", _in(self.weight_decay, 0, math.inf)),
            ("warmup_epochs", "from 0 to epochs", _in(self.warmup_epochs, 0, self.epochs)),
            ("steps_at", "shares of the epochs, 0 to 1", all(_in(at, 0, 1) for at in self.steps_at)),
            ("clip_norm", "None or above 0", self.clip_norm is None or self.clip_norm > 0),
            ("ema", "None or in (0, 1)", self.ema is None or 0 < self.ema < 1),
            ("patience", "None or a whole number from 1", self.patience is None or _whole(self.patience, 1)),
            ("seed", "a whole number from 0 to 2^32 - 1", _whole(self.seed, 0) and self.seed < 2**32),
        ]

    def within(self, epochs: int) -> "Plan":
        """The same in another number of epochs, a budget: at most a fifth of them warms up."""
        return replace(self, epochs=epochs, warmup_epochs=min(self.warmup_epochs, epochs / 5))

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"steps_at": list(self.steps_at)}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Plan":
        """The plan of a run folder; `InputError` for a key that no plan has."""
        unknown = sorted(set(record) - {field.name for field in fields(cls)})
        if unknown:
            raise InputError(f"a plan has no {unknown[0]!r}; this Sortal may be older than the run.")
        return cls(**record)


def _whole(value: object, least: int) -> bool:
    return type(value) is int and value >= least


def _in(value: object, low: float, high: float) -> bool:
    return isinstance(value, int | float) and low <= value <= high and math.isfinite(value)
