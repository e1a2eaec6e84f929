"""Nearest centers, and the steps of Lloyd's algorithm, for dense rows: NumPy outside, compiled loops inside.

Rows may lie in a memory map: they are read block by block and never copied whole.
"""

import numpy as np
from jaxtyping import Float, Int

from sortal.kernels.lloyd_bounds import Bounds, bounds_if_they_pay
from sortal.kernels.lloyd_panels import assign_block, block_rows, pack_centers, read_block
from sortal.kernels.threads import map_blocks, n_threads

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
        labels[rows] = assign_block(read_block(x, rows), packed)

    for _ in map_blocks(assign, len(x), block_rows(x)):
        pass
    return labels


def squared_to_center(
    x: Float[np.ndarray, "n d"], centers: Float[np.ndarray, "k d"], labels: Int[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    """The squared distance of each row to the center of its label, by differences in float64."""
    from sortal.kernels.lloyd_loops import squared_to_own

    squared = np.empty(len(x))
    wide = centers.astype(np.float64)

    def measure(rows: slice) -> None:
        squared_to_own(read_block(x, rows), wide, labels[rows], squared[rows])

    for _ in map_blocks(measure, len(x), block_rows(x)):
        pass
    return squared


class DenseRows:
    """Rows on their way through Lloyd's algorithm: nearest centers, and the running sums of each cluster.

    Sums are in float64, of differences from `origin` (a huge offset would eat their digits), and are updated
    for the rows whose label changed. `total` is the weighted sum of squares, `variance` the mean variance of
    the columns.
    """

    def __init__(
        self, x: Float[np.ndarray, "n d"], weights: Float[np.ndarray, " n"] | None, origin: np.ndarray, k: int
    ) -> None:
        self.x, self.origin, self.k = x, origin, k
        self.weights = np.ones(1) if weights is None else weights
        self.step = 0 if weights is None else 1
        self.labels = np.full(len(x), -1, np.int32)
        width = x.shape[1] + 2  # the numbers, the weight, the rows that have one
        self._sums, self._lost = np.zeros((k, width)), np.zeros((k, width))
        self.total, self.variance = self._moments()
        self._centers: np.ndarray | None = None  # of the last assignment
        self._bounds: Bounds | None = None

    def assign(self, centers: Float[np.ndarray, "k d"]) -> Int[np.ndarray, " n"]:
        """The nearest center of each row; by bounds where few pairs remain to be looked at."""
        if self._centers is not None and self._bounds is None:
            self._bounds = bounds_if_they_pay(self.x, self.labels, self._centers, centers)
        self._centers = centers
        if self._bounds is None:
            return nearest_labels(self.x, centers)
        labels, pays = self._bounds.assign(self.labels, centers)
        if not pays:
            self._bounds = None
        return labels

    def squared(
        self, centers: Float[np.ndarray, "k d"], labels: Int[np.ndarray, " n"]
    ) -> Float[np.ndarray, " n"]:
        return squared_to_center(self.x, centers, labels)

    def move(self, labels: Int[np.ndarray, " n"]) -> int:
        """Take `labels` for the labels now; how many differ from before."""
        from sortal.kernels.lloyd_loops import move_rows

        blocks = [(rows, np.flatnonzero(labels[rows] != self.labels[rows])) for rows in self._blocks()]
        blocks = [(rows, changed) for rows, changed in blocks if changed.size]

        def update(clusters: slice) -> None:
            for rows, changed in blocks:
                move_rows(
                    read_block(self.x, rows), changed, self._weights(rows), self.step, self.origin,
                    self.labels[rows], labels[rows], clusters.start, clusters.stop, self._sums, self._lost,
                )  # fmt: skip

        for _ in map_blocks(update, self.k, -(-self.k // n_threads())):
            pass
        for rows, changed in blocks:
            self.labels[rows][changed] = labels[rows][changed]
        return sum(len(changed) for _, changed in blocks)

    @property
    def sums(self) -> np.ndarray:
        """Sums of weighted differences from the origin, k x d."""
        return self._sums[:, :-2] + self._lost[:, :-2]

    @property
    def mass(self) -> np.ndarray:
        return self._sums[:, -2] + self._lost[:, -2]

    @property
    def n_rows(self) -> np.ndarray:
        """Rows with a weight above 0, exactly."""
        return self._sums[:, -1]

    def _blocks(self) -> list[slice]:
        block = block_rows(self.x)
        return [slice(at, min(at + block, len(self.x))) for at in range(0, len(self.x), block)]

    def _weights(self, rows: slice) -> np.ndarray:
        return self.weights[rows] if self.step else self.weights

    def _moments(self) -> tuple[float, float]:
        from sortal.kernels.lloyd_loops import moments

        def measure(rows: slice) -> tuple[float, np.ndarray, np.ndarray]:
            totals, squares = np.zeros(self.x.shape[1]), np.zeros(self.x.shape[1])
            block = read_block(self.x, rows)
            total = moments(block, self._weights(rows), self.step, self.origin, totals, squares)
            return total, totals, squares

        n = len(self.x)
        parts = list(map_blocks(measure, n, block_rows(self.x)))
        mean = sum(totals for _, totals, _ in parts) / n
        spread = sum(squares for _, _, squares in parts) / n - mean**2
        return sum(total for total, _, _ in parts), float(np.mean(spread))
