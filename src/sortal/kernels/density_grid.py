"""Density groups in one to three dimensions: a grid of parts so small that all points of one are neighbours.

Source: Gunawan 2013, de Berg et al. 2017 (exact DBSCAN on a grid). Two parts a side make a cell. Points are
copied in the order of cells, and of parts in a cell. The three cells of one row that can hold neighbours are
then one range, and while the cells are walked in order both of its ends only move forward: no hash, no tree.
In space there are 9 rows of cells within reach where rows of parts would be 25, most of them empty: that took
500,000 points from .37 to .22 s.
"""

from typing import NamedTuple, no_type_check

import numpy as np

from sortal.kernels.compiled import compiled
from sortal.kernels.density_unions import find, ranked, union

__all__ = [
    "CORE",
    "Cells",
    "Lattice",
    "cells_of",
    "core_first",
    "find_core",
    "gathered",
    "groups_of_points",
    "join_parts",
    "label_points",
    "part_keys",
    "sort_by_key",
]

DIGIT = 11  # bits a pass of the radix sort
ALONE, COMPANY, CORE = np.uint8(0), np.uint8(1), np.uint8(2)  # company: neighbours, but too few
OWN, NEAR, FAR = 1, 2, 3  # parts of one cell; side by side; farther apart but maybe within the radius
NONE, SEVERAL = -1, -2  # core parts of a cell, or roots of them
AT_ONCE = 1024  # points counted before a look at whether they are enough


class Lattice(NamedTuple):
    """Where the cells lie, and the rows of cells within reach of one cell, nearest first."""

    low: np.ndarray  # the corner of the first part
    per_side: float  # parts in a unit of length
    strides: np.ndarray  # of keys along each axis; the last is 1
    steps: np.ndarray  # rows x (d - 1): how many cells away
    rows: np.ndarray  # the same as differences of keys


class Cells(NamedTuple):
    """Cells that hold points, in the order of their keys, and their parts that do."""

    keys: np.ndarray  # int64, of cells
    begins: np.ndarray  # int32, one more for the end: the first point of each cell
    parts: np.ndarray  # int32, one more: the first part of each cell
    starts: np.ndarray  # int32, one more: the first point of each part
    corners: np.ndarray  # uint8: which part of its cell, one bit an axis


@compiled
@no_type_check
def part_keys(x, lattice, keys):
    low, per_side, strides = lattice.low, lattice.per_side, lattice.strides
    for i in range(len(x)):
        key = corner = np.int64(0)
        for k in range(len(strides)):
            part = np.int64((np.float64(x[i, k]) - low[k]) * per_side)
            key += ((part >> 1) + 1) * strides[k]
            corner = 2 * corner + (part & 1)
        keys[i] = (key << len(strides)) + corner


@compiled
@no_type_check
def _reaches(points, i, lattice, r):
    """Whether row r of cells can hold neighbours of point i; many of those at the corners cannot."""
    total = 0.0
    for k in range(lattice.steps.shape[1]):
        step = lattice.steps[r, k]
        if step:
            at = (points[k, i] - lattice.low[k]) * lattice.per_side * 0.5
            inside = at - np.floor(at)
            gap = 1 - inside if step > 0 else inside
            total += gap * gap
    return 4 * total <= len(lattice.low) * (1 + 2.0**-12)  # the radius, and more than part numbers can err


@compiled
@no_type_check
def sort_by_key(keys, n_bits):
    """The stable order of `keys` (int32); `keys` itself is left sorted."""
    n = len(keys)
    order, other = np.arange(n, dtype=np.int32), np.empty(n, np.int32)
    source, target = keys, np.empty_like(keys)
    counts = np.empty(1 << DIGIT, np.int64)
    for shift in range(0, n_bits, DIGIT):
        counts[:] = 0
        for i in range(n):
            counts[(source[i] >> shift) & ((1 << DIGIT) - 1)] += 1
        at = np.int64(0)
        for b in range(len(counts)):
            counts[b], at = at, at + counts[b]
        for i in range(n):
            b = (source[i] >> shift) & ((1 << DIGIT) - 1)
            place = counts[b]
            counts[b] = place + 1
            target[place] = source[i]
            other[place] = order[i]
        source, target = target, source
        order, other = other, order
    if (n_bits + DIGIT - 1) // DIGIT % 2:
        keys[:] = source
    return order


