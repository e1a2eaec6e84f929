"""What a trained head is worth, measured on items that it did not learn from."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from types import UnionType
from typing import Any, cast, get_args, get_origin

import numpy as np
from jaxtyping import Int

from sortal.train.calibration import Calibration

__all__ = ["HeadReport", "NameScore", "NoveltyReport", "decoded", "name_scores", "wilson_interval"]


@dataclass(frozen=True)
class NameScore:
    """`precision` is None where nothing was called this name."""

    name: str
    n_train: int
    n_held_out: int
    precision: float | None
    recall: float


@dataclass(frozen=True)
class NoveltyReport:
    """Shares of held-out items that the rule calls like nothing shown.

    `known` should be near 0.05; each item is judged by the thresholds that the others set
    (novelty.fit_novelty), because those that it helped to set would let it pass. `left_out` is the share
    caught by the same rule made anew without their name and some others (novelty.left_out_caught).
    `none` is the share of those marked "none of these"; None where there are none.
    """

    known: float
    left_out: float
    none: float | None


@dataclass(frozen=True)
class HeadReport:
    """`accuracy` with its 95 % interval; `confusion` holds (true, called, count), indices into the names."""

    n_items: int
    n_train: int
    n_held_out: int
    n_none: int
    held_out_share: float
    seed: int
    converged: bool
    accuracy: float
    interval: tuple[float, float]
    balanced_accuracy: float  # mean recall over the names
    majority_share: float  # accuracy of always saying the commonest name
    names: tuple[NameScore, ...]
    confusion: tuple[tuple[int, int, int], ...]
    calibration: Calibration
    novelty: NoveltyReport

    def to_json(self) -> dict[str, Any]:
        """Lists and numbers only; `from_json` makes the same record again."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "HeadReport":
        """Raises TypeError, KeyError, ValueError or OverflowError where the record has another shape."""
        return cast(HeadReport, decoded(cls, record))


def wilson_interval(n_right: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a share.

    Source: Wilson 1927; Brown, Cai and DasGupta 2001 recommend it for small n. Fitted by SciPy.
    """
    from scipy.stats import binomtest  # slow to import, and not needed to predict

    interval = binomtest(n_right, n).proportion_ci(confidence_level=0.95, method="wilson")
    return float(interval.low), float(interval.high)


def name_scores(
    names: tuple[str, ...], n_train: Int[np.ndarray, " k"], confusion: Int[np.ndarray, "k k"]
) -> tuple[NameScore, ...]:
    """One row a name; every name has at least one held-out item."""
    right, held_out, called = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    return tuple(
        NameScore(
            name=name,
            n_train=int(n_train[i]),
            n_held_out=int(held_out[i]),
            precision=float(right[i] / called[i]) if called[i] else None,
            recall=float(right[i] / held_out[i]),
        )
        for i, name in enumerate(names)
    )


def decoded(kind: Any, value: Any) -> Any:
    """`value` from a stranger's JSON as what the annotation `kind` says; floats are finite."""
    if is_dataclass(kind):
        return cast(Any, kind)(
            **{field.name: decoded(field.type, value[field.name]) for field in fields(kind)}
        )
    if get_origin(kind) is UnionType:  # X | None
        return None if value is None else decoded(get_args(kind)[0], value)
    if get_origin(kind) is tuple:
        kinds = get_args(kind)
        kinds = (kinds[0],) * len(value) if kinds[-1] is ... else kinds
        return tuple(decoded(one, item) for one, item in zip(kinds, value, strict=True))
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind or (kind is float and not math.isfinite(value)):
        raise ValueError(f"the report holds {value!r:.40} where {kind.__name__} belongs")
    return value
