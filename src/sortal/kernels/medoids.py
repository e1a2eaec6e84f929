"""k-medoids' hot loops: two nearest medoids, the next swap that pays, the start by greedy gains.

Distances are n x n with contiguous rows, float32 or float64, finite, at least 0 and symmetric; sums run in
float64. numba is loaded at the first call.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from sortal.arrays import Labels

__all__ = ["NearestTwo", "build_medoids", "first_flaw", "nearest_two_medoids", "next_swap", "swap_medoid"]


class NearestTwo(NamedTuple):
    """Of each point, slot and distance of its nearest and second nearest medoid (-1 and inf where k = 1)."""

    near: Labels
    near_distance: Float[np.ndarray, " n"]
    second: Labels
    second_distance: Float[np.ndarray, " n"]


def nearest_two_medoids(distances: Float[np.ndarray, "n n"], medoids: Int[np.ndarray, " k"]) -> NearestTwo:
    """The two nearest medoids of each point; ties go to the lower slot."""
    from sortal.kernels import medoids_loops

    return NearestTwo(*medoids_loops.nearest_two_medoids(distances, medoids))


def next_swap(
    distances: Float[np.ndarray, "n n"],
    medoids: Int[np.ndarray, " k"],
    nearest: NearestTwo,
    begin: int,
    end: int,
) -> tuple[int, int, float]:
    """The first candidate in begin..end that lowers the loss in the place of some medoid.

    Returns the candidate, the slot where it lowers the loss most (ties: the lower), and the change of loss;
    the candidate is -1 where none pays. Needs at least two medoids. Costs n for each candidate looked at.
    """
    from sortal.kernels import medoids_loops

    near, near_distance, _, second_distance = nearest
    found = medoids_loops.next_swap(distances, medoids, near, near_distance, second_distance, begin, end)
    return int(found[0]), int(found[1]), float(found[2])


def swap_medoid(
    distances: Float[np.ndarray, "n n"],
    medoids: Int[np.ndarray, " k"],
    nearest: NearestTwo,
    slot: int,
    candidate: int,
) -> None:
    """Put `candidate` into `slot`: `medoids` and `nearest` change in place. Needs at least two medoids."""
    from sortal.kernels import medoids_loops

    medoids_loops.swap_medoid(distances, medoids, *nearest, slot, candidate)


def build_medoids(distances: Float[np.ndarray, "n n"], k: int) -> Int[np.ndarray, " k"]:
    """PAM's BUILD: the most central point, then k - 1 times the point that lowers the loss most.

    Ties go to the lowest index.
    """
    from sortal.kernels import medoids_loops

    return np.asarray(medoids_loops.build_medoids(distances, k))


def first_flaw(matrix: Float[np.ndarray, "n n"], slack: float, lowest: float) -> tuple[int, int, int]:
    """Where `matrix` is not finite or below `lowest` (kind 1), or differs from its transpose (kind 2).

    Returns row, column, kind; kind 0 where it has no flaw. A difference of up to `slack` is let pass.
    """
    from sortal.kernels import medoids_loops

    kind = matrix.dtype.type
    bits = matrix.view(np.uint32 if matrix.itemsize == 4 else np.uint64)
    if medoids_loops.seems_sound(matrix, bits, kind(lowest)):
        return -1, -1, 0
    row, column, flaw = medoids_loops.first_flaw(matrix, kind(slack), kind(lowest))
    return int(row), int(column), int(flaw)
