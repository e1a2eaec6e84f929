"""Density groups in NumPy: what `density` is measured against. All pairs, n^2 memory."""

import numpy as np
from jaxtyping import Float, Int

from sortal.arrays import Labels, Mask

__all__ = ["cosine_density_groups", "density_groups", "spread_groups"]


def density_groups(
    x: Float[np.ndarray, "n d"],
    squared_radius: float,
    min_samples: int,
    weights: Float[np.ndarray, " n"] | None = None,
) -> tuple[Labels, Mask]:
    """As `sortal.kernels.density_groups`."""
    squared = np.zeros((len(x), len(x)))
    for column in x.T.astype(np.float64):
        squared += (column[:, None] - column) ** 2
    return _grouped(squared <= squared_radius, min_samples, weights)


def cosine_density_groups(
    units: Float[np.ndarray, "n d"],
    least: float,
    min_samples: int,
    weights: Float[np.ndarray, " n"] | None = None,
) -> tuple[Labels, Mask]:
    """As `sortal.kernels.cosine_density_groups`; each row is its own neighbour."""
    return _grouped(
        (units @ units.T >= units.dtype.type(least)) | np.eye(len(units), dtype=bool), min_samples, weights
    )


def _grouped(near: np.ndarray, min_samples: int, weights: np.ndarray | None) -> tuple[Labels, Mask]:
    core = (near.sum(axis=1) if weights is None else near @ weights) >= min_samples
    starts = np.concatenate([[0], np.cumsum(near.sum(axis=1))])
    return spread_groups(starts, np.nonzero(near)[1], core), core


def spread_groups(
    starts: Int[np.ndarray, " n_plus_one"], neighbors: Int[np.ndarray, " m"], core: Mask
) -> Labels:
    """As `sortal.kernels.spread_groups`."""
    labels = np.full(len(core), -1, np.intp)
    group = 0
    for i in np.flatnonzero(core):
        if labels[i] >= 0:
            continue
        labels[i] = group
        reached = [i]
        while reached:
            at = reached.pop()
            if core[at]:
                new = neighbors[starts[at] : starts[at + 1]]
                new = new[labels[new] < 0]
                labels[new] = group
                reached.extend(new)
        group += 1
    return labels
