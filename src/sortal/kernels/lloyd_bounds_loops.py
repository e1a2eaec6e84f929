"""Assignment with bounds: what cannot have changed is not looked at.

Source: Ding et al. 2015 (Yinyang k-means). Where we differ: the rows that must look at a group of centers are
gathered, and meet all of it at once in a tile; bounds are widened by the rounding of the scores, so that
labels stay those of float64 brute force. Bounds are counted in `steps` (of a unit of distance), an upper one
rounded up, a lower one down; `moved` is how far each group has moved since that was counted from 0.
"""

from typing import no_type_check

import numpy as np

from sortal.kernels.compiled import compiled
from sortal.kernels.lloyd_loops import aligned, fill_tile, sweep_tile
from sortal.kernels.lloyd_tile import tile_norms
from sortal.kernels.vectors import TILE_BYTES

__all__ = ["assign_bounded"]


@compiled(fastmath={"reassoc", "contract"})  # a bound may be summed in any order
@no_type_check
def squared_difference(row, center):
    total = row[0] * 0
    for j in range(len(row)):
        difference = row[j] - center[j]
        total += difference * difference
    return total


@compiled
@no_type_check
def steps_above(distance, steps):
    """An upper bound; 65,535 is none. One step more, since what a center moved before was rounded up."""
    scaled = distance * steps
    return np.uint16(scaled) + 2 if scaled < 65533 else 65535


@compiled
@no_type_check
def steps_below(distance, steps, moved):
    """A lower bound that is right once `moved` is taken from it."""
    scaled = distance * steps
    whole = (np.int64(scaled) if scaled > 0 else 0) if scaled < 65536 else 65536
    return min(max(whole + moved - 1, 0), 65535)


@compiled
@no_type_check
def survivors(x, centers, labels, shift, moved, slack, steps, upper, lower, tight, rows):
    """Moves the upper bounds with the centers; the rows that must look at some group, into `rows`.

    `tight` gets their squared distance to their own center, save where they will meet it anyway: if there is
    one group, or nothing is known of them. Where 10 centers are, that distance costs as much as the look.
    """
    n = len(labels)
    least = np.full(n, 65535, np.int32)
    for g in range(lower.shape[0]):
        far = moved[g]
        for i in range(n):
            bound = np.int32(lower[g, i]) - far
            least[i] = bound if bound < least[i] else least[i]
    one = slack / slack  # of its type: with 1 numba would go on in float64
    n_rows = 0
    for i in range(n):
        own = labels[i]
        upper[i] = min(np.int32(upper[i]) + shift[own], 65535)
        if least[i] > upper[i]:
            continue
        if lower.shape[0] > 1 and upper[i] < 65535:
            squared = squared_difference(x[i], centers[own])
            upper[i] = steps_above(np.sqrt(squared) * (one + slack), steps)
            if least[i] > upper[i]:
                continue
            tight[n_rows] = squared
        rows[n_rows] = i
        n_rows += 1
    return n_rows


@compiled
@no_type_check
def look_at_group(x, rows, places, g, packing, first, group_of, steps, moved, bounded, seen):
    """The rows at `places` meet the centers of group g: its bounds, and the best two seen so far."""
    origin, panels, norms, names, most, slack = packing
    best, second, beside, norm, where, met_own = seen
    labels, upper, lower = bounded
    d = x.shape[1]
    lanes = TILE_BYTES // x.itemsize
    floor = d * np.finfo(x.dtype).tiny
    tile, own = aligned(d * lanes, x), aligned(lanes, x)
    low, next_low = aligned(lanes, x), aligned(lanes, x)
    index, some = np.empty(lanes, np.int32), np.empty(lanes, np.int64)
    for at in range(0, len(places), lanes):
        for t in range(lanes):
            some[t] = rows[places[min(at + t, len(places) - 1)]]
        fill_tile(x, some, origin, tile, lanes)
        tile_norms(tile, d, own)
        sweep_tile(tile, d, panels, norms, first[g], first[g + 1], low, next_low, index)
        for t in range(min(lanes, len(places) - at)):
            p, i = places[at + t], some[t]
            error = slack * (own[t] + most) + floor
            norm[p] = own[t]
            met_own[p] |= group_of[labels[i]] == g
            bound = np.sqrt(max(low[t] + own[t] - error, 0)) * (1 - slack)
            lower[g, i] = steps_below(bound, steps, moved[g])
            if low[t] < best[p]:
                second[p] = min(best[p], next_low[t])
                beside[p] = np.sqrt(max(next_low[t] + own[t] - error, 0)) * (1 - slack)
                best[p], where[p] = low[t], names[index[t]]
                bound = np.sqrt(max(low[t] + own[t] + error, 0)) * (1 + slack)
                upper[i] = min(upper[i], steps_above(bound, steps))
            else:
                second[p] = min(second[p], low[t])


