"""Density groups in middle dimensions: points in kd order, leaf against leaf, only where boxes come near.

Source: Bentley 1975 (kd-trees); leaf-to-leaf joins after Gray and Moore 2000 (dual trees).
"""

from typing import NamedTuple, no_type_check

import numpy as np

from sortal.kernels.compiled import compiled
from sortal.kernels.density_unions import WEIGH, find, meet_all, settled, squared_distance

__all__ = ["Radius", "Tree", "bounds", "empty_note", "join_leaves", "meet_noted", "scale", "split"]


class Tree(NamedTuple):
    """Points in kd order, scaled so that the radius is 1, and the boxes of the nodes above them."""

    points: np.ndarray  # n x d float32
    boxes: np.ndarray  # as `bounds` gives them
    depth: int


class Radius(NamedTuple):
    """Squared distances in float32 outside (lower, upper) are sure; between them float64 decides."""

    squared: float
    lower: np.float32
    upper: np.float32


@compiled
@no_type_check
def split(x, order, values, top, node, depth):
    """Kd order below a node of level `top`: each half of each half is split along its widest axis.

    `values` is room for n of x.
    """
    n = len(x)
    for level in range(top, depth):
        for below in range(node << (level - top), (node + 1) << (level - top)):
            start, stop = (below * n) >> level, ((below + 1) * n) >> level
            middle = ((2 * below + 1) * n) >> (level + 1)
            if stop - start > 1:
                axis = _widest(x, order, start, stop)
                for i in range(start, stop):
                    values[i] = x[order[i], axis]
                _part(values, order, start, stop - 1, middle)


@compiled
@no_type_check
def scale(x, order, center, radius, start, stop, points):
    for i in range(start, stop):
        row = x[order[i]]
        for k in range(len(row)):
            points[i, k] = (row[k] - center[k]) / radius


@compiled
@no_type_check
def _widest(x, order, start, stop):
    low, high = x[order[start]].copy(), x[order[start]].copy()
    for i in range(start + 1, stop):
        row = x[order[i]]
        for k in range(len(row)):
            low[k] = min(low[k], row[k])
            high[k] = max(high[k], row[k])
    return np.argmax(high - low)


