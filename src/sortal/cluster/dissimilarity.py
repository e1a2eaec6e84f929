"""Distances by any metric: whole, or of the rows that are asked for, and never nonsense."""

import os
from collections.abc import Callable
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import sklearn  # its parts are imported when first named
from jaxtyping import Float
from scipy.spatial.distance import cdist
from sklearn.utils.validation import check_array, validate_data

from sortal.cluster.rows import near_one, noted_rows, refuse_nonfinite, text_told
from sortal.errors import InputError
from sortal.kernels import first_flaw, map_blocks

__all__ = [
    "Dissimilarity",
    "checked_distances",
    "checked_symmetric",
    "finite_rows",
    "free_memory",
]

SLACK = 1e-5  # of the largest entry: what rounding may make of a symmetric matrix in float32
SCIPY_METRICS = (
    *("braycurtis", "canberra", "chebyshev", "correlation", "dice", "hamming", "jaccard", "jensenshannon"),
    *("mahalanobis", "minkowski", "rogerstanimoto", "russellrao", "seuclidean", "sokalsneath"),
    *("sqeuclidean", "yule"),
)
ALIASES = {"infinity": "chebyshev", "p": "minkowski", "sokalmichener": "rogerstanimoto"}  # of scikit-learn
Metric = str | Callable[..., Any]


