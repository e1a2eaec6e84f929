"""From a start downhill over a whole matrix of distances: FasterPAM, and the alternating search."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from sortal.arrays import Labels
from sortal.kernels import NearestTwo, exchange_medoids, map_blocks, nearest_two_medoids

__all__ = ["Course", "KMedoidsResult", "KMedoidsStep", "Report", "alternate", "best_members", "fasterpam"]

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
    history: tuple[KMedoidsStep, ...]
    stopped: str  # "swaps" (no exchange, or no better member of any group, is left) or "max_iter"
    margins: Float[np.ndarray, " n"]  # distance to the second medoid less that to the nearest; inf for one


class Course:
    """The way downhill: losses, steps, and whether it goes on."""

    def __init__(self, loss: float, max_iter: int, report: Report | None) -> None:
        self.losses, self.history, self.stopped = [loss], list[KMedoidsStep](), ""
        self.max_iter, self.report = max_iter, report

    @property
    def loss(self) -> float:
        return self.losses[-1]

    @property
    def goes_on(self) -> bool:
        return not self.stopped and len(self.history) < self.max_iter

    def take(self, losses: Sequence[float], n_swaps: int, *, ended: bool) -> None:
        """One pass or alternation, with the losses after its exchanges."""
        self.losses += losses
        self.history.append(KMedoidsStep(self.loss, n_swaps))
        self.stopped = "swaps" if ended else ""
        if self.report:
            self.report(self.history[-1])

    def result(self, labels: Labels, medoids: np.ndarray, margins: np.ndarray) -> KMedoidsResult:
        return KMedoidsResult(
            labels, medoids, self.loss, len(self.history), sum(step.n_swaps for step in self.history),
            tuple(self.losses), tuple(self.history), self.stopped or "max_iter", margins,
        )  # fmt: skip


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
    course = Course(_total(nearest.near_distance), max_iter, report)
    last = n
    while course.goes_on:
        at, stuck = 0, False
        losses: list[float] = []
        while at < n and at != last and not stuck:
            end = min(at + STRIDE, last if at < last else n)
            some, latest, stuck = exchange_medoids(distances, medoids, nearest, at, end)
            losses += some
            at, last = end, latest if some else last
        course.take(losses, len(losses), ended=stuck or at == last or not losses)
    return course.result(nearest.near, medoids, nearest.second_distance - nearest.near_distance)


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
    course = Course(_total(nearest.near_distance), max_iter, report)
    while course.goes_on:
        moved = best_members(distances, nearest, medoids)
        found = nearest_two_medoids(distances, moved)
        loss, n_swaps = _total(found.near_distance), int((moved != medoids).sum())
        if loss < course.loss:
            medoids, nearest = moved, found
            course.take([loss], n_swaps, ended=len(medoids) == 1)
        else:
            course.take([], 0, ended=True)
    return course.result(nearest.near, medoids, nearest.second_distance - nearest.near_distance)


def best_members(
    distances: Float[np.ndarray, "n n"], nearest: NearestTwo, medoids: Int[np.ndarray, " k"]
) -> Int[np.ndarray, " k"]:
    """The member of each group with the least sum of distances to it (the medoid itself where it is one).

    A medoid without members lies on another; it moves to the point farthest from its medoid.
    """
    best, far = medoids.copy(), nearest.near_distance.copy()
    for slot, medoid in enumerate(medoids):
        members = np.flatnonzero(nearest.near == slot)
        if not members.size:
            best[slot] = far.argmax()
            np.minimum(far, distances[best[slot]], out=far)
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
