"""From a start downhill over a whole matrix of distances: FasterPAM, and the alternating search."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from sortal.arrays import Labels
from sortal.kernels import exchange_medoids, map_blocks, nearest_two_medoids

__all__ = ["KMedoidsResult", "KMedoidsStep", "Report", "alternate", "best_members", "fasterpam"]

STRIDE = 1024  # candidates in a call, so that Ctrl-C is heard


@dataclass(frozen=True)
class KMedoidsStep:
    """One pass over the candidates, one alternation, or one sample or round of polishing by "clara"."""

    inertia: float  # sum of distances to the nearest medoid
    n_swaps: int  # medoids exchanged in it


Report = Callable[[KMedoidsStep], object]


@dataclass(frozen=True)
class KMedoidsResult:
    """What a search for medoids found."""

    labels: Labels  # int32; numbers are places in `medoids`
    medoids: Int[np.ndarray, " k"]  # rows of the data
    inertia: float  # sum of distances to the nearest medoid
    n_iter: int  # passes over the candidates, or alternations
    n_swaps: int  # medoids exchanged
    inertia_history: tuple[float, ...]  # at the start and after each exchange; never rises
    converged: bool  # no single exchange (alternate: no better member of any group) is left


def fasterpam(
    distances: Float[np.ndarray, "n n"],
    start: Int[np.ndarray, " k"],
    max_iter: int,
    report: Report | None = None,
) -> KMedoidsResult:
    """Exchange a medoid for a point as soon as that lowers the loss; stop after a pass without exchange.

    Source: Schubert and Rousseeuw 2021, Information Systems 101, algorithm 4. The exchanges are those of
    their Rust library `kmedoids` from the same start.
    """
    medoids = np.array(start, np.int64)
    if len(medoids) == 1:
        return alternate(distances, medoids, 1, report)
    n = len(distances)
    nearest = nearest_two_medoids(distances, medoids)
    history = [_total(nearest.near_distance)]
    n_iter, last, converged = 0, n, False
    while n_iter < max_iter and not converged:
        n_iter += 1
        at, before, stuck = 0, len(history), False
        while at < n and at != last and not stuck:
            end = min(at + STRIDE, last if at < last else n)
            losses, latest, stuck = exchange_medoids(distances, medoids, nearest, at, end)
            history += losses
            at, last = end, latest if losses else last
        converged = stuck or at == last or len(history) == before
        if report:
            report(KMedoidsStep(history[-1], len(history) - before))
    return KMedoidsResult(
        nearest.near, medoids, history[-1], n_iter, len(history) - 1, tuple(history), converged
    )


def alternate(
    distances: Float[np.ndarray, "n n"],
    start: Int[np.ndarray, " k"],
    max_iter: int,
    report: Report | None = None,
) -> KMedoidsResult:
    """Points to their nearest medoid, then the best member of each group to its medoid, until none changes.

    Cheaper than exchanges and worse: a medoid never leaves its group.

    Source: Park and Jun 2009.
    """
    medoids = np.array(start, np.int64)
    nearest = nearest_two_medoids(distances, medoids)
    history = [_total(nearest.near_distance)]
    n_iter, n_swaps, converged = 0, 0, False
    while n_iter < max_iter and not converged:
        n_iter, before = n_iter + 1, n_swaps
        moved = best_members(distances, nearest.near, medoids)
        found = nearest_two_medoids(distances, moved)
        loss = _total(found.near_distance)
        converged = not loss < history[-1]
        if not converged:
            n_swaps += int((moved != medoids).sum())
            medoids, nearest = moved, found
            history.append(loss)
        if report:
            report(KMedoidsStep(history[-1], n_swaps - before))
    if len(medoids) == 1:
        converged = True
    return KMedoidsResult(nearest.near, medoids, history[-1], n_iter, n_swaps, tuple(history), converged)


def best_members(
    distances: Float[np.ndarray, "n n"], labels: Labels, medoids: Int[np.ndarray, " k"]
) -> Int[np.ndarray, " k"]:
    """The member of each group with the least sum of distances to it (the medoid itself where it is one)."""
    best = medoids.copy()
    for slot, medoid in enumerate(medoids):
        members = np.flatnonzero(labels == slot)
        if not members.size:
            continue

        def sums(rows: slice, members: np.ndarray = members) -> np.ndarray:
            return np.asarray(distances[np.ix_(members[rows], members)].sum(axis=1, dtype=np.float64))

        total = np.concatenate(list(map_blocks(sums, len(members), max(1, 2**20 // len(members)))))
        here = np.flatnonzero(members == medoid)
        if not (here.size and total[here[0]] <= total.min()):
            best[slot] = members[total.argmin()]
    return best


def _total(distances: np.ndarray) -> float:
    return float(distances.sum(dtype=np.float64))