class Dissimilarity:
    """Distances by `metric` (SciPy's and scikit-learn's names, a callable of two rows, or "precomputed").

    `x` holds the rows, or the distances where these are given. What a metric learns from data (variances for
    "seuclidean", covariance for "mahalanobis") it learns from `x`. "nan_euclidean" and "haversine" work as in
    scikit-learn. Distances come in the type of `x`.
    """

    def __init__(self, x: np.ndarray, metric: Metric) -> None:
        known = {*SCIPY_METRICS, *ALIASES, *sklearn.metrics.pairwise.PAIRWISE_DISTANCE_FUNCTIONS}
        if not (callable(metric) or (isinstance(metric, str) and metric in known)):
            raise InputError(
                f"metric must be a callable, 'precomputed' or one of {', '.join(sorted(known))}; "
                f"got {metric!r}."
            )
        self.x, self.metric = x, ALIASES.get(metric, metric) if isinstance(metric, str) else metric
        self.origin = (
            x.mean(axis=0, dtype=np.float64) if metric in ("euclidean", "l2", "sqeuclidean") else None
        )
        self.parameters: dict[str, Any] = {}
        if metric == "seuclidean":
            self.parameters["V"] = np.var(x, axis=0, ddof=1, dtype=np.float64)
        elif metric == "mahalanobis":
            self.parameters["VI"] = np.linalg.pinv(np.atleast_2d(np.cov(x.T.astype(np.float64))))

    def whole(self) -> Float[np.ndarray, "n n"]:
        """All of them. `InputError` before anything is allocated where memory would not suffice."""
        n = len(self.x)
        if self.metric == "precomputed":
            return self.x
        needed, free = n * n * self.x.dtype.itemsize, free_memory()
        if needed > free:
            raise InputError(
                f"the distances between n_samples={n} rows must fit the memory: they need {needed / 1e9:.1f} "
                f"GB, {free / 1e9:.1f} GB are free; method='clara' holds those of samples only."
            )
        distances = np.empty((n, n), self.x.dtype)
        if callable(self.metric):
            self._fill_by_calls(distances)
            return distances

        def fill(rows: slice) -> None:
            distances[rows] = self.between(self.x[rows], self.x)

        for _ in map_blocks(fill, n, max(16, 2**20 // n)):
            pass
        if self.origin is not None:  # a product and its mirror image differ by rounding, as they may
            np.fill_diagonal(distances, 0)
            return distances
        own = np.einsum("ii->i", distances)  # a view; "russellrao" is truly above 0 there
        own[own <= SLACK * distances.max()] = 0
        return checked_distances(distances, f"the distances by metric={self.metric!r}")

    def of(self, rows: np.ndarray) -> "Dissimilarity":
        """The same distances over some of the rows; what was learned from all stays."""
        other = copy(self)
        other.x = self.x[rows]
        return other

    def without_rows(self) -> "Dissimilarity":
        """What `between` needs, and no data."""
        return (
            self.of(np.arange(0))
            if self.metric != "precomputed"
            else Dissimilarity(self.x[:0, :0], "precomputed")
        )

    def among(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """From the rows of `x` named by number to others of them."""
        if self.metric == "precomputed":
            return np.ascontiguousarray(self.x[np.ix_(rows, columns)])
        return self.between(self.x[rows], self.x[columns])

    def between(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """From each row of `a` to each row of `b`."""
        if callable(self.metric):
            found = np.array([[_called(self.metric, p, q) for q in b] for p in a], self.x.dtype)
        elif self.origin is not None:
            found = _euclidean(a - self.origin, b - self.origin, squared=self.metric == "sqeuclidean")
        elif self.metric == "jensenshannon":  # scikit-learn does not know it
            with np.errstate(invalid="ignore"):  # rows that are no shares are told below
                found = cdist(a, b, self.metric)
        else:
            if self.metric == "cosine":
                a, b = near_one(a), near_one(b)
            found = sklearn.metrics.pairwise_distances(
                a, b, metric=self.metric, ensure_all_finite=False, **self.parameters
            )
        if found.size and not (found.min() >= 0 and found.max() < np.inf):  # NaN is neither
            low = np.argwhere(~((found >= 0) & (found < np.inf)))[0]
            raise InputError(
                f"metric must give a finite number of at least 0 for any two rows; {self.metric!r} gives "
                f"{found[tuple(low)]} for {_shown(a[low[0]])} and {_shown(b[low[1]])}: leave such rows out "
                "or take another metric."
            )
        return found.astype(self.x.dtype, copy=False)

    def _fill_by_calls(self, distances: np.ndarray) -> None:
        """Half of the pairs are called: a metric is symmetric (`refuse_lopsided`)."""
        x = self.x
        distances[:] = 0
        for i in range(len(x) - 1):
            distances[i, i + 1 :] = self.between(x[i : i + 1], x[i + 1 :])[0]
            distances[i + 1 :, i] = distances[i, i + 1 :]

    def refuse_lopsided(self) -> None:
        """`InputError` where a callable is not symmetric, or not 0 from a row to itself, on a few rows."""
        if not callable(self.metric):
            return
        x, n = self.x, len(self.x)
        rows = np.arange(0, n, max(1, n // 16))
        there = np.array([self.between(x[[i]], x[[i, (i + n // 2) % n]])[0] for i in rows])
        back = np.array([self.between(x[[(i + n // 2) % n]], x[[i]])[0, 0] for i in rows])
        expected = np.column_stack([np.zeros(len(rows)), back])
        wrong = np.argwhere(~(np.abs(there - expected) <= SLACK * there.max()))
        if len(wrong):
            at, other = wrong[0]
            i, j = int(rows[at]), int((rows[at] + n // 2) % n) if other else int(rows[at])
            raise InputError(
                f"metric must be symmetric and 0 from a row to itself; {self.metric!r} gives "
                f"{there[at, other]:g} from row {i} to row {j}, where {expected[at, other]:g} is due: "
                "take (d(a, b) + d(b, a)) / 2, or another metric."
            )


def checked_distances(distances: np.ndarray, name: str = "precomputed distances") -> np.ndarray:
    """n x n with contiguous rows, finite, at least 0, symmetric up to rounding; copied only where needed."""
    return checked_symmetric(distances, name, 0.0)


def checked_symmetric(matrix: np.ndarray, name: str, lowest: float) -> np.ndarray:
    """n x n with contiguous rows, finite, at least `lowest`, symmetric up to 1e-5 of the largest entry."""
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        if matrix.ndim == 2 and matrix.size:
            refuse_nonfinite(name, matrix)
        raise InputError(f"{name} must be square, n x n; got shape {matrix.shape}.")
    if not matrix.flags.c_contiguous:
        matrix = matrix.T if matrix.T.flags.c_contiguous else np.ascontiguousarray(matrix)
    lowest = max(lowest, float(np.finfo(matrix.dtype).min))
    i, j, kind = first_flaw(matrix, 0.0, lowest)
    if kind == 2:
        i, j, kind = first_flaw(matrix, SLACK * float(np.abs(matrix).max()), lowest)
    if kind == 1:
        value = matrix[i, j]
        given = "NaN" if np.isnan(value) else "infinity" if np.isinf(value) else f"{value:g}"
        rule = "finite (no NaN, no infinity)" + (" and at least 0" if lowest == 0 else "")
        why = ": Negative values in data are no distances" if -np.inf < value < 0 and lowest == 0 else ""
        raise InputError(f"{name} must be {rule}; got {given} in row {i}, column {j}{why}.")
    if kind == 2:
        raise InputError(
            f"{name} must be symmetric; got {matrix[i, j]:g} in row {i}, column {j} and "
            f"{matrix[j, i]:g} in row {j}, column {i}: take (d + d.T) / 2."
        )
    return matrix


def finite_rows(estimator: Any, x: Any, *, reset: bool) -> np.ndarray:
    """`x` by scikit-learn's rules; `InputError` for NaN or infinity, before its width is looked at."""
    if reset and noted_rows(estimator, x):
        refuse_nonfinite("X", x)
        return np.asarray(x)
    with text_told(x):
        rows = check_array(
            x, dtype=[np.float64, np.float32], ensure_all_finite=False, estimator=estimator, input_name="X"
        )
    refuse_nonfinite("X", rows)
    validate_data(estimator, x, reset=reset, skip_check_array=True)
    return np.asarray(rows)


def free_memory() -> int:
    """Bytes that may still be taken: what the system has available, and our control group's limit."""
    free = 2**63 - 1
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
        group = Path("/sys/fs/cgroup")
        limit, used = (group / "memory.max").read_text(), (group / "memory.current").read_text()
        free = min(free, int(limit) - int(used)) if limit.strip().isdigit() else free
    except (OSError, StopIteration):
        if free == 2**63 - 1 and "SC_PHYS_PAGES" in getattr(os, "sysconf_names", {}):
            free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return free


def _euclidean(a: np.ndarray, b: np.ndarray, *, squared: bool) -> np.ndarray:
    """By the expanded square; pairs so near that it has lost their digits by differences."""
    norms_a, norms_b = np.einsum("nd,nd->n", a, a), np.einsum("nd,nd->n", b, b)
    found = a @ b.T
    found *= -2
    found += norms_a[:, None]
    found += norms_b
    near = np.argwhere(found <= 1e-7 * (norms_a.max(initial=0) + norms_b.max(initial=0)))
    for part in np.split(near, range(4096, len(near), 4096)):
        difference = a[part[:, 0]] - b[part[:, 1]]
        found[part[:, 0], part[:, 1]] = np.einsum("nd,nd->n", difference, difference)
    return np.asarray(found if squared else np.sqrt(found, out=found))


def _called(metric: Callable[..., Any], a: np.ndarray, b: np.ndarray) -> float:
    value = metric(a, b)
    try:
        return float(value)
    except (TypeError, ValueError) as e:
        raise InputError(
            f"metric must return a number; {metric!r} returned {type(value).__name__} {_shown(value)}."
        ) from e


def _shown(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 60 else text[:57] + "..."
