"""Density groups in many dimensions: one matrix product a pair of blocks, half of all pairs of rows."""

from typing import no_type_check

import numpy as np

from sortal.kernels.compiled import compiled
from sortal.kernels.density_unions import meet_all, squared_distance

__all__ = ["meet_pairs", "near_by_cosine", "near_by_distance"]


@compiled
@no_type_check
def near_by_distance(x, products, norms, other_norms, start, begin, slack, squared_radius):
    """The pairs of two blocks of rows that are near, given their products; no pair twice within a block.

    Products and squared norms (float64) are of rows scaled so that the radius is 1. Where the rounding of
    products (`slack` times the norms) could change the answer, float64 decides by differences.

    Gives the later rows (int32), one row of the first block after another, and where each of these ends.
    """
    n_rows, n_others = products.shape
    ends, near, n_near = np.empty(n_rows, np.int32), np.empty(4 * n_others, np.int32), 0
    floor = (other_norms * (0.5 * (1 - slack))).astype(products.dtype)
    for a in range(n_rows):
        i = start + a
        own = norms[a]
        near = _with_room(near, n_near, n_others)
        hits = near[n_near:]
        for b in hits[: _above(products[a], floor, 0.5 * (own * (1 - slack) - 1 - slack), hits)]:
            j = begin + b
            if j > i:
                total = own + other_norms[b]
                squared = total - 2 * np.float64(products[a, b])
                near[n_near] = j
                n_near += squared + slack * (total + 1) < 1 or squared_distance(x, i, j) <= squared_radius
        ends[a] = n_near
    return ends, near[:n_near]


@compiled
@no_type_check
def near_by_cosine(products, start, begin, least):
    """The pairs of two blocks of unit rows whose product is at least `least`, as `near_by_distance` gives."""
    n_rows, n_others = products.shape
    ends, near, n_near = np.empty(n_rows, np.int32), np.empty(4 * n_others, np.int32), 0
    floor = np.zeros(n_others, products.dtype)
    for a in range(n_rows):
        near = _with_room(near, n_near, n_others)
        hits = near[n_near:]
        for b in hits[: _above(products[a], floor, least, hits)]:
            near[n_near] = begin + b
            n_near += begin + b > start + a
        ends[a] = n_near
    return ends, near[:n_near]


@compiled
@no_type_check
def meet_pairs(start, ends, near, met):
    """Let the rows from `start` on meet those near them."""
    begin = 0
    for a in range(len(ends)):
        meet_all(start + a, near[begin : ends[a]], met)
        begin = ends[a]


@compiled
@no_type_check
def _with_room(near, used, wanted):
    """Not one number for each product at once: most pairs are far, and threads have a block each."""
    if used + wanted <= len(near):
        return near
    larger = np.empty(2 * len(near), near.dtype)
    larger[:used] = near[:used]
    return larger


@compiled
@no_type_check
def _above(row, floor, least, hits):
    least = row.dtype.type(least)
    n_hits = 0
    for b in range(len(row)):
        hits[n_hits] = b
        n_hits += row[b] - floor[b] >= least
    return n_hits
