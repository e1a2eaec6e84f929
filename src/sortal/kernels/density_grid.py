"""Density groups in one to three dimensions: a grid of cells so small that all points of one are neighbours.

Source: Gunawan 2013 and de Berg et al. 2017 (exact DBSCAN on a grid). Points are copied in the order of their
cells; the five cells of one row that can hold neighbours are then one range, and while the cells are walked
in order both of its ends only move forward: no hash, no tree.
"""

from typing import NamedTuple, no_type_check

import numpy as np

from sortal.kernels.compiled import compiled
from sortal.kernels.density_unions import find, ranked, union

__all__ = [
    "Lattice",
    "cell_keys",
    "cell_starts",
    "core_first",
    "find_core",
    "gathered",
    "join_cells",
    "label_points",
    "number_cells",
    "sort_by_key",
]

REACH = 2  # cells: neighbours lie at most sqrt(3) (1 + 2**-15) cell sides apart, so at most two cells
DIGIT = 11  # bits a pass of the radix sort


class Lattice(NamedTuple):
    """Where the cells lie, and the rows of cells within reach of one cell, nearest first."""

    low: np.ndarray  # the corner of the first cell
    per_side: float  # cells in a unit of length
    strides: np.ndarray  # of keys along each axis; the last is 1
    steps: np.ndarray  # rows x (d - 1): how many cells away
    rows: np.ndarray  # the same as differences of keys


@compiled
@no_type_check
def cell_keys(x, lattice, keys):
    low, per_side, strides = lattice.low, lattice.per_side, lattice.strides
    for i in range(len(x)):
        key = np.int64(0)
        for k in range(len(strides)):
            key += (np.int64((np.float64(x[i, k]) - low[k]) * per_side) + REACH) * strides[k]
        keys[i] = key


@compiled
@no_type_check
def _reaches(points, i, lattice, r):
    """Whether row r of cells can hold neighbours of point i; half of those in the corners cannot."""
    total = 0.0
    for k in range(lattice.steps.shape[1]):
        at = (points[k, i] - lattice.low[k]) * lattice.per_side
        inside = at - np.floor(at)
        step = lattice.steps[r, k]
        gap = step - inside if step > 0 else inside - step - 1 if step < 0 else 0.0
        total += gap * gap
    return total <= len(lattice.low) * (1 + 2.0**-12)  # the radius, and more than cell numbers can err


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
def cell_starts(keys):
    """Where each cell begins among the sorted keys (int32, one more for the end), and the cells' own keys."""
    n_cells = 1
    for i in range(1, len(keys)):
        n_cells += keys[i] != keys[i - 1]
    starts, own = np.empty(n_cells + 1, np.int32), np.empty(n_cells, np.int64)
    cell = -1
    for i in range(len(keys)):
        if i == 0 or keys[i] != keys[i - 1]:
            cell += 1
            starts[cell], own[cell] = i, keys[i]
    starts[n_cells] = len(keys)
    return starts, own


@compiled
@no_type_check
def _slide(r, first, last, rows, reach, cells, key):
    """Move the range of row r on to the cells at most `reach` from the cell `key`."""
    low, high = key + rows[r] - reach, key + rows[r] + reach
    at = first[r]
    while at < len(cells) and cells[at] < low:
        at += 1
    first[r] = at
    at = max(at, last[r])
    while at < len(cells) and cells[at] <= high:
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
def _begin(rows, cells, cell):
    first = np.searchsorted(cells, cells[cell] + rows - REACH)
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
def find_core(points, starts, cells, lattice, squared_radius, min_samples, begin, end, core):
    """Mark core points of cells begin..end. A cell of min_samples points is all core; counts end early."""
    rows = lattice.rows
    first, last = _begin(rows, cells, begin)
    for cell in range(begin, end):
        start, stop = starts[cell], starts[cell + 1]
        if stop - start >= min_samples:
            core[start:stop] = True
            continue
        _slide(0, first, last, rows, REACH, cells, cells[cell])
        slid = 1  # rows whose range is up to date: most cells need only the nearest
        for i in range(start, stop):
            count = stop - start  # all of the own cell, which is in the middle of the own row
            count += _count(points, i, starts[first[0]], start, squared_radius)
            count += _count(points, i, stop, starts[last[0]], squared_radius)
            for r in range(1, len(rows)):
                if count >= min_samples:
                    break
                if r == slid:
                    _slide(r, first, last, rows, REACH, cells, cells[cell])
                    slid += 1
                if first[r] < last[r] and _reaches(points, i, lattice, r):
                    count += _count(points, i, starts[first[r]], starts[last[r]], squared_radius)
            core[i] = count >= min_samples


