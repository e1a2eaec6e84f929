"""A suggestion and its evidence: the records, and how they read."""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sortal.cluster.k_distances import KDistances

__all__ = ["GammaEvidence", "MethodEvidence", "NumberEvidence", "Suggestion"]


@dataclass(frozen=True)
class NumberEvidence:
    """A number of groups, by k-means."""

    k: int
    gap: float  # higher is better
    gap_error: float
    silhouette: float | None  # higher is better
    davies_bouldin: float | None  # lower is better
    calinski_harabasz: float | None  # higher is better
    stability: float | None  # 1: the same groups from every sample; None for one group
    valley: float | None  # errors by which it is emptier between groups than inside (`structure.valley`)
    modularity: float | None  # more than of data without groups (`structure.modularity_excess`)


@dataclass(frozen=True)
class MethodEvidence:
    """A method with parameters, run on the sample."""

    method: str
    k: int | str
    params: dict[str, Any]
    n_groups: int
    left_out: float  # share
    smallest: float  # share of the smallest group
    silhouette: float | None
    density: float | None
    stability: float | None
    refused: str | None = None  # why it could not run


@dataclass(frozen=True)
class GammaEvidence:
    """A gamma of the RBF kernel, and the number of parts that it cuts the sample into best."""

    gamma: float
    share: float  # of the rows, within the distance that gamma is taken from
    k: int
    separate: float  # 1: nothing lies between the parts; above .99 the kernel is tried with this k
    gap: float  # between eigenvalues, higher is better (`kernel_functions.separations`)


@dataclass(frozen=True)
class Suggestion:
    """What suits the data, and why. `group_by(method, x, k, seed, params)` does it."""

    groups: bool  # False: no groups here
    method: str
    k: int | str
    params: dict[str, Any]
    reason: str
    numbers: tuple[NumberEvidence, ...]
    distances: KDistances
    eps: tuple[MethodEvidence, ...]
    gammas: tuple[GammaEvidence, ...]
    methods: tuple[MethodEvidence, ...]
    n: int
    n_sample: int

    def __str__(self) -> str:
        k = "" if self.k == "auto" else f", k={self.k}"
        params = "".join(f", {key}={_short(value)}" for key, value in self.params.items())
        head = f"{self.method}{k}{params}: {self.reason}" if self.groups else f"no groups here: {self.reason}"
        of = f"all {self.n:,} items" if self.n == self.n_sample else f"{self.n_sample:,} of {self.n:,} items"
        lines = [head, f"evidence from {of}:"]
        lines += _table(NumberEvidence, self.numbers)
        lines += _table(MethodEvidence, self.eps)
        lines += _table(GammaEvidence, self.gammas)
        lines += _table(MethodEvidence, self.methods)
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Everything but the curve, as JSON values."""
        record = {key: value for key, value in asdict(self).items() if key != "distances"}
        record |= {key: list(record[key]) for key in ("numbers", "eps", "gammas", "methods")}
        return record | {"knee": self.distances.eps, "min_samples": self.distances.min_samples}

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Draw the evidence into a PNG, SVG or PDF file. Needs the extra `plot`."""
        from sortal.cluster.suggest_plots import draw

        draw(self, path)


# ---- as text


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _table(kind: type, rows: Sequence[Any]) -> list[str]:
    if not rows:
        return []
    columns = [name for name in kind.__dataclass_fields__ if name != "refused"]  # type: ignore[attr-defined]
    cells = [[name.replace("_", " ") for name in columns]]
    for one in rows:
        cells.append([_cell(getattr(one, name)) for name in columns])
        if getattr(one, "refused", None):
            cells[-1][3:] = [one.refused] + [""] * (len(columns) - 4)
    widths = [max(len(line[c]) for line in cells if len(line[c]) < 60) for c in range(len(columns))]
    return [
        "  " + "  ".join(text.rjust(width) for text, width in zip(line, widths)).rstrip() for line in cells
    ]


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key}={_short(one)}" for key, one in value.items()) or "-"
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
