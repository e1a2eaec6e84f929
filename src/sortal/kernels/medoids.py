"""k-medoids' hot loops: two nearest medoids, the next swap that pays, the start by greedy gains.

Distances are n x n with contiguous rows, float32 or float64, finite, at least 0 and symmetric; sums run in
float64. numba is loaded at the first call.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from sortal.arrays import Labels
from sortal.kernels.threads import map_blocks

__all__ = [
    "Exchanges",
    "NearestTwo",
    "build_medoids",
    "exchange_medoids",
    "first_flaw",
    "nearest_two_medoids",
]

LOOKS = 512


class NearestTwo(NamedTuple):
    """Of each point, slot and distance of its nearest and second nearest medoid (-1 and inf where k = 1)."""

    near: Labels
    near_distance: Float[np.ndarray, " n"]
    second: Labels
    second_distance: Float[np.ndarray, " n"]


class Exchanges(NamedTuple):
    """Medoids that were exchanged."""

    losses: tuple[float, ...]  # after each exchange
    last: int  # the candidate of the last, -1 where there was none
    stuck: bool  # one more was taken back, since only rounding said that it pays


def nearest_two_medoids(distances: Float[np.ndarray, "n n"], medoids: Int[np.ndarray, " k"]) -> NearestTwo:
    """The two nearest medoids of each point; ties go to the lower slot."""
    from sortal.kernels import medoids_loops

    return NearestTwo(*medoids_loops.nearest_two_medoids(distances, medoids))


def exchange_medoids(
    distances: Float[np.ndarray, "n n"],
    medoids: Int[np.ndarray, " k"],
    nearest: NearestTwo,
    begin: int,
    end: int,
) -> Exchanges:
    """Each candidate of begin..end in turn takes the place of a medoid where that lowers the loss.

    It goes where it lowers the loss most (ties: the lower slot); `medoids` and `nearest` change in place.
    Needs at least two medoids. Costs n for each candidate and n for each exchange.
    """
    from sortal.kernels import medoids_loops

    losses = np.empty(max(0, end - begin))
    loss = float(nearest.near_distance.sum(dtype=np.float64))
    n_swaps, last, stuck = medoids_loops.exchange_medoids(
        distances, medoids, *nearest, begin, end, loss, losses
    )
    return Exchanges(tuple(losses[:n_swaps].tolist()), int(last), bool(stuck))


def build_medoids(distances: Float[np.ndarray, "n n"], k: int) -> Int[np.ndarray, " k"]:
    """PAM's BUILD: the most central point, then k - 1 times the point that lowers the loss most.

    Ties go to the lowest index.
    """
    from sortal.kernels import medoids_loops

    n = len(distances)
    totals = map_blocks(
        lambda rows: medoids_loops.row_totals(distances, rows.start, rows.stop), n, max(1, 2**23 // n)
    )
    medoids = [int(np.concatenate(list(totals)).argmin())]
    nearest = distances[medoids[0]].copy()
    bound, known_at = np.full(n, np.inf), np.zeros(n, np.int64)
    while len(medoids) < k:
        bound[medoids[-1]] = -1
        j = -1
        while j < 0:  # some hundred looks a call, so that Ctrl-C is heard
            j = int(medoids_loops.largest_gain(distances, nearest, bound, known_at, len(medoids), LOOKS))
        medoids.append(j)
        np.minimum(nearest, distances[j], out=nearest)
    return np.array(medoids)


def first_flaw(matrix: Float[np.ndarray, "n n"], slack: float, lowest: float) -> tuple[int, int, int]:
    """Where `matrix` is not finite or below `lowest` (kind 1), or differs from its transpose (kind 2).

    Returns row, column, kind; kind 0 where it has no flaw. A difference of up to `slack` is let pass.
    """
    from sortal.kernels import medoids_loops

    if slack == 0 and _seems_sound(matrix, lowest):
        return -1, -1, 0
    kind = matrix.dtype.type
    sought = map_blocks(
        lambda rows: medoids_loops.first_flaw(matrix, kind(slack), kind(lowest), rows.start, rows.stop),
        n := len(matrix),
        max(1, 2**18 // (n * medoids_loops.TILE)) * medoids_loops.TILE,
    )
    row, column, flaw = next((found for found in sought if found[2]), (-1, -1, 0))
    return int(row), int(column), int(flaw)


def _seems_sound(matrix: Float[np.ndarray, "n n"], lowest: float) -> bool:
    """Whether all is finite, at least 0 where `lowest` is, and equal to its transpose bit for bit."""
    from sortal.kernels import medoids_loops

    n, word = len(matrix), np.uint32 if matrix.itemsize == 4 else np.uint64
    bits, numbers = matrix.view(word), medoids_loops.check_numbers(n)
    # The bits of finite numbers of at least 0 are those below infinity's (-0.0 is left to the slower look).
    mask = word(2 ** (8 * matrix.itemsize) - 1 if lowest == 0 else 2 ** (8 * matrix.itemsize - 1) - 1)

    def part(rows: slice) -> Any:
        return medoids_loops.check_sums(bits, numbers, mask, rows.start, rows.stop)

    parts = list(map_blocks(part, n, max(1, 2**23 // n)))
    largest, balance = max(part[0] for part in parts), sum(int(part[1]) for part in parts)
    return bool(largest < matrix.dtype.type(np.inf).view(word)) and balance % 2**64 == 0
