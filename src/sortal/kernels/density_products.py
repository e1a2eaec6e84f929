"""Density groups in many dimensions: one matrix product a pair of blocks, half of all pairs of rows."""

from typing import no_type_check

import numpy as np

from sortal.kernels.compiled import compiled
from sortal.kernels.density_unions import meet_all, squared_distance

__all__ = ["meet_by_cosine", "meet_by_distance"]


@compiled
@no_type_check
def meet_by_distance(x, products, norms, other_norms, start, begin, slack, squared_radius, met):
    """Let the pairs of two blocks of rows meet, given their products.

    Products and squared norms (float64) are of rows scaled so that the radius is 1. Where the rounding of
    products (`slack` times the norms) could change the answer, float64 decides by differences.
    """
    hits = np.empty(products.shape[1], np.int32)
    floor = (other_norms * (0.5 * (1 - slack))).astype(products.dtype)
    for a in range(products.shape[0]):
        i = start + a
        own = norms[a]
        n_hits = _above(products[a], floor, 0.5 * (own * (1 - slack) - 1 - slack), hits)
        n_near = 0
        for b in hits[:n_hits]:
            j = begin + b
            if j > i:
                total = own + other_norms[b]
                squared = total - 2 * np.float64(products[a, b])
                hits[n_near] = j
                n_near += squared + slack * (total + 1) < 1 or squared_distance(x, i, j) <= squared_radius
        if n_near:
            meet_all(i, hits[:n_near], met)


@compiled
@no_type_check
def meet_by_cosine(products, start, begin, least, met):
    """Let the pairs of two blocks of unit rows meet whose product is at least `least`."""
    hits = np.empty(products.shape[1], np.int32)
    floor = np.zeros(products.shape[1], products.dtype)
    for a in range(products.shape[0]):
        n_later = 0
        for b in hits[: _above(products[a], floor, least, hits)]:
            hits[n_later] = begin + b
            n_later += begin + b > start + a
        if n_later:
            meet_all(start + a, hits[:n_later], met)


@compiled
@no_type_check
def _above(row, floor, least, hits):
    least = row.dtype.type(least)
    n_hits = 0
    for b in range(len(row)):
        hits[n_hits] = b
        n_hits += row[b] - floor[b] >= least
    return n_hits
