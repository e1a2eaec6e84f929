"""The definitions that the loops of k-medoids are measured against, in NumPy."""

import numpy as np
from jaxtyping import Float, Int

from sortal.kernels.medoids import Exchanges, NearestTwo

__all__ = ["build_medoids", "exchange_medoids", "first_flaw", "nearest_two_medoids"]


def nearest_two_medoids(distances: Float[np.ndarray, "n n"], medoids: Int[np.ndarray, " k"]) -> NearestTwo:
    """The two nearest medoids of each point; ties go to the lower slot."""
    n, k = len(distances), len(medoids)
    order = distances[:, medoids].argsort(axis=1, kind="stable").astype(np.int32)
    near, second = order[:, 0], order[:, min(1, k - 1)]
    points = np.arange(n)
    near_distance, second_distance = distances[points, medoids[near]], distances[points, medoids[second]]
    if k == 1:
        second, second_distance = np.full(n, -1, np.int32), np.full(n, np.inf, distances.dtype)
    return NearestTwo(near.copy(), near_distance, second.copy(), second_distance)


def exchange_medoids(
    distances: Float[np.ndarray, "n n"],
    medoids: Int[np.ndarray, " k"],
    nearest: NearestTwo,
    begin: int,
    end: int,
) -> Exchanges:
    """By definition: the loss with each medoid replaced by each candidate."""
    wide = distances.astype(np.float64)
    losses, last = [wide[:, medoids].min(axis=1).sum()], -1
    for j in range(begin, end):
        if j in medoids:
            continue
        trials = [np.where(np.arange(len(medoids)) == slot, j, medoids) for slot in range(len(medoids))]
        found = np.array([wide[:, trial].min(axis=1).sum() for trial in trials])
        if found.min() < losses[-1]:
            losses.append(found.min())
            medoids[:], last = trials[found.argmin()], j
    for old, new in zip(nearest, nearest_two_medoids(distances, medoids), strict=True):
        old[:] = new
    return Exchanges(tuple(float(loss) for loss in losses[1:]), last, False)


def build_medoids(distances: Float[np.ndarray, "n n"], k: int) -> Int[np.ndarray, " k"]:
    """The full greedy search: every candidate in every round."""
    wide = distances.astype(np.float64)
    medoids = [int(wide.sum(axis=1).argmin())]
    while len(medoids) < k:
        gains = np.maximum(wide[medoids].min(axis=0) - wide, 0).sum(axis=1)
        gains[medoids] = -1
        medoids.append(int(gains.argmax()))
    return np.array(medoids)


def first_flaw(matrix: Float[np.ndarray, "n n"], slack: float, lowest: float) -> tuple[int, int, int]:
    """Some flaw of `matrix`: which one is named first is the twin's choice."""
    with np.errstate(invalid="ignore"):
        apart = np.abs(matrix - matrix.T)
    for flawed, kind in (
        (~((matrix >= lowest) & (matrix < np.inf)), 1),
        (~(apart <= slack), 2),
    ):
        if flawed.any():
            row, column = np.argwhere(flawed)[0]
            return int(row), int(column), kind
    return -1, -1, 0
