"""Sums of kernel values over groups, by tiles: the matrix of all values never exists.

`values(a, b)` gives the kernel between rows a and rows b. Whatever rows are (vectors, or numbers of rows of
a given matrix), they are only sliced and handed to it. A tile is summed in its own type, tiles in float64.
Same bits whatever the number of threads.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float

from sortal.arrays import Labels, Weights
from sortal.kernels.threads import map_blocks

__all__ = ["gaussians", "group_sums", "matrix_group_sums", "moved_sums", "symmetric_group_sums"]

ROWS, COLUMNS = 256, 512  # a tile of float32 stays in a second-level cache of 1 MB, with its neighbours
Values = Callable[[Any, Any], np.ndarray]


def gaussians(a: Float[np.ndarray, "a d"], b: Float[np.ndarray, "b d"]) -> Float[np.ndarray, "a b"]:
    """exp(-|p - q|^2 / 2) for each p of a and q of b, vectors followed by half of their squared norm."""
    from sortal.kernels import gram_loops

    tile = a[:, :-1] @ b[:, :-1].T
    row_norms, column_norms = a[:, -1].copy(), b[:, -1].copy()
    if tile.dtype == np.float32:
        gram_loops.exponentials(tile, row_norms, column_norms)
        return np.asarray(tile)
    tile -= row_norms[:, None]
    tile -= column_norms
    np.minimum(tile, 0, out=tile)  # rounding: at d = 70,000 a row lay 1 + 4e-15 near itself
    return np.asarray(np.exp(tile, out=tile))


def group_sums(
    values: Values, queries: Any, rows: Any, labels: Labels, weights: Weights, k: int
) -> Float[np.ndarray, "q k"]:
    """For each query, sum over rows j of each group of weights[j] K(query, j)."""
    order = np.argsort(labels, kind="stable")
    none = np.full(len(labels), -1, np.int32)
    return _sums(values, queries, rows[order], labels[order], none, weights[order], k)


def moved_sums(
    values: Values, rows: Any, old: Labels, new: Labels, weights: Weights, k: int
) -> Float[np.ndarray, "n k"]:
    """What `group_sums` of all rows changes by as labels become `new`: only rows that moved are looked at."""
    moved = np.flatnonzero(old != new)
    moved = moved[np.lexsort((new[moved], old[moved]))]
    return _sums(values, rows, rows[moved], new[moved], old[moved], weights[moved], k)


def _sums(
    values: Values, queries: Any, rows: Any, plus: Labels, minus: Labels, weights: Weights, k: int
) -> np.ndarray:
    from sortal.kernels import gram_loops

    # Where few columns are left (points that moved), more rows a tile: each call costs some 30 us.
    height = max(ROWS, min(ROWS * COLUMNS // max(len(rows), 1), 16 * ROWS))

    def block(part: slice) -> np.ndarray:
        sums = np.zeros((part.stop - part.start, k))
        for at in range(0, len(rows), COLUMNS):
            columns = slice(at, at + COLUMNS)
            tile = values(queries[part], rows[columns])
            weight = weights[columns].astype(tile.dtype)
            gram_loops.add_rows(tile, weight, plus[columns], minus[columns], sums)
        return sums

    return np.concatenate([np.empty((0, k)), *map_blocks(block, len(queries), height)])


def symmetric_group_sums(
    values: Values, rows: Any, labels: Labels, weights: Weights, k: int
) -> Float[np.ndarray, "n k"]:
    """`group_sums` of the rows themselves, at half the kernel values: each serves its row and its column."""
    from sortal.kernels import gram_loops

    n = len(rows)
    order = np.argsort(labels, kind="stable")
    rows, labels, weights = rows[order], labels[order], weights[order]
    none = np.full(n, -1, np.int32)

    def block(part: slice) -> np.ndarray:
        """Of the rows from `part` on, what the tiles from the diagonal to the right add."""
        sums = np.zeros((n - part.start, k))
        own, height = weights[part], part.stop - part.start
        for begin, end in [(part.start, part.stop), *_cuts(part.stop, n)]:
            tile = values(rows[part], rows[begin:end])
            beside = weights[begin:end].astype(tile.dtype)
            gram_loops.add_rows(tile, beside, labels[begin:end], none[begin:end], sums[:height])
            if begin > part.start:
                below = sums[begin - part.start : end - part.start]
                gram_loops.add_columns(tile, own.astype(tile.dtype), labels[part], below)
        return sums

    sums = np.zeros((n, k))
    for part in map_blocks(block, n, ROWS):
        sums[n - len(part) :] += part
    unsorted = np.empty_like(sums)
    unsorted[order] = sums
    return unsorted


def matrix_group_sums(
    matrix: Float[np.ndarray, "n n"], labels: Labels, weights: Weights, k: int
) -> Float[np.ndarray, "n k"]:
    """`group_sums` of the rows themselves, from all kernel values: for as many as a cache holds."""
    from sortal.kernels import gram_loops

    sums = np.zeros((k, len(matrix)))
    gram_loops.add_matrix(matrix, weights, labels, sums)
    return np.ascontiguousarray(sums.T)


def _cuts(begin: int, end: int) -> list[tuple[int, int]]:
    return [(at, min(at + COLUMNS, end)) for at in range(begin, end, COLUMNS)]
