"""The loops of `seeding`, compiled."""

from typing import no_type_check

import numpy as np

from sortal.kernels.compiled import compiled

__all__ = ["lower_nearest", "near_pairs", "squared_differences"]


@compiled(fastmath={"reassoc", "contract"})  # lets the sum over d run in vector lanes
@no_type_check  # jaxtyping's import hook would wrap what numba must compile
def _squared_difference(x, center, scale):
    total = 0.0
    for f in range(x.shape[0]):
        difference = (np.float64(x[f]) - np.float64(center[f])) * scale
        total += difference * difference
    return total


@compiled
@no_type_check
def squared_differences(x, centers, rows, columns, scale):
    out = np.empty(len(rows))
    for p in range(len(rows)):
        out[p] = _squared_difference(x[rows[p]], centers[columns[p]], scale)
    return out


@compiled
@no_type_check
def _n_below(scores, norms, bound):
    """Counted without branches and in 32 bits, 16 at once; the least of a row took 10 times as long."""
    count = np.int32(0)
    for j in range(len(norms)):
        count = np.int32(count + np.int32(scores[j] + norms[j] < bound))
    return count


@compiled
@no_type_check
def near_pairs(scores, norms, bound):
    """Counts first: most rows hold no pair at all."""
    n, m = scores.shape
    counts = np.empty(n, np.int64)
    for i in range(n):
        counts[i] = _n_below(scores[i], norms, bound[i])
    rows = np.empty(counts.sum(), np.int32)
    columns = np.empty(len(rows), np.int32)
    at = 0
    for i in range(n):
        if counts[i]:
            for j in range(m):
                if scores[i, j] + norms[j] < bound[i]:
                    rows[at], columns[at] = i, j
                    at += 1
    return rows, columns


@compiled
@no_type_check
def lower_nearest(x, centers, scores, norms, reach, scale, first, nearest, owner):
    for i in range(len(x)):
        bound = np.float32(nearest[i] + reach[i])
        if nearest[i] == 0 or not _n_below(scores[i], norms, bound):
            continue
        for j in range(len(centers)):
            if scores[i, j] + norms[j] < bound:
                squared = _squared_difference(x[i], centers[j], scale)
                if squared < nearest[i]:
                    nearest[i], owner[i] = squared, first + j
                    bound = np.float32(squared + reach[i])
