"""Disjoint sets, and points that learn of their neighbours one pair at a time."""

from typing import NamedTuple, no_type_check

import numpy as np

from sortal.kernels.compiled import compiled

__all__ = [
    "JOIN",
    "LEARN",
    "REACH",
    "WEIGH",
    "Met",
    "core_groups",
    "find",
    "finish",
    "meet_again",
    "meet_all",
    "ranked",
    "settled",
    "squared_distance",
    "strangers",
    "union",
    "weigh",
]

# What a meeting does: all at once, or, over three walks, sum weights, join core points, reach border points.
LEARN, WEIGH, JOIN, REACH = 0, 1, 2, 3
PAIRS_A_POINT, LEAST_PAIRS = 16, 2**18  # the latter are 2 MB, and all pairs of 700 points


@compiled
@no_type_check
def find(parent, i):
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@compiled
@no_type_check
def union(parent, a, b):
    a, b = find(parent, a), find(parent, b)
    if a < b:
        parent[b] = a
    else:
        parent[a] = b


@compiled
@no_type_check
def ranked(parent, smallest, none):
    """The rank of each element's root by `smallest[root]` (int32); `none` where that is not below `none`."""
    root_of = np.full(none, -1, np.int32)
    for i in range(len(parent)):
        if parent[i] == i and smallest[i] < none:
            root_of[smallest[i]] = i
    rank = np.full(len(parent), none, np.int32)
    n_ranked = 0
    for root in root_of:
        if root >= 0:
            rank[root] = n_ranked
            n_ranked += 1
    for i in range(len(parent)):
        rank[i] = rank[find(parent, i)]
    return rank


class Met(NamedTuple):
    """What the points know of each other."""

    known: np.ndarray  # n x (min_samples - 2) int32: whom a point that is not core has met
    n_met: np.ndarray  # int32: how many that is, itself counted
    core: np.ndarray  # bool
    parent: np.ndarray  # int32: disjoint sets of core points
    weights: np.ndarray  # float64; these three are empty where points learn of each other in one walk
    mass: np.ndarray  # float64: the weights of the neighbours, itself counted
    lowest: np.ndarray  # int32: the group of a core point, the lowest within reach of any other
    pairs: np.ndarray  # m x 2 int32: who met while weights were summed, so that no walk need be taken again
    n_pairs: np.ndarray  # int64, one number: how many, more than m where they did not fit
    turn: int


def strangers(n: int, min_samples: int) -> Met:
    """n points that have met nobody."""
    known = np.empty((n, max(min_samples - 2, 0)), np.int32)
    n_met, parent = np.ones(n, np.int32), np.arange(n, dtype=np.int32)
    nothing = np.empty(0)
    core, lowest = np.full(n, min_samples == 1), np.empty(0, np.int32)
    pairs, n_pairs = np.empty((0, 2), np.int32), np.zeros(1, np.int64)
    return Met(known, n_met, core, parent, nothing, nothing, lowest, pairs, n_pairs, LEARN)


def weigh(weights: np.ndarray) -> Met:
    """Points of these weights that have met nobody: they remember no neighbours, however many those are."""
    n = len(weights)
    pairs = np.empty((max(PAIRS_A_POINT * n, LEAST_PAIRS), 2), np.int32)
    return strangers(n, 2)._replace(
        weights=weights, mass=weights.copy(), lowest=np.full(n, n, np.int32), pairs=pairs, turn=WEIGH
    )


@compiled
@no_type_check
def meet_again(met):
    """All who met while weights were summed; the turn is to join or to reach."""
    core, parent, lowest = met.core, met.parent, met.lowest
    for at in range(met.n_pairs[0]):
        i, j = met.pairs[at, 0], met.pairs[at, 1]
        if core[i] and core[j]:
            if met.turn == JOIN:
                union(parent, i, j)
        elif met.turn == REACH and core[i]:
            lowest[j] = min(lowest[j], lowest[i])
        elif met.turn == REACH and core[j]:
            lowest[i] = min(lowest[i], lowest[j])


