"""Lloyd's assignment in few dimensions: whole boxes of points at once, compiled.

Source: Kanungo et al. 2002 (the filtering algorithm), Pelleg and Moore 1999. Where we differ: the tree is cut
by the medians of a sample, points lie in the order of its leaves, and a box that stays with its center is
not walked again.
"""

from typing import no_type_check

import numpy as np

from sortal.kernels.compiled import compiled

__all__ = ["WHOLE", "box_cells", "cut_sample", "filter_cells", "place_rows", "route_rows"]

CHUNK = 128  # points of a leaf that are looked at together
WHOLE = 32  # they are filled up to a multiple of it: the last few would take loops without vectors


@compiled
@no_type_check
def cut_sample(sample, axes, cuts):
    """The cuts of a complete binary tree, node p above 2 p and 2 p + 1: medians along the widest axis."""
    n_inner = len(cuts)
    start, stop = np.zeros(2 * n_inner, np.int64), np.zeros(2 * n_inner, np.int64)
    stop[1] = len(sample)
    for node in range(1, n_inner):
        rows = sample[start[node] : stop[node]]
        middle = 0
        if len(rows):
            widest = -1.0
            for j in range(rows.shape[1]):
                width = rows[:, j].max() - rows[:, j].min()
                if width > widest:
                    widest, axes[node] = width, j
            column = rows[:, axes[node]].copy()
            cuts[node] = np.partition(column, len(column) // 2)[len(column) // 2]
            for i in range(len(rows)):
                if rows[i, axes[node]] < cuts[node]:
                    for j in range(rows.shape[1]):
                        rows[i, j], rows[middle, j] = rows[middle, j], rows[i, j]
                    middle += 1
        start[2 * node], stop[2 * node] = start[node], start[node] + middle
        start[2 * node + 1], stop[2 * node + 1] = start[node] + middle, stop[node]


@compiled
@no_type_check
def route_rows(x, axes, cuts, n_levels, leaf):
    """leaf[i] = the leaf that row i falls into.

    64 rows go down side by side: one after another, each step waits for the one before (4 times slower).
    """
    n, d = x.shape
    first = len(cuts)
    nodes, block = np.empty(64, np.int64), np.empty((64, d), x.dtype)
    for at in range(0, n, 64):
        size = min(64, n - at)
        block[:size] = x[at : at + size]
        nodes[:] = 1
        for _ in range(n_levels):
            for i in range(size):
                node = nodes[i]
                nodes[i] = 2 * node + (block[i, axes[node]] >= cuts[node])
        for i in range(size):
            leaf[at + i] = nodes[i] - first


@compiled
@no_type_check
def place_rows(x, weights, leaf, place, columns, sorted_weights):
    """Rows, and weights if there are any, in the order of leaves; leaf l is filled from place[l] on."""
    for i in range(len(x)):
        at = place[leaf[i]]
        place[leaf[i]] = at + 1
        for j in range(x.shape[1]):
            columns[j, at] = x[i, j]
        if len(sorted_weights):
            sorted_weights[at] = weights[i]


@compiled
@no_type_check
def box_cells(columns, weights, origin, start, low, high, stats):
    """Box and sums (differences from the origin, weight, rows that have one) of each node, leaves first."""
    d = len(columns)
    n_leaves = len(start) - 1
    for leaf in range(n_leaves):
        node = n_leaves + leaf
        a, b = start[leaf], start[leaf + 1]
        low[node], high[node] = np.inf, -np.inf
        for j in range(d):
            if a < b:
                low[node, j], high[node, j] = columns[j, a:b].min(), columns[j, a:b].max()
        for i in range(a, b):
            weight = weights[i] if len(weights) else 1.0
            for j in range(d):
                stats[node, j] += weight * (columns[j, i] - origin[j])
            stats[node, d] += weight
            stats[node, d + 1] += weight > 0
    for node in range(n_leaves - 1, 0, -1):
        for j in range(d):
            low[node, j] = min(low[2 * node, j], low[2 * node + 1, j])
            high[node, j] = max(high[2 * node, j], high[2 * node + 1, j])
        stats[node] = stats[2 * node] + stats[2 * node + 1]


@compiled
@no_type_check
def keep_candidates(low, high, centers, given, kept):
    """Those of `given` that may be nearest to some point of the box, in their order; how many.

    A center is left out if a rival is nearer to the corner that favours it most, by more than rounding can
    turn for any point of the box.
    """
    d = len(low)
    rival, least, far = given[0], np.inf, 0.0
    for c in given:
        squared = 0.0
        for j in range(d):
            difference = centers[c, j] - 0.5 * (np.float64(low[j]) + high[j])
            squared += difference * difference
        rival = c if squared < least else rival
        least = min(least, squared)
        far = max(far, squared)
    for j in range(d):
        far += (np.float64(high[j]) - low[j]) ** 2
    n_kept = 0
    for c in given:
        gap = 0.0
        for j in range(d):
            corner = high[j] if centers[c, j] > centers[rival, j] else low[j]
            a, b = centers[c, j] - corner, centers[rival, j] - corner
            gap += a * a - b * b
        kept[n_kept] = c
        n_kept += (c == rival) | (not gap > 1e-14 * far)
    return n_kept


@compiled
@no_type_check
def nearest_of(columns, at, n, centers, candidates, squared, nearest):
    """The nearest of a few centers (ties: the first) of n points from `at` on, by differences in float64."""
    d = len(columns)
    second, third = min(1, d - 1), d - 1
    p, q, r = columns[0, at : at + n], columns[second, at : at + n], columns[third, at : at + n]
    squared[:n] = np.inf
    for name in candidates:
        a, b, c = centers[name, 0], centers[name, second], centers[name, third]
        # Unrolled, all stays in registers: 2.5 times faster at d = 2.
        if d == 1:
            for i in range(n):
                total = (p[i] - a) ** 2
                nearest[i] = name if total < squared[i] else nearest[i]
                squared[i] = total if total < squared[i] else squared[i]
        elif d == 2:
            for i in range(n):
                total = (p[i] - a) ** 2 + (q[i] - b) ** 2
                nearest[i] = name if total < squared[i] else nearest[i]
                squared[i] = total if total < squared[i] else squared[i]
        else:
            for i in range(n):
                total = (p[i] - a) ** 2 + (q[i] - b) ** 2 + (r[i] - c) ** 2
                nearest[i] = name if total < squared[i] else nearest[i]
                squared[i] = total if total < squared[i] else squared[i]


@compiled(fastmath={"reassoc"})  # sums in any order, always the same
@no_type_check
def add_members(columns, at, n, weights, origin, nearest, c, share, sums):
    """sums += weight (point - origin, 1, and 1 row if it counts) of the points whose nearest center is c."""
    d = len(columns)
    count = 0
    for i in range(n):
        count += nearest[i] == c
    if count == 0:
        return
    for i in range(n):
        share[i] = 1.0 * (nearest[i] == c)
    mass = 1.0 * count
    if len(weights):
        mass, count = 0.0, 0
        for i in range(n):
            share[i] *= weights[at + i]
            mass += share[i]
            count += share[i] > 0
    for j in range(d):
        column, shift, total = columns[j, at : at + n], origin[j], 0.0
        for i in range(n):
            total += (column[i] - shift) * share[i]
        sums[j] += total
    sums[d] += mass
    sums[d + 1] += count


@compiled
@no_type_check
def relabel(labels, nearest):
    changed = 0
    for i in range(len(labels)):
        changed += labels[i] != nearest[i]
        labels[i] = nearest[i]
    return changed


@compiled
@no_type_check
def give_to(labels, c):
    changed = 0
    for i in range(len(labels)):
        changed += labels[i] != c
        labels[i] = c
    return changed


@compiled
@no_type_check
def filter_cells(root, n_levels, tree, points, centers, owner, labels, sums):
    """The nearest center of all points below node `root`, and their sums; how many labels changed.

    `owner` is the center that all points of a node had, or -1: a node that keeps its owner costs nothing.
    What stands below an owned node is void.
    """
    start, low, high, stats = tree
    columns, weights, origin = points
    n_leaves = len(start) - 1
    candidates = np.empty((n_levels + 2, len(centers)), np.int64)
    candidates[0] = np.arange(len(centers))
    squared = np.empty(CHUNK)
    nearest = np.zeros(CHUNK, np.int64)
    stack = np.empty((2 * n_levels + 2, 3), np.int64)  # node, depth, candidates
    stack[0] = root, 0, len(centers)
    top, changed = 1, 0
    while top:
        top -= 1
        node, depth, n_given = stack[top]
        height = 0  # leaves below, as a power of two
        while (node << height) < n_leaves:
            height += 1
        a = start[(node << height) - n_leaves]
        b = start[((node + 1) << height) - n_leaves]
        if a == b:
            continue
        n_kept = keep_candidates(
            low[node], high[node], centers, candidates[depth, :n_given], candidates[depth + 1]
        )
        kept = candidates[depth + 1, :n_kept]
        if n_kept == 1:
            sums[kept[0]] += stats[node]
            if owner[node] != kept[0]:
                changed += give_to(labels[a:b], kept[0])
                owner[node] = kept[0]
        elif height == 0:
            owner[node] = -1
            for at in range(a, b, CHUNK):
                end = min(at + CHUNK, b)
                n = -(-(end - at) // WHOLE) * WHOLE
                nearest_of(columns, at, n, centers, kept, squared, nearest)
                nearest[end - at : n] = -1
                changed += relabel(labels[at:end], nearest)
                for c in kept:
                    add_members(columns, at, n, weights, origin, nearest, c, squared, sums[c])
        else:
            if owner[node] >= 0:
                owner[2 * node] = owner[2 * node + 1] = owner[node]
                owner[node] = -1
            stack[top] = 2 * node + 1, depth + 1, n_kept
            stack[top + 1] = 2 * node, depth + 1, n_kept
            top += 2
    return changed