@compiled
@no_type_check
def cells_of(keys, d):
    """The cells and parts among sorted keys of parts."""
    n_cells = n_parts = 0
    last = np.int64(-1)
    for i in range(len(keys)):
        n_parts += keys[i] != last
        n_cells += keys[i] >> d != last >> d
        last = keys[i]
    own, begins, parts = (
        np.empty(n_cells, np.int64),
        np.empty(n_cells + 1, np.int32),
        np.empty(n_cells + 1, np.int32),
    )
    starts, corners = np.empty(n_parts + 1, np.int32), np.empty(n_parts, np.uint8)
    cell = part = 0
    last = np.int64(-1)
    for i in range(len(keys)):
        key = keys[i]
        if key >> d != last >> d:
            own[cell], begins[cell], parts[cell] = key >> d, i, part
            cell += 1
        if key != last:
            starts[part], corners[part] = i, key & ((1 << d) - 1)
            part += 1
            last = key
    begins[cell], parts[cell], starts[part] = len(keys), n_parts, len(keys)
    return Cells(own, begins, parts, starts, corners)


@compiled
@no_type_check
def _slide(r, first, last, rows, keys, key):
    """Move the range of row r on to the cells at most one from the cell `key`."""
    low, high = key + rows[r] - 1, key + rows[r] + 1
    at = first[r]
    while at < len(keys) and keys[at] < low:
        at += 1
    first[r] = at
    at = max(at, last[r])
    while at < len(keys) and keys[at] <= high:
        at += 1
    last[r] = at


@compiled
@no_type_check
def gathered(x, order):
    """The rows of x in an order, axis by axis, in float64."""
    points = np.empty((x.shape[1], len(x)))
    for i in range(len(x)):
        for k in range(x.shape[1]):
            points[k, i] = x[order[i], k]
    return points


@compiled
@no_type_check
def _begin(rows, keys, cell):
    first = np.searchsorted(keys, keys[cell] + rows - 1)
    return first, first.copy()


@compiled(inline="always")
@no_type_check
def _squared(points, i, j):
    """As scikit-learn sums it: in float64, axis by axis, no fused multiply."""
    total = 0.0
    for k in range(points.shape[0]):
        difference = points[k, i] - points[k, j]
        total += difference * difference
    return total


@compiled
@no_type_check
def _count(points, i, start, stop, squared_radius):
    """How many of a range are within the radius. A loop over axes costs 1.4 times, so each d has its own."""
    count = 0
    if points.shape[0] == 2:
        x, y = points[0, i], points[1, i]
        for j in range(start, stop):
            dx, dy = x - points[0, j], y - points[1, j]
            count += dx * dx + dy * dy <= squared_radius
    elif points.shape[0] == 3:
        x, y, z = points[0, i], points[1, i], points[2, i]
        for j in range(start, stop):
            dx, dy, dz = x - points[0, j], y - points[1, j], z - points[2, j]
            count += dx * dx + dy * dy + dz * dz <= squared_radius
    else:
        for j in range(start, stop):
            count += _squared(points, i, j) <= squared_radius
    return count


@compiled
@no_type_check
def find_core(points, cells, lattice, squared_radius, min_samples, begin, end, state):
    """The state of points of cells begin..end. A part of min_samples points is all core; counts end early."""
    rows, starts, begins = lattice.rows, cells.starts, cells.begins
    first, last = _begin(rows, cells.keys, begin)
    for cell in range(begin, end):
        slid = 0  # rows whose range is up to date: many cells need only the nearest
        for part in range(cells.parts[cell], cells.parts[cell + 1]):
            if starts[part + 1] - starts[part] >= min_samples:
                state[starts[part] : starts[part + 1]] = CORE
                continue
            for i in range(starts[part], starts[part + 1]):
                count = r = 0
                while count < min_samples and r < len(rows):
                    if r == slid:
                        _slide(r, first, last, rows, cells.keys, cells.keys[cell])
                        slid += 1
                    if first[r] < last[r] and _reaches(points, i, lattice, r):
                        at, stop = begins[first[r]], begins[last[r]]
                        while at < stop and count < min_samples:
                            count += _count(points, i, at, min(at + AT_ONCE, stop), squared_radius)
                            at += AT_ONCE
                    r += 1
                state[i] = CORE if count >= min_samples else COMPANY if count > 1 else ALONE


