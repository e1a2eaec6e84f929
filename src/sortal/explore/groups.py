"""What each group looks like: its size, tightness, typical, varied and odd members, and its neighbour.

All similarities are cosines. Points are unit rows (all-zero rows are allowed and are similar to nothing).
With s the sum of a group's members, the summed similarity of member x to all members is simply x.s, so
medoids cost a pass over the points instead of the group's size squared.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from sortal.arrays import Labels, Points
from sortal.errors import InputError

__all__ = ["GroupShape", "describe"]

BLOCK = 16_384  # rows read at once: 16 MB at 128 numbers in float64, whatever the size of the pile
SPAN_SAMPLE = 1_000  # members of one group among which the varied ones are looked for


@dataclass(frozen=True)
class GroupShape:
    """One group. Members are given as positions, 0..n-1 in the pile's order."""

    number: int
    size: int
    #: mean cosine of the members to the group's mean direction: 1 all alike, towards 0 scattered
    tightness: float
    #: medoids, best first: the first has the largest summed cosine to all members of the group
    typical: tuple[int, ...]
    #: members that together span the group, from the medoid on
    varied: tuple[int, ...]
    #: members least like the group's mean direction, oddest first; none is also typical
    outliers: tuple[int, ...]
    #: the group whose mean direction is nearest, and the cosine between the two; None where there is no other
    nearest: int | None
    nearest_similarity: float | None


def describe(points: Points, labels: Labels, *, n_typical: int = 12, n_outliers: int = 6) -> list[GroupShape]:
    """One `GroupShape` per group number in `labels`, in the order of the numbers; -1 is no group.

    `points` (n, q) are unit rows and may be a memory map: they are read in blocks, twice.
    At most a quarter of a group is called outliers, so small groups show fewer.
    Ties go to the lower position.
    Deterministic; O(n q). `InputError` where shapes do not match or a value is not finite.
    """
    labels = checked_labels(points, labels)
    numbers, index = np.unique(labels, return_inverse=True)
    index = index - (numbers < 0).sum()  # left-out items get index -1
    numbers = numbers[numbers >= 0]
    if not len(numbers):
        return []
    sums = _sums(points, index, len(numbers))
    lengths = np.linalg.norm(sums, axis=1)
    directions = np.divide(sums, lengths[:, None], out=np.zeros_like(sums), where=lengths[:, None] > 1e-12)
    similarity = _similarity_to_own(points, index, directions)
    nearest = _nearest_directions(directions)
    shapes = []
    for g, members in enumerate(_members(index, len(numbers))):
        typical, outliers = _both_ends(members, similarity[members], n_typical, n_outliers)
        other, cosine = nearest[g]
        shapes.append(
            GroupShape(
                number=int(numbers[g]),
                size=len(members),
                tightness=float(np.clip(similarity[members].mean(), 0, 1)),
                typical=tuple(typical.tolist()),
                varied=_spanning(points, members, similarity[members], n_typical),
                outliers=tuple(outliers.tolist()),
                nearest=None if other is None else int(numbers[other]),
                nearest_similarity=cosine,
            )
        )
    return shapes


def checked_labels(points: Points, labels: Labels) -> np.ndarray:
    """`labels` as an integer array with one entry per row of `points`, or an `InputError`."""
    labels = np.asarray(labels)
    if points.ndim != 2:
        raise InputError(f"points must have two dimensions, items x numbers; got shape {points.shape}.")
    if labels.shape != (len(points),) or not (labels.dtype.kind in "iu" or not len(labels)):
        raise InputError(
            f"labels must be one integer per point, {len(points)} here; "
            f"got {labels.dtype} of shape {labels.shape}."
        )
    return labels.astype(np.int64, copy=False)


def blocks(points: Points) -> Iterator[tuple[slice, np.ndarray]]:
    """`points` in float64, a block of rows at a time; `InputError` names the first row that is not finite."""
    for start in range(0, len(points), BLOCK):
        rows = slice(start, min(start + BLOCK, len(points)))
        block = np.asarray(points[rows], dtype=np.float64)
        finite = np.isfinite(block).all(axis=1)
        if not finite.all():
            raise InputError(
                f"points must be finite; row {start + int(np.argmin(finite))} holds NaN or infinity; "
                "embed that item again or leave it out."
            )
        yield rows, block


def _sums(points: Points, index: np.ndarray, k: int) -> np.ndarray:
    sums = np.zeros((k, points.shape[1]))
    for rows, block in blocks(points):
        order = np.argsort(index[rows], kind="stable")
        groups = index[rows][order]
        starts = np.flatnonzero(np.diff(groups, prepend=-2))
        present = groups[starts]
        totals = np.add.reduceat(block[order], starts, axis=0)
        sums[present[present >= 0]] += totals[present >= 0]
    return sums


def _similarity_to_own(points: Points, index: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Cosine of each point to its group's direction, by einsum: BLAS may round otherwise on more threads."""
    similarity = np.zeros(len(points))
    for rows, block in blocks(points):
        similarity[rows] = np.einsum("nq,nq->n", block, directions[index[rows]])
    return similarity


def _members(index: np.ndarray, k: int) -> list[np.ndarray]:
    order = np.argsort(index, kind="stable")
    bounds = np.searchsorted(index[order], np.arange(k + 1))
    return [order[bounds[g] : bounds[g + 1]] for g in range(k)]


def _both_ends(
    members: np.ndarray, similarity: np.ndarray, n_typical: int, n_outliers: int
) -> tuple[np.ndarray, np.ndarray]:
    # Rounded, so that members which differ by the last bit only come in the pile's order.
    order = np.lexsort((members, -similarity.round(9)))
    n_outliers = min(n_outliers, len(members) // 4)
    outliers = members[order[len(members) - n_outliers :]][::-1]
    return members[order[: min(n_typical, len(members) - n_outliers)]], outliers


def _spanning(points: Points, members: np.ndarray, similarity: np.ndarray, count: int) -> tuple[int, ...]:
    """Farthest-first traversal (Gonzalez 1985) from the medoid.

    It walks over an even sample of the nine tenths most like the group: uncut, it would list outliers.
    """
    order = np.lexsort((members, -similarity.round(9)))
    kept = order[: max(1, int(np.ceil(len(members) * 0.9)))]
    sample = members[kept[:: max(1, -(-len(kept) // SPAN_SAMPLE))]]
    rows = np.asarray(points[np.sort(sample)], dtype=np.float64)[np.argsort(np.argsort(sample))]
    chosen: list[int] = []
    closest = np.full(len(sample), -np.inf)
    candidate = 0
    while len(chosen) < min(count, len(sample)):
        chosen.append(int(sample[candidate]))
        closest = np.maximum(closest, np.einsum("nq,q->n", rows, rows[candidate]))
        closest[candidate] = np.inf
        candidate = int(np.argmin(closest.round(9)))
    return tuple(chosen)


def _nearest_directions(directions: np.ndarray) -> list[tuple[int, float] | tuple[None, None]]:
    if len(directions) == 1:
        return [(None, None)]
    nearest: list[tuple[int, float] | tuple[None, None]] = []
    for g, direction in enumerate(directions):
        cosines = np.einsum("kq,q->k", directions, direction)
        cosines[g] = -np.inf
        other = int(np.argmax(cosines.round(9)))
        nearest.append((other, float(np.clip(cosines[other], -1, 1))))
    return nearest
