"""The loops of `recurrent`, compiled."""

import math
from typing import no_type_check

import numpy as np

from sortal.kernels.compiled import compiled

__all__ = ["gru", "jacobians", "lstm", "lstm_jacobians", "plain"]


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
    shown = np.empty_like(slope)  # tanh(c)
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
                shown[t, b, j] = math.tanh(new)
                states[t + 1, b, j], states[t + 1, b, hidden + j] = o * shown[t, b, j], new
                gates[t, b, 0, j], gates[t, b, 1, j], gates[t, b, 2, j], gates[t, b, 3, j] = i, f, g, o
    _lstm_scales(states, gates, shown, scales, diagonal)


@compiled
@no_type_check
def _lstm_scales(states, gates, shown, scales, diagonal):
    """By themselves, since between the calls of exp and tanh they took twice as long."""
    n_steps, batch, _, hidden = gates.shape
    one = states.dtype.type(1)
    for t in range(n_steps):
        for b in range(batch):
            for j in range(hidden):
                i, f, g, o = gates[t, b, 0, j], gates[t, b, 1, j], gates[t, b, 2, j], gates[t, b, 3, j]
                c, out = states[t, b, hidden + j], shown[t, b, j]
                bend = o * (one - out * out)
                by_i, by_f, by_g = g * i * (one - i), c * f * (one - f), i * (one - g * g)
                of_h, of_c = scales[t, b, 0], scales[t, b, 1]
                of_c[0, j], of_c[1, j], of_c[2, j], of_c[3, j] = by_i, by_f, by_g, one - one
                of_h[0, j], of_h[1, j], of_h[2, j] = bend * by_i, bend * by_f, bend * by_g
                of_h[3, j] = out * o * (one - o)
                diagonal[t, b, 0, j], diagonal[t, b, 1, j] = bend * f, f


@compiled(fastmath={"contract"})
@no_type_check
def jacobians(scales, weight, diagonal, out):
    """Of a state that is h alone. Eight rows of all steps before the next eight: their weights stay in cache.

    Places are written out, since slices of them took three times as long as the arithmetic.
    """
    n, _, n_gates, hidden = scales.shape
    for begin in range(0, hidden, 8):
        for t in range(n):
            for i in range(begin, min(begin + 8, hidden)):
                s0, i1, i2 = scales[t, 0, 0, i], hidden + i, 2 * hidden + i
                if n_gates == 1:
                    for j in range(hidden):
                        out[t, i, j] = s0 * weight[i, j]
                else:
                    s1, s2 = scales[t, 0, 1, i], scales[t, 0, 2, i]
                    for j in range(hidden):
                        out[t, i, j] = s0 * weight[i, j] + s1 * weight[i1, j] + s2 * weight[i2, j]
                out[t, i, i] += diagonal[t, 0, i]


@compiled(fastmath={"contract"})
@no_type_check
def lstm_jacobians(scales, weight, diagonal, out):
    """Of (h, c): the rows of a unit's h and c together, which read the same weights.

    Half of it is zeros and two diagonals. A step is first wiped whole, by one call of memset, which reads
    none of the memory it overwrites: 26 MB took 1.5 ms row by row, zeros and numbers in turn, and take .8 so.
    """
    n, _, _, hidden = scales.shape
    for t in range(n):
        out[t] = 0
        for i in range(hidden):
            i1, i2, i3 = hidden + i, 2 * hidden + i, 3 * hidden + i
            h0, h1, h2, h3 = scales[t, 0, 0, i], scales[t, 0, 1, i], scales[t, 0, 2, i], scales[t, 0, 3, i]
            c0, c1, c2 = scales[t, 1, 0, i], scales[t, 1, 1, i], scales[t, 1, 2, i]
            for j in range(hidden):
                w0, w1, w2 = weight[i, j], weight[i1, j], weight[i2, j]
                out[t, i, j] = (h0 * w0 + h1 * w1) + (h2 * w2 + h3 * weight[i3, j])
                out[t, i1, j] = c0 * w0 + c1 * w1 + c2 * w2
            out[t, i, i1], out[t, i1, i1] = diagonal[t, 0, i], diagonal[t, 1, i]
