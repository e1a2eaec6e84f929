"""The ways to group a pile, by name: vectors in; labels, representation and evidence out."""

import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
import sklearn  # its parts are imported when first named
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment
from sklearn.base import BaseEstimator, ClusterMixin

from sortal.arrays import Labels, Vectors
from sortal.cluster.graph import by_falling_size, shared_neighbor_clustering
from sortal.cluster.k_distances import MIN_SAMPLES, k_distances
from sortal.cluster.whitening import half_whitening
from sortal.errors import InputError

__all__ = [
    "METHODS",
    "Comparison",
    "Flow",
    "Grouped",
    "compare",
    "found_by",
    "group_by",
    "split_views",
    "takes_number",
]


@dataclass(frozen=True)
class Grouped:
    """A grouping, whatever the method."""

    labels: Labels  # int32; 0 is the largest group, -1 is left out
    points: Float[np.ndarray, "n q"]  # unit rows, in which typical members and outliers are looked for
    evidence: dict[str, Any]  # JSON: what speaks for it, and the numbers of groups that were weighed

    @property
    def n_groups(self) -> int:
        """Groups, without what was left out."""
        return int(self.labels.max()) + 1


def group_by(
    method: str,
    vectors: Vectors,
    k: int | str,
    seed: int,
    params: Mapping[str, Any] | None = None,
    *,
    views: Sequence[int] = (),
) -> Grouped:
    """Group by a name of `METHODS`, or by a clusterer of scikit-learn as `sklearn.cluster.NAME`.

    `k` is the number of groups, "auto" where the method finds it itself. `params` are more parameters of the
    method: JSON values. `views` are the widths of several views that stand side by side in `vectors`: "graph"
    sums their graphs, other methods take the rows as they are. `InputError` for a method or parameter that
    there is not, and for whatever the method refuses.
    """
    if views and method == "graph":
        found = by_graph(split_views(vectors, views), k, seed, **dict(params or {}))
    else:
        found = found_by(method, vectors, k, seed, params)
    points = half_whitening(vectors, 128)(vectors) if found.points is None else found.points
    return Grouped(found.labels, points, found.evidence)


def split_views(vectors: Vectors, views: Sequence[int]) -> list[np.ndarray]:
    """What stands side by side in `vectors`, `views` columns each and not copied; all of it for no views."""
    return np.split(vectors, np.cumsum(views)[:-1].astype(int), axis=1) if views else [vectors]


@dataclass(frozen=True)
class Found:
    """Labels of a method, before anything is asked about them."""

    labels: Labels  # as in `Grouped`
    evidence: dict[str, Any]
    points: Float[np.ndarray, "n q"] | None = None  # those that the method itself saw


def found_by(
    method: str, vectors: Vectors, k: int | str, seed: int, params: Mapping[str, Any] | None = None
) -> Found:
    """As `group_by`, without the representation, which costs a decomposition of the vectors."""
    params = dict(params or {})
    if method.startswith(PREFIX):
        return _fitted(method, sklearn_clusterer(method), {}, vectors, k, seed, params)
    if method not in METHODS:
        raise InputError(
            f"method must be one of {', '.join(METHODS)}, or {PREFIX}NAME; got {method!r}: give another."
        )
    return METHODS[method](vectors, k, seed, **params)


# ---- ours


def by_graph(vectors: Vectors | Sequence[np.ndarray], k: int | str, seed: int, **params: Any) -> Found:
    """`shared_neighbor_clustering`; k may be "auto"."""
    _check_names("graph", ("n_neighbors", "n_components", "n_init", "exact_up_to"), params)
    found = shared_neighbor_clustering(vectors, k, seed=seed, **params)
    return Found(found.labels, {"candidates": [asdict(one) for one in found.candidates]}, found.points)


def by_dbscan(vectors: Vectors, k: int | str, seed: int, **params: Any) -> Found:
    """DBSCAN; where eps is not given, the knee of the k-distance curve."""
    if "eps" not in params:
        metric, min_samples = params.get("metric", "euclidean"), params.get("min_samples", MIN_SAMPLES)
        params |= {"eps": k_distances(vectors, min_samples, metric=metric, seed=seed).eps}
    return _by_estimator("dbscan", vectors, k, seed, **params)


