"""The loops of `memberships`, compiled. Rows are taken a few at a time and transposed: a lane is a row."""

from typing import no_type_check

import numpy as np

from sortal.kernels.compiled import compiled

__all__ = ["fuzzy_block", "soft_block"]

REASSOCIATE = {"reassoc", "contract"}  # lets a sum over rows run in vector lanes


@compiled
@no_type_check  # jaxtyping's import hook would wrap what numba must compile
def _lanes(d):
    """64 rows, fewer where they are so wide that their transposed copy would leave the second cache."""
    return max(8, min(64, 2**16 // d))


@compiled
@no_type_check
def _transpose(x, at, origin, rows):
    """Rows from `at` on, seen from `origin`; the last row again where x ends, its distances go unused."""
    n, d = x.shape
    for b in range(rows.shape[1]):
        i = min(at + b, n - 1)
        for f in range(d):
            rows[f, b] = np.float64(x[i, f]) - origin[f]


@compiled(fastmath={"contract"})
@no_type_check
def _distances(rows, centers, squared, least):
    """The squared distance of each lane to each center, and the least of them."""
    least[:] = np.inf
    for j in range(len(centers)):
        total = squared[j]
        total[:] = 0.0
        for f in range(len(rows)):
            center = centers[j, f]
            for b in range(len(total)):
                difference = rows[f, b] - center
                total[b] += difference * difference
        for b in range(len(total)):
            least[b] = min(least[b], total[b])


@compiled(fastmath=REASSOCIATE)
@no_type_check
def _add_rows(share, rows, sums, mass):
    for j in range(len(share)):
        for f in range(len(rows)):
            total = 0.0
            for b in range(share.shape[1]):
                total += share[j, b] * rows[f, b]
            sums[j, f] += total
        mass[j] += share[j].sum()


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


@compiled(fastmath={"contract"})
@no_type_check
def _powers(values, exponent, scratch):
    """values ** exponent in place, for values from 0 to 1; 0 (and what is denormal) becomes 0.

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
        values[b] = exponent * log if e > -1022.5 else 2.0 * LOWEST
    _exponentials(values, scratch)


@compiled
@no_type_check
def _fuzzy(squared, least, fuzziness, share, scratch):
    """Memberships (least / squared)^(1 / (fuzziness - 1)), scaled to sum 1: a row on a center is all its."""
    total = np.zeros(len(least))
    power = 1.0 / (fuzziness - 1.0)
    for j in range(len(squared)):
        for b in range(len(least)):
            share[j, b] = least[b] / squared[j, b] if squared[j, b] > least[b] else 1.0
        if power != 1.0:
            _powers(share[j], power, scratch)
        for b in range(len(least)):
            total[b] += share[j, b]
    for b in range(len(least)):
        total[b] = 1.0 / total[b]
    for j in range(len(squared)):
        for b in range(len(least)):
            share[j, b] *= total[b]


@compiled
@no_type_check
def fuzzy_block(x, origin, centers, fuzziness, weights, memberships, sums, mass):
    """Twin of `memberships_reference.fuzzy_step`."""
    n, k, lanes = len(x), len(centers), _lanes(x.shape[1])
    rows, squared, share = np.empty((x.shape[1], lanes)), np.empty((k, lanes)), np.empty((k, lanes))
    least, scratch = np.empty(lanes), np.empty(lanes)
    cost = 0.0
    for at in range(0, n, lanes):
        _transpose(x, at, origin, rows)
        _distances(rows, centers, squared, least)
        _fuzzy(squared, least, fuzziness, share, scratch)
        _keep(share, at, memberships)
        for j in range(k):
            if fuzziness == 2.0:
                share[j] *= share[j]
            else:
                _powers(share[j], fuzziness, scratch)
        _weigh(share, weights, at)
        cost += _product(share, squared)
        _add_rows(share, rows, sums, mass)
    return cost


@compiled
@no_type_check
def _soft(squared, least, stiffness, share, total, scratch):
    """Responsibilities exp(-stiffness squared / 2), scaled to sum 1; the least distance goes out first."""
    total[:] = 0.0
    for j in range(len(squared)):
        for b in range(len(least)):
            share[j, b] = -0.5 * stiffness * (squared[j, b] - least[b])
        _exponentials(share[j], scratch)
        for b in range(len(least)):
            total[b] += share[j, b]
    for b in range(len(least)):
        scratch[b] = 1.0 / total[b]
    for j in range(len(squared)):
        for b in range(len(least)):
            share[j, b] *= scratch[b]


@compiled
@no_type_check
def soft_block(x, origin, centers, stiffness, weights, memberships, sums, mass):
    """Twin of `memberships_reference.soft_step`."""
    n, k, lanes = len(x), len(centers), _lanes(x.shape[1])
    rows, squared, share = np.empty((x.shape[1], lanes)), np.empty((k, lanes)), np.empty((k, lanes))
    least, total, scratch = np.empty(lanes), np.empty(lanes), np.empty(lanes)
    cost = 0.0
    for at in range(0, n, lanes):
        _transpose(x, at, origin, rows)
        _distances(rows, centers, squared, least)
        _soft(squared, least, stiffness, share, total, scratch)
        _keep(share, at, memberships)
        for b in range(min(lanes, n - at)):
            cost += weights[at + b] * (least[b] - 2.0 / stiffness * np.log(total[b]))
        _weigh(share, weights, at)
        _add_rows(share, rows, sums, mass)
    return cost


@compiled
@no_type_check
def _weigh(share, weights, at):
    """Times the weight of each row; lanes past the last row count for nothing."""
    here = min(share.shape[1], len(weights) - at)
    for j in range(len(share)):
        for b in range(here):
            share[j, b] *= weights[at + b]
        share[j, here:] = 0.0


@compiled(fastmath=REASSOCIATE)
@no_type_check
def _product(share, squared):
    total = 0.0
    for j in range(len(share)):
        for b in range(share.shape[1]):
            total += share[j, b] * squared[j, b]
    return total


@compiled
@no_type_check
def _keep(share, at, memberships):
    """Write memberships out, unless `memberships` is empty."""
    for i in range(at, min(at + share.shape[1], len(memberships))):
        for j in range(len(share)):
            memberships[i, j] = share[j, i - at]
