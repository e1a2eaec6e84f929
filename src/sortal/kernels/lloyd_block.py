"""Lloyd's algorithm for few rows: all iterations in one compiled call.

Taken one by one, the calls of an iteration cost 80 microseconds; the rows of 300 x 2 take one.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from sortal.kernels.lloyd_bounds import LEAST_NS, nanoseconds
from sortal.kernels.lloyd_cells import LEAST_ROWS, MOST_D
from sortal.kernels.lloyd_panels import BLOCK, read_block

__all__ = ["BlockDescent", "BlockOfRows", "block_if_small"]

MOST_ITERATIONS = 1000  # nothing can interrupt them: a second at most


@dataclass(frozen=True)
class BlockDescent:
    """Where the iterations ended."""

    labels: Int[np.ndarray, " n"]
    centers: Float[np.ndarray, "k d"]
    inertia: float  # by differences
    history: Float[np.ndarray, "s 3"]  # inertia from the sums, labels that changed, shift
    n_iter: int
    stopped: str


class BlockOfRows:
    """Rows laid out for the loops once, for as many starts as come."""

    def __init__(self, x: Float[np.ndarray, "n d"], weights: Float[np.ndarray, " n"] | None) -> None:
        from sortal.kernels.lloyd_block_loops import lay_out

        self._x = read_block(x, slice(None))
        self._weights = (np.ones(1), 0) if weights is None else (weights, 1)
        *self._tiles, self._origin, self._total, self._variance = lay_out(self._x, *self._weights)

    def descend(self, centers: Float[np.ndarray, "k d"], max_iter: int, tol: float) -> BlockDescent | None:
        """Lloyd's iterations; None if a cluster runs empty on the way: somebody must fill it."""
        from sortal.kernels.lloyd_block_loops import STOPPED, descend_block

        labels = np.empty(len(self._x), np.int32)
        centers = np.array(centers, self._x.dtype, order="C")
        history = np.empty((max_iter + 1, 3))
        inertia, n_steps, n_iter, stopped = descend_block(
            self._x, *self._tiles, *self._weights, self._origin, self._total,
            max_iter, tol * self._variance if tol else 0.0, centers, labels, history,
        )  # fmt: skip
        if not stopped:
            return None
        return BlockDescent(labels, centers, inertia, history[:n_steps], n_iter, STOPPED[stopped])


def block_if_small(x: np.ndarray, weights: np.ndarray | None, k: int, max_iter: int) -> BlockOfRows | None:
    n, d = x.shape
    cheap = n * nanoseconds(d, k) < LEAST_NS and x.size <= BLOCK and max_iter <= MOST_ITERATIONS
    return BlockOfRows(x, weights) if cheap and (d > MOST_D or n < LEAST_ROWS) else None
