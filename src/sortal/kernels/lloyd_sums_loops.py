"""What Lloyd's algorithm asks of the sums of its clusters, compiled: no copy of k x d numbers is made.

A row of `sums` are the differences from the origin, the weight, and the rows that have one; `lost` is what
rounding took from it.
"""

from typing import no_type_check

import numpy as np

from sortal.kernels.compiled import compiled

__all__ = ["inertia_of_sums", "move_centers", "squared_shifts"]


@compiled
@no_type_check
def inertia_of_sums(total, centers, origin, sums, lost):
    """sum |x|^2 - 2 c.sum + mass |c|^2, seen from the origin.

    The terms cancel: what rounding takes is kept apart (Neumaier), since half a million of them would lose
    the last digits, by which a descent knows that it has ended.
    """
    k, d = centers.shape
    rounding = 0.0
    for c in range(k):
        mass = sums[c, d] + lost[c, d]
        for j in range(d):
            seen = np.float64(centers[c, j]) - origin[j]
            term = seen * (mass * seen - 2 * (sums[c, j] + lost[c, j]))
            after = total + term
            large, small = (total, term) if abs(total) >= abs(term) else (term, total)
            rounding += (large - after) + small
            total = after
    return total + rounding


@compiled
@no_type_check
def move_centers(centers, origin, sums, lost):
    """Centers become the means; that of a cluster without weight stays."""
    k, d = centers.shape
    for c in range(k):
        mass = sums[c, d] + lost[c, d]
        if sums[c, d + 1] > 0:
            for j in range(d):
                centers[c, j] = (sums[c, j] + lost[c, j]) / mass + origin[j]


@compiled
@no_type_check
def squared_shifts(new, old):
    """The square of how far each center moved, in float64."""
    squared = np.zeros(len(new))
    for c in range(len(new)):
        for j in range(new.shape[1]):
            squared[c] += (np.float64(new[c, j]) - np.float64(old[c, j])) ** 2
    return squared
