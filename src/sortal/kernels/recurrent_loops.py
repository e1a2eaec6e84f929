"""The loops of `recurrent`, compiled."""

import math
from typing import no_type_check

import numpy as np

from sortal.kernels.compiled import compiled

__all__ = ["gru", "jacobians", "lstm", "plain"]


@compiled
@no_type_check
def _recurrent_sums(before, weight, across, bias, out):
    """W_hh h + b_hh. A single row is taken by a vector: a product of matrices copies W at each step."""
    if len(before) == 1:
        np.dot(weight, before[0], out[0])
    else:
        np.dot(before, across, out)
    for b in range(len(out)):
        for j in range(len(bias)):
            out[b, j] += bias[j]


@compiled
@no_type_check
def _sigmoid(x, one):
    """`one` is 1 in the type of x: a plain 1.0 would make it a float64."""
    return one / (one + math.exp(-x))


@compiled
@no_type_check
def plain(relu, sums, weight, across, bias, states, gates, scales, diagonal, slope):
    n_steps, batch, hidden = slope.shape
    of_h = np.empty((batch, hidden), sums.dtype)
    one = sums.dtype.type(1)
    diagonal[:] = 0
    for t in range(n_steps):
        _recurrent_sums(states[t], weight, across, bias, of_h)
        for b in range(batch):
            for j in range(hidden):
                x = sums[t, b, j] + of_h[b, j]
                h = max(x, x - x) if relu else math.tanh(x)
                states[t + 1, b, j] = gates[t, b, 0, j] = h
                bend = (one if h > 0 else one - one) if relu else one - h * h
                scales[t, b, 0, 0, j] = slope[t, b, j] = bend


@compiled
@no_type_check
def gru(sums, weight, across, bias, states, gates, scales, diagonal, slope):
    n_steps, batch, hidden = slope.shape
    of_h = np.empty((batch, 3 * hidden), sums.dtype)
    one = sums.dtype.type(1)
    for t in range(n_steps):
        _recurrent_sums(states[t], weight, across, bias, of_h)
        for b in range(batch):
            for j in range(hidden):
                h, m = states[t, b, j], of_h[b, 2 * hidden + j]
                r = _sigmoid(sums[t, b, j] + of_h[b, j], one)
                z = _sigmoid(sums[t, b, hidden + j] + of_h[b, hidden + j], one)
                n = math.tanh(sums[t, b, 2 * hidden + j] + r * m)
                bend = (one - z) * (one - n * n)
                states[t + 1, b, j] = (one - z) * n + z * h
                gates[t, b, 0, j], gates[t, b, 1, j], gates[t, b, 2, j] = r, z, n
                scales[t, b, 0, 0, j] = bend * m * r * (one - r)
                scales[t, b, 0, 1, j] = (h - n) * z * (one - z)
                scales[t, b, 0, 2, j] = bend * r
                diagonal[t, b, 0, j], slope[t, b, j] = z, bend


@compiled
@no_type_check
def lstm(sums, weight, across, bias, states, gates, scales, diagonal, slope):
    n_steps, batch, hidden = slope.shape
    of_h = np.empty((batch, 4 * hidden), sums.dtype)
    before = np.empty((batch, hidden), sums.dtype)
    one = sums.dtype.type(1)
    slope[:] = 0
    for t in range(n_steps):
        before[:] = states[t, :, :hidden]
        _recurrent_sums(before, weight, across, bias, of_h)
        for b in range(batch):
            for j in range(hidden):
                c = states[t, b, hidden + j]
                i = _sigmoid(sums[t, b, j] + of_h[b, j], one)
                f = _sigmoid(sums[t, b, hidden + j] + of_h[b, hidden + j], one)
                g = math.tanh(sums[t, b, 2 * hidden + j] + of_h[b, 2 * hidden + j])
                o = _sigmoid(sums[t, b, 3 * hidden + j] + of_h[b, 3 * hidden + j], one)
                new = f * c + i * g
                shown = math.tanh(new)
                bend = o * (one - shown * shown)
                states[t + 1, b, j], states[t + 1, b, hidden + j] = o * shown, new
                gates[t, b, 0, j], gates[t, b, 1, j], gates[t, b, 2, j], gates[t, b, 3, j] = i, f, g, o
                by_i, by_f, by_g = g * i * (one - i), c * f * (one - f), i * (one - g * g)
                of_c, of_h_row = scales[t, b, 1], scales[t, b, 0]
                of_c[0, j], of_c[1, j], of_c[2, j], of_c[3, j] = by_i, by_f, by_g, one - one
                of_h_row[0, j], of_h_row[1, j], of_h_row[2, j] = bend * by_i, bend * by_f, bend * by_g
                of_h_row[3, j] = shown * o * (one - o)
                diagonal[t, b, 0, j], diagonal[t, b, 1, j] = bend * f, f


@compiled(fastmath={"contract"})
@no_type_check
def jacobians(scales, weight, diagonal, out):
    """Each row is written once, eight rows of all steps before the next eight: their weights stay in cache.

    Places are written out, since slices of them took three times as long as the arithmetic.
    """
    n, rows, n_gates, hidden = scales.shape
    size = out.shape[2]
    nothing = np.zeros(
        size - hidden, out.dtype
    )  # a plain 0 becomes a call of memset a row: 160 ns each, 4 ms
    for begin in range(0, hidden, 8):
        for t in range(n):
            for r in range(rows):
                for i in range(begin, min(begin + 8, hidden)):
                    to = r * hidden + i
                    s0, i1, i2, i3 = scales[t, r, 0, i], hidden + i, 2 * hidden + i, 3 * hidden + i
                    if n_gates == 1:
                        for j in range(hidden):
                            out[t, to, j] = s0 * weight[i, j]
                    elif n_gates == 3:
                        s1, s2 = scales[t, r, 1, i], scales[t, r, 2, i]
                        for j in range(hidden):
                            out[t, to, j] = s0 * weight[i, j] + s1 * weight[i1, j] + s2 * weight[i2, j]
                    else:
                        s1, s2, s3 = scales[t, r, 1, i], scales[t, r, 2, i], scales[t, r, 3, i]
                        for j in range(hidden):
                            out[t, to, j] = (s0 * weight[i, j] + s1 * weight[i1, j]) + (
                                s2 * weight[i2, j] + s3 * weight[i3, j]
                            )
                    for j in range(size - hidden):
                        out[t, to, hidden + j] = nothing[j] + nothing[j]
                    out[t, to, size - hidden + i] += diagonal[t, r, i]
