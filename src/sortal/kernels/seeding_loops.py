"""The loops of `seeding`, compiled."""

from typing import no_type_check

import numpy as np

from sortal.kernels.compiled import compiled

__all__ = ["draw_in_turn", "lower_nearest", "near_pairs", "squared_differences"]


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


@compiled
@no_type_check
def draw_in_turn(x, weights, scale, first, uniforms):
    n = len(x)
    columns = _scaled_columns(x, scale)
    index = np.full(len(uniforms) + 1, first)
    nearest, reach = np.full(n, np.inf), np.empty(n)
    new, best = np.empty(n), np.empty(n)
    _lower(columns, first, weights, nearest, best)
    for step in range(len(uniforms)):
        nearest, best = best, nearest
        total = 0.0
        for i in range(n):
            total += weights[i] * nearest[i]
            reach[i] = total
        if not total > 0:
            return index[: step + 1]
        last = np.searchsorted(reach, total)  # the last row that has any
        most = -1.0
        for uniform in uniforms[step]:
            row = min(np.searchsorted(reach, uniform * total, side="right"), last)
            gain = _lower(columns, row, weights, nearest, new)
            if gain > most:
                most, index[step + 1] = gain, row
                new, best = best, new
    return index


@compiled
@no_type_check
def _scaled_columns(x, scale):
    """`x` in float64, times `scale`, transposed; zeros to a multiple of four columns."""
    n, d = x.shape
    columns = np.zeros(((d + 3) // 4 * 4, n))
    for i in range(n):
        for f in range(d):
            columns[f, i] = np.float64(x[i, f]) * scale
    return columns


@compiled(fastmath={"contract", "reassoc", "nsz"})
@no_type_check
def _lower(columns, row, weights, nearest, new):
    """`nearest` with one more center into `new`; what that saves.

    Rows lie side by side: row by row, 64 numbers took 50 ns, so 5.
    """
    new[:] = 0.0
    for f in range(0, len(columns), 4):
        x0, x1, x2, x3 = columns[f], columns[f + 1], columns[f + 2], columns[f + 3]
        c0, c1, c2, c3 = x0[row], x1[row], x2[row], x3[row]
        for i in range(len(new)):
            a0, a1, a2, a3 = x0[i] - c0, x1[i] - c1, x2[i] - c2, x3[i] - c3
            new[i] += a0 * a0 + a1 * a1 + a2 * a2 + a3 * a3
    gain = 0.0
    for i in range(len(new)):
        new[i] = min(nearest[i], new[i])
        gain += weights[i] * (nearest[i] - new[i])
    return gain
