"""Rows of few numbers in boxes: most boxes lie wholly nearest to one center."""

from collections.abc import Iterator

import numpy as np

from sortal.kernels.lloyd_panels import block_rows, read_block
from sortal.kernels.threads import map_blocks

__all__ = ["LEAST_ROWS", "MOST_D", "Cells", "cells_if_they_pay"]

LEAST_ROWS = 2**13
MOST_D = 3  # 200,000 rows: 1.2 to 2.9 times faster than tiles; at d = 4 with 256 centers .6 to .7 times
LEAF = 128  # points; with 64 the plane is no faster, and its tree takes twice the memory
ROOTS = 16  # parts of the tree that threads share
MOST_BYTES = 2**28  # of rows, which are copied


def cells_if_they_pay(
    x: np.ndarray, weights: np.ndarray | None, origin: np.ndarray, k: int
) -> "Cells | None":
    n, d = x.shape
    if not (d <= MOST_D and 8 <= k < 2**16 - 1 and n >= LEAST_ROWS and x.nbytes <= MOST_BYTES):
        return None
    return Cells(x, weights, origin)


class Cells:
    """A tree of boxes over the rows, which lie in its order; labels in that order too, as 16 bits."""

    def __init__(self, x: np.ndarray, weights: np.ndarray | None, origin: np.ndarray) -> None:
        from sortal.kernels.lloyd_cells_loops import WHOLE, box_cells

        n, d = x.shape
        self.n_levels = min(16, max(0, int(np.log2(n / LEAF))))
        n_leaves = 2**self.n_levels
        self.origin = origin
        self.start = np.zeros(n_leaves + 1, np.int64)
        self.columns = np.zeros((d, n + WHOLE), x.dtype)
        self.weights = np.zeros(0 if weights is None else n + WHOLE)
        self._place(x, weights, n_leaves)
        self.low, self.high = np.empty((2 * n_leaves, d), x.dtype), np.empty((2 * n_leaves, d), x.dtype)
        self.stats = np.zeros((2 * n_leaves, d + 2))
        box_cells(self.columns, self.weights, origin, self.start, self.low, self.high, self.stats)
        self.labels = np.full(n, 2**16 - 1, np.uint16)
        self.owner = np.full(2 * n_leaves, -1, np.int32)

    def _place(self, x: np.ndarray, weights: np.ndarray | None, n_leaves: int) -> None:
        from sortal.kernels.lloyd_cells_loops import cut_sample, place_rows, route_rows

        sample = x[:: max(1, len(x) // (4 * n_leaves))].copy()
        axes, cuts = np.zeros(n_leaves, np.int64), np.zeros(n_leaves, x.dtype)
        cut_sample(sample, axes, cuts)
        leaf = np.empty(len(x), np.uint16)

        def route(rows: slice) -> slice:
            route_rows(read_block(x, rows), axes, cuts, self.n_levels, leaf[rows])
            return rows

        counts = np.zeros(n_leaves, np.int64)
        for rows in map_blocks(route, len(x), block_rows(x)):
            counts += np.bincount(leaf[rows], minlength=n_leaves)
        np.cumsum(counts, out=self.start[1:])
        place = self.start[:-1].copy()
        for at in range(0, len(x), block_rows(x)):
            rows = slice(at, at + block_rows(x))
            some = self.weights if weights is None else weights[rows]
            place_rows(read_block(x, rows), some, leaf[rows], place, self.columns, self.weights)

    def assign(self, centers: np.ndarray) -> tuple[np.ndarray, int]:
        """The sums of each cluster, and how many labels changed.

        A row of the sums: differences from the origin, weight, rows that have one.
        """
        from sortal.kernels.lloyd_cells_loops import filter_cells

        wide = centers.astype(np.float64)
        tree = self.start, self.low, self.high, self.stats
        points = self.columns, self.weights, self.origin
        n_roots = min(ROOTS, len(self.start) - 1)

        def part(root: slice) -> tuple[np.ndarray, int]:
            sums = np.zeros((len(centers), len(self.columns) + 2))
            changed = filter_cells(
                n_roots + root.start, self.n_levels, tree, points, wide, self.owner, self.labels, sums
            )
            return sums, int(changed)

        parts: Iterator[tuple[np.ndarray, int]] = map_blocks(part, n_roots, 1)
        total, n_changed = np.zeros((len(centers), len(self.columns) + 2)), 0
        for sums, changed in parts:
            total += sums
            n_changed += changed
        return total, n_changed
