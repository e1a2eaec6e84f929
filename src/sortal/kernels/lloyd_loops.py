"""The loops of Lloyd's algorithm over rows that lie in memory, compiled."""

from typing import no_type_check

import numpy as np

from sortal.kernels.compiled import compiled
from sortal.kernels.lloyd_tile import PANEL, sweep, tile_norms, transpose_square
from sortal.kernels.vectors import TILE_BYTES

__all__ = [
    "assign_rows",
    "moments",
    "move_rows",
    "nearest_by_differences",
    "pack_panels",
    "settle_rows",
    "squared_to_own",
]

SQUARE = 64  # bytes


@compiled(inline="never")
@no_type_check
def aligned(n, like):
    """Room for n numbers that starts at a cache line: a vector that straddles two costs double."""
    raw = np.empty(n + 64, like.dtype)
    skip = (-(raw.ctypes.data // like.itemsize)) % (64 // like.itemsize)
    return raw[skip : skip + n]


@compiled
@no_type_check
def pack_panels(centers, order, origin, panels, norms):
    """-2 (center - origin), as `sweep` reads it, and squared norms; the largest of them.

    Place p holds center order[p]; -1: none, its norm is infinite.
    """
    d = centers.shape[1]
    most = norms.dtype.type(0)
    for place in range(len(order)):
        at = place // PANEL * PANEL * d + place % PANEL
        c = order[place]
        square = np.inf if c < 0 else 0.0
        for j in range(d):
            moved = origin[j] * 0 if c < 0 else centers[c, j] - origin[j]
            panels[at + j * PANEL] = -2 * moved
            square += np.float64(moved) * np.float64(moved)
        norms[place] = square
        most = most if c < 0 else max(most, norms[place])
    return most


@compiled
@no_type_check
def fill_tile(x, rows, origin, tile, lanes):
    """x[rows] - origin, transposed: number j of all rows side by side."""
    d = x.shape[1]
    side = SQUARE // x.itemsize
    whole = d - d % side
    for lane in range(0, lanes, side):
        for column in range(0, whole, side):
            transpose_square(x, rows, column, origin, tile, lane)
    for i in range(lanes):
        for j in range(whole, d):
            tile[j * lanes + i] = x[rows[i], j] - origin[j]


@compiled
@no_type_check
def sweep_tile(tile, d, packed, norms, first, last, best, second, index):
    if d == 1:
        sweep(tile, d, packed, norms, first, last, best, second, index, 1)
    elif d == 2:
        sweep(tile, d, packed, norms, first, last, best, second, index, 2)
    elif d == 3:
        sweep(tile, d, packed, norms, first, last, best, second, index, 3)
    elif d == 4:
        sweep(tile, d, packed, norms, first, last, best, second, index, 4)
    else:
        sweep(tile, d, packed, norms, first, last, best, second, index, 0)


@compiled
@no_type_check
def assign_rows(x, origin, packed, norms, most, slack, labels):
    """labels = the nearest center of each row, or its complement (negative) where rounding might decide.

    `most` is the largest squared norm of a center; a row is in doubt unless the gap to its second center
    exceeds `slack` times (|x|^2 + most).
    """
    n, d = x.shape
    lanes = TILE_BYTES // x.itemsize
    limit = np.finfo(x.dtype).max / 16
    floor = d * np.finfo(x.dtype).tiny
    tile, own = aligned(d * lanes, x), aligned(lanes, x)
    best, second = aligned(lanes, x), aligned(lanes, x)
    index, rows = np.empty(lanes, np.int32), np.empty(lanes, np.int64)
    for at in range(0, n, lanes):
        if d <= 4 and at + lanes <= n:
            for j in range(d):
                shift = origin[j]
                for i in range(lanes):
                    tile[j * lanes + i] = x[at + i, j] - shift
        else:
            for i in range(lanes):
                rows[i] = min(at + i, n - 1)
            fill_tile(x, rows, origin, tile, lanes)
        tile_norms(tile, d, own)
        sweep_tile(tile, d, packed, norms, 0, len(norms) // PANEL, best, second, index)
        for i in range(lanes):
            reach = own[i] + most
            sure = (reach < limit) & (second[i] - best[i] > slack * reach + floor)
            index[i] = index[i] if sure else ~index[i]
        labels[at : min(at + lanes, n)] = index[: min(lanes, n - at)]


@compiled
@no_type_check
def nearest_by_differences(row, centers):
    """The nearest center (ties: the lowest number), in float64."""
    nearest, least = np.int64(0), np.inf
    for c in range(len(centers)):
        squared = 0.0
        for j in range(len(row)):
            difference = np.float64(row[j]) - np.float64(centers[c, j])
            squared += difference * difference
        if squared < least:
            nearest, least = c, squared
    return nearest


@compiled
@no_type_check
def settle_rows(x, rows, centers, labels):
    for i in rows:
        labels[i] = nearest_by_differences(x[i], centers)


@compiled(
    fastmath={"reassoc", "contract"}
)  # a sum in any order, always the same: in vectors, 2 to 3 times faster
@no_type_check
def squared_to_own(x, centers, labels, out):
    """|x[i] - centers[labels[i]]|^2 by differences in float64."""
    for i in range(len(x)):
        row, center, total = x[i], centers[labels[i]], 0.0
        for j in range(len(row)):
            difference = np.float64(row[j]) - np.float64(center[j])
            total += difference * difference
        out[i] = total


@compiled
@no_type_check
def add_row(row, origin, weight, sums, lost):
    """sums += weight (row - origin, 1, and 1 row if it counts), with what rounding lost kept in `lost`.

    Source: Knuth's TwoSum. A row that leaves then takes all it brought: without it, a row of weight 1e20
    that visited a cluster would leave an error of 1e4 behind.
    """
    d = len(row)
    for j in range(d):
        value = weight * (np.float64(row[j]) - origin[j])
        before = sums[j]
        after = before + value
        came = after - before
        lost[j] += (before - (after - came)) + (value - came)
        sums[j] = after
    after = sums[d] + weight
    came = after - sums[d]
    lost[d] += (sums[d] - (after - came)) + (weight - came)
    sums[d] = after
    sums[d + 1] += np.sign(weight)


@compiled
@no_type_check
def move_rows(x, changed, weights, step, origin, old, new, sums, lost):
    """The `changed` rows leave the sums of their `old` cluster (-1: none) for the `new` (of all rows).

    Weight i is weights[i * step].
    """
    for t in range(len(changed)):
        i = changed[t]
        weight = weights[i * step]
        if old[t] >= 0:
            add_row(x[i], origin, -weight, sums[old[t]], lost[old[t]])
        add_row(x[i], origin, weight, sums[new[i]], lost[new[i]])


@compiled
@no_type_check
def moments(x, weights, step, origin, totals, squares):
    """Fills totals and squares (zeros) with those of the columns of x - origin.

    What is returned is the weighted sum of all squares; weights are all 1 where `step` is 0.
    """
    d = x.shape[1]
    weighted = np.zeros(d)
    for i in range(len(x)):
        row = x[i]
        for j in range(d):
            value = np.float64(row[j]) - origin[j]
            totals[j] += value
            squares[j] += value * value
        if step:
            for j in range(d):
                value = np.float64(row[j]) - origin[j]
                weighted[j] += weights[i] * value * value
    return weighted.sum() if step else squares.sum()
