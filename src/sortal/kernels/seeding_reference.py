"""The kernels of `seeding` in NumPy, with the same signatures."""

import numpy as np

__all__ = ["lower_nearest", "near_pairs", "squared_differences"]


def near_pairs(scores: np.ndarray, norms: np.ndarray, bound: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = np.nonzero(scores + norms < bound[:, None])
    return rows.astype(np.int32), columns.astype(np.int32)


def squared_differences(
    x: np.ndarray, centers: np.ndarray, rows: np.ndarray, columns: np.ndarray, scale: float
) -> np.ndarray:
    differences = (x[rows].astype(np.float64) - centers[columns].astype(np.float64)) * scale
    squared: np.ndarray = np.einsum("pd,pd->p", differences, differences)
    return squared


def lower_nearest(
    x: np.ndarray, centers: np.ndarray, scores: np.ndarray, norms: np.ndarray, reach: np.ndarray,
    scale: float, first: int, nearest: np.ndarray, owner: np.ndarray,
) -> None:  # fmt: skip
    rows, columns = near_pairs(scores, norms, (nearest + reach).astype(np.float32))
    squared = squared_differences(x, centers, rows, columns, scale)
    for i, j, value in zip(rows, columns, squared, strict=True):
        if value < nearest[i]:
            nearest[i], owner[i] = value, first + j
