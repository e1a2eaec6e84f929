"""The kernels of `seeding` in NumPy, with the same signatures."""

import numpy as np

__all__ = ["draw_in_turn", "lower_nearest", "nearer_pairs", "squared_differences"]


def squared_differences(
    x: np.ndarray, centers: np.ndarray, rows: np.ndarray, columns: np.ndarray, scale: float
) -> np.ndarray:
    differences = (x[rows].astype(np.float64) - centers[columns].astype(np.float64)) * scale
    squared: np.ndarray = np.einsum("pd,pd->p", differences, differences)
    return squared


def nearer_pairs(
    x: np.ndarray, some: np.ndarray, centers: np.ndarray, origin: np.ndarray, scale: float,
    nearest: np.ndarray, owner: np.ndarray, apart: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    columns = np.arange(len(centers))
    each = [squared_differences(x, centers, np.full(len(columns), i), columns, scale) for i in some]
    squared = np.stack(each, axis=1)
    columns, rows = np.nonzero(squared < nearest)
    ends = np.searchsorted(columns, np.arange(len(centers) + 1))
    return rows.astype(np.int32), squared[columns, rows], ends


def lower_nearest(
    x: np.ndarray, centers: np.ndarray, origin: np.ndarray, scale: float, first: int,
    nearest: np.ndarray, owner: np.ndarray,
) -> None:  # fmt: skip
    every, apart = np.arange(len(x)), np.full((1, len(centers)), -np.inf)
    rows, squared, ends = nearer_pairs(x, every, centers, origin, scale, nearest, owner, apart)
    columns = np.repeat(np.arange(len(centers)), np.diff(ends))
    for i, j, value in zip(rows, columns, squared, strict=True):
        if value < nearest[i]:
            nearest[i], owner[i] = value, first + j


def draw_in_turn(
    x: np.ndarray, weights: np.ndarray, scale: float, first: int, uniforms: np.ndarray
) -> np.ndarray:
    def squared(row: int) -> np.ndarray:
        differences = (x.astype(np.float64) - x[row].astype(np.float64)) * scale
        return np.asarray((differences**2).sum(axis=1))

    index, nearest = [first], squared(first)
    for step in uniforms:
        reach = np.cumsum(weights * nearest)
        if not reach[-1] > 0:
            break
        last = np.searchsorted(reach, reach[-1])
        rows = np.minimum(np.searchsorted(reach, step * reach[-1], side="right"), last)
        new = [np.minimum(nearest, squared(row)) for row in rows.tolist()]
        best = int(np.argmax([weights @ (nearest - one) for one in new]))
        index.append(rows[best])
        nearest = new[best]
    return np.array(index, np.int64)
