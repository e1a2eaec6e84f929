"""All iterations of Lloyd's algorithm over few rows, compiled."""

from typing import no_type_check

import numpy as np

from sortal.kernels.compiled import compiled
from sortal.kernels.lloyd_loops import (
    add_row,
    aligned,
    fill_tile,
    moments,
    nearest_by_differences,
    pack_panels,
    squared_to_own,
    sweep_tile,
)
from sortal.kernels.lloyd_sums_loops import inertia_of_sums, move_centers, squared_shifts
from sortal.kernels.lloyd_tile import PANEL, tile_norms
from sortal.kernels.vectors import TILE_BYTES

__all__ = ["STOPPED", "descend_block", "lay_out"]

STOPPED = ("", "tol", "labels", "rounding", "max_iter")  # "": a cluster is empty


@compiled
@no_type_check
def lay_out(x, weights, step):
    """All rows as tiles, seen from their mean: tiles, the squared norm of each row, the mean, and moments.

    The last tile is filled up with the last row. Moments: the weighted sum of all squares, and the mean
    variance of the columns.
    """
    n, d = x.shape
    totals, squares, zero = np.zeros(d), np.zeros(d), np.zeros(d)
    moments(x, np.ones(1), 0, zero, totals, squares)
    origin = np.empty(d, x.dtype)
    for j in range(d):
        origin[j] = totals[j] / n
    totals[:], squares[:] = 0, 0
    total = moments(x, weights, step, origin.astype(np.float64), totals, squares)
    variance = 0.0
    for j in range(d):
        variance += (squares[j] / n - (totals[j] / n) ** 2) / d
    lanes = TILE_BYTES // x.itemsize
    n_tiles = -(-n // lanes)
    tiles, norms = aligned(n_tiles * d * lanes, x), aligned(n_tiles * lanes, x)
    rows = np.empty(lanes, np.int64)
    for t in range(n_tiles):
        for i in range(lanes):
            rows[i] = min(t * lanes + i, n - 1)
        tile = tiles[t * d * lanes : (t + 1) * d * lanes]
        fill_tile(x, rows, origin, tile, lanes)
        tile_norms(tile, d, norms[t * lanes : (t + 1) * lanes])
    return tiles, norms, origin, total, variance


@compiled
@no_type_check
def move_block(x, tiles, row_norms, weights, step, origin, centers, packing, labels, sums, lost):
    """Every row goes to its nearest center (as float64 brute force finds it), and the sums follow.

    How many labels changed; -1 is the label of a row that has none yet.
    """
    n, d = x.shape
    lanes = TILE_BYTES // x.itemsize
    limit = np.finfo(x.dtype).max / 16
    slack, floor = (8 + 2 * d**0.5) * np.finfo(x.dtype).eps, d * np.finfo(x.dtype).tiny
    order, panels, norms, best, second, index = packing
    most = pack_panels(centers, order, origin, panels, norms)
    changed = 0
    for t in range(len(row_norms) // lanes):
        tile = tiles[t * d * lanes : (t + 1) * d * lanes]
        sweep_tile(tile, d, panels, norms, 0, len(norms) // PANEL, best, second, index)
        for i in range(min(lanes, n - t * lanes)):
            row = t * lanes + i
            reach = row_norms[row] + most
            new = np.int64(index[i])
            if not ((reach < limit) & (second[i] - best[i] > slack * reach + floor)):
                new = nearest_by_differences(x[row], centers)
            old = labels[row]
            if new != old:
                weight = weights[row * step]
                if old >= 0:
                    add_row(x[row], origin, -weight, sums[old], lost[old])
                add_row(x[row], origin, weight, sums[new], lost[new])
                labels[row] = new
                changed += 1
    return changed


@compiled
@no_type_check
def cost_of_labels(x, centers, labels, weights, step):
    squared = np.empty(len(x))
    squared_to_own(x, centers, labels, squared)
    cost = 0.0
    for i in range(len(x)):
        cost += weights[i * step] * squared[i]
    return cost


@compiled
@no_type_check
def descend_block(
    x, tiles, row_norms, weights, step, origin, total, max_iter, allowed, centers, labels, history
):
    """Moves `centers` and fills `labels` and `history`: the final cost, steps, iterations, why it stopped."""
    k, d = centers.shape
    n_places = -(-k // PANEL) * PANEL
    lanes = TILE_BYTES // x.itemsize
    order = np.full(n_places, -1, np.int32)
    order[:k] = np.arange(k)
    packing = (
        order, aligned(n_places * d, x), aligned(n_places, x), aligned(lanes, x), aligned(lanes, x),
        np.empty(lanes, np.int32),
    )  # fmt: skip
    sums, lost = np.zeros((k, d + 2)), np.zeros((k, d + 2))
    labels[:] = -1
    previous = centers.copy()
    changed = move_block(x, tiles, row_norms, weights, step, origin, centers, packing, labels, sums, lost)
    history[0, 0] = inertia_of_sums(total, centers, origin, sums, lost)
    history[0, 1], history[0, 2] = changed, 0
    n_steps, n_iter, stalls, stopped = 1, 0, 0, 4
    while n_iter < max_iter:
        n_iter += 1
        if (sums[:, d + 1] == 0).any():
            return 0.0, n_steps, n_iter, 0
        previous[:] = centers
        move_centers(centers, origin, sums, lost)
        shift = squared_shifts(centers, previous).sum()
        changed = move_block(x, tiles, row_norms, weights, step, origin, centers, packing, labels, sums, lost)
        inertia = inertia_of_sums(total, centers, origin, sums, lost)
        if inertia > history[n_steps - 1, 0] + 1e-15 * total:
            centers[:] = previous
            move_block(x, tiles, row_norms, weights, step, origin, centers, packing, labels, sums, lost)
            stopped = 3
            break
        stalls = stalls + 1 if inertia >= history[n_steps - 1, 0] else 0
        history[n_steps, 0], history[n_steps, 1], history[n_steps, 2] = inertia, changed, shift
        n_steps += 1
        if shift <= allowed or changed == 0 or stalls == 3:
            stopped = 1 if shift <= allowed else 2 if changed == 0 else 3
            break
    return cost_of_labels(x, centers, labels, weights, step), n_steps, n_iter, stopped