@compiled
@no_type_check
def conclude(x, rows, tight, packing, group_of, steps, moved, bounded, seen):
    """Labels and bounds from what each of `rows` has seen, and from its own center if it was not among it."""
    most, slack = packing[4], packing[5]
    best, second, beside, norm, where, met_own = seen
    labels, upper, lower = bounded
    limit = np.finfo(x.dtype).max / 16
    floor = x.shape[1] * np.finfo(x.dtype).tiny
    for p in range(len(rows)):
        i = rows[p]
        old, reach, score = labels[i], norm[p] + most, tight[p] - norm[p]
        if where[p] < 0:
            if reach < limit:
                continue  # upper fell below every bound after all
            where[p] = old  # every score overflowed
        if not met_own[p] and score < best[p]:
            second[p], best[p], where[p] = best[p], score, old
        elif not met_own[p]:
            second[p] = min(second[p], score)
            g = group_of[old]
            lower[g, i] = min(lower[g, i], steps_below(np.sqrt(tight[p]) * (1 - slack), steps, moved[g]))
        if where[p] != old or met_own[p]:
            g = group_of[where[p]]
            lower[g, i] = steps_below(beside[p], steps, moved[g])
        labels[i] = where[p]
        if not (reach < limit and second[p] - best[p] > 2 * (slack * reach + floor)):
            labels[i] = ~where[p]
            upper[i] = 65535
            lower[:, i] = 0


@compiled
@no_type_check
def assign_bounded(x, centers, packing, first, group_of, shift, moved, steps, labels, upper, lower):
    """As `assign_rows`, from the labels and bounds that were; the number of (row, group) pairs looked at.

    Group g is the panels first[g]..first[g + 1]; `packing` holds origin, panels, norms, names (which center
    stands where), the largest norm and the slack. `upper` bounds the distance to a row's own center, `lower`
    that to any other of each group.
    """
    n = len(x)
    rows, tight = np.empty(n, np.int64), np.empty(n, x.dtype)
    n_rows = survivors(x, centers, labels, shift, moved, packing[5], steps, upper, lower, tight, rows)
    seen = (
        np.full(n_rows, np.inf, x.dtype),  # best score
        np.full(n_rows, np.inf, x.dtype),  # second
        np.full(n_rows, np.inf, x.dtype),  # bound to the others of the best one's group
        np.zeros(n_rows, x.dtype),  # squared norm
        np.full(n_rows, -1, np.int32),  # where the best is
        np.zeros(n_rows, np.bool_),  # has it met the group of its own center
    )
    bounded = labels, upper, lower
    places = np.empty(n_rows, np.int64)
    n_pairs = 0
    for g in range(lower.shape[0]):
        n_places = 0
        for p in range(n_rows):
            if np.int32(lower[g, rows[p]]) - moved[g] <= upper[rows[p]]:
                places[n_places] = p
                n_places += 1
        n_pairs += n_places
        look_at_group(x, rows, places[:n_places], g, packing, first, group_of, steps, moved, bounded, seen)
    conclude(x, rows[:n_rows], tight, packing, group_of, steps, moved, bounded, seen)
    return n_pairs
