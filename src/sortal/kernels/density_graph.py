"""Groups in a graph of neighbours that is given, where reach may go one way only."""

from typing import no_type_check

import numpy as np

from sortal.kernels.compiled import compiled

__all__ = ["spread"]


@compiled
@no_type_check
def spread(starts, neighbors, core):
    """Labels (intp): from each core point without a group, in order, one spreads over all it reaches."""
    labels = np.full(len(core), -1, np.intp)
    stack = np.empty(len(core), np.int64)
    group = 0
    for i in range(len(core)):
        if labels[i] >= 0 or not core[i]:
            continue
        labels[i], stack[0] = group, i
        height = 1
        while height:
            height -= 1
            at = stack[height]
            if core[at]:
                for j in neighbors[starts[at] : starts[at + 1]]:
                    if labels[j] < 0:
                        labels[j], stack[height] = group, j
                        height += 1
        group += 1
    return labels
