"""What k-means++ spends its time on: which rows a new center is nearer to, and by how much.

Distances count in units of 1 / `scale`. Scores in float32, seen from `origin`, tell which pairs can matter,
at the very worst of rounding; those are computed again by differences in float64.
"""

import numpy as np
from jaxtyping import Float, Int

__all__ = ["draw_in_turn", "lower_nearest", "nearer_pairs", "squared_differences"]


def nearer_pairs(
    x: Float[np.ndarray, "all d"],
    some: Int[np.ndarray, " n"],
    centers: Float[np.ndarray, "m d"],
    origin: Float[np.ndarray, " d"],
    scale: float,
    nearest: Float[np.ndarray, " n"],
    owner: Int[np.ndarray, " n"],
    apart: Float[np.ndarray, "k m"],
) -> tuple[Int[np.ndarray, " p"], Float[np.ndarray, " p"], Int[np.ndarray, " m+1"]]:
    """The pairs (i, center j) where x[some[i]] is nearer to j than nearest[i], by j: i and squared distance.

    Those of center j end where place j + 1 of the third array says, from 0.

    `nearest` are the squared distances to the centers so far, of which `owner` tells the number;
    apart[owner, j] bounds the squared distance between that and the new center j from below. The nearer rows
    of one owner stand together, and the more alike their distances, the fewer centers are looked at.
    """
    from sortal.kernels import seeding_loops

    rows, squared, ends = seeding_loops.nearer_pairs(
        x, some, centers, origin, x.dtype.type(scale), nearest, owner, apart
    )
    return rows, squared, ends


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
    origin: Float[np.ndarray, " d"],
    scale: float,
    first: int,
    nearest: Float[np.ndarray, " n"],
    owner: Int[np.ndarray, " n"],
) -> None:
    """Lower `nearest` (float64) in place where one of `centers` is nearer; `owner` becomes its number.

    Centers are numbered from `first`; ties keep the lower number.
    """
    from sortal.kernels import seeding_loops

    seeding_loops.lower_nearest(x, centers, origin, x.dtype.type(scale), first, nearest, owner)


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