# Where each estimator is defined, so that a method costs the import of its own only; and parameters whose
# default for a pile is not scikit-learn's.
_ESTIMATORS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "kmeans": ("kmeans", "KMeans", {"n_init": 10}),
    "spherical": ("spherical", "SphericalKMeans", {"n_init": 10}),
    "soft": ("soft", "SoftKMeans", {}),
    "kernel": ("kernel_kmeans", "KernelKMeans", {}),
    "kmedoids": ("kmedoids", "KMedoids", {}),
    "dbscan": ("dbscan", "DBSCAN", {}),
}


def _by_estimator(name: str, vectors: Vectors, k: int | str, seed: int, **params: Any) -> Found:
    """One of our estimators on the vectors as they are."""
    module, estimator, defaults = _ESTIMATORS[name]
    return _fitted(
        name,
        getattr(import_module(f"sortal.cluster.{module}"), estimator),
        defaults,
        vectors,
        k,
        seed,
        params,
    )


METHODS: dict[str, Callable[..., Found]] = {
    "graph": by_graph,
    **{name: partial(_by_estimator, name) for name in _ESTIMATORS},
    "dbscan": by_dbscan,
}


# ---- side by side


@dataclass(frozen=True)
class Flow:
    """Items that one grouping has in `group_a` and the other in `group_b`, which are no twins."""

    a: int  # which grouping
    b: int
    group_a: int
    group_b: int
    n_items: int


@dataclass(frozen=True)
class Comparison:
    """Groupings of the same items: how alike they are, and where they are not."""

    agreement: Float[np.ndarray, "m m"]  # adjusted Rand index of each two; 0 is chance
    disputed: Float[np.ndarray, " n"]  # share of its companions that an item changes, mean over pairs
    flows: tuple[Flow, ...]  # largest first

    def most_disputed(self, count: int) -> np.ndarray:
        """Positions of the items that the groupings disagree on most; ties by position."""
        order = np.argsort(-self.disputed, kind="stable")[:count]
        return order[self.disputed[order] > 0]


def compare(groupings: Sequence[Labels]) -> Comparison:
    """Compare groupings of the same items; -1 is a group of its own for each item.

    Groups of two groupings are twins where the best one-to-one matching pairs them. `InputError` for fewer
    than two groupings, or of different lengths.
    """
    m, n = len(groupings), len(groupings[0]) if len(groupings) else 0
    if m < 2 or any(len(labels) != n for labels in groupings):
        raise InputError(f"compare needs two groupings or more of the same items; got {m}.")
    alike, disputed, flows = np.eye(m), np.zeros(n), []
    for a in range(m):
        for b in range(a + 1, m):
            mine, theirs = _all_in_groups(groupings[a]), _all_in_groups(groupings[b])
            alike[a, b] = alike[b, a] = sklearn.metrics.adjusted_rand_score(mine, theirs)
            table = sklearn.metrics.cluster.contingency_matrix(mine, theirs, sparse=True)
            shared = np.asarray(table[mine, theirs]).ravel()
            either = np.bincount(mine)[mine] + np.bincount(theirs)[theirs] - shared
            disputed += 1 - shared / either
            flows += _flows(a, b, groupings[a], groupings[b])
    flows.sort(key=lambda flow: -flow.n_items)
    return Comparison(alike, disputed / (m * (m - 1) / 2), tuple(flows))


def _all_in_groups(labels: Labels) -> np.ndarray:
    labels = labels.astype(np.int64)
    alone = labels < 0
    labels[alone] = labels.max(initial=-1) + 1 + np.arange(alone.sum())
    return np.unique(labels, return_inverse=True)[1]


def _flows(a: int, b: int, mine: Labels, theirs: Labels) -> list[Flow]:
    both = (mine >= 0) & (theirs >= 0)
    if not both.any():
        return []
    table = np.zeros((int(mine.max()) + 1, int(theirs.max()) + 1), np.int64)
    np.add.at(table, (mine[both], theirs[both]), 1)
    table[linear_sum_assignment(table, maximize=True)] = 0
    return [Flow(a, b, int(g), int(h), int(table[g, h])) for g, h in np.argwhere(table > 0)]


