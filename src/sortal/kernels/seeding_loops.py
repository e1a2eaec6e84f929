"""The loops of `seeding`, compiled."""

from typing import no_type_check

import numpy as np

from sortal.kernels.compiled import compiled
from sortal.kernels.lloyd_loops import aligned, fill_tile
from sortal.kernels.lloyd_tile import PANEL, below, tile_norms
from sortal.kernels.vectors import TILE_BYTES

__all__ = ["draw_in_turn", "lower_nearest", "nearer_pairs", "squared_differences"]


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
def _move(x, i, origin, scale, moved):
    """scale (x[i] - origin) in float32; the scale, a power of two, rounds nothing and keeps it finite."""
    for f in range(len(moved)):
        moved[f] = x[i, f] * scale - origin[f] * scale


@compiled
@no_type_check
def _scored(centers, origin, scale):
    """Centers as `below` reads them, their squared norms, and the largest of these."""
    moved, norms = np.empty(centers.shape, np.float32), np.zeros(len(centers), np.float32)
    for c in range(len(centers)):
        _move(centers, c, origin, scale, moved[c])
        for f in range(moved.shape[1]):
            norms[c] += moved[c, f] * moved[c, f]
            moved[c, f] *= np.float32(-2)
    return moved, norms, np.float64(norms.max())


@compiled
@no_type_check
def _room(d, like):
    """A tile, the squared norm and the bound of each of its rows, and these row by row."""
    lanes = TILE_BYTES // 4
    return (
        aligned(d * lanes, like),
        aligned(lanes, like),
        aligned(lanes, like),
        np.empty((lanes, d), like.dtype),
    )


@compiled
@no_type_check
def _fill(x, rows, origin, scale, room):
    """The last row again where they do not fill the tile."""
    tile, norms, _, moved = room
    lanes, d = moved.shape
    for i in range(lanes):
        _move(x, rows[min(i, len(rows) - 1)], origin, scale, moved[i])
    fill_tile(moved, np.arange(lanes), np.zeros(d, np.float32), tile, lanes)
    tile_norms(tile, d, norms)


@compiled
@no_type_check
def _bound(nearest, norm, most, d):
    """A score that is no lower cannot be of a nearer center, however it was rounded."""
    if nearest == 0:
        return np.float32(-np.inf)
    float32 = np.finfo(np.float32)
    slack = (2 * d + 8) * (np.float64(float32.eps) * (norm + most) + 4 * np.float64(float32.tiny))
    return np.float32(nearest + slack - norm)


@compiled
@no_type_check
def _within_reach(apart, owner, nearest, near, names):
    """How many centers some of these rows may be nearer to than to their own; their numbers into `names`.

    |q - x| >= |q - c| - |x - c|, which is no less than |x - c| where |q - c| is twice that. The last number
    is repeated to fill a panel.
    """
    near[:] = False
    i = 0
    while i < len(owner):
        own, most = owner[i], 0.0
        while i < len(owner) and owner[i] == own:  # rows come sorted by owner
            most = max(most, nearest[i])
            i += 1
        most *= 4 + 1e-9
        for j in range(len(near)):
            near[j] |= apart[own, j] < most
    n_names = 0
    for j in range(len(near)):
        names[n_names] = j
        n_names += near[j]
    for p in range(n_names, n_names + PANEL):
        names[p] = names[max(n_names - 1, 0)]
    return n_names


@compiled
@no_type_check
def nearer_pairs(x, some, centers, origin, scale, nearest, owner, apart):
    n, (m, d), lanes = len(some), centers.shape, TILE_BYTES // 4
    moved, norms, most = _scored(centers, origin, scale)
    room = _room(d, moved)
    bound = room[2]
    near, names, masks = np.empty(m, np.bool_), np.empty(m + PANEL, np.int32), np.empty(m + PANEL, np.int64)
    rows, columns, squares = np.empty(n, np.int32), np.empty(n, np.int32), np.empty(n)
    n_pairs = 0
    for at in range(0, n, lanes):
        here = min(lanes, n - at)
        n_names = _within_reach(apart, owner[at : at + here], nearest[at : at + here], near, names)
        if n_names == 0:
            continue
        _fill(x, some[at : at + here], origin, scale, room)
        for i in range(lanes):
            bound[i] = _bound(nearest[at + i], room[1][i], most, d) if i < here else -np.inf
        for p in range(0, n_names, PANEL):
            below(room[0], d, moved, norms, names, p, bound, masks)
        for p in range(n_names):
            if not masks[p]:
                continue
            if n_pairs + lanes > len(rows):
                rows, columns, squares = _grown(rows), _grown(columns), _grown(squares)
            for i in range(here):
                if (masks[p] >> i) & 1:
                    squared = _squared_difference(x[some[at + i]], centers[names[p]], scale)
                    rows[n_pairs], columns[n_pairs], squares[n_pairs] = at + i, names[p], squared
                    n_pairs += squared < nearest[at + i]
    return _by_column(rows[:n_pairs], columns[:n_pairs], squares[:n_pairs], m)


@compiled
@no_type_check
def _by_column(rows, columns, squares, m):
    """Counted, then put in their places: rows, squares, and where those of each column end."""
    ends = np.zeros(m + 1, np.int64)
    for column in columns:
        ends[column + 1] += 1
    for j in range(m):
        ends[j + 1] += ends[j]
    place = ends[:-1].copy()
    sorted_rows, sorted_squares = np.empty_like(rows), np.empty_like(squares)
    for p in range(len(rows)):
        at = place[columns[p]]
        sorted_rows[at], sorted_squares[at] = rows[p], squares[p]
        place[columns[p]] += 1
    return sorted_rows, sorted_squares, ends


@compiled
@no_type_check
def _grown(values):
    more = np.empty(2 * len(values) + 64, values.dtype)
    more[: len(values)] = values
    return more


@compiled
@no_type_check
def lower_nearest(x, centers, origin, scale, first, nearest, owner):
    (n, d), m, lanes = x.shape, len(centers), TILE_BYTES // 4
    moved, norms, most = _scored(centers, origin, scale)
    room = _room(d, moved)
    tile, own, bound, _ = room
    names, masks = np.minimum(np.arange(m + PANEL), m - 1).astype(np.int32), np.empty(m + PANEL, np.int64)
    for at in range(0, n, lanes):
        here = min(lanes, n - at)
        _fill(x, np.arange(at, at + here), origin, scale, room)
        for i in range(lanes):
            bound[i] = _bound(nearest[at + i], own[i], most, d) if i < here else -np.inf
        for p in range(0, m, PANEL):
            below(tile, d, moved, norms, names, p, bound, masks)
            for j in range(p, min(p + PANEL, m)):
                for i in range(here if masks[j] else 0):
                    if (masks[j] >> i) & 1:
                        squared = _squared_difference(x[at + i], centers[j], scale)
                        if squared < nearest[at + i]:
                            nearest[at + i], owner[at + i] = squared, first + j
                            bound[i] = _bound(squared, own[i], most, d)


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
