"""Sums over a tile of kernel values, group by group. Whoever calls has sorted rows and columns by group."""

from typing import no_type_check

import numpy as np

from sortal.kernels.compiled import compiled

__all__ = ["add_columns", "add_rows"]


@compiled
@no_type_check
def _ends_of_runs(plus, minus):
    ends = np.empty(len(plus), np.int64)
    n_runs = 0
    for j in range(1, len(plus) + 1):
        if j == len(plus) or plus[j] != plus[j - 1] or minus[j] != minus[j - 1]:
            ends[n_runs] = j
            n_runs += 1
    return ends[:n_runs]


@compiled(fastmath={"reassoc"})
@no_type_check
def _product(values, weights):
    total = values.dtype.type(0)
    for j in range(len(values)):
        total += values[j] * weights[j]
    return np.float64(total)


@compiled
@no_type_check
def add_rows(tile, weights, plus, minus, sums):
    """sums[i, plus[j]] += weights[j] tile[i, j], and sums[i, minus[j]] -= the same where minus[j] >= 0."""
    ends = _ends_of_runs(plus, minus)
    for i in range(tile.shape[0]):
        begin = 0
        for end in ends:
            # Slices: an index from `begin` on might be negative, is not put in vectors and is 8 times slower.
            total = _product(tile[i, begin:end], weights[begin:end])
            sums[i, plus[begin]] += total
            if minus[begin] >= 0:
                sums[i, minus[begin]] -= total
            begin = end


@compiled
@no_type_check
def add_columns(tile, weights, plus, sums):
    """sums[j, plus[i]] += weights[i] tile[i, j]."""
    total = np.empty(tile.shape[1], tile.dtype)
    begin = 0
    for end in _ends_of_runs(plus, plus):
        total[:] = 0
        for i in range(begin, end):
            row, weight = tile[i], weights[i]
            for j in range(len(total)):
                total[j] += weight * row[j]
        for j in range(len(total)):
            sums[j, plus[begin]] += np.float64(total[j])
        begin = end