@compiled
@no_type_check
def core_first(points, order, starts, core):
    """Bring the core points of each cell to its front; how many there are (int32)."""
    n_core = np.empty(len(starts) - 1, np.int32)
    for cell in range(len(n_core)):
        front = starts[cell]
        for i in range(starts[cell], starts[cell + 1]):
            if core[i]:
                if i != front:
                    core[i], core[front] = core[front], core[i]
                    order[i], order[front] = order[front], order[i]
                    for k in range(points.shape[0]):
                        points[k, i], points[k, front] = points[k, front], points[k, i]
                front += 1
        n_core[cell] = front - starts[cell]
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
def join_cells(points, starts, cells, n_core, near_rows, rows, squared_radius):
    """The parents of the cells, in which cells that share a chain of core points have one root.

    `rows` are those not before the own one. Cells side by side (`near_rows`) come first: most cells farther
    apart are joined by then and cost one look.
    """
    parent = np.arange(len(cells), dtype=np.int32)
    _join(points, starts, cells, n_core, near_rows, 1, squared_radius, parent)
    _join(points, starts, cells, n_core, rows, REACH, squared_radius, parent)
    return parent


@compiled
@no_type_check
def _join(points, starts, cells, n_core, rows, reach, squared_radius, parent):
    box = np.empty((2, points.shape[0]))
    first, last = _begin(rows, cells, 0)
    for cell in range(len(cells)):
        if n_core[cell] == 0:
            continue
        start = starts[cell]
        stop = start + n_core[cell]
        root = find(parent, cell)
        for r in range(len(rows)):
            _slide(r, first, last, rows, reach, cells, cells[cell])
            for other in range(max(first[r], cell + 1), last[r]):
                if n_core[other] == 0 or parent[other] == root:
                    continue
                root, its_root = find(parent, root), find(parent, other)
                if root != its_root:
                    at = starts[other]
                    if _touch(points, start, stop, at, at + n_core[other], squared_radius, box):
                        union(parent, root, its_root)


@compiled
@no_type_check
def number_cells(order, starts, n_core, parent):
    """The group of each cell with core points (int32), numbered by the smallest original core index."""
    smallest = np.full(len(parent), len(order), np.int32)
    for cell in range(len(parent)):
        root = find(parent, cell)
        for i in range(starts[cell], starts[cell] + n_core[cell]):
            smallest[root] = min(smallest[root], order[i])
    return ranked(parent, smallest, len(order))


@compiled
@no_type_check
def label_points(points, order, starts, cells, n_core, numbers, lattice, squared_radius, begin, end, labels):
    """Labels of the points of cells begin..end: border points take the lowest group within reach."""
    rows = lattice.rows
    first, last = _begin(rows, cells, begin)
    for cell in range(begin, end):
        start, stop = starts[cell], starts[cell + 1]
        for i in range(start, start + n_core[cell]):
            labels[order[i]] = numbers[cell]
        if n_core[cell] == stop - start:
            continue
        for i in range(start + n_core[cell], stop):
            best = numbers[cell] if n_core[cell] else len(order)
            for r in range(len(rows)):
                if not _reaches(points, i, lattice, r):
                    continue
                _slide(r, first, last, rows, REACH, cells, cells[cell])
                for other in range(first[r], last[r]):
                    if n_core[other] and numbers[other] < best:
                        for j in range(starts[other], starts[other] + n_core[other]):
                            if _squared(points, i, j) <= squared_radius:
                                best = numbers[other]
                                break
            labels[order[i]] = best if best < len(order) else -1
