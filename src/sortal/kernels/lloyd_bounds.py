"""When bounds pay, and the bounds: Lloyd's assignment where groups are separated."""

from collections.abc import Callable

import numpy as np

from sortal.kernels.lloyd_panels import PackedCenters, pack_centers, read_block, settle
from sortal.kernels.lloyd_sums import squared_shifts

__all__ = ["LEAST_NS", "Bounds", "bounds_if_they_pay", "group_of_centers", "nanoseconds"]

GROUP = 20  # centers
MOST_OF_DATA = (
    32  # bounds take this part of it at most: more groups cost memory and gained no time (d 16 to 1,280)
)
SAMPLE = 512  # rows
LEAST_NS = 1e6  # an iteration: a sample costs as much
BLOCK = 2**18  # numbers: rows are gathered from a cache
UNKNOWN = 2**16 - 1  # an upper bound; a lower one that is this or more counts as this
FAR = 2**14  # steps: centers that moved so far leave no bound worth keeping


@np.errstate(all="ignore")  # any grouping will do where squares overflow
def group_of_centers(centers: np.ndarray) -> np.ndarray:
    """Which group each center is in (int32): near ones together. As many as the memory for bounds lets be."""
    k, d = centers.shape
    n_groups = max(1, min(k // GROUP, d // MOST_OF_DATA - 1))
    if n_groups == 1:
        return np.zeros(k, np.int32)
    seen = centers - _middle(centers)
    middles = seen[:: -(-k // n_groups)]
    for _ in range(5):
        norms = np.einsum("gd,gd->g", middles, middles)
        groups = (norms - 2 * (seen @ middles.T)).argmin(axis=1)
        middles = np.stack([seen[groups == g].mean(axis=0) for g in np.unique(groups)])
    return np.unique(groups, return_inverse=True)[1].astype(np.int32)


def bounds_if_they_pay(
    x: np.ndarray, labels: np.ndarray, old: np.ndarray, new: np.ndarray
) -> "Bounds | None":
    """Bounds, if a sample of rows says that they will be cheaper than looking at every center.

    The share of pairs that bounds cannot spare decides, not the share of labels that change: of overlapping
    groups few labels change, and still nearly every row has two centers nearly as near as one another.
    """
    if len(x) * nanoseconds(x.shape[1], len(new)) < LEAST_NS:
        return None
    groups = group_of_centers(new)
    sample = slice(None, None, -(-len(x) // max(1, min(SAMPLE, len(x) // 64))))
    share = _share_to_look_at(x[sample], labels[sample], old, new, groups)
    if not _pays(share, x.shape[1], len(new), int(groups.max()) + 1, margin=0.5):
        return None
    return Bounds(x, labels, old, groups)


def _pays(share: float, d: int, k: int, n_groups: int, margin: float) -> bool:
    """Nanoseconds a row, fitted to n = 60,000 to 1,000,000, d = 2 to 784, k = 10 to 256 on one core."""
    if n_groups == 1:  # who must look meets every center, as all would without bounds
        return 5 + share * nanoseconds(d, k) < min(margin, 0.95) * nanoseconds(d, k)
    a_pair = 25 + 0.0125 * (k / n_groups) * (d + 6) + 0.6 * d
    return 5 + n_groups * (1 + share * a_pair) < margin * nanoseconds(d, k)


def nanoseconds(d: int, k: int) -> float:
    """Nanoseconds a row to look at every center."""
    return 0.01 * k * (d + 4) + 0.4 * d


@np.errstate(all="ignore")  # an estimate only
def _share_to_look_at(
    rows: np.ndarray, labels: np.ndarray, old: np.ndarray, new: np.ndarray, groups: np.ndarray
) -> float:
    """Of all pairs of a row and a group, the share that bounds could not spare after `old` became `new`."""
    origin = _middle(old)
    centers = old - origin
    norms = np.einsum("kd,kd->k", centers, centers)
    others, own = np.empty((len(rows), len(old)), rows.dtype), np.empty(len(rows), rows.dtype)
    at_once = max(1, 2**15 // rows.shape[1])  # few: at d = 1,280 all of them would take as much as all else
    for at in range(0, len(rows), at_once):
        part = slice(at, at + at_once)
        apart = rows[part] - new[labels[part]]
        own[part] = np.einsum("nd,nd->n", apart, apart)
        some = np.subtract(rows[part], origin, out=apart)
        others[part] = norms - 2 * (some @ centers.T)
        others[part] += np.einsum("nd,nd->n", some, some)[:, None]
    others[np.arange(len(rows)), labels] = np.inf
    own = np.sqrt(own)
    np.sqrt(np.maximum(others, 0, out=others), out=others)
    shift = np.sqrt(squared_shifts(new, old))
    looked = [
        (others[:, groups == g].min(axis=1) - shift[groups == g].max() <= own).mean()
        for g in range(groups.max() + 1)
    ]
    return float(np.mean(looked))


def _middle(centers: np.ndarray) -> np.ndarray:
    return np.asarray(centers.mean(axis=0, dtype=np.float64).astype(centers.dtype))


class Bounds:
    """Bounds of every row to its own center and to each group of others, from one assignment to the next.

    In 16 bits each, in steps of a 2**13th of the median distance of a row to its center. An upper bound grows
    with every move of its center; a lower one is kept as it would have been before all moves, so that it is
    written only when it is found anew.
    """

    def __init__(self, x: np.ndarray, labels: np.ndarray, centers: np.ndarray, groups: np.ndarray) -> None:
        self.groups, self.centers = groups, centers
        self.n_groups = int(groups.max()) + 1
        # Block by block, so that the bounds to one group lie together: they are compared in vectors.
        self.block = max(1024, BLOCK // x.shape[1] // 64 * 64)
        self.upper = np.empty(len(x), np.uint16)
        sizes = [min(self.block, len(x) - at) for at in range(0, len(x), self.block)]
        self.lower = [np.empty((self.n_groups, size), np.uint16) for size in sizes]
        self.dimension = x.shape[1]
        self._names, self._first = _by_group(groups)
        self._packed: PackedCenters | None = None
        self._steps = 2.0**13 / _usual_distance(x, labels, centers)  # in a unit of distance
        self._start_anew()

    def begin(self, centers: np.ndarray) -> Callable[[slice, np.ndarray, np.ndarray], None]:
        """What finds the nearest center of the rows of a block, given their labels until now."""
        from sortal.kernels.lloyd_bounds_loops import assign_bounded

        packed = self._packed = pack_centers(centers, centers.dtype, self._names, self._packed)
        number = centers.dtype.type
        packing = (
            packed.origin,
            packed.panels,
            packed.norms,
            self._names,
            number(packed.most),
            number(packed.slack),
        )
        shift = self._shift(centers)
        moved = np.ceil(self._group_moved).astype(np.int32)
        self.centers = centers
        self._looked: list[int] = []

        def assign(rows: slice, block: np.ndarray, labels: np.ndarray) -> None:
            looked = assign_bounded(
                block, centers, packing, self._first, self.groups, shift, moved, number(self._steps),
                labels, self.upper[rows], self.lower[rows.start // self.block],
            )  # fmt: skip
            settle(block, packed.centers, labels)
            self._looked.append(int(looked))

        return assign

    def pay(self) -> bool:
        """Whether the last assignment was worth the upkeep of bounds."""
        share = sum(self._looked) / (len(self.upper) * self.n_groups)
        k = len(self.centers)
        return self._is_new or _pays(share, self.dimension, k, self.n_groups, margin=1.3)

    def forget(self, rows: np.ndarray) -> None:
        """Somebody else relabels these rows: their bounds say nothing more."""
        self.upper[rows] = UNKNOWN
        for row in rows:
            self.lower[row // self.block][:, row % self.block] = 0

    def _start_anew(self) -> None:
        self._moved = np.zeros(len(self.centers))  # of each center, in steps
        self._group_moved = np.zeros(self.n_groups)  # the farthest of each group, from time to time
        self.upper[:] = UNKNOWN
        for lower in self.lower:
            lower[:] = 0

    def _shift(self, centers: np.ndarray) -> np.ndarray:
        """How many steps each upper bound grows; what the lower ones are off by is kept."""
        before = np.ceil(self._moved)
        moved = np.sqrt(squared_shifts(centers, self.centers)) * (1 + 1e-6) * self._steps
        farthest = np.zeros(self.n_groups)
        np.maximum.at(farthest, self.groups, moved)
        self._moved += moved
        self._group_moved += farthest
        too_far = not (self._group_moved < FAR).all()
        if too_far:
            self._start_anew()
            before = self._moved
        self._is_new = too_far or bool((self.upper == UNKNOWN).all())
        return (np.ceil(self._moved) - before).astype(np.int32)


def _usual_distance(x: np.ndarray, labels: np.ndarray, centers: np.ndarray) -> float:
    """The median distance of some rows to their centers; 1 where it is of no use."""
    from sortal.kernels.lloyd_loops import squared_to_own

    some = slice(None, None, -(-len(x) // 64))
    own = np.empty(len(x[some]))
    squared_to_own(read_block(x, some), np.ascontiguousarray(centers), labels[some].copy(), own)
    own = np.sqrt(own)
    own = own[(own > 1e-30) & (own < 1e30)]
    return float(np.median(own)) if own.size else 1.0


def _by_group(groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centers by group, each filling whole panels (-1: none), and the first panel of each group."""
    from sortal.kernels.lloyd_tile import PANEL

    names: list[np.ndarray] = []
    first = [0]
    for g in range(groups.max() + 1):
        members = np.flatnonzero(groups == g)
        room = -(-len(members) // PANEL) * PANEL
        names.append(np.concatenate([members, np.full(room - len(members), -1)]))
        first.append(first[-1] + room // PANEL)
    return np.concatenate(names).astype(np.int32), np.array(first)
