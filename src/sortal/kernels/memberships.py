"""One step of soft groups: memberships from centers, and what the next centers are made of.

Distances are by differences in float64 and seen from `origin`, so a huge offset costs no digits. Only a
caller who hands in `memberships` gets an n x k array.
"""

import numpy as np
from jaxtyping import Float

from sortal.kernels.threads import map_blocks

__all__ = ["fuzzy_step", "soft_step"]

BLOCK = 4096  # rows: 25 sums to combine for 100,000


def soft_step(
    x: Float[np.ndarray, "n d"],
    origin: Float[np.ndarray, " d"],
    centers: Float[np.ndarray, "k d"],
    weights: Float[np.ndarray, " n"],
    memberships: Float[np.ndarray, "n k"] | None = None,
    *,
    stiffness: float,
) -> tuple[Float[np.ndarray, "k d"], Float[np.ndarray, " k"], float]:
    """Responsibilities r ~ exp(-stiffness |x - c|^2 / 2), rows scaled to sum 1.

    `centers` count from `origin`. Returns the sums of weight r (x - origin), the sums of weight r, and the
    free energy: the weighted sum of -2 / stiffness log(sum over c of exp(-stiffness |x - c|^2 / 2)).
    """
    return _by_blocks(False, x, origin, centers, stiffness, weights, memberships)


def fuzzy_step(
    x: Float[np.ndarray, "n d"],
    origin: Float[np.ndarray, " d"],
    centers: Float[np.ndarray, "k d"],
    weights: Float[np.ndarray, " n"],
    memberships: Float[np.ndarray, "n k"] | None = None,
    *,
    fuzziness: float,
) -> tuple[Float[np.ndarray, "k d"], Float[np.ndarray, " k"], float]:
    """Memberships u ~ |x - c|^(-2 / (fuzziness - 1)), rows scaled to sum 1.

    On a center they are 1 and 0; several equal centers share.
    `centers` count from `origin`. Returns the sums of weight u^fuzziness (x - origin), the sums of weight
    u^fuzziness, and the cost: the sum of weight u^fuzziness |x - c|^2.
    """
    return _by_blocks(True, x, origin, centers, fuzziness, weights, memberships)


def _by_blocks(
    fuzzy: bool,
    x: np.ndarray,
    origin: np.ndarray,
    centers: np.ndarray,
    exponent: float,
    weights: np.ndarray,
    memberships: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray, float]:
    from sortal.kernels.memberships_loops import memberships_block

    def step(rows: slice) -> tuple[np.ndarray, np.ndarray, float]:
        sums, mass = np.zeros(centers.shape), np.zeros(len(centers))
        out = np.empty((0, 0), x.dtype) if memberships is None else memberships[rows]
        cost = memberships_block(
            fuzzy, x[rows], origin, centers, float(exponent), weights[rows], out, sums, mass
        )  # fmt: skip
        return sums, mass, cost

    sums, mass, cost = np.zeros(centers.shape), np.zeros(len(centers)), 0.0
    for part in map_blocks(step, len(x), BLOCK):
        sums += part[0]
        mass += part[1]
        cost += part[2]
    return sums, mass, cost
