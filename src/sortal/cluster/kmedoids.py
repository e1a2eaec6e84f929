"""k-medoids: groups around points of the data, by any distance."""

import reprlib
import warnings
from itertools import count
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from sortal.cluster.clara import clara, spread_start, too_few_distinct
from sortal.cluster.dissimilarity import Dissimilarity, checked_distances, finite_rows
from sortal.cluster.medoid_search import KMedoidsResult, KMedoidsStep, Report, alternate, fasterpam
from sortal.cluster.rows import check_count, check_groups, checked_rows, fit_rows
from sortal.errors import InputError
from sortal.kernels import build_medoids

__all__ = ["KMedoids", "KMedoidsResult", "KMedoidsStep", "kmedoids"]

METHODS = ("fasterpam", "alternate", "clara")
INITS = ("build", "random", "k-medoids++")


def kmedoids(
    distances: Any,
    start: Any,
    *,
    method: str = "fasterpam",
    max_iter: int = 300,
    callback: Report | None = None,
) -> KMedoidsResult:
    """Move the medoids `start` (k different row numbers) downhill until none can be exchanged for a better.

    `distances` is n x n, symmetric, at least 0, float32 or float64 (integers are taken as float64) and not
    copied. "fasterpam" tries all exchanges of a medoid for a point, at n^2 a pass; "alternate" only those for
    a member of the medoid's own group. Deterministic: the same input gives the same bits. Ties go to the
    lower slot. `callback` sees each pass or alternation; what it raises ends the search. `InputError` for a
    matrix or start that is not of this kind.

    Source: Schubert and Rousseeuw 2021 ("fasterpam"), Park and Jun 2009 ("alternate").
    """
    distances = checked_distances(checked_rows("distances", distances), "distances")
    medoids = _checked_start("start", start, len(distances))
    if method not in METHODS[:2]:
        raise InputError(f"method must be 'fasterpam' or 'alternate'; got {method!r}.")
    search = fasterpam if method == "fasterpam" else alternate
    return search(distances, medoids, max_iter, callback)


def _checked_start(name: str, start: Any, n: int, k: int | None = None) -> np.ndarray:
    medoids = np.asarray(start)
    whole = medoids.ndim == 1 and medoids.dtype.kind in "iu"
    if not (
        whole
        and 1 <= len(medoids) == (k or len(medoids)) == len(np.unique(medoids))
        and 0 <= medoids.min() <= medoids.max() < n
    ):
        got = reprlib.repr(medoids.tolist()) if whole else f"{medoids.dtype} of shape {medoids.shape}"
        raise InputError(
            f"{name} must hold {f'n_clusters={k} ' if k else ''}different row numbers from 0 to {n - 1}; "
            f"got {got}."
        )
    return medoids.astype(np.int64)