@compiled
@no_type_check
def meet_all(i, others, met):
    """Point i and each of the others are neighbours: tell each other, once a pair.

    Each array that a call hands on costs 10 ns of counted references: one call a pair took 110 ns, all
    pairs of a point together take 5 a pair.
    """
    if met.turn == WEIGH:
        _weigh_each(i, others, met.weights, met.mass, met.pairs, met.n_pairs)
    elif met.turn == LEARN:
        _learn_each(i, others, met.known, met.n_met, met.core, met.parent)
    elif met.turn == JOIN:
        _join_each(i, others, met.core, met.parent)
    else:
        _reach_each(i, others, met.core, met.lowest)


@compiled
@no_type_check
def _weigh_each(i, others, weights, mass, pairs, n_pairs):
    for j in others:
        mass[i] += weights[j]
        mass[j] += weights[i]
        if n_pairs[0] < len(pairs):
            pairs[n_pairs[0], 0], pairs[n_pairs[0], 1] = i, j
        n_pairs[0] += 1


@compiled
@no_type_check
def _join_each(i, others, core, parent):
    for j in others:
        if core[i] and core[j]:
            union(parent, i, j)


@compiled
@no_type_check
def _reach_each(i, others, core, lowest):
    for j in others:
        if core[i] and not core[j]:
            lowest[j] = min(lowest[j], lowest[i])
        elif core[j] and not core[i]:
            lowest[i] = min(lowest[i], lowest[j])


@compiled
@no_type_check
def _learn_each(i, others, known, n_met, core, parent):
    """All turns at once.

    A point that is not core yet remembers whom it met; when it has met enough it becomes core and joins the
    core points among them. So one pass over the pairs does, no more than min_samples - 2 neighbours a point
    are ever kept, and what a border point kept in the end is all its neighbours.
    """
    for j in others:
        if core[i] and core[j]:
            union(parent, i, j)
            continue
        if not core[i]:
            _remember(i, j, known, n_met, core, parent)
        if not core[j]:
            _remember(j, i, known, n_met, core, parent)


@compiled
@no_type_check
def _remember(i, j, known, n_met, core, parent):
    if n_met[i] <= known.shape[1]:
        known[i, n_met[i] - 1] = j
        n_met[i] += 1
        return
    core[i] = True
    if core[j]:
        union(parent, i, j)
    for at in range(known.shape[1]):
        if core[known[i, at]]:
            union(parent, i, known[i, at])


@compiled
@no_type_check
def settled(start, stop, met):
    """The root of a range of points if all are core and of one group, else -1."""
    for i in range(start, stop):
        if not met.core[i]:
            return -1
    root = find(met.parent, start)
    for i in range(start + 1, stop):
        if find(met.parent, i) != root:
            return -1
    return root


@compiled
@no_type_check
def core_groups(met, order):
    """The group of each core point, numbered by its smallest original index; n for other points (int32)."""
    n = len(order)
    smallest = np.full(n, n, np.int32)
    for i in range(n):
        if met.core[i]:
            root = find(met.parent, i)
            smallest[root] = min(smallest[root], order[i])
    rank = ranked(met.parent, smallest, n)
    for i in range(n):
        if not met.core[i]:
            rank[i] = n
    return rank


@compiled
@no_type_check
def finish(met, order):
    """Labels in the original order: groups by smallest core index, border points the lowest, noise -1."""
    n = len(order)
    rank = core_groups(met, order) if met.turn == LEARN else met.lowest
    labels = np.empty(n, np.intp)
    for i in range(n):
        best = rank[i]
        if met.turn == LEARN and not met.core[i]:
            for at in range(met.n_met[i] - 1):
                best = min(best, rank[met.known[i, at]])
        labels[order[i]] = best if best < n else -1
    return labels


@compiled
@no_type_check
def squared_distance(x, i, j):
    """As scikit-learn sums it: in float64, axis by axis, no fused multiply."""
    total = 0.0
    for k in range(x.shape[1]):
        difference = np.float64(x[i, k]) - np.float64(x[j, k])
        total += difference * difference
    return total
