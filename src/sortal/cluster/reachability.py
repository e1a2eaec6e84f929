"""Why a point is core, border or noise: its neighbours, who reaches it, by which steps, what is missing."""

from dataclasses import dataclass
from heapq import heappop, heappush
from numbers import Integral
from typing import Any

import numpy as np
import sklearn  # its parts are imported when first named
from jaxtyping import Int
from scipy.sparse import issparse

from sortal.arrays import Labels
from sortal.cluster.rows import near_one
from sortal.errors import InputError

__all__ = ["Distances", "Reachability", "Step", "reachability"]

NAMED = 5  # neighbours that the words name; the fields hold all


@dataclass(frozen=True)
class Step:
    """Core point `start` reaches `end` directly: it lies within eps."""

    start: int
    end: int
    distance: float


@dataclass(frozen=True, eq=False)
class Reachability:
    """Why one point of a DBSCAN fit is what it is; `str` says it in words."""

    point: int
    kind: str  # "core", "border" or "noise"
    label: int  # its group; noise is -1
    eps: float
    min_samples: int
    neighbors: np.ndarray  # points within eps, itself among them, nearest first
    distances: np.ndarray  # to them
    mass: float  # how many they are, or the sum of their weights
    reached_by: int | None  # the nearest core point of its group within eps; a core point reaches itself
    groups: tuple[int, ...]  # of the core points within eps, rising: a border point may see several
    nearest_core: int | None  # another core point, the nearest; None where there is none
    nearest_core_distance: float  # inf where there is none
    core_at: float  # the least eps at which the point itself would be core; inf where none would do
    target: int | None  # the other point of its group to which a chain was asked
    chain: tuple[Step, ...]  # from `reached_by` to `target`; each step starts at a core point

    @property
    def missing(self) -> float:
        """How much farther than eps the nearest core point lies, where the point is noise; else 0."""
        return self.nearest_core_distance - self.eps if self.kind == "noise" else 0.0

    def __str__(self) -> str:
        lines = [self._neighborhood(), *self._reach(), *self._steps()]
        return "\n".join(lines)

    def _neighborhood(self) -> str:
        enough = "enough" if self.kind == "core" else "too few"
        what = "noise" if self.kind == "noise" else f"a {self.kind} point of group {self.label}"
        weight = f" of total weight {self.mass:g}" if self.mass != len(self.neighbors) else ""
        n = len(self.neighbors)
        within = f"1 point{weight} lies" if n == 1 else f"{n} points{weight} lie"
        others = [(j, at) for j, at in zip(self.neighbors, self.distances, strict=True) if j != self.point]
        nearest = ", ".join(f"{j} ({at:g})" for j, at in others[:NAMED])
        return (
            f"Point {self.point} is {what}: {within} within eps = {self.eps:g}, itself counted, {enough} for "
            f"min_samples = {self.min_samples}."
            + (f" {'Nearest' if len(others) > NAMED else 'The others'}: {nearest}." if others else "")
        )

    def _reach(self) -> list[str]:
        lines = []
        if self.kind == "border" and self.reached_by is not None:
            at = self.distances[self.neighbors == self.reached_by]
            how_far = f", at {at[0]:g}," if len(at) else ""
            lines.append(f"Core point {self.reached_by}{how_far} reaches it.")
        if self.kind == "border" and len(self.groups) > 1:
            names = " and ".join(str(group) for group in self.groups)
            lines.append(f"It is within reach of groups {names}, and falls to the lowest: {self.label}.")
        if self.kind == "noise" and self.nearest_core is None:
            lines.append("There is no core point at all.")
        if self.kind == "noise" and self.nearest_core is not None:
            lines.append(
                f"The nearest core point, {self.nearest_core}, lies at {self.nearest_core_distance:g}: "
                f"{self.missing:g} too far. It is reached from eps = {self.nearest_core_distance:g} on."
            )
        if self.kind != "core" and np.isfinite(self.core_at):
            lines.append(f"It would be core itself at eps = {self.core_at:g}.")
        return lines

    def _steps(self) -> list[str]:
        if not self.chain:
            return []
        walk = "".join(f" -> {step.end} ({step.distance:g})" for step in self.chain)
        return [
            f"Point {self.target} of the same group is reached from core point to core point, each "
            f"step within eps: {self.chain[0].start}{walk}."
        ]


class Distances:
    """From one point to all, and from all to one, as the fit measured them."""

    def __init__(self, X: Any, metric: Any, metric_params: dict[str, Any] | None, p: float) -> None:
        self.X, self.metric, self.params = X, metric, dict(metric_params or {})
        if metric == "minkowski":
            self.params.setdefault("p", p)

    @property
    def n(self) -> int:
        return int(self.X.shape[0])

    def of(self, i: int) -> np.ndarray:
        """From point i to all."""
        if self.metric == "precomputed":
            return self._given(self.X[[i]], i)
        if self.metric in ("euclidean", "l2") and not issparse(self.X):
            return self._euclidean(i)
        X = near_one(self.X) if self.metric == "cosine" and not issparse(self.X) else self.X
        return np.asarray(
            sklearn.metrics.pairwise_distances(X[[i]], X, self.metric, **self.params)[0], np.float64
        )

    def to(self, i: int) -> np.ndarray:
        """From all to point i: another thing only where the distances given are not symmetric."""
        return self._given(self.X[:, [i]], i) if self.metric == "precomputed" else self.of(i)

    def _given(self, line: Any, i: int) -> np.ndarray:
        if not issparse(line):
            return np.asarray(line, dtype=np.float64).ravel()
        line = line.tocoo()
        distances = np.full(self.n, np.inf)  # what a sparse graph leaves out is out of reach
        distances[np.maximum(line.row, line.col)] = line.data
        distances[i] = min(distances[i], 0.0)
        return distances

    def _euclidean(self, i: int) -> np.ndarray:
        """Summed axis by axis, as the kernels sum: pairs at eps itself are then judged alike."""
        squared = np.zeros(self.n)
        for column in range(self.X.shape[1]):
            values = np.asarray(self.X[:, column], dtype=np.float64)
            squared += (values - values[i]) ** 2
        return np.sqrt(squared)


