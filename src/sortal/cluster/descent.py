"""Lloyd's descent, from a start to where no label changes: what k-means and spherical k-means share."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import numpy as np
from scipy.sparse import issparse

from sortal.arrays import Labels
from sortal.errors import InputError
from sortal.kernels import BlockOfRows, DenseRows, SparseRows, block_if_small, one_blas_thread, squared_shifts

__all__ = ["KMeansResult", "KMeansStep", "block_of_rows", "check_start", "checked_weights", "descend"]


@dataclass(frozen=True)
class KMeansStep:
    """One assignment of all rows to their nearest center."""

    inertia: float  # weighted sum of squared distances
    n_changed: int  # rows whose label differs from the step before (all, in the first)
    shift: float  # sum of squares of what the centers had moved


@dataclass(frozen=True)
class KMeansResult:
    """What `kmeans` found."""

    labels: Labels  # int32
    centers: np.ndarray  # k x d, in the type of x
    inertia: float  # weighted sum of squared distances to the nearest center
    n_iter: int  # as scikit-learn counts: with the one that found no label to change
    history: tuple[KMeansStep, ...]  # its inertia never rises
    stopped: str  # "labels" (none changed), "tol", "max_iter", or "rounding" (no better place is left)

    @property
    def inertia_history(self) -> tuple[float, ...]:
        """The cost after each assignment."""
        return tuple(step.inertia for step in self.history)


def checked_weights(sample_weight: Any, n: int) -> np.ndarray | None:
    """The weights as float64; None where all are 1."""
    if sample_weight is None:
        return None
    weights = np.asarray(sample_weight, dtype=np.float64)
    if weights.shape != (n,) or not ((weights >= 0) & (weights < np.inf)).all():
        raise InputError(
            f"sample_weight must be a finite number of at least 0 for each of the {n} rows; "
            f"got shape {weights.shape}, least {weights.min(initial=np.inf):g}."
        )
    return weights


def check_start(x: Any, start: np.ndarray) -> None:
    if not (start.shape[1] == x.shape[1] and len(start) <= x.shape[0]):
        raise InputError(
            f"start must hold at most one center for each of the {x.shape[0]} rows of x, of "
            f"{x.shape[1]} numbers each; got shape {start.shape}."
        )


def descend(
    x: Any,
    centers: np.ndarray,
    weights: np.ndarray | None,
    max_iter: int,
    tol: float,
    callback: Callable[[KMeansStep], object] | None,
    place: Callable[[np.ndarray], np.ndarray] | None = None,
    block: BlockOfRows | None = None,
) -> KMeansResult:
    """Lloyd's iterations. `place` puts the means where centers may be; without it they stay.

    No step holds n x k numbers: labels and, where they pay, bounds are all that is kept of a row. A `block`
    of the rows, if they are few, is made once for all starts.
    """
    if block is not None and place is None:
        found = _descend_block(block, centers, max_iter, tol, callback)
        if found is not None:
            return found
    with one_blas_thread():
        return _descend_rows(x, centers, weights, max_iter, tol, callback, place)


def _descend_rows(
    x: Any, centers: np.ndarray, weights: np.ndarray | None, max_iter: int, tol: float,
    callback: Callable[[KMeansStep], object] | None, place: Callable[[np.ndarray], np.ndarray] | None,
) -> KMeansResult:  # fmt: skip
    k = len(centers)
    start = centers = np.ascontiguousarray(centers)
    origin = centers.mean(axis=0, dtype=np.float64)
    rows: Any = SparseRows(x, weights, k) if issparse(x) else DenseRows(x, weights, origin, k)
    report = callback or (lambda step: None)
    n_changed = rows.step(centers)
    allowed = tol * rows.variance if tol else 0.0
    history = [KMeansStep(rows.inertia(centers), n_changed, 0.0)]
    n_iter, stalls, stopped = 0, 0, "" if max_iter > 0 else "max_iter"
    report(history[0])
    previous = start
    while not stopped:
        n_iter += 1
        _fill_empty(rows, centers)
        # Means take the room of those before the last: fresh arrays each time left holes.
        room = None if previous is start else previous
        previous, centers = centers, rows.means(centers, room)
        centers = centers if place is None else place(centers)
        n_changed = rows.step(centers)
        shift = float(squared_shifts(centers, previous).sum())
        step = KMeansStep(rows.inertia(centers), n_changed, shift)
        if step.inertia > history[-1].inertia + 1e-15 * rows.total:
            rows.step(previous)
            centers, stopped = previous, "rounding"
            break
        stalls = stalls + 1 if step.inertia >= history[-1].inertia else 0
        history.append(step)
        report(step)
        stopped = _why_stop(step, allowed, stalls) or ("max_iter" if n_iter >= max_iter else "")
    labels = rows.close()
    if centers is start:
        centers = start.copy()  # what the caller gave stays his
    inertia = rows.cost(centers, labels)
    n_iter = min(n_iter + (stopped == "labels"), max_iter)
    costs = _settled([step.inertia for step in history], inertia)
    settled = tuple(replace(step, inertia=cost) for step, cost in zip(history, costs))
    return KMeansResult(labels, centers, inertia, n_iter, settled, stopped)


def block_of_rows(x: Any, weights: np.ndarray | None, k: int, max_iter: int) -> BlockOfRows | None:
    """The rows for `descend`, where they are few and dense."""
    return None if issparse(x) or max_iter < 1 else block_if_small(x, weights, k, max_iter)


def _descend_block(
    block: BlockOfRows, start: np.ndarray, max_iter: int, tol: float, callback: Any
) -> KMeansResult | None:
    found = block.descend(start, max_iter, tol)
    if found is None:
        return None
    costs, changed, shifts = found.history.T.tolist()
    for each in zip(costs, map(int, changed), shifts) if callback else ():
        callback(KMeansStep(*each))
    history = tuple(map(KMeansStep, _settled(costs, found.inertia), map(int, changed), shifts))
    n_iter = min(found.n_iter + (found.stopped == "labels"), max_iter)
    return KMeansResult(found.labels, found.centers, found.inertia, n_iter, history, found.stopped)


def _why_stop(step: KMeansStep, allowed: float, stalls: int) -> str:
    if step.shift <= allowed:
        return "tol"
    if step.n_changed == 0:
        return "labels"
    # Labels of ties may circle for ever once the cost is down to its last bit.
    return "rounding" if stalls == 3 else ""


def _settled(costs: list[float], inertia: float) -> list[float]:
    """The costs with the last taken by differences; earlier ones differ by rounding of sums only."""
    return [*accumulate([inertia, *costs[-2::-1]], max)][::-1]


def _fill_empty(rows: Any, centers: np.ndarray) -> None:
    """Each cluster without weight takes the farthest point that leaves no other empty."""
    empty = np.flatnonzero(rows.n_rows == 0)
    if not empty.size:
        return
    labels, squared, members = rows.labels, rows.squared(centers), rows.n_rows.copy()
    if rows.weights is not None:
        squared *= rows.weights > 0
    taken: list[int] = []
    far = iter(np.argsort(-squared, kind="stable"))
    for _ in empty:
        for point in far:
            if squared[point] == 0:  # fewer distinct points than clusters
                break
            if members[labels[point]] > 1:
                members[labels[point]] -= 1
                taken.append(point)
                break
    if taken:
        rows.relabel(np.array(taken), empty[: len(taken)])
