"""DBSCAN: groups of points that chains of dense neighbourhoods connect."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
import sklearn  # its parts are imported when first named
from jaxtyping import Int
from joblib import effective_n_jobs
from scipy.sparse import SparseEfficiencyWarning, issparse
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from sortal.arrays import Labels
from sortal.cluster.dissimilarity import free_memory
from sortal.cluster.reachability import Distances, Reachability, reachability
from sortal.cluster.rows import checked_rows, fit_rows, near_one, refuse_nonfinite
from sortal.errors import InputError
from sortal.kernels import cosine_density_groups, density_groups, spread_groups

__all__ = ["DBSCAN", "DBSCANResult", "dbscan"]

CALLS_AT_ONCE = 2**18  # of a metric, half a second
WHOLE_UP_TO = 8192  # rows whose neighbours scikit-learn may look up in one go; above, block by block
SMALL_LISTS = 2**24  # bytes; below, asking the system what is free took up to .2 of the 2 ms of 300 rows
# Beyond these ratios to eps, float32 and cell numbers tell nothing any more.
MOST_SPAN, MOST_OFFSET = 1e8, 1e12


@dataclass(frozen=True)
class DBSCANResult:
    """What `dbscan` found."""

    labels: Labels  # intp; noise is -1
    core_sample_indices: Int[np.ndarray, " c"]  # intp, rising

    @property
    def kinds(self) -> np.ndarray:
        """ "core", "border" or "noise", for each point."""
        kinds = np.where(self.labels < 0, "noise", "border")
        kinds[self.core_sample_indices] = "core"
        return kinds


def dbscan(
    X: Any,
    eps: Any = 0.5,
    *,
    min_samples: Any = 5,
    metric: Any = "euclidean",
    metric_params: Any = None,
    algorithm: Any = "auto",
    leaf_size: Any = 30,
    p: Any = None,
    sample_weight: Any = None,
    n_jobs: Any = None,
) -> DBSCANResult:
    """Groups, border points and noise among the rows of X: exact, and labelled as scikit-learn labels them.

    A point is core with at least `min_samples` points within `eps`, itself counted (or weights, where
    `sample_weight` is given); core points within eps of each other share a group; groups are numbered by
    their smallest core point; a border point falls to the lowest group within reach. Deterministic.

    Euclidean and cosine distances of dense rows take our own kernels; for every other metric, precomputed
    distances, and weights that add up to min_samples within rounding, scikit-learn finds the neighbours. Only
    there do `algorithm`, `leaf_size` and `n_jobs` matter.

    Cost: about n log n in up to three dimensions, n^2 d where all is near to all. Memory beside X: some 40
    bytes a point and dimension, and up to 512 bytes a point beyond three dimensions; where scikit-learn finds
    the neighbours, 4 bytes for each pair of them, and `InputError` where they would not fit.

    Source: Ester, Kriegel, Sander, Xu 1996; Schubert et al. 2017. Where we differ from scikit-learn: in more
    than 15 dimensions it expands the square, and so loses digits of rows with a huge common offset; we take
    differences. Where distances tie with eps within rounding neither is exact: on lattices of step .1 in 16
    to 19 dimensions 27 of 250 fits differed, and fractions found us right on 30 of 37 points. Cosines of
    rows shorter than 2e-15 (1e-6 in float32) are theirs; there such rows count as zero.
    """
    _check(eps, min_samples, metric, algorithm, leaf_size, p)
    X = X if issparse(X) else np.asarray(X)
    rows = checked_rows("X", X, or_sparse=True)
    span = refuse_nonfinite("X", rows)
    sample_weight = None if sample_weight is None else np.asarray(sample_weight)
    weights = None if sample_weight is None else sample_weight.astype(np.float64)
    if weights is not None and weights.shape != (X.shape[0],):
        raise InputError(
            f"sample_weight must hold one number for each row of X; got shape {weights.shape} for "
            f"n_samples={X.shape[0]}."
        )
    if weights is not None and not np.isfinite(weights).all():
        row = int(np.argmin(np.isfinite(weights)))
        raise InputError(
            f"sample_weight must be finite; got {weights[row]} for row {row}: leave the row out."
        )
    try:
        found = _by_kernels(rows, span, eps, int(min_samples), metric, metric_params, algorithm, p, weights)
    except ArithmeticError:  # the sum of weights as scikit-learn takes it decides, to the last bit
        found = None
    if found is not None:
        return DBSCANResult(found[0], np.flatnonzero(found[1]))
    p = 2 if metric == "minkowski" and p is None and "p" not in (metric_params or {}) else p
    model = sklearn.neighbors.NearestNeighbors(
        radius=eps, algorithm=algorithm, leaf_size=leaf_size, metric_params=metric_params, p=p, n_jobs=n_jobs,
        metric=_watched(metric) if callable(metric) else metric,
    )  # fmt: skip
    try:
        return _from_graph(model, X, min_samples, sample_weight)
    except (ValueError, TypeError) as e:
        if isinstance(e, InputError) or callable(metric):
            raise
        said = " ".join(str(e).split())
        raise InputError(
            f"metric={metric!r} is refused by scikit-learn: {said.rstrip('.')}; give what it asks for (in "
            "metric_params, if it is a parameter of the metric), or another metric."
        ) from e


def _watched(metric: Any) -> Any:
    """The callable, whose nonsense would else be compared with eps and lost: NaN is never within it."""

    def distance(a: Any, b: Any, **params: Any) -> Any:
        value = metric(a, b, **params)
        try:
            sound = bool(0 <= value < np.inf)
        except (TypeError, ValueError):
            sound = False
        if not sound:
            text = " ".join(str(value).split())[:60]
            raise InputError(
                f"metric must return a finite number of at least 0 for any two rows; {metric!r} returned "
                f"{type(value).__name__} {text}: correct it, or leave such rows out."
            )
        return value

    return distance


def _by_kernels(
    rows: Any,
    span: np.ndarray,
    eps: Any,
    min_samples: int,
    metric: Any,
    metric_params: Any,
    algorithm: str,
    p: Any,
    weights: Any,
) -> tuple[np.ndarray, np.ndarray] | None:
    """Labels and core points; None where the distances are not ours to take."""
    if issparse(rows):
        return None
    if _is_euclidean(metric, metric_params, p) and _fits(span, eps):
        return density_groups(rows, _squared_radius(rows, eps, algorithm), min_samples, weights)
    if metric == "cosine" and not metric_params:
        least = _least_cosine(eps, rows.dtype)
        unit = sklearn.preprocessing.normalize(near_one(rows), copy=False)
        return cosine_density_groups(unit, least, min_samples, weights)
    return None


def _from_graph(model: Any, X: Any, min_samples: Any, sample_weight: Any) -> DBSCANResult:
    if model.metric == "precomputed" and issparse(X):
        X = _with_diagonal(X)
    model.fit(X)
    n = X.shape[0]
    block = n if issparse(X) and model.metric == "precomputed" else _rows_at_once(model, n)
    counts, mass = np.empty(n, np.int64), np.empty(n)
    parts = []
    for at in range(0, n, block):
        found = _near(model, X if block >= n else X[at : at + block])
        counts[at : at + block] = np.fromiter(map(len, found), np.int64, len(found))
        if sample_weight is not None:  # summed as scikit-learn does, to the last bit
            mass[at : at + block] = [np.sum(sample_weight[near]) for near in found]
        parts.append(np.concatenate(found, dtype=np.int32, casting="unsafe"))
        _refuse_too_many(int(counts[: at + block].sum()), min(at + block, n), n, model.radius)
    core = (counts if sample_weight is None else mass) >= min_samples
    starts = np.concatenate([[0], np.cumsum(counts)])
    return DBSCANResult(spread_groups(starts, np.concatenate(parts), core), np.flatnonzero(core))


def _rows_at_once(model: Any, n: int) -> int:
    """Without a tree all distances of these rows are held; a callable must let Ctrl-C through."""
    if callable(model.metric):
        return max(1, CALLS_AT_ONCE // n)
    return WHOLE_UP_TO if n <= WHOLE_UP_TO or model._tree is not None else max(1, 2**23 // n)


def _near(model: Any, rows: Any) -> np.ndarray:
    """For each row the points within the radius; a tree is asked without .2 ms of joblib and checks."""
    if model._tree is None or effective_n_jobs(model.n_jobs) > 1:
        return np.asarray(model.radius_neighbors(rows, return_distance=False))
    with _ignored_raised():
        return np.asarray(model._tree.query_radius(rows, model.radius))


@contextmanager
def _ignored_raised() -> Iterator[None]:
    """A tree of scikit-learn ignores what a callable raises, Ctrl-C too: it is raised here."""
    ignored: list[Any] = []
    before, sys.unraisablehook = sys.unraisablehook, ignored.append
    try:
        yield
    finally:
        sys.unraisablehook = before
    if ignored:
        raise ignored[0].exc_value


def _refuse_too_many(n_pairs: int, n_seen: int, n: int, eps: Any) -> None:
    """`InputError` where the lists of neighbours still to come would not fit the free memory."""
    needed = 8 * n_pairs * n / n_seen - 4 * n_pairs  # joined at the end, while the parts are still there
    if needed > SMALL_LISTS and needed > (free := free_memory()):
        raise InputError(
            f"eps must leave each point few enough neighbours for memory; at eps={eps} it has about "
            f"{n_pairs // n_seen} of n_samples={n}, and the lists need {needed / 1e9:.1f} GB more, "
            f"{free / 1e9:.1f} GB are free: lower eps, take fewer rows, or metric='euclidean', "
            "which keeps no lists."
        )


def _with_diagonal(graph: Any) -> Any:
    """A copy in which each point is its own neighbour, its rows sorted by distance."""
    graph = graph.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SparseEfficiencyWarning)
        graph.setdiag(graph.diagonal())
    return sklearn.neighbors.sort_graph_by_row_values(graph, warn_when_not_sorted=False)


def _is_euclidean(metric: Any, metric_params: Any, p: Any) -> bool:
    if isinstance(metric, str) and metric in ("euclidean", "l2"):
        return not metric_params
    return isinstance(metric, str) and metric == "minkowski" and not metric_params and p in (None, 2)


def _fits(span: np.ndarray, eps: Any) -> bool:
    if not 1e-140 < eps < 1e140:
        return False
    low, high = span.tolist()
    return bool(high - low <= MOST_SPAN * eps and max(high, -low) <= MOST_OFFSET * eps)


def _squared_radius(X: Any, eps: Any, algorithm: str) -> float:
    """As scikit-learn squares it: in float32 where it compares rows of float32 by brute force."""
    brute = algorithm == "brute" or (algorithm == "auto" and X.shape[1] > 15)
    return (
        float(np.float32(eps) * np.float32(eps))
        if brute and X.dtype == np.float32
        else float(eps) * float(eps)
    )


def _least_cosine(eps: Any, dtype: Any) -> float:
    """The smallest product s of unit rows for which 1 - s <= eps, in the arithmetic of `dtype`."""
    one, limit = dtype.type(1), np.float64(eps) if isinstance(eps, np.floating) else dtype.type(eps)
    below, least = -one, one + one
    if one - below <= limit:
        return -np.inf
    while True:  # halves the gap until no number is left in it
        middle = (below + least) / dtype.type(2)
        if middle in (below, least):
            return float(least)
        below, least = (below, middle) if one - middle <= limit else (middle, least)


def _check(eps: Any, min_samples: Any, metric: Any, algorithm: Any, leaf_size: Any, p: Any) -> None:
    if not (isinstance(eps, Real) and 0 < float(eps) < np.inf):
        raise InputError(f"eps must be a finite number above 0, a distance; got {eps!r}.")
    if not isinstance(min_samples, Integral) or min_samples < 1:
        raise InputError(
            f"min_samples must be an integer of at least 1, the point itself counted; got {min_samples!r}."
        )
    if not (callable(metric) or isinstance(metric, str)):
        raise InputError(
            f"metric must be a name that scikit-learn knows, or a function of two rows; got {metric!r}."
        )
    if algorithm not in ("auto", "ball_tree", "kd_tree", "brute"):
        raise InputError(f"algorithm must be 'auto', 'ball_tree', 'kd_tree' or 'brute'; got {algorithm!r}.")
    if not isinstance(leaf_size, Integral) or leaf_size < 1:
        raise InputError(f"leaf_size must be an integer of at least 1; got {leaf_size!r}.")
    if p is not None and not (isinstance(p, Real) and float(p) >= 0):
        raise InputError(f"p must be None or a number of at least 0; got {p!r}.")


class DBSCAN(ClusterMixin, BaseEstimator):  # type: ignore[misc]
    """Density-based groups and noise, with scikit-learn's parameters, labels and attributes.

    Parameters
    ----------
    eps, min_samples, metric, metric_params, p, n_jobs
        As `sklearn.cluster.DBSCAN`. `n_jobs` counts only where scikit-learn finds the neighbours.
    algorithm, leaf_size
        As there, and without effect on Euclidean and cosine distances of dense rows without weights.

    Attributes
    ----------
    labels_, core_sample_indices_, components_, n_features_in_
        As `sklearn.cluster.DBSCAN`.
    kinds_ : array of str (n,)
        "core", "border" or "noise".

    Notes
    -----
    X is kept, not copied, for `explain`. Source, cost, where we differ from scikit-learn: `dbscan`.
    """

    def __init__(
        self,
        eps: Any = 0.5,
        *,
        min_samples: Any = 5,
        metric: Any = "euclidean",
        metric_params: Any = None,
        algorithm: Any = "auto",
        leaf_size: Any = 30,
        p: Any = None,
        n_jobs: Any = None,
    ) -> None:
        self.eps = eps
        self.min_samples = min_samples
        self.metric = metric
        self.metric_params = metric_params
        self.algorithm = algorithm
        self.leaf_size = leaf_size
        self.p = p
        self.n_jobs = n_jobs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = tags.input_tags.positive_only = self.metric == "precomputed"
        tags.input_tags.sparse = True
        return tags

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> "DBSCAN":
        """Group the rows of X, or the points between which X gives distances. `y` is ignored."""
        X = fit_rows(self, X, accept_sparse="csr")
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X)
        result = dbscan(  # get_params() would take a quarter of the time of 300 rows
            X, self.eps, min_samples=self.min_samples, metric=self.metric, metric_params=self.metric_params,
            algorithm=self.algorithm, leaf_size=self.leaf_size, p=self.p, sample_weight=sample_weight,
            n_jobs=self.n_jobs,
        )  # fmt: skip
        self.labels_, self.core_sample_indices_ = result.labels, result.core_sample_indices
        found = len(self.core_sample_indices_)
        self.components_ = X[self.core_sample_indices_] if found else np.empty((0, X.shape[1]))
        self._fit_X, self._fit_weight = X, sample_weight
        return self

    def fit_predict(self, X: Any, y: Any = None, sample_weight: Any = None) -> np.ndarray:
        """`fit(X).labels_`. `y` is ignored."""
        return np.asarray(self.fit(X, sample_weight=sample_weight).labels_)

    @property
    def kinds_(self) -> np.ndarray:
        """ "core", "border" or "noise", for each point."""
        check_is_fitted(self)
        return DBSCANResult(self.labels_, self.core_sample_indices_).kinds

    def explain(self, i: Any, to: Any = None) -> Reachability:
        """Why point `i` is what it is; print it, or read its fields.

        `to` is another point of its group to which a chain of directly reachable steps is wanted: the core
        point that gives the group its number, where None. Costs n d for the point and for each point that the
        search for the chain passes, of which there may be several to a step.
        """
        check_is_fitted(self)
        p = 2.0 if self.p is None else float(self.p)
        distances = Distances(self._fit_X, self.metric, self.metric_params, p)
        return reachability(
            i, to, distances, self.labels_, self.core_sample_indices_, self._fit_weight,
            eps=self.eps, min_samples=self.min_samples,
        )  # fmt: skip
