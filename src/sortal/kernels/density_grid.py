"""Density groups in one to three dimensions: a grid of parts so small that all points of one are neighbours.

Source: Gunawan 2013, de Berg et al. 2017 (exact DBSCAN on a grid).
"""

from typing import no_type_check

import numpy as np

from sortal.kernels.compiled import compiled
from sortal.kernels.density_cells import first_ranges, gather, slide, sorted_cells, squared
from sortal.kernels.density_joins import groups_of_points, join_across, join_among

__all__ = [
    "CORE",
    "core_first",
    "find_core",
    "gather",
    "groups_of_points",
    "in_one_call",
    "join_across",
    "join_among",
    "label_points",
    "sorted_cells",
]

ALONE, COMPANY, CORE = np.uint8(0), np.uint8(1), np.uint8(2)  # company: neighbours, but too few
AT_ONCE = 1024  # points counted before a look at whether they are enough


@compiled
@no_type_check
def in_one_call(x, lattice, n_bits, squared_radius, min_samples):
    """Labels and core points of few rows: at n=300 nine calls from Python cost 45 us, the work itself 65."""
    n = len(x)
    order, cells = sorted_cells(x, lattice, n_bits)
    points, n_core = np.empty((x.shape[1], n)), np.empty(len(cells.corners), np.int32)
    state, labels, core = np.empty(n, np.uint8), np.empty(n, np.intp), np.empty(n, np.bool_)
    parent = np.arange(len(n_core), dtype=np.int32)
    gather(x, order, 0, n, points)
    find_core(points, cells, lattice, squared_radius, min_samples, 0, n, state)
    core_first(points, order, cells, 0, len(cells.keys), state, n_core)
    join_among(points, cells, n_core, lattice, squared_radius, 0, len(cells.keys), parent)
    groups = groups_of_points(order, cells.starts, n_core, parent)
    label_points(points, order, cells, state, groups, lattice, squared_radius, 0, n, labels)
    for i in range(n):
        core[order[i]] = state[i] == CORE
    return labels, core


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
            count += squared(points, i, j) <= squared_radius
    return count


@compiled
@no_type_check
def find_core(points, cells, lattice, squared_radius, min_samples, begin, end, state):
    """The state of points begin..end. A part of min_samples points is all core; counts end early."""
    rows, starts, begins = lattice.rows, cells.starts, cells.begins
    cell = _cell_of(begins, begin)
    first, last = first_ranges(rows, cells.keys, cell)
    while cell < len(cells.keys) and begins[cell] < end:
        slid = 0  # rows whose range is up to date: many cells need only the nearest
        for part in range(cells.parts[cell], cells.parts[cell + 1]):
            start, stop = max(starts[part], begin), min(starts[part + 1], end)
            if starts[part + 1] - starts[part] >= min_samples:
                state[start:stop] = CORE
                continue
            for i in range(start, stop):
                count = r = 0
                while count < min_samples and r < len(rows):
                    if r == slid:
                        slide(r, first, last, rows, cells.keys, cells.keys[cell])
                        slid += 1
                    if first[r] < last[r] and _reaches(points, i, lattice, r):
                        at, stop = begins[first[r]], begins[last[r]]
                        while at < stop and count < min_samples:
                            count += _count(points, i, at, min(at + AT_ONCE, stop), squared_radius)
                            at += AT_ONCE
                    r += 1
                state[i] = CORE if count >= min_samples else COMPANY if count > 1 else ALONE
        cell += 1


@compiled
@no_type_check
def _cell_of(begins, point):
    low, high = 0, len(begins) - 1
    while high - low > 1:
        middle = (low + high) // 2
        if begins[middle] <= point:
            low = middle
        else:
            high = middle
    return low


@compiled
@no_type_check
def core_first(points, order, cells, begin, end, state, n_core):
    """Bring the core points of each part of the cells begin..end to its front; how many, into `n_core`."""
    for part in range(cells.parts[begin], cells.parts[end]):
        front = cells.starts[part]
        for i in range(cells.starts[part], cells.starts[part + 1]):
            if state[i] == CORE:
                if i != front:
                    state[i], state[front] = state[front], state[i]
                    order[i], order[front] = order[front], order[i]
                    for k in range(points.shape[0]):
                        points[k, i], points[k, front] = points[k, front], points[k, i]
                front += 1
        n_core[part] = front - cells.starts[part]


@compiled
@no_type_check
def label_points(points, order, cells, state, groups, lattice, squared_radius, begin, end, labels):
    """Labels of points begin..end: border points take the lowest group within reach."""
    rows, begins = lattice.rows, cells.begins
    cell = _cell_of(begins, begin)
    first, last = first_ranges(rows, cells.keys, cell)
    while cell < len(cells.keys) and begins[cell] < end:
        slid = 0
        for i in range(max(begins[cell], begin), min(begins[cell + 1], end)):
            best = groups[i]
            if state[i] == COMPANY:
                while slid < len(rows):
                    slide(slid, first, last, rows, cells.keys, cells.keys[cell])
                    slid += 1
                for r in range(len(rows)):
                    if first[r] < last[r] and _reaches(points, i, lattice, r):
                        best = _lowest(
                            points, i, begins[first[r]], begins[last[r]], groups, best, squared_radius
                        )
            labels[order[i]] = best if best < len(order) else -1
        cell += 1


@compiled
@no_type_check
def _lowest(points, i, start, stop, groups, best, squared_radius):
    for j in range(start, stop):
        if groups[j] < best and squared(points, i, j) <= squared_radius:
            best = groups[j]
    return best
