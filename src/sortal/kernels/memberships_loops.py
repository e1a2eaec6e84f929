"""The loops of `memberships`, compiled. Rows are taken a few at a time and transposed: a lane is a row."""

from typing import no_type_check

import numpy as np

from sortal.kernels.compiled import compiled

__all__ = ["memberships_block"]

FUSED = {"contract", "nsz"}
REASSOCIATE = {"reassoc", "contract", "nsz"}  # lets a sum over rows run in vector lanes


@compiled
@no_type_check  # jaxtyping's import hook would wrap what numba must compile
def _lanes(d):
    """128 rows, fewer where they are so wide that their transposed copy would leave the second cache."""
    return max(8, min(128, 2**16 // d))


@compiled
@no_type_check
def _padded(n, to):
    return (n + to - 1) // to * to


@compiled
@no_type_check
def _transpose(x, at, origin, rows):
    """Rows from `at` on, seen from `origin`; the last row again where x ends, its distances go unused."""
    n, d = x.shape
    for b in range(rows.shape[1]):
        i = min(at + b, n - 1)
        for f in range(d):
            rows[f, b] = np.float64(x[i, f]) - origin[f]


@compiled(fastmath=FUSED)
@no_type_check
def _distances(rows, centers, squared, least):
    """The squared distance of each lane to each center, and the least of them.

    Four columns at a time: with one, loading and storing `total` took twice as long as the arithmetic.
    """
    least[:] = np.inf
    for j in range(len(centers)):
        total = squared[j]
        total[:] = 0.0
        for f in range(0, len(rows), 4):
            c0, c1, c2, c3 = centers[j, f], centers[j, f + 1], centers[j, f + 2], centers[j, f + 3]
            r0, r1, r2, r3 = rows[f], rows[f + 1], rows[f + 2], rows[f + 3]
            for b in range(len(total)):
                a0, a1, a2, a3 = r0[b] - c0, r1[b] - c1, r2[b] - c2, r3[b] - c3
                total[b] = total[b] + a0 * a0 + a1 * a1 + a2 * a2 + a3 * a3
        for b in range(len(total)):
            least[b] = min(least[b], total[b])


@compiled(fastmath=REASSOCIATE)
@no_type_check
def _add_rows(share, rows, sums, mass):
    """Two centers by four columns at a time: eight sums in registers for six numbers loaded."""
    for j in range(0, len(share), 2):
        s, u = share[j], share[j + 1]
        for f in range(0, len(rows), 4):
            r0, r1, r2, r3 = rows[f], rows[f + 1], rows[f + 2], rows[f + 3]
            s0 = s1 = s2 = s3 = u0 = u1 = u2 = u3 = 0.0
            for b in range(len(s)):
                s0, s1, s2, s3 = s0 + s[b] * r0[b], s1 + s[b] * r1[b], s2 + s[b] * r2[b], s3 + s[b] * r3[b]
                u0, u1, u2, u3 = u0 + u[b] * r0[b], u1 + u[b] * r1[b], u2 + u[b] * r2[b], u3 + u[b] * r3[b]
            sums[j, f] += s0
            sums[j, f + 1] += s1
            sums[j, f + 2] += s2
            sums[j, f + 3] += s3
            sums[j + 1, f] += u0
            sums[j + 1, f + 1] += u1
            sums[j + 1, f + 2] += u2
            sums[j + 1, f + 3] += u3
        mass[j] += s.sum()
        mass[j + 1] += u.sum()


LOG2_E = 1.4426950408889634
LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10  # the high part has 32 bits
ROUND = 6755399441055744.0  # 1.5 * 2**52: adding it leaves the nearest integer in the low bits
BITS_OF_ONE = 1023 << 52
MANTISSA = (1 << 52) - 1
LOWEST = -708.0  # below, a float64 is denormal


@compiled(fastmath={"contract"})
@no_type_check
def _exponentials(values, powers):
    """exp of each of `values`, all at most 0, in place; below -708 it is 0.

    Taken by 64 in vector lanes: np.exp calls a function for each, which was half of the whole step.
    exp(x) = 2^n exp(r) with |r| <= ln(2) / 2, and the Taylor series to r^13 / 13! (next term 4e-18).
    """
    bits = powers.view(np.int64)
    for b in range(len(values)):
        powers[b] = max(values[b], LOWEST) * LOG2_E + ROUND
    for b in range(len(values)):
        n = powers[b] - ROUND
        x = values[b]
        r = (max(x, LOWEST) - n * LN2_HIGH) - n * LN2_LOW
        series = 1.0 / 6227020800.0
        series = series * r + 1.0 / 479001600.0
        series = series * r + 1.0 / 39916800.0
        series = series * r + 1.0 / 3628800.0
        series = series * r + 1.0 / 362880.0
        series = series * r + 1.0 / 40320.0
        series = series * r + 1.0 / 5040.0
        series = series * r + 1.0 / 720.0
        series = series * r + 1.0 / 120.0
        series = series * r + 1.0 / 24.0
        series = series * r + 1.0 / 6.0
        series = series * r + 0.5
        series = series * r + 1.0
        series = series * r + 1.0
        values[b] = series if x >= LOWEST else 0.0
    for b in range(len(values)):
        bits[b] = (bits[b] << 52) + BITS_OF_ONE
    for b in range(len(values)):
        values[b] *= powers[b]


@compiled(fastmath=FUSED)
@no_type_check
def _logarithms(values, scratch):
    """log of each of `values` in place, all at least 0; of 0, and of what is denormal, it is -infinity.

    log(2^e m) = e ln(2) + 2 atanh(s), s = (m - 1) / (m + 1) and |s| <= .172, to s^21 / 21 (next term 1e-19).
    """
    mantissa, exponents = values.view(np.int64), scratch.view(np.int64)
    for b in range(len(values)):
        bits = mantissa[b]
        exponents[b] = (bits >> 52) - 1023
        mantissa[b] = (bits & MANTISSA) | BITS_OF_ONE
    for b in range(len(values)):
        m, e = values[b], np.float64(exponents[b])
        large = 1.0 if m > 1.4142135623730951 else 0.0
        m, e = m - 0.5 * large * m, e + large
        s = (m - 1.0) / (m + 1.0)
        t = s * s
        series = 1.0 / 21.0
        series = series * t + 1.0 / 19.0
        series = series * t + 1.0 / 17.0
        series = series * t + 1.0 / 15.0
        series = series * t + 1.0 / 13.0
        series = series * t + 1.0 / 11.0
        series = series * t + 1.0 / 9.0
        series = series * t + 1.0 / 7.0
        series = series * t + 1.0 / 5.0
        series = series * t + 1.0 / 3.0
        log = e * LN2_HIGH + (e * LN2_LOW + 2.0 * s * t * series + 2.0 * s)
        values[b] = log if e > -1022.5 else -np.inf


@compiled
@no_type_check
def _powers(values, exponent, scratch):
    """values ** exponent in place, for values from 0 to 1 and an exponent above 0; below e^-708 it is 0."""
    _logarithms(values, scratch)
    for b in range(len(values)):
        values[b] = max(exponent * values[b], 2.0 * LOWEST)
    _exponentials(values, scratch)


@compiled
@no_type_check
def _soft(squared, least, stiffness, share, total, cost, scratch):
    """exp(-stiffness (squared - least) / 2), its sum over the centers, and the free energy of each row."""
    for j in range(len(squared)):
        for b in range(len(least)):
            share[j, b] = -0.5 * stiffness * (squared[j, b] - least[b])
        _exponentials(share[j], scratch)
        for b in range(len(least)):
            total[b] += share[j, b]
    cost[:] = total
    _logarithms(cost, scratch)
    for b in range(len(least)):
        cost[b] = least[b] - 2.0 / stiffness * cost[b]


@compiled
@no_type_check
def _fuzzy(squared, least, fuzziness, share, total, cost, scratch):
    """(least / squared)^(1 / (fuzziness - 1)) with its sum, and the cost of each row.

    `squared` becomes the ratio itself: membership^fuzziness is membership times ratio times
    total^(1 - fuzziness), which spares a second power of each pair; the cost is least total^(1 - fuzziness).
    """
    for j in range(len(squared)):
        for b in range(len(least)):
            squared[j, b] = least[b] / squared[j, b] if squared[j, b] > least[b] else 1.0
            share[j, b] = squared[j, b]
        if fuzziness != 2.0:
            _powers(share[j], 1.0 / (fuzziness - 1.0), scratch)
        for b in range(len(least)):
            total[b] += share[j, b]
    for b in range(len(least)):
        cost[b] = 1.0 / total[b]
    if fuzziness != 2.0:
        _powers(cost, fuzziness - 1.0, scratch)
    for j in range(len(squared)):
        for b in range(len(least)):
            squared[j, b] *= cost[b]
    for b in range(len(least)):
        cost[b] *= least[b]


@compiled
@no_type_check
def memberships_block(fuzzy, x, origin, centers, exponent, weights, memberships, sums, mass):
    """Twin of `fuzzy_step` and `soft_step` of `memberships_reference`; adds to `sums` and `mass`."""
    (n, d), k = x.shape, len(centers)
    lanes, wide, even = _lanes(d), _padded(d, 4), _padded(k, 2)  # zeros past d and k change nothing
    places = np.zeros((k, wide))
    places[:, :d] = centers
    rows, squared, share = np.zeros((wide, lanes)), np.empty((k, lanes)), np.zeros((even, lanes))
    least, total, costs, scratch = np.empty(lanes), np.empty(lanes), np.empty(lanes), np.empty(lanes)
    all_sums, all_mass, cost = np.zeros((even, wide)), np.zeros(even), 0.0
    for at in range(0, n, lanes):
        _transpose(x, at, origin, rows)
        _distances(rows, places, squared, least)
        total[:] = 0.0
        if fuzzy:
            _fuzzy(squared, least, exponent, share[:k], total, costs, scratch)
        else:
            _soft(squared, least, exponent, share[:k], total, costs, scratch)
        for b in range(lanes):
            scratch[b] = 1.0 / total[b]
        _keep(share[:k], scratch, at, memberships)
        for b in range(lanes):  # lanes past the last row count for nothing
            weight = weights[at + b] if at + b < n else 0.0
            cost += weight * costs[b]
            scratch[b] *= weight
        _scale(share[:k], scratch, squared, fuzzy)
        _add_rows(share, rows, all_sums, all_mass)
    sums += all_sums[:k, :d]
    mass += all_mass[:k]
    return cost


@compiled
@no_type_check
def _scale(share, factor, squared, fuzzy):
    for j in range(len(share)):
        if fuzzy:
            for b in range(len(factor)):
                share[j, b] *= squared[j, b] * factor[b]
        else:
            for b in range(len(factor)):
                share[j, b] *= factor[b]


@compiled
@no_type_check
def _keep(share, factor, at, memberships):
    """Write memberships out, unless `memberships` is empty."""
    for i in range(at, min(at + share.shape[1], len(memberships))):
        for j in range(len(share)):
            memberships[i, j] = share[j, i - at] * factor[i - at]