class KMedoids(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClusterMixin, BaseEstimator):  # type: ignore[misc]
    """K-medoids clustering: each group is represented by one of its points, under any distance.

    Parameters
    ----------
    n_clusters : int, default=8
    metric : str or callable, default="euclidean"
        A name that `sklearn.metrics.pairwise_distances` knows, a callable of two rows that returns a number,
        or "precomputed": X is then n x n (in `predict` and `transform`: rows x training points).
    method : {"fasterpam", "alternate", "clara"}, default="fasterpam"
        "fasterpam" (Schubert and Rousseeuw 2021) tries every exchange of a medoid for a point; "alternate"
        only looks within groups: cheaper, and worse. Both hold n x n distances. "clara" holds those of
        samples only, for large n.
    init : {"build", "random", "k-medoids++"} or array of int, default="build"
        PAM's greedy start; different random points; points drawn in proportion to their distance from
        those before; or the rows of X to start from, n_clusters different ones. "clara" starts its samples
        by "k-medoids++" where no rows are given.
    max_iter : int, default=300
        Passes over all candidates, or alternations.
    random_state : int, RandomState or None, default=None
        "fasterpam" and "alternate" from "build" or given rows draw nothing.
    verbose : int, default=0
        Above 0, each pass is printed as it ends.

    Attributes
    ----------
    medoid_indices_ : int64 array (n_clusters,)
        Rows of X.
    labels_ : int32 array (n,)
        Numbers are places in `medoid_indices_`; ties go to the lower.
    inertia_ : float
        Sum of the distances to the nearest medoid.
    inertia_history_ : tuple of float
        At the start and after each exchange; it never rises.
    history_, stopped_, margins_
        As in `KMedoidsResult`: what moved, why it stopped, which rows are in doubt.
    cluster_centers_ : array (n_clusters, d)
        The medoids' rows; absent where distances are given.
    n_iter_, n_swaps_, n_features_in_ : int

    Notes
    -----
    Where distances are held, memory is n^2 numbers of the type of X; it is checked before they are computed.
    A pass costs n^2. `InputError` where memory would not suffice, for more groups than distinct points, and
    for a metric or matrix that is not symmetric, finite and at least 0. Sources: `kmedoids`; Kaufman and
    Rousseeuw 1990 (PAM's build, CLARA); Arthur and Vassilvitskii 2007 ("k-medoids++").
    """

    def __init__(
        self,
        n_clusters: Any = 8,
        *,
        metric: Any = "euclidean",
        method: Any = "fasterpam",
        init: Any = "build",
        max_iter: Any = 300,
        random_state: Any = None,
        verbose: Any = 0,
    ) -> None:
        self.n_clusters = n_clusters
        self.metric = metric
        self.method = method
        self.init = init
        self.max_iter = max_iter
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = self.metric == "precomputed"
        tags.input_tags.positive_only = self.metric == "precomputed"
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    @property
    def _n_features_out(self) -> int:
        return len(self.medoid_indices_)

    def fit(self, X: Any, y: Any = None) -> "KMedoids":
        """Find the medoids of the rows of X. `y` is ignored."""
        if isinstance(self.metric, str) and self.metric == "precomputed":
            X = checked_distances(fit_rows(self, X, dtype=[np.float64, np.float32]))
        else:
            X = finite_rows(self, X, reset=True)
        self._check_parameters(len(X))
        dissimilarity = Dissimilarity(X, self.metric)
        dissimilarity.refuse_lopsided()
        rng = check_random_state(self.random_state)
        k, max_iter, report = int(self.n_clusters), int(self.max_iter), _printer() if self.verbose else None
        start = None if isinstance(self.init, str) else _checked_start("init", self.init, len(X), k)
        if self.method == "clara":
            found = clara(dissimilarity, k, max_iter, rng, start, report)
        else:
            search = fasterpam if self.method == "fasterpam" else alternate
            distances = dissimilarity.whole()
            if start is None:
                start = self._start(Dissimilarity(distances, "precomputed"), rng)
            found = search(distances, start, max_iter, report)
        self._keep(found, dissimilarity)
        return self

    def _start(self, distances: Dissimilarity, rng: Any) -> np.ndarray:
        k, n = int(self.n_clusters), len(distances.x)
        if self.init == "random":
            return np.asarray(rng.permutation(n)[:k], np.int64)
        if self.init == "k-medoids++":
            return spread_start(distances, k, rng)
        return build_medoids(distances.x, k)

    def _keep(self, found: KMedoidsResult, dissimilarity: Dissimilarity) -> None:
        used = len(np.unique(found.labels))
        if used < len(found.medoids) and found.inertia == 0:
            raise InputError(too_few_distinct(len(found.medoids), used))
        if found.stopped == "max_iter":
            warnings.warn(
                f"KMedoids stopped after max_iter={self.max_iter} with exchanges left that lower the loss.",
                ConvergenceWarning,
                stacklevel=3,
            )
        self.labels_, self.medoid_indices_, self.inertia_ = found.labels, found.medoids, found.inertia
        self.n_iter_, self.n_swaps_, self.history_ = found.n_iter, found.n_swaps, found.history
        self.inertia_history_, self.stopped_, self.margins_ = (
            found.inertia_history,
            found.stopped,
            found.margins,
        )
        self._dissimilarity = dissimilarity.without_rows()
        if self.metric != "precomputed":
            self.cluster_centers_ = dissimilarity.x[found.medoids]

    def predict(self, X: Any) -> np.ndarray:
        """The nearest medoid of each row of X (ties: the lower number)."""
        return np.asarray(self._distances(X).argmin(axis=1), np.int32)

    def transform(self, X: Any) -> np.ndarray:
        """The distance from each row of X to each medoid, (n, k)."""
        return self._distances(X)

    def score(self, X: Any, y: Any = None) -> float:
        """Minus the sum of the distances from the rows of X to their nearest medoid. `y` is ignored."""
        return -float(self._distances(X).min(axis=1).sum(dtype=np.float64))

    def _distances(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        X = finite_rows(self, X, reset=False)
        if self.metric == "precomputed":
            return np.asarray(X[:, self.medoid_indices_])
        return self._dissimilarity.between(X, self.cluster_centers_)

    def _check_parameters(self, n: int) -> None:
        check_groups("n_clusters", self.n_clusters, n)
        if self.method not in METHODS:
            raise InputError(f"method must be one of {', '.join(METHODS)}; got {self.method!r}.")
        if isinstance(self.init, str) and self.init not in INITS:
            raise InputError(
                f"init must be one of {', '.join(INITS)}, or an array of row numbers; got {self.init!r}."
            )
        check_count("max_iter", self.max_iter)


def _printer() -> Report:
    steps = count()

    def report(step: KMedoidsStep) -> None:
        print(f"Iteration {next(steps)}, inertia {step.inertia}, {step.n_swaps} medoids exchanged.")  # noqa: T201

    return report
