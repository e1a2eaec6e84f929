"""What k-means++ spends its time on: which rows a new center is nearer to, and by how much.

A float32 product tells which pairs can matter; those are computed again by differences in float64.
`scores[i, j] + norms[j]` is |x_i - c_j|^2 - |x_i|^2 as the product has it, rounding errors included; the
caller adds what they can come to at most to what it is compared with.
"""

import numpy as np
from jaxtyping import Float, Int

__all__ = ["draw_in_turn", "lower_nearest", "near_pairs", "squared_differences"]


def near_pairs(
    scores: Float[np.ndarray, "n m"], norms: Float[np.ndarray, " m"], bound: Float[np.ndarray, " n"]
) -> tuple[Int[np.ndarray, " p"], Int[np.ndarray, " p"]]:
    """The pairs (row i, center j) with `scores[i, j] + norms[j] < bound[i]`, by i, then j (int32)."""
    from sortal.kernels import seeding_loops

    rows, columns = seeding_loops.near_pairs(scores, norms, bound)
    return rows, columns


def squared_differences(
    x: Float[np.ndarray, "n d"],
    centers: Float[np.ndarray, "m d"],
    rows: Int[np.ndarray, " p"],
    columns: Int[np.ndarray, " p"],
    scale: float,
) -> Float[np.ndarray, " p"]:
    """|scale (x[row] - centers[column])|^2 of each pair, in float64."""
    from sortal.kernels import seeding_loops

    squared: np.ndarray = seeding_loops.squared_differences(x, centers, rows, columns, scale)
    return squared


def lower_nearest(
    x: Float[np.ndarray, "n d"],
    centers: Float[np.ndarray, "m d"],
    scores: Float[np.ndarray, "n m"],
    norms: Float[np.ndarray, " m"],
    reach: Float[np.ndarray, " n"],
    scale: float,
    first: int,
    nearest: Float[np.ndarray, " n"],
    owner: Int[np.ndarray, " n"],
) -> None:
    """Lower `nearest` (float64) in place where one of `centers` is nearer; `owner` becomes its number.

    Centers are numbered from `first`; ties keep the lower number. Only pairs whose score lies below
    `nearest + reach` are looked at.
    """
    from sortal.kernels import seeding_loops

    seeding_loops.lower_nearest(x, centers, scores, norms, reach, scale, first, nearest, owner)


def draw_in_turn(
    x: Float[np.ndarray, "n d"],
    weights: Float[np.ndarray, " n"],
    scale: float,
    first: int,
    uniforms: Float[np.ndarray, "m t"],
) -> Int[np.ndarray, " k"]:
    """k-means++ as it is told: the row `first`, then for each line of `uniforms` (0 to 1) one row more.

    Each number draws a candidate in proportion to weight times squared distance; the one that lowers the cost
    most is taken (ties: the first). Ends early where every row of weight lies on a center.
    """
    from sortal.kernels import seeding_loops

    index: np.ndarray = seeding_loops.draw_in_turn(x, weights, scale, first, uniforms)
    return index
