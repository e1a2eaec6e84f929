"""Parts of a grid that share chains of core points, found by looking at as few pairs of points as may be."""

from typing import no_type_check

import numpy as np

from sortal.kernels.compiled import compiled
from sortal.kernels.density_cells import FAR, NEAR, OWN, first_from, first_ranges, slide, squared
from sortal.kernels.density_unions import find, ranked, union

__all__ = ["groups_of_points", "join_across", "join_among"]

NONE, SEVERAL = -1, -2  # core parts of a cell, or roots of them


@compiled
@no_type_check
def _box(points, start, stop, box):
    for k in range(points.shape[0]):
        low = high = points[k, start]
        for i in range(start + 1, stop):
            low, high = min(low, points[k, i]), max(high, points[k, i])
        box[0, k], box[1, k] = low, high


@compiled
@no_type_check
def _squared_gap(points, i, box):
    """A lower bound of the squared distance from point i to points in the box, rounded as distances are."""
    total = 0.0
    for k in range(points.shape[0]):
        gap = max(box[0, k] - points[k, i], points[k, i] - box[1, k], 0.0)
        total += gap * gap
    return total


@compiled
@no_type_check
def _touch(points, start, stop, other_start, other_stop, squared_radius, box):
    """Whether a pair of points from two ranges is within the radius."""
    if squared(points, start, other_start) <= squared_radius:
        return True
    if (stop - start) * (other_stop - other_start) > 64:  # below, boxes cost more than they save
        _box(points, other_start, other_stop, box)
    else:
        box[0], box[1] = -np.inf, np.inf
    for i in range(start, stop):
        if _squared_gap(points, i, box) <= squared_radius:
            for j in range(other_start, other_stop):
                if squared(points, i, j) <= squared_radius:
                    return True
    return False


@compiled
@no_type_check
def join_among(points, cells, n_core, lattice, squared_radius, begin, end, parent):
    """Parts of the cells begin..end get one root where a chain of core points in these cells joins them.

    Parts side by side come first: most that are farther apart are joined by then and cost one look. Only
    parents of these cells' parts are read and written: other threads may be at other cells.
    """
    for turn in (OWN, NEAR, FAR):
        _join(points, cells, n_core, lattice, turn, squared_radius, begin, end, begin, end, parent)


@compiled
@no_type_check
def join_across(points, cells, n_core, lattice, squared_radius, cuts, parent):
    """The same for cells on both sides of a cut, where those between cuts[i] and cuts[i + 1] are joined."""
    keys, reach = cells.keys, lattice.rows.max() + 1
    for turn in (NEAR, FAR):
        for i in range(len(cuts) - 2):
            cut = cuts[i + 1]
            begin = max(cuts[i], first_from(keys, keys[cut] - reach))
            end = first_from(keys, keys[cut - 1] + reach + 1)
            _join(points, cells, n_core, lattice, turn, squared_radius, begin, cut, cut, end, parent)


@compiled
@no_type_check
def _join(points, cells, n_core, lattice, turn, squared_radius, begin, end, other_begin, other_end, parent):
    """Join the parts of the cells begin..end with those of the others that are not before them."""
    keys, rows = cells.keys, lattice.ahead
    box = np.empty((2, points.shape[0]))
    whole = _one_part(cells.parts, n_core, parent, begin, max(end, other_end))
    if begin == end:
        return
    first, last = first_ranges(rows, keys, begin)
    for cell in range(begin, end):
        own = whole[cell - begin]
        if own == NONE:
            continue
        for r in range(1 if turn == OWN else len(rows)):
            slide(r, first, last, rows, keys, keys[cell])
            stop = cell + 1 if turn == OWN else min(last[r], other_end)
            for other in range(max(first[r], cell, other_begin), stop):
                its = whole[other - begin]
                if its == NONE:
                    continue
                both = own >= 0 and its >= 0
                if both and find(parent, own) == find(parent, its):
                    continue
                near = lattice.how_near[r, keys[other] - keys[cell] - rows[r] + 1]
                _join_cells(points, cells, n_core, cell, other, near, turn, both, squared_radius, parent, box)


@compiled
@no_type_check
def _one_part(parts, n_core, parent, begin, end):
    """A part with core points of each cell where those have one root; else SEVERAL, or NONE without any."""
    whole = np.full(end - begin, NONE, np.int32)
    for cell in range(begin, end):
        root, found = np.int32(-1), np.int32(NONE)
        for part in range(parts[cell], parts[cell + 1]):
            if n_core[part] and found != SEVERAL:
                own = find(parent, part)
                found = part if found == NONE or own == root else SEVERAL
                root = own
        whole[cell - begin] = found
    return whole


@compiled
@no_type_check
def _join_cells(points, cells, n_core, cell, other, near, turn, once, squared_radius, parent, box):
    """Join the parts of two cells that touch; the first that do are enough where `once`."""
    starts, parts, corners = cells.starts, cells.parts, cells.corners
    for a in range(parts[cell], parts[cell + 1]):
        if n_core[a] == 0:
            continue
        root = find(parent, a)
        start, stop = starts[a], starts[a] + n_core[a]
        for b in range(max(parts[other], a + 1), parts[other + 1]):
            if n_core[b] == 0 or parent[b] == root or near[corners[a], corners[b]] != turn:
                continue
            its_root = find(parent, b)
            if root == its_root:
                continue
            if _touch(points, start, stop, starts[b], starts[b] + n_core[b], squared_radius, box):
                union(parent, root, its_root)
                if once:
                    return
                root = min(root, its_root)


@compiled
@no_type_check
def groups_of_points(order, starts, n_core, parent):
    """The group of each core point (int32), numbered by its smallest original index; n for other points."""
    n = len(order)
    smallest = np.full(len(parent), n, np.int32)
    for part in range(len(parent)):
        root = find(parent, part)
        for i in range(starts[part], starts[part] + n_core[part]):
            smallest[root] = min(smallest[root], order[i])
    numbers = ranked(parent, smallest, n)
    groups = np.full(n, n, np.int32)
    for part in range(len(parent)):
        groups[starts[part] : starts[part] + n_core[part]] = numbers[part]
    return groups