@compiled
@no_type_check
def _part(values, order, left, right, middle):
    """Quickselect: no value before `middle` is larger than any after it."""
    while left < right:
        pivot = _median(values[left], values[(left + right) // 2], values[right])
        i, j = left, right
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                order[i], order[j] = order[j], order[i]
                i += 1
                j -= 1
        if middle <= j:
            right = j
        elif middle >= i:
            left = i
        else:
            return


@compiled
@no_type_check
def _median(a, b, c):
    return max(min(a, b), min(max(a, b), c))


@compiled
@no_type_check
def bounds(points, depth):
    """The boxes of all nodes, root first: (2, 2**(depth + 1) - 1, d)."""
    n, d = points.shape
    boxes = np.empty((2, (2 << depth) - 1, d), points.dtype)
    for leaf in range(1 << depth):
        at = (1 << depth) - 1 + leaf
        start, stop = (leaf * n) >> depth, ((leaf + 1) * n) >> depth
        boxes[0, at], boxes[1, at] = np.inf, -np.inf
        for i in range(start, stop):
            for k in range(d):
                boxes[0, at, k] = min(boxes[0, at, k], points[i, k])
                boxes[1, at, k] = max(boxes[1, at, k], points[i, k])
    for at in range((1 << depth) - 2, -1, -1):
        for k in range(d):
            boxes[0, at, k] = min(boxes[0, 2 * at + 1, k], boxes[0, 2 * at + 2, k])
            boxes[1, at, k] = max(boxes[1, 2 * at + 1, k], boxes[1, 2 * at + 2, k])
    return boxes


@compiled(fastmath={"contract", "reassoc"})
@no_type_check
def _box_gap(boxes, a, b):
    total = np.float32(0)
    for k in range(boxes.shape[2]):
        gap = max(boxes[0, a, k] - boxes[1, b, k], boxes[0, b, k] - boxes[1, a, k], np.float32(0))
        total += gap * gap
    return total


@compiled(fastmath={"contract", "reassoc"})
@no_type_check
def _box_span(boxes, a, b):
    total = np.float32(0)
    for k in range(boxes.shape[2]):
        span = max(boxes[1, a, k], boxes[1, b, k]) - min(boxes[0, a, k], boxes[0, b, k])
        total += span * span
    return total


@compiled(fastmath={"contract", "reassoc"})
@no_type_check
def _gap(point, boxes, at):
    total = np.float32(0)
    for k in range(len(point)):
        gap = max(boxes[0, at, k] - point[k], point[k] - boxes[1, at, k], np.float32(0))
        total += gap * gap
    return total


@compiled(fastmath={"contract"})
@no_type_check
def _distances(point, columns, m, out):
    """Squared distances (float32) from `point` to the first m columns, four axes a pass."""
    d = len(point)
    for j in range(m):
        out[j] = np.float32(0)
    k = 0
    while k + 4 <= d:
        p, q, r, s = point[k], point[k + 1], point[k + 2], point[k + 3]
        a, b, c, e = columns[k], columns[k + 1], columns[k + 2], columns[k + 3]
        for j in range(m):
            u, v, w, z = a[j] - p, b[j] - q, c[j] - r, e[j] - s
            out[j] += u * u + v * v + w * w + z * z
        k += 4
    while k < d:
        p, a = point[k], columns[k]
        for j in range(m):
            u = a[j] - p
            out[j] += u * u
        k += 1


@compiled
@no_type_check
def _near_rows(points, boxes, start, stop, at, upper, rows):
    m = 0
    for i in range(start, stop):
        if _gap(points[i], boxes, at) <= upper:
            rows[m] = i
            m += 1
    return m


@compiled
@no_type_check
def _one_root(rows, met):
    """The root that all core points of the rows share, -1 where they have several or none."""
    root = -1
    for at in range(len(rows)):
        if met.core[rows[at]]:
            own = find(met.parent, rows[at])
            if root >= 0 and own != root:
                return -1
            root = own
    return root


@compiled
@no_type_check
def _open_first(rows, core):
    """Bring the rows that are not core to the front; how many they are."""
    front = 0
    for at in range(len(rows)):
        if not core[rows[at]]:
            rows[at], rows[front] = rows[front], rows[at]
            front += 1
    return front


@compiled
@no_type_check
def join_leaves(x, order, tree, radius, begin_leaf, end_leaf, met, note):
    """Let rows of leaves begin_leaf..end_leaf meet all later ones within the radius that can change anything.

    Two leaves that are all core and in one group already are left out whole. `met` counts in kd order. With
    a `note` that has room they are written there, to meet later; it is given up as soon as it is full. Then
    threads may look at different leaves while the caller lets others meet: what they see of `met` may be
    out of date, and they write to it only shorter ways to the same root (`find`).
    """
    points, boxes, depth = tree.points, tree.boxes, tree.depth
    n, d = points.shape
    n_leaves = 1 << depth
    most = n // n_leaves + 1
    mine, theirs = np.empty(most, np.int32), np.empty(most, np.int32)
    columns, squared = np.empty((d, most), np.float32), np.empty(most, np.float32)
    nodes = np.empty(64, np.int32)
    for leaf in range(begin_leaf, end_leaf):
        at = n_leaves - 1 + leaf
        start, stop = (leaf * n) >> depth, ((leaf + 1) * n) >> depth
        n_nodes = 1
        nodes[0] = 0
        while n_nodes:
            n_nodes -= 1
            node = nodes[n_nodes]
            if _last_leaf(node, n_leaves) < leaf or _box_gap(boxes, at, node) > radius.upper:
                continue
            first = _first_leaf(node, n_leaves)
            if met.turn == WEIGH and first > leaf and _box_span(boxes, at, node) < radius.lower:
                end = ((_last_leaf(node, n_leaves) + 1) * n) >> depth
                _weigh_all(start, stop, (first * n) >> depth, end, met)
                continue
            if node < n_leaves - 1:
                nodes[n_nodes], nodes[n_nodes + 1] = 2 * node + 2, 2 * node + 1
                n_nodes += 2
                continue
            other = node - (n_leaves - 1)
            begin, end = (other * n) >> depth, ((other + 1) * n) >> depth
            root = settled(start, stop, met)
            if root >= 0 and root == settled(begin, end, met):
                continue
            n_mine = _near_rows(points, boxes, start, stop, node, radius.upper, mine)
            n_theirs = _near_rows(points, boxes, begin, end, at, radius.upper, theirs)
            if n_mine and n_theirs:
                _join(x, order, points, mine[:n_mine], theirs[:n_theirs], columns, squared, radius, met, note)
                if note[0] > len(note):
                    return


@compiled
@no_type_check
def _last_leaf(node, n_leaves):
    while node < n_leaves - 1:
        node = 2 * node + 2
    return node - (n_leaves - 1)


@compiled
@no_type_check
def _first_leaf(node, n_leaves):
    while node < n_leaves - 1:
        node = 2 * node + 1
    return node - (n_leaves - 1)


@compiled
@no_type_check
def _weigh_all(start, stop, begin, end, met):
    """All points of two ranges are neighbours: where eps spans the data, no distance is needed."""
    met.n_pairs[0] += len(met.pairs) + 1
    met.mass[start:stop] += met.weights[begin:end].sum()
    met.mass[begin:end] += met.weights[start:stop].sum()


@compiled
@no_type_check
def _join(x, order, points, mine, theirs, columns, squared, radius, met, note):
    n_open, near = _open_first(theirs, met.core), np.empty(len(theirs), np.int32)
    their_root = _one_root(theirs, met)
    for j in range(len(theirs)):
        for k in range(points.shape[1]):
            columns[k, j] = points[theirs[j], k]
    for i in mine:
        # Core points of one group have nothing to tell each other.
        done = met.core[i] and their_root >= 0 and find(met.parent, i) == find(met.parent, their_root)
        m = n_open if done else len(theirs)
        _distances(points[i], columns, m, squared)
        n_near = 0
        for b in range(m):
            j = theirs[b]
            if squared[b] > radius.upper or j <= i:
                continue
            near[n_near] = j
            n_near += squared[b] < radius.lower or squared_distance(x, order[i], order[j]) <= radius.squared
        if n_near:  # a call for nobody took .1 us: half the time of 50,000 x 16 without groups
            if len(note) > 1:
                _write(i, near[:n_near], note)
            else:
                meet_all(i, near[:n_near], met)


def empty_note(length: int) -> np.ndarray:
    """Who is near whom: how much is used, then one row after another, how many are near it, and which.

    One that is full says that it uses more than its length.
    """
    note = np.empty(length, np.int32)
    note[0] = 1
    return note


@compiled
@no_type_check
def _write(i, near, note):
    used = note[0]
    end = used + 2 + len(near)
    if end > len(note):
        note[0] = len(note) + 1
        return
    note[used], note[used + 1] = i, len(near)
    note[used + 2 : end] = near
    note[0] = end


@compiled
@no_type_check
def meet_noted(note, met):
    at = 1
    while at < note[0]:
        end = at + 2 + note[at + 1]
        meet_all(note[at], note[at + 2 : end], met)
        at = end
