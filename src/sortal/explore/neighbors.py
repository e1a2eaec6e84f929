"""Items like a given one, and items like no other."""

from dataclasses import dataclass

import numpy as np

from sortal.arrays import Points
from sortal.errors import InputError
from sortal.explore.groups import blocks
from sortal.kernels import one_blas_thread

__all__ = ["Neighbor", "Outlier", "nearest", "outliers"]

REFERENCE = 5_000  # items that every item is compared with, when the pile is larger than that
CHUNK = 2_048  # rows of similarities held at once: 40 MB


@dataclass(frozen=True)
class Neighbor:
    """An item near another one."""

    position: int
    #: cosine, -1..1
    similarity: float


@dataclass(frozen=True)
class Outlier:
    """An item unlike all others."""

    position: int
    #: 1 - mean cosine to the 10 items most like it: 0 it has ten copies, 1 nothing resembles it
    score: float


def nearest(points: Points, position: int, count: int = 10) -> list[Neighbor]:
    """The `count` items most like the one at `position`, best first, itself left out.

    Exact: one pass over `points` (n, q unit rows, may be a memory map). Ties go to the lower position.
    `InputError` where `position` is not in 0..n-1 or `count` is negative.
    """
    n = len(points)
    if not 0 <= position < n:
        raise InputError(f"position must be in 0..{n - 1}, one of the {n} items; got {position}.")
    if count < 0:
        raise InputError(f"count must be at least 0; got {count}.")
    own = np.asarray(points[position], dtype=np.float64)
    cosines = np.empty(n)
    for rows, block in blocks(points):
        cosines[rows] = np.einsum("nq,q->n", block, own)
    cosines[position] = -np.inf
    order = np.argsort(-cosines.round(9), kind="stable")[: min(count, n - 1)]
    return [Neighbor(int(p), float(np.clip(cosines[p], -1, 1))) for p in order]


def outliers(points: Points, count: int = 24, *, n_neighbors: int = 10) -> list[Outlier]:
    """The `count` items least like their `n_neighbors` nearest, oddest first.

    The score is 1 - the mean cosine to the nearest items; an all-zero row scores 1. Empty for a single item.
    *Source:* Angiulli and Pizzuti 2002, "Fast outlier detection in high dimensional spaces" (their weight,
    divided by the number of neighbours). Where we differ: in piles above 5,000 items each is compared with
    every (n/5,000)th item instead of with all, an estimate that costs O(n) instead of O(n^2).
    """
    n = len(points)
    reference = np.unique(np.linspace(0, n - 1, min(n, REFERENCE)).round().astype(np.int64))
    m = min(n_neighbors, len(reference) - 1)
    if m < 1:
        return []
    compared = np.asarray(points[reference], dtype=np.float32)
    scores = np.empty(n)
    # One BLAS thread: more of them may round differently, and the ranking must not depend on cores.
    with one_blas_thread():
        for rows, block in blocks(points):
            for start in range(0, len(block), CHUNK):
                first = rows.start + start
                part = block[start : start + CHUNK].astype(np.float32)
                scores[first : first + len(part)] = _scores(part, first, compared, reference, m)
    order = np.argsort(-scores.round(6), kind="stable")[:count]
    return [Outlier(int(p), float(scores[p])) for p in order]


def _scores(part: np.ndarray, first: int, compared: np.ndarray, reference: np.ndarray, m: int) -> np.ndarray:
    cosines = part @ compared.T
    own = np.searchsorted(reference, np.arange(first, first + len(part)))
    own = np.minimum(own, len(reference) - 1)
    itself = reference[own] == np.arange(first, first + len(part))
    cosines[np.flatnonzero(itself), own[itself]] = -2  # nobody is their own neighbour
    best = np.partition(cosines, cosines.shape[1] - m, axis=1)[:, -m:]
    scores: np.ndarray = np.clip(1 - best.mean(axis=1, dtype=np.float64), 0, 2)
    return scores
