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

__all__ = ["build_medoids", "first_flaw", "nearest_two_medoids", "next_swap", "seems_sound", "swap_medoid"]


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
    def generate(context, builder, signature, arguments):
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

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
def next_swap(distances, medoids, near, near_distance, second_distance, begin, end):
    """The first candidate in begin..end that lowers the loss in the place of some medoid.

    Returns candidate, slot and change of loss; the candidate is -1 where none pays. Needs two medoids.
    """
    n, k = distances.shape[0], len(medoids)
    keeping = np.zeros(k)  # what the loss rises by when a slot is lost
    for o in range(n):
        keeping[near[o]] += np.float64(second_distance[o]) - np.float64(near_distance[o])
    is_medoid = np.zeros(n, np.bool_)
    is_medoid[medoids] = True
    change = np.empty(k)
    one = np.uint64(1)
    for j in range(begin, end):
        if is_medoid[j]:
            continue
        row = distances[j]
        change[:] = keeping
        shared = 0.0
        # Few points lie nearer to j than to their second medoid, and which is chance: 64 of them a branch.
        for at in range(0, n - LANES + 1, LANES):
            bits = _below(row, second_distance, at)
            while bits:
                o = at + np.intp(_lowest_bit(bits))
                shared += _moves(row, near, near_distance, second_distance, o, change)
                bits &= bits - one
        for o in range(n - n % LANES, n):
            if row[o] < second_distance[o]:
                shared += _moves(row, near, near_distance, second_distance, o, change)
        best = np.argmin(change)
        if change[best] + shared < 0:
            return j, best, change[best] + shared
    return -1, -1, 0.0


@compiled
@no_type_check
def _moves(row, near, near_distance, second_distance, o, change):
    """What o gains by the candidate whichever medoid goes; `change` takes the rest where its own goes."""
    distance, nearest = np.float64(row[o]), np.float64(near_distance[o])
    change[near[o]] += max(distance, nearest) - np.float64(second_distance[o])
    return min(distance - nearest, 0.0)


@compiled
@no_type_check
def swap_medoid(distances, medoids, near, near_distance, second, second_distance, slot, candidate):
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
def build_medoids(distances, k):
    """PAM's BUILD: the most central point, then k - 1 times the point that lowers the loss most.

    A gain only falls as medoids are added, in floating point too (same order of the sum, smaller terms), so
    old gains are bounds and most candidates are never looked at again: the picks are those of the full
    search. Ties go to the lowest index.
    """
    n = distances.shape[0]
    totals = np.empty(n)
    for j in range(n):
        totals[j] = _total(distances[j])
    medoids = np.empty(k, np.int64)
    medoids[0] = np.argmin(totals)
    nearest = distances[medoids[0]].copy()
    bound = np.full(n, np.inf)
    known_at = np.zeros(n, np.int64)
    bound[medoids[0]] = -1.0
    for c in range(1, k):
        while True:
            j = np.argmax(bound)
            if known_at[j] == c:
                break
            bound[j] = _gain(distances[j], nearest)
            known_at[j] = c
        medoids[c] = j
        bound[j] = -1.0
        nearest = np.minimum(nearest, distances[j])
    return medoids


TILE = 128


@compiled
@no_type_check
def seems_sound(matrix, bits, lowest):
    """Whether all is finite, at least `lowest`, and equal to its transpose bit for bit.

    One pass along the rows, 0.03 s for n = 10,000 in float32; pairs of tiles take 0.17 s, since memory is
    read in jumps. Each entry is weighted by a_ij = r_i q_j - q_i r_j, modulo 2^64: as a_ij = -a_ji, entries
    cancel where their bits agree, and a difference escapes with a chance of less than 2^-30.
    """
    n = matrix.shape[0]
    state = np.uint64(88172645463325252)  # Marsaglia's xorshift
    r, q = np.empty(n, np.uint64), np.empty(n, np.uint64)
    for numbers in (r, q):
        for i in range(n):
            state ^= state << np.uint64(13)
            state ^= state >> np.uint64(7)
            state ^= state << np.uint64(17)
            numbers[i] = state
    flawed, balance = 0, np.uint64(0)
    for i in range(n):
        row, code = matrix[i], bits[i]
        by_r, by_q = np.uint64(0), np.uint64(0)
        for j in range(n):
            flawed += not ((row[j] >= lowest) & (row[j] < np.inf))
        for j in range(n):
            word = np.uint64(code[j])
            word ^= word >> np.uint64(32)  # a difference in the highest bits only would be multiplied away
            by_r += r[j] * word
            by_q += q[j] * word
        balance += r[i] * by_q - q[i] * by_r
    return flawed == 0 and balance == 0


@compiled
@no_type_check
def first_flaw(matrix, slack, lowest):
    """Where `matrix` is not finite or below `lowest` (kind 1), or differs from its transpose (kind 2).

    Returns row, column, kind; kind 0 where it has no flaw. `slack` is the difference that is let pass.
    """
    n = matrix.shape[0]
    mirror = np.empty((TILE, TILE), matrix.dtype)
    for top in range(0, n, TILE):
        bottom = min(top + TILE, n)
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
                return _flaw_in_tile(matrix, slack, lowest, top, left)
    return -1, -1, 0


@compiled
@no_type_check
def _flaw_in_tile(matrix, slack, lowest, top, left):
    n = matrix.shape[0]
    for i in range(top, min(top + TILE, n)):
        for j in range(left, min(left + TILE, n)):
            if not (matrix[i, j] >= lowest and matrix[i, j] < np.inf):
                return i, j, 1
            if not (matrix[j, i] >= lowest and matrix[j, i] < np.inf):
                return j, i, 1
            if not abs(matrix[i, j] - matrix[j, i]) <= slack:
                return i, j, 2
    return -1, -1, 0
