"""FasterPAM's inner loops: two nearest medoids, the next swap that pays, the start by greedy gains.

Distances are n x n, rows contiguous, float32 or float64, finite and at least 0; sums run in float64.
"""

from typing import no_type_check

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from sortal.kernels.compiled import compiled

__all__ = [
    "check_numbers",
    "check_sums",
    "exchange_medoids",
    "first_flaw",
    "largest_gain",
    "nearest_two_medoids",
    "row_totals",
]


LANES = 64


@intrinsic
@no_type_check
def _below(typing, row, bounds, at):
    """Which of 64 numbers from `at` on lie below their bounds, as the bits of one integer."""

    def generate(context, builder, signature, arguments):
        lanes = ir.VectorType(context.get_data_type(signature.args[0].dtype), LANES)
        loaded = []
        for kind, array in zip(signature.args[:2], arguments[:2], strict=True):
            data = cgutils.create_struct_proxy(kind)(context, builder, array).data
            place = builder.bitcast(builder.gep(data, [arguments[2]]), lanes.as_pointer())
            loaded.append(builder.load(place, align=kind.dtype.bitwidth // 8))
        return builder.bitcast(builder.fcmp_ordered("<", *loaded), ir.IntType(LANES))

    return types.uint64(row, bounds, at), generate


@intrinsic
@no_type_check
def _lowest_bit(typing, bits):
    """64 where there is none."""

    def generate(context, builder, signature, arguments):
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.uint64(types.uint64), generate


@intrinsic
@no_type_check
def _count_bits(typing, bits):
    def generate(context, builder, signature, arguments):
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), generate


@compiled
@no_type_check
def nearest_two_medoids(distances, medoids):
    """Slot and distance of each point's nearest and second nearest medoid (ties: the lower slot)."""
    n = distances.shape[1]
    near, second = np.full(n, -1, np.int32), np.full(n, -1, np.int32)
    near_distance = np.full(n, np.inf, distances.dtype)
    second_distance = np.full(n, np.inf, distances.dtype)
    for slot in range(len(medoids)):
        row = distances[medoids[slot]]
        for o in range(n):
            if row[o] < near_distance[o]:
                second[o], second_distance[o] = near[o], near_distance[o]
                near[o], near_distance[o] = slot, row[o]
            elif row[o] < second_distance[o]:
                second[o], second_distance[o] = slot, row[o]
    return near, near_distance, second, second_distance


@compiled
@no_type_check
def exchange_medoids(
    distances, medoids, near, near_distance, second, second_distance, begin, end, loss, losses
):
    """Each candidate of begin..end in turn takes the place of a medoid where that lowers the loss.

    `losses` takes the loss after each exchange. Returns the number of exchanges, the candidate of the last
    (-1: none), and whether an exchange was taken back since it paid by rounding only. Needs two medoids.
    """
    n, k = distances.shape[0], len(medoids)
    is_medoid = np.zeros(n, np.bool_)
    is_medoid[medoids] = True
    keeping, change = _losses_without(k, near, near_distance, second_distance), np.empty(k)
    nearer = np.empty(n + LANES, np.int32)
    n_swaps, last = 0, -1
    for j in range(begin, end):
        if is_medoid[j]:
            continue
        row = distances[j]
        change[:] = keeping
        shared = 0.0  # what is gained whichever medoid goes
        for o in nearer[: _nearer_than(row, second_distance, nearer)]:
            distance, nearest = np.float64(row[o]), np.float64(near_distance[o])
            change[near[o]] += max(distance, nearest) - np.float64(second_distance[o])
            shared += min(distance - nearest, 0.0)
        slot = np.argmin(change)
        if not change[slot] + shared < 0:
            continue
        gone = medoids[slot]
        _swap(distances, medoids, near, near_distance, second, second_distance, slot, j)
        after = _total(near_distance)
        if not after < loss:
            _swap(distances, medoids, near, near_distance, second, second_distance, slot, gone)
            return n_swaps, last, True
        loss = losses[n_swaps] = after
        n_swaps, last = n_swaps + 1, j
        is_medoid[gone], is_medoid[j] = False, True
        keeping = _losses_without(k, near, near_distance, second_distance)
    return n_swaps, last, False


@compiled
@no_type_check
def _losses_without(k, near, near_distance, second_distance):
    """What the loss rises by when each slot is lost."""
    keeping = np.zeros(k)
    for o in range(len(near)):
        keeping[near[o]] += np.float64(second_distance[o]) - np.float64(near_distance[o])
    return keeping


@compiled
@no_type_check
def _nearer_than(row, bounds, found):
    """How many numbers of `row` lie below their bounds; `found` takes which (and 64 more places of chance).

    Few do, and which is chance. A branch for each costs more than the rest of the search together (.059 s a
    pass of n = 10,000, k = 10, against .025), so four places of each 64 are written whether or not they hold.
    """
    n, count, one = len(row), 0, np.uint64(1)
    for at in range(0, n - LANES + 1, LANES):
        bits = _below(row, bounds, at)
        after = count + np.intp(_count_bits(bits))
        while True:
            for place in range(count, count + 4):
                found[place] = at + np.intp(_lowest_bit(bits))
                bits &= bits - one
            count += 4
            if count >= after:
                break
        count = after
    for o in range(n - n % LANES, n):
        found[count] = o
        count += row[o] < bounds[o]
    return count


@compiled
@no_type_check
def _swap(distances, medoids, near, near_distance, second, second_distance, slot, candidate):
    """Put `candidate` into `slot`, all arrays in place; only who lost a medoid looks at all of them again."""
    medoids[slot] = candidate
    row = distances[candidate]
    for o in range(distances.shape[0]):
        if near[o] == slot:
            if row[o] < second_distance[o]:
                near_distance[o] = row[o]
            else:
                near[o], near_distance[o] = second[o], second_distance[o]
                _look_for_second(distances, medoids, near, second, second_distance, o)
        elif row[o] < near_distance[o]:
            second[o], second_distance[o] = near[o], near_distance[o]
            near[o], near_distance[o] = slot, row[o]
        elif row[o] < second_distance[o]:
            second[o], second_distance[o] = slot, row[o]
        elif second[o] == slot:
            _look_for_second(distances, medoids, near, second, second_distance, o)


@compiled
@no_type_check
def _look_for_second(distances, medoids, near, second, second_distance, o):
    second_distance[o] = np.inf
    for slot in range(len(medoids)):
        # Read along o's own row (distances are symmetric): one cache line a few medoids, not one each.
        if slot != near[o] and distances[o, medoids[slot]] < second_distance[o]:
            second[o], second_distance[o] = slot, distances[o, medoids[slot]]


@compiled(fastmath={"reassoc"})
@no_type_check
def _total(row):
    total = 0.0
    for o in range(len(row)):
        total += np.float64(row[o])
    return total


@compiled(fastmath={"reassoc"})
@no_type_check
def _gain(row, nearest):
    gain = 0.0
    for o in range(len(row)):
        gain += max(np.float64(nearest[o]) - np.float64(row[o]), 0.0)
    return gain


@compiled
@no_type_check
def row_totals(distances, begin, end):
    totals = np.empty(end - begin)
    for j in range(begin, end):
        totals[j - begin] = _total(distances[j])
    return totals


@compiled
@no_type_check
def largest_gain(distances, nearest, bound, known_at, c, looks):
    """The point that lowers the loss most as medoid c (ties: the lowest), -1 if `looks` do not tell.

    A gain only falls as medoids are added, in floating point too (same order of the sum, smaller terms), so
    gains of old in `bound` are bounds and most candidates are never looked at again: the picks are those of
    the full search.
    """
    for _ in range(looks):
        j = np.argmax(bound)
        if known_at[j] == c:
            return j
        bound[j] = _gain(distances[j], nearest)
        known_at[j] = c
    return -1


TILE = 128


@compiled
@no_type_check
def check_numbers(n):
    """Two rows of n random numbers of 32 bits each: Marsaglia's xorshift."""
    state = np.uint64(88172645463325252)
    numbers = np.empty((2, n), np.uint32)
    for which in range(2):
        for i in range(n):
            state ^= state << np.uint64(13)
            state ^= state >> np.uint64(7)
            state ^= state << np.uint64(17)
            numbers[which, i] = state >> np.uint64(32)
    return numbers


@compiled
@no_type_check
def check_sums(bits, numbers, mask, begin, end):
    """Of the rows begin..end, the largest of their bits under `mask`, and their part of a sum of checks.

    Each entry is weighted by r_i q_j - q_i r_j, modulo 2^64: a matrix that equals its transpose bit for bit
    sums to 0 over all rows, and a difference escapes with a chance of less than 2^-30. Memory is read in one
    go, .019 s for n = 10,000 in float32; pairs of tiles take .17 s, since they read it in jumps.
    """
    r, q = numbers[0], numbers[1]  # unpacked in one go they count as strided: four times slower
    largest, balance = bits.dtype.type(0), np.uint64(0)
    for i in range(begin, end):
        row = bits[i]
        by_r, by_q = np.uint64(0), np.uint64(0)
        for j in range(len(row)):
            largest = max(largest, bits.dtype.type(row[j] & mask))
        for j in range(len(row)):
            word = np.uint64(row[j])
            word ^= word >> np.uint64(32)  # a difference in the highest bits only would be multiplied away
            by_r += word * np.uint64(r[j])
            by_q += word * np.uint64(q[j])
        balance += np.uint64(r[i]) * by_q - np.uint64(q[i]) * by_r
    return largest, balance


@compiled
@no_type_check
def first_flaw(matrix, slack, lowest, begin, end):
    """Where `matrix` is not finite or below `lowest` (kind 1), or differs from its transpose (kind 2).

    Looks at rows begin..end from the diagonal on, and at their mirror image. Returns row, column, kind; kind
    0 where it has no flaw. `slack` is the difference that is let pass.
    """
    n = matrix.shape[0]
    mirror = np.empty((TILE, TILE), matrix.dtype)
    for top in range(begin, end, TILE):
        bottom = min(top + TILE, end)
        for left in range(top, n, TILE):
            width = min(left + TILE, n) - left
            for j in range(width):
                for i in range(bottom - top):
                    mirror[i, j] = matrix[left + j, top + i]
            sound = True
            for i in range(bottom - top):
                here, there = matrix[top + i, left : left + width], mirror[i]
                for j in range(width):
                    sound &= (here[j] >= lowest) & (here[j] < np.inf) & (abs(here[j] - there[j]) <= slack)
            if not sound:
                return _flaw_in_tile(matrix, slack, lowest, top, bottom, left)
    return -1, -1, 0


@compiled
@no_type_check
def _flaw_in_tile(matrix, slack, lowest, top, bottom, left):
    for i in range(top, bottom):
        for j in range(left, min(left + TILE, matrix.shape[0])):
            if not (matrix[i, j] >= lowest and matrix[i, j] < np.inf):
                return i, j, 1
            if not (matrix[j, i] >= lowest and matrix[j, i] < np.inf):
                return j, i, 1
            if not abs(matrix[i, j] - matrix[j, i]) <= slack:
                return i, j, 2
    return -1, -1, 0
