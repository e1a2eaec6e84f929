"""Groups from who shares neighbours with whom: the default method."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isqrt
from numbers import Integral
from typing import Any

import numpy as np
from jaxtyping import Float
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from sortal.arrays import Labels, Neighbors, Vectors
from sortal.cluster.affinity import shared_neighbor_graph, spectrum
from sortal.cluster.candidates import Candidate, guess, weigh_candidates
from sortal.cluster.kmeans import KMeansResult, center_margins, kmeans
from sortal.cluster.neighbors import EXACT_UP_TO, cosine_neighbors
from sortal.cluster.rows import (
    check_count,
    checked_rows,
    n_distinct,
    refuse_nonfinite,
    validated,
)
from sortal.cluster.seeding import kmeans_plusplus
from sortal.cluster.whitening import HalfWhitening, half_whitening
from sortal.errors import InputError
from sortal.kernels import one_blas_thread, top_products

__all__ = [
    "SharedNeighborClustering",
    "SharedNeighborResult",
    "by_falling_size",
    "neighbor_vote",
    "shared_neighbor_clustering",
]

MOST_CANDIDATES = 20
# Memory and time grow with it. Of 500 groups of 8 items in 128 dimensions, 1,000 eigenvectors found .945,
# 512 the same, 256 .93, in a third of the time.
MOST_EIGENVECTORS = 256


@dataclass(frozen=True)
class SharedNeighborResult:
    """What `shared_neighbor_clustering` found."""

    labels: Labels  # int32; 0 is the largest group, ties go to the group of the earlier item
    n_clusters: int  # groups found; fewer than asked for where items cannot be told apart
    candidates: tuple[Candidate, ...]  # the numbers of groups that "auto" weighed, else empty
    points: Float[np.ndarray, "n q"]  # the representation: unit rows, float32; views stand side by side
    whitenings: tuple[HalfWhitening, ...]  # makes points of vectors, one for each view
    embedding: Float[np.ndarray, "n e"]  # where k-means found the groups
    n_iter: int  # of the best start of k-means

    @property
    def margins(self) -> Float[np.ndarray, " n"]:
        """How much farther the mean of the next group is than that of the own, in `embedding`; inf for one.

        Items of small margin are in doubt. Costs n k e.
        """
        means = np.stack([self.embedding[self.labels == g].mean(axis=0) for g in range(self.n_clusters)])
        return center_margins(self.embedding, means)


def shared_neighbor_clustering(
    vectors: Vectors | Sequence[np.ndarray],
    n_clusters: Any,
    *,
    n_neighbors: int = 20,
    n_components: int = 128,
    n_init: int = 10,
    seed: int = 0,
    exact_up_to: int = EXACT_UP_TO,
    callback: Callable[[str], object] | None = None,
) -> SharedNeighborResult:
    """Groups of items that share their nearest neighbours.

    Half-whitened principal components; each row's `n_neighbors` by cosine (no more than sqrt(n), lest on a
    small pile everything neighbours everything: 120 handwritten digits then lose .11 of accuracy); Jaccard
    weights; 2k eigenvectors (256 at most) with diffusion weighting; k-means, best of `n_init` starts.

    `vectors` is n x d and may be a memory map: it is read in blocks, never copied whole (integers are taken
    as float64). Several such arrays are views of the same items: each makes a graph, and the sum of the
    graphs is grouped, so that what one view tears apart another may hold together. n_clusters="auto" weighs
    2 to 20 groups (`candidates`) and takes a guess. Deterministic for a seed, whatever the number of threads.
    `callback` is told in words what is done next; what it raises ends the fit.
    Neighbours are exact up to `exact_up_to` rows, by inverted lists above. Rows that are all equal make one
    group. Offsets, scales and constant columns change nothing.

    Cost: n^2 q multiplications up to `exact_up_to`, n^1.5 beyond; then n k min(2k, 256) for each start, which
    is most of it where k is hundreds. Memory: about 4 KB an item, 80 bytes more for each group up to 128, and
    in passing d^2 numbers. `InputError` for n_clusters outside 1..n, or a vector that is not finite.

    Source: Jarvis and Patrick 1973 (shared neighbours); Ng, Jordan, Weiss 2001 (spectral grouping);
    k-means on these eigenvectors is weighted kernel k-means on the graph (Dhillon, Guan, Kulis 2004). Where
    we differ: half-whitening, and eigenvectors weighted by diffusion, which keeps groups from collapsing.
    To split a group, call it on that group's vectors.
    """
    views = _views(vectors)
    n = len(views[0])
    _check(n, n_clusters, n_neighbors, n_components, n_init)
    tell = callback or (lambda line: None)
    tell(f"half-whitening {n:,} rows")
    whitenings = tuple(half_whitening(view, n_components) for view in views)
    each = [whitening(view) for whitening, view in zip(whitenings, views)]
    tell("looking for neighbours")
    graph = sum(shared_neighbor_graph(one, _neighbors(one, n_neighbors, exact_up_to)) for one in each)
    points = _side_by_side(each)
    candidates: tuple[Candidate, ...] = ()
    if n_clusters != "auto":  # equal rows are not torn apart: neighbours among many of them are arbitrary
        n_clusters = _told_apart(views, int(n_clusters))
    if n_clusters == "auto":
        most = min(MOST_CANDIDATES, n - 1)
        tell(f"weighing 2 to {most} groups")
        eigen = spectrum(graph, 2 * most + 1)

        def labels_of(k: int) -> Labels:
            return _group(eigen.embedding(2 * k), k, 3, seed).labels  # three starts do for evidence

        candidates = weigh_candidates(points, graph, eigen, labels_of, range(2, most + 1), seed)
        k = guess(candidates) if candidates else 1
    else:
        k = int(n_clusters)
        tell("looking for eigenvectors")
        eigen = spectrum(graph, min(2 * k, MOST_EIGENVECTORS))
    embedding = eigen.embedding(2 * k)
    tell(f"grouping {n:,} rows of {embedding.shape[1]} eigenvectors into {k} groups, {n_init} starts")
    best = _group(embedding, k, n_init, seed)
    if len(np.unique(best.labels)) < k:  # the graph of a tiny pile has ties, which the points break
        best = _group(np.hstack([embedding, 1e-3 * points]), k, n_init, seed)
    labels = by_falling_size(best.labels)
    n_found = int(labels.max()) + 1
    return SharedNeighborResult(labels, n_found, candidates, points, whitenings, embedding, best.n_iter)


def neighbor_vote(
    queries: Float[np.ndarray, "r q"],
    points: Float[np.ndarray, "n q"],
    labels: Labels,
    *,
    n_neighbors: int = 10,
) -> Float[np.ndarray, "r k"]:
    """For each query (made by the same `HalfWhitening`), each group's share of its neighbours' votes.

    A neighbour among `points` votes with its cosine. Rows sum to 1, except that a query that resembles
    nothing gets zeros. On held-out halves of three piles it agreed with grouping all items at once as well
    as extending the eigenvectors did (.93, .86, .99 against .94, .85, .99).
    """
    near, cosine = top_products(queries, points, min(n_neighbors, len(points)))
    votes = np.zeros((len(queries), int(labels.max()) + 1))
    np.add.at(votes, (np.arange(len(queries))[:, None], labels[near]), np.maximum(cosine, 0))
    total = votes.sum(axis=1, keepdims=True)
    return votes / np.where(total > 0, total, 1)


def by_falling_size(labels: Labels) -> Labels:
    """The same partition numbered by falling size, ties by first member (int32)."""
    _, first, inverse, sizes = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    rank = np.empty(len(sizes), np.int32)
    rank[np.lexsort((first, -sizes))] = np.arange(len(sizes), dtype=np.int32)
    return rank[inverse]


def _views(vectors: Any) -> list[np.ndarray]:
    """The arrays that each are one view of all items."""
    several = isinstance(vectors, list | tuple) and vectors and all(np.ndim(one) == 2 for one in vectors)
    views = [checked_rows("vectors", one) for one in (vectors if several else [vectors])]
    if len({len(view) for view in views}) > 1:
        raise InputError(
            f"several views must have as many rows as there are items; got {[len(view) for view in views]}."
        )
    return views


def _told_apart(views: list[np.ndarray], most: int) -> int:
    """How many items differ in some view, counted up to `most`."""
    found = max(n_distinct(view, most) for view in views)
    return found if found == most or len(views) == 1 else n_distinct(np.hstack(views), most)


def _side_by_side(each: list[np.ndarray]) -> np.ndarray:
    """Unit rows of all views: a cosine is then the mean of theirs."""
    return each[0] if len(each) == 1 else np.hstack(each) / np.float32(len(each) ** 0.5)


def _check(n: int, n_clusters: Any, n_neighbors: Any, n_components: Any, n_init: Any) -> None:
    is_number = isinstance(n_clusters, Integral) and not isinstance(n_clusters, bool)
    if n_clusters != "auto" and not (is_number and 1 <= n_clusters <= n):
        raise InputError(
            f"n_clusters must be 'auto' or an integer between 1 and the number of samples; "
            f"got n_clusters={n_clusters!r} for n_samples={n}."
        )
    counts = {"n_neighbors": n_neighbors, "n_components": n_components, "n_init": n_init}
    for name, value in counts.items():
        check_count(name, value)


def _neighbors(points: np.ndarray, n_neighbors: int, exact_up_to: int) -> Neighbors:
    n = len(points)
    if n == 1:
        return np.empty((1, 0), np.int32)
    return cosine_neighbors(points, min(n_neighbors, isqrt(n)), exact_up_to=exact_up_to)


def _group(x: np.ndarray, k: int, n_init: int, seed: int) -> KMeansResult:
    rng = np.random.RandomState(seed)
    with one_blas_thread():
        runs = [kmeans(x, kmeans_plusplus(x, k, random_state=rng)[0]) for _ in range(n_init)]
    return min(runs, key=lambda run: run.inertia)


class SharedNeighborClustering(ClusterMixin, BaseEstimator):  # type: ignore[misc]
    """`shared_neighbor_clustering` as an estimator.

    Parameters
    ----------
    n_clusters : int or "auto", default=8
    n_neighbors, n_components, n_init, exact_up_to
        As in the function.
    random_state : int, RandomState or None, default=None
    verbose : int, default=0
        Above 0, what is done next is printed.

    Attributes
    ----------
    labels_ : int32 array (n,)
        0 is the largest group.
    points_ : float32 array (n, q)
        The representation: unit rows.
    candidates_ : tuple of Candidate
        What `n_clusters="auto"` weighed, else empty.
    n_clusters_ : int
        Groups found.
    whitening_ : HalfWhitening
        Makes points of vectors.
    n_iter_, n_features_in_ : int

    Notes
    -----
    Source, cost, errors: `shared_neighbor_clustering`. X is dense, (n, d), of many columns: directions count,
    so that points in a plane are better given to `KMeans` or `DBSCAN`.
    """

    def __init__(
        self,
        n_clusters: Any = 8,
        *,
        n_neighbors: Any = 20,
        n_components: Any = 128,
        n_init: Any = 10,
        exact_up_to: Any = EXACT_UP_TO,
        random_state: Any = None,
        verbose: Any = 0,
    ) -> None:
        self.n_clusters = n_clusters
        self.n_neighbors = n_neighbors
        self.n_components = n_components
        self.n_init = n_init
        self.exact_up_to = exact_up_to
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None) -> "SharedNeighborClustering":
        """Group the rows of X, float32 or float64. `y` is ignored."""
        X = validated(self, X, dtype=[np.float64, np.float32], ensure_all_finite=False)
        state = self.random_state
        result = shared_neighbor_clustering(
            X,
            self.n_clusters,
            n_neighbors=self.n_neighbors,
            n_components=self.n_components,
            n_init=self.n_init,
            seed=int(state if isinstance(state, Integral) else check_random_state(state).randint(2**31)),
            exact_up_to=self.exact_up_to,
            callback=print if self.verbose else None,
        )
        self.labels_, self.points_, self.candidates_ = result.labels, result.points, result.candidates
        self.n_clusters_, self.n_iter_, self.whitening_ = (
            result.n_clusters,
            result.n_iter,
            result.whitenings[0],
        )
        if self.n_clusters != "auto" and self.n_clusters_ < self.n_clusters:
            if (there_are := n_distinct(X, int(self.n_clusters))) < self.n_clusters:
                raise InputError(
                    f"n_clusters must be at most the number of distinct rows; got n_clusters="
                    f"{self.n_clusters} for {there_are}: ask for {there_are}."
                )
            warnings.warn(
                f"Number of distinct groups ({self.n_clusters_}) found smaller than n_clusters "
                f"({self.n_clusters}). Possibly due to duplicate points in X.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The group of most of each row's nearest fitted items (`neighbor_vote`; ties: the larger)."""
        check_is_fitted(self)
        X = validated(self, X, dtype=[np.float64, np.float32], reset=False, ensure_all_finite=False)
        refuse_nonfinite("X", X)
        votes = neighbor_vote(self.whitening_(X), self.points_, self.labels_)
        return np.asarray(votes.argmax(axis=1), dtype=np.int32)