def reachability(
    i: Any,
    to: Any,
    distances: Distances,
    labels: Labels,
    core_sample_indices: Int[np.ndarray, " c"],
    sample_weight: np.ndarray | None,
    *,
    eps: Any,
    min_samples: Any,
) -> Reachability:
    """What made point `i` core, border or noise in a fit, and a chain to point `to` of its group.

    `to` None means the core point that numbers the group. `InputError` where i or to is no point.
    """
    i = _point("i", i, distances.n)
    is_core = np.zeros(distances.n, dtype=bool)
    is_core[core_sample_indices] = True
    away, toward = distances.of(i), distances.to(i)
    near = np.flatnonzero(away <= eps)
    near = near[np.argsort(away[near], kind="stable")]
    label = int(labels[i])
    reached_by = i if is_core[i] else _nearest(toward, is_core & (labels == label)) if label >= 0 else None
    target = _target(to, label, labels, core_sample_indices, distances.n)
    others = is_core.copy()
    others[i] = False
    nearest = _nearest(toward, others)
    return Reachability(
        point=i,
        kind="core" if is_core[i] else "border" if label >= 0 else "noise",
        label=label,
        eps=float(eps),
        min_samples=int(min_samples),
        neighbors=near,
        distances=away[near],
        mass=float(len(near) if sample_weight is None else np.sum(sample_weight[near])),
        reached_by=reached_by,
        groups=tuple(int(group) for group in np.unique(labels[is_core & (toward <= eps)])),
        nearest_core=nearest,
        nearest_core_distance=float("inf") if nearest is None else float(toward[nearest]),
        core_at=_core_at(away, sample_weight, min_samples),
        target=target,
        chain=()
        if target is None or reached_by is None
        else _chain(reached_by, target, distances, is_core, eps),
    )


def _point(name: str, i: Any, n: int) -> int:
    if not isinstance(i, Integral) or not 0 <= int(i) < n:
        raise InputError(f"{name} must be the number of a point, 0 to {n - 1}; got {i!r}.")
    return int(i)


def _target(to: Any, label: int, labels: np.ndarray, core_sample_indices: np.ndarray, n: int) -> int | None:
    if to is None:
        return int(core_sample_indices[labels[core_sample_indices] == label][0]) if label >= 0 else None
    to = _point("to", to, n)
    if label < 0 or labels[to] != label:
        raise InputError(
            f"to must be a point of the same group, for no chain leads out of it; got point {to} with label "
            f"{labels[to]}, and {label} for the point explained."
        )
    return int(to)


def _nearest(distances: np.ndarray, among: np.ndarray) -> int | None:
    candidates = np.flatnonzero(among & np.isfinite(distances))
    return int(candidates[distances[candidates].argmin()]) if candidates.size else None


def _core_at(distances: np.ndarray, sample_weight: np.ndarray | None, min_samples: Any) -> float:
    order = np.argsort(distances, kind="stable")
    mass = np.cumsum(np.ones(len(order)) if sample_weight is None else sample_weight[order])
    enough = np.flatnonzero(mass >= min_samples)
    return float(distances[order[enough[0]]]) if enough.size else float("inf")


def _chain(
    start: int | None, target: int | None, distances: Distances, is_core: np.ndarray, eps: Any
) -> tuple[Step, ...]:
    """Steps from core point to core point, always from the one nearest to the target; then short cuts."""
    if start is None or target is None or start == target:
        return ()
    goal = distances.to(target)
    came: dict[int, int] = {start: start}
    queue = [(float(goal[start]), start)]
    while queue and target not in came:
        _, at = heappop(queue)
        for j in np.flatnonzero(distances.of(at) <= eps):
            if int(j) not in came and (is_core[j] or j == target):
                came[int(j)] = at
                heappush(queue, (float(goal[j]), int(j)))
    if target not in came:
        return ()
    path = [target]
    while path[-1] != start:
        path.append(came[path[-1]])
    return _straightened(path[::-1], distances, eps)


def _straightened(path: list[int], distances: Distances, eps: Any) -> tuple[Step, ...]:
    steps, at = [], 0
    while at < len(path) - 1:
        away = distances.of(path[at])
        farthest = max(j for j in range(at + 1, len(path)) if away[path[j]] <= eps)
        steps.append(Step(path[at], path[farthest], float(away[path[farthest]])))
        at = farthest
    return tuple(steps)
