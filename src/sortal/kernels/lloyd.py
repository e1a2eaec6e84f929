"""Nearest centers, and the steps of Lloyd's algorithm, for dense rows: NumPy outside, compiled loops inside.

Rows may lie in a memory map: they are read block by block and never copied whole.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from sortal.kernels.lloyd_bounds import Bounds, bounds_if_they_pay
from sortal.kernels.lloyd_cells import cells_if_they_pay
from sortal.kernels.lloyd_panels import assign_block, block_rows, pack_centers, read_block
from sortal.kernels.lloyd_sums import ClusterSums
from sortal.kernels.threads import map_blocks

__all__ = ["DenseRows", "nearest_center", "nearest_labels", "squared_to_center"]


def nearest_center(
    x: Float[np.ndarray, "n d"], centers: Float[np.ndarray, "k d"]
) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """The nearest center of each row (int32; ties: the lowest number) and its squared distance (float64).

    Labels equal float64 brute force: scores in the type of x decide where their rounding cannot matter, the
    rest is computed by differences.
    """
    labels = nearest_labels(x, centers)
    return labels, squared_to_center(x, centers, labels)


def nearest_labels(x: Float[np.ndarray, "n d"], centers: Float[np.ndarray, "k d"]) -> Int[np.ndarray, " n"]:
    """The nearest center of each row (int32), as `nearest_center` finds it."""
    packed = pack_centers(centers, x.dtype)
    labels = np.empty(len(x), np.int32)

    def assign(rows: slice) -> None:
        assign_block(read_block(x, rows), packed, labels[rows])

    for _ in map_blocks(assign, len(x), block_rows(x)):
        pass
    return labels


def squared_to_center(
    x: Float[np.ndarray, "n d"], centers: Float[np.ndarray, "k d"], labels: Int[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """The squared distance of each row to the center of its label, by differences in float64."""
    squared, centers = np.empty(len(x)), np.ascontiguousarray(centers)

    def measure(rows: slice) -> None:
        squared[rows] = _squared_in_block(read_block(x, rows), centers, labels[rows])

    for _ in map_blocks(measure, len(x), block_rows(x)):
        pass
    return squared


def _squared_in_block(block: np.ndarray, centers: np.ndarray, labels: np.ndarray) -> np.ndarray:
    from sortal.kernels.lloyd_loops import squared_to_own

    squared = np.empty(len(block))
    squared_to_own(block, centers, labels, squared)
    return squared


class DenseRows(ClusterSums):
    """Rows on their way through Lloyd's algorithm: nearest centers, and the sums of each cluster.

    Sums are updated for the rows whose label changed. Of a row, its label is all that is kept (4 bytes),
    unless bounds or boxes pay.
    """

    def __init__(
        self, x: Float[np.ndarray, "n d"], weights: Float[np.ndarray, " n"] | None, origin: np.ndarray, k: int
    ) -> None:
        super().__init__(origin, k)
        self.x, self.weights = x, weights
        self.total = self.variance = np.nan  # known after the first step
        self._centers: np.ndarray | None = None  # of the last assignment
        self._bounds: Bounds | None = None
        self._cells = cells_if_they_pay(x, weights, origin, k)
        self._labels: np.ndarray | None = None  # boxes keep them in an order of their own
        if self._cells is None:
            self._forget()

    def step(self, centers: Float[np.ndarray, "k d"]) -> int:
        """Every row goes to its nearest center; how many labels changed."""
        before, self._centers = self._centers, centers
        if before is None:
            return self._first_step(centers)
        if self._cells is not None:
            self._sums, changed = self._cells.assign(centers)
            self._lost = np.zeros_like(self._sums)
            return changed
        if self._bounds is None:
            self._bounds = bounds_if_they_pay(self.x, self.labels, before, centers)
        if self._bounds is None:
            packed = pack_centers(centers, self.x.dtype)
            return self._move(lambda rows, block, labels: assign_block(block, packed, labels))
        changed = self._move(self._bounds.begin(centers), self._bounds.block)
        if not self._bounds.pay():
            self._bounds = None
        return changed

    def _first_step(self, centers: np.ndarray) -> int:
        """Moments are taken of rows that the assignment has just brought into the cache."""
        n, d = self.x.shape
        total, totals, squares = 0.0, np.zeros(d), np.zeros(d)

        def add(found: tuple[float, np.ndarray, np.ndarray]) -> None:
            nonlocal total, totals, squares
            total, totals, squares = total + found[0], totals + found[1], squares + found[2]

        if self._cells is not None:

            def measure(rows: slice) -> tuple[float, np.ndarray, np.ndarray]:
                return self._moments(rows, read_block(self.x, rows))

            for found in map_blocks(measure, n, block_rows(self.x)):
                add(found)
            self._sums, changed = self._cells.assign(centers)
        else:
            packed = pack_centers(centers, self.x.dtype)

            def assign(rows: slice, block: np.ndarray, labels: np.ndarray) -> Any:
                assign_block(block, packed, labels)
                return self._moments(rows, block)

            changed = self._move(assign, then=add)
        self.total, self.variance = float(total), float(np.mean(squares / n - (totals / n) ** 2))
        return changed

    @property
    def labels(self) -> Int[np.ndarray, " n"]:
        if self._labels is None:
            assert self._centers is not None
            return nearest_labels(self.x, self._centers)
        return self._labels

    def close(self) -> Int[np.ndarray, " n"]:
        """The labels; what was kept to find them faster is given back."""
        self._cells = self._bounds = None
        return self.labels

    def relabel(self, rows: Int[np.ndarray, " r"], clusters: Int[np.ndarray, " r"]) -> None:
        """Rows go to other clusters, until the next step."""
        labels = self.labels.copy()
        labels[rows] = clusters
        if self._cells is not None:
            self._forget()
        if self._bounds is not None:
            self._bounds.forget(rows)
        self._move(lambda rows, block, own: np.copyto(own, labels[rows]))
        if self._cells is not None:
            self._labels = None

    def squared(self, centers: Float[np.ndarray, "k d"]) -> Float[np.ndarray, " n"]:
        return squared_to_center(self.x, centers, self.labels)

    def cost(self, centers: Float[np.ndarray, "k d"], labels: Int[np.ndarray, " n"]) -> float:
        """The weighted sum of squared distances, by differences."""

        def measure(rows: slice) -> float:
            squared = _squared_in_block(read_block(self.x, rows), centers, labels[rows])
            return float(squared.sum() if self.weights is None else self.weights[rows] @ squared)

        return sum(map_blocks(measure, len(self.x), block_rows(self.x)))

    def _forget(self) -> None:
        self._sums[:], self._lost[:] = 0, 0
        self._labels = np.full(len(self.x), -1, np.int32)

    def _move(
        self,
        assign: Callable[[slice, np.ndarray, np.ndarray], Any],
        block: int = 0,
        then: Callable[[Any], object] = lambda found: None,
    ) -> int:
        """`assign(rows, block, labels)` writes the labels of some rows, and the sums follow.

        Sums are updated in the order of the blocks, while threads are at the next ones; `then` takes what
        `assign` returned in this order too.
        """
        from sortal.kernels.lloyd_loops import move_rows

        labels = self.labels

        def part(rows: slice) -> tuple[slice, np.ndarray, np.ndarray, Any]:
            before = labels[rows].copy()
            found = assign(rows, read_block(self.x, rows), labels[rows])
            changed = np.flatnonzero(before != labels[rows])
            return rows, changed, before[changed], found

        n_changed = 0
        for rows, changed, before, found in map_blocks(part, len(self.x), block or block_rows(self.x)):
            move_rows(
                read_block(self.x, rows), changed, *self._weighing(rows), self.origin,
                before, labels[rows], self._sums, self._lost,
            )  # fmt: skip
            then(found)
            n_changed += len(changed)
        return n_changed

    def _weighing(self, rows: slice) -> tuple[np.ndarray, int]:
        """Weights, and how far it is from one to the next."""
        return (np.ones(1), 0) if self.weights is None else (self.weights[rows], 1)

    def _moments(self, rows: slice, block: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """The weighted sum of squares, and the sums and squares of the columns."""
        from sortal.kernels.lloyd_loops import moments

        totals, squares = np.zeros(block.shape[1]), np.zeros(block.shape[1])
        return moments(block, *self._weighing(rows), self.origin, totals, squares), totals, squares