# ---- scikit-learn's

PREFIX = "sklearn.cluster."


def sklearn_clusterer(method: str) -> type:
    """The class behind `sklearn.cluster.NAME`; nothing else can be reached by a name in a file or command."""
    import sklearn.cluster

    there_are = [name for name in sklearn.cluster.__all__ if _groups_rows(getattr(sklearn.cluster, name))]
    name = method.removeprefix(PREFIX)
    if name not in there_are:
        raise InputError(f"{PREFIX}NAME must be one of {', '.join(there_are)}; got {method!r}: give another.")
    found: type = getattr(sklearn.cluster, name)
    return found


def _groups_rows(thing: Any) -> bool:
    """Feature agglomeration is a clusterer too, of columns."""
    if not (inspect.isclass(thing) and issubclass(thing, ClusterMixin) and issubclass(thing, BaseEstimator)):
        return False
    return thing.__name__ != "FeatureAgglomeration"


def takes_number(method: str) -> bool:
    """Whether the method can be told the number of groups."""
    if not method.startswith(PREFIX):
        return method != "dbscan"
    return "n_clusters" in inspect.signature(sklearn_clusterer(method)).parameters


# ---- any estimator

# `memory` names a folder whose pickles would be loaded, `verbose` writes where the result is printed.
FORBIDDEN = ("memory", "verbose", "random_state")


def _fitted(
    name: str,
    estimator: type,
    defaults: Mapping[str, Any],
    vectors: Vectors,
    k: int | str,
    seed: int,
    params: Mapping[str, Any],
) -> Found:
    takes = [key for key in inspect.signature(estimator).parameters if key not in FORBIDDEN]
    _check_names(name, takes, params)
    given = {**defaults, **params}
    if "n_clusters" not in takes:
        if not isinstance(k, str):
            raise InputError(f"{name} finds the number of groups itself; got k={k}: leave out k.")
    elif not isinstance(k, str):
        given["n_clusters"] = k
    elif "n_clusters" not in given:
        raise InputError(f"{name} needs the number of groups; got k='auto': give k, or use the method graph.")
    if "random_state" in inspect.signature(estimator).parameters:
        given["random_state"] = seed
    fitted, said = _fit(name, estimator, given, vectors)
    labels = _numbered(name, fitted.labels_, len(vectors))
    evidence: dict[str, Any] = {"candidates": [], "warnings": said}
    if isinstance(getattr(fitted, "inertia_", None), float):
        evidence["inertia"] = float(fitted.inertia_)
    if "eps" in given:
        evidence["eps"] = float(given["eps"])
    return Found(labels, evidence)


def _fit(name: str, estimator: type, given: dict[str, Any], vectors: Vectors) -> tuple[Any, list[str]]:
    """The fitted estimator and what it warned of, a line each."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            fitted = estimator(**given).fit(vectors)
        except InputError:
            raise
        except (ValueError, TypeError, OverflowError) as e:  # so scikit-learn refuses parameters and data
            said = " ".join(str(e).split()).rstrip(".")
            raise InputError(f"{name} refuses: {said}; give other parameters.") from e
    about = [one for one in caught if not issubclass(one.category, DeprecationWarning | FutureWarning)]
    return fitted, list(dict.fromkeys(" ".join(str(one.message).split()) for one in about))


def _numbered(name: str, labels: Any, n: int) -> Labels:
    """Groups by falling size, what was left out as -1."""
    labels = np.asarray(labels)
    if labels.shape != (n,) or labels.dtype.kind not in "iu":
        raise InputError(
            f"{name} must give a group for each of {n} items; got {labels.dtype} of shape {labels.shape}."
        )
    numbered = np.full(n, -1, np.int32)
    inside = labels >= 0
    if inside.any():
        numbered[inside] = by_falling_size(labels[inside].astype(np.int32))
    return numbered


def _check_names(name: str, takes: Any, params: Mapping[str, Any]) -> None:
    unknown = [key for key in params if key not in takes]
    if unknown:
        raise InputError(
            f"{name} takes the parameters {', '.join(takes)}; got {unknown[0]!r}: leave it out or correct it."
        )