@compiled
@no_type_check
def core_first(points, order, starts, state):
    """Bring the core points of each part to its front; how many there are (int32)."""
    n_core = np.empty(len(starts) - 1, np.int32)
    for part in range(len(n_core)):
        front = starts[part]
        for i in range(starts[part], starts[part + 1]):
            if state[i] == CORE:
                if i != front:
                    state[i], state[front] = state[front], state[i]
                    order[i], order[front] = order[front], order[i]
                    for k in range(points.shape[0]):
                        points[k, i], points[k, front] = points[k, front], points[k, i]
                front += 1
        n_core[part] = front - starts[part]
    return n_core


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
    if _squared(points, start, other_start) <= squared_radius:
        return True
    if (stop - start) * (other_stop - other_start) > 64:  # below, boxes cost more than they save
        _box(points, other_start, other_stop, box)
    else:
        box[0], box[1] = -np.inf, np.inf
    for i in range(start, stop):
        if _squared_gap(points, i, box) <= squared_radius:
            for j in range(other_start, other_stop):
                if _squared(points, i, j) <= squared_radius:
                    return True
    return False


@compiled
@no_type_check
def join_parts(points, cells, n_core, steps, rows, squared_radius):
    """The parents of the parts, in which parts that share a chain of core points have one root.

    `rows` (`steps` cells away) are those not before the own one. Parts side by side come first: most that
    are farther apart are joined by then and cost one look.
    """
    parent = np.arange(len(n_core), dtype=np.int32)
    how_near = _how_near(steps, points.shape[0])
    for turn in (OWN, NEAR, FAR):
        _join(points, cells, n_core, rows, how_near, turn, squared_radius, parent)
    return parent


@compiled
@no_type_check
def _how_near(steps, d):
    """OWN, NEAR, FAR or 0 by row, step along the last axis, and the corners of both parts in their cells."""
    table = np.zeros((len(steps), 3, 1 << d, 1 << d), np.uint8)
    for r in range(len(steps)):
        for last in range(3):
            for a in range(1 << d):
                for b in range(1 << d):
                    most = 0
                    for k in range(d):
                        step = steps[r, k] if k < d - 1 else last - 1
                        axis = d - 1 - k
                        most = max(most, abs(2 * step + ((b >> axis) & 1) - ((a >> axis) & 1)))
                    far = NEAR if most <= 1 else FAR if most == 2 else 0
                    table[r, last, a, b] = OWN if r == 0 and last == 1 else far
    return table


@compiled
@no_type_check
def _join(points, cells, n_core, rows, how_near, turn, squared_radius, parent):
    keys = cells.keys
    box = np.empty((2, points.shape[0]))
    whole = _one_part(cells.parts, n_core, parent)
    first, last = _begin(rows, keys, 0)
    for cell in range(len(keys)):
        if whole[cell] == NONE:
            continue
        for r in range(1 if turn == OWN else len(rows)):
            _slide(r, first, last, rows, keys, keys[cell])
            for other in range(max(first[r], cell), cell + 1 if turn == OWN else last[r]):
                if whole[other] == NONE:
                    continue
                both = whole[cell] >= 0 and whole[other] >= 0
                if both and find(parent, whole[cell]) == find(parent, whole[other]):
                    continue
                near = how_near[r, keys[other] - keys[cell] - rows[r] + 1]
                _join_cells(points, cells, n_core, cell, other, near, turn, both, squared_radius, parent, box)


@compiled
@no_type_check
def _one_part(parts, n_core, parent):
    """A part with core points of each cell where those have one root; else SEVERAL, or NONE without any."""
    whole = np.full(len(parts) - 1, NONE, np.int32)
    for cell in range(len(whole)):
        root = np.int32(-1)
        for part in range(parts[cell], parts[cell + 1]):
            if n_core[part] and whole[cell] != SEVERAL:
                own = find(parent, part)
                whole[cell] = part if whole[cell] == NONE or own == root else SEVERAL
                root = own
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


@compiled
@no_type_check
def label_points(points, order, cells, state, groups, lattice, squared_radius, begin, end, labels):
    """Labels of the points of cells begin..end: border points take the lowest group within reach."""
    rows, begins = lattice.rows, cells.begins
    first, last = _begin(rows, cells.keys, begin)
    for cell in range(begin, end):
        slid = 0
        for i in range(begins[cell], begins[cell + 1]):
            best = groups[i]
            if state[i] == COMPANY:
                while slid < len(rows):
                    _slide(slid, first, last, rows, cells.keys, cells.keys[cell])
                    slid += 1
                for r in range(len(rows)):
                    if first[r] < last[r] and _reaches(points, i, lattice, r):
                        best = _lowest(
                            points, i, begins[first[r]], begins[last[r]], groups, best, squared_radius
                        )
            labels[order[i]] = best if best < len(order) else -1


@compiled
@no_type_check
def _lowest(points, i, start, stop, groups, best, squared_radius):
    for j in range(start, stop):
        if groups[j] < best and _squared(points, i, j) <= squared_radius:
            best = groups[j]
    return best
