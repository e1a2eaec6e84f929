"""Kernel k-means: k-means in the space of a kernel, exact, without the matrix of all kernel values."""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count, islice
from numbers import Real
from typing import Any

import numpy as np
from jaxtyping import Float
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from sortal.arrays import Labels
from sortal.cluster.descent import checked_weights
from sortal.cluster.dissimilarity import finite_rows
from sortal.cluster.kernel_functions import Kernel, auto_gamma, least_eigenvalue
from sortal.cluster.kernel_start import kernel_kmeans_plusplus, spectral_starts
from sortal.cluster.rows import check_count, check_groups
from sortal.errors import InputError
from sortal.kernels import (
    group_sums,
    matrix_group_sums,
    moved_sums,
    one_blas_thread,
    symmetric_group_sums,
)

__all__ = ["KernelKMeans", "KernelKMeansResult", "KernelKMeansStep", "kernel_kmeans"]


@dataclass(frozen=True)
class KernelKMeansStep:
    """One assignment of all rows to their nearest mean."""

    inertia: float  # of the grouping that is kept
    n_changed: int  # rows whose label differs from the step before


@dataclass(frozen=True)
class KernelKMeansResult:
    """What `kernel_kmeans` found."""

    labels: Labels  # int32
    inertia: float  # weighted sum of squared distances to the own mean, in the kernel's space
    n_iter: int
    inertia_history: tuple[float, ...]  # of each grouping, the start's first; never rises
    history: tuple[KernelKMeansStep, ...]
    stopped: str  # "labels" (none changed), "max_iter", or "rounding" (the next grouping costs no less)
    margins: Float[np.ndarray, " n"]  # distance to the nearest other mean less that to the own; inf for one
    center_norms: Float[np.ndarray, " k"]  # 1/|C|^2 sum_jl K_jl of each group


def kernel_kmeans(
    kernel: Kernel,
    start: Any,
    n_clusters: int,
    *,
    sample_weight: Any = None,
    max_iter: int = 300,
    callback: Callable[[KernelKMeansStep], object] | None = None,
) -> KernelKMeansResult:
    """Move the grouping `start` downhill until no label changes.

    The squared distance to a group's mean is K_ii - 2/|C| sum_j K_ij + 1/|C|^2 sum_jl K_jl, with weights
    where given. Sums over groups are kept, and after an iteration only kernel values of points that moved
    are computed: n^2/2 values once, then n for each point that moves. Holds n k numbers, and the matrix only
    where it has at most 512 rows. Ties go to the lower number; an empty group takes the farthest point. Ends
    for any kernel: where a grouping would cost more than the one before (rounding, or no kernel in the sense
    of Mercer), the one before is kept. `callback` sees each step; what it raises ends the fit.

    `start` holds a group of 0 to `n_clusters` - 1 for each row. Deterministic, whatever the number of
    threads.

    Rows of small margin are in doubt. Source: Dhillon, Guan, Kulis 2004, Kernel k-means, spectral clustering
    and normalized cuts, KDD.
    """
    kernel = kernel.held()
    n = len(kernel.rows)
    given = checked_weights(sample_weight, n)
    weights = np.ones(n) if given is None else given
    start = _checked_start(start, n, n_clusters)
    diagonal = kernel.diagonal()
    state = _Means(_sums(kernel, start, weights, n_clusters), start, weights)
    costs, stopped = [state.cost(diagonal)], ""
    history: list[KernelKMeansStep] = []
    while len(history) < max_iter and not stopped:
        labels = _filled(state.nearest(), state, diagonal)
        n_changed = int((labels != state.labels).sum())
        stopped = "rounding" if n_changed else "labels"
        if n_changed:
            after = _Means(_sums_after(kernel, state, labels, n_clusters), labels, weights)
            cost = after.cost(diagonal)
            weightless = not weights[state.labels != labels].any()
            if weightless or cost < costs[-1]:
                state, stopped = after, ""
                costs += [] if weightless else [cost]
        history.append(KernelKMeansStep(costs[-1], n_changed))
        if callback:
            callback(history[-1])
    return KernelKMeansResult(
        state.labels, costs[-1], len(history), tuple(costs), tuple(history), stopped or "max_iter",
        state.margins(diagonal), state.norms,
    )  # fmt: skip


def _checked_start(start: Any, n: int, k: int) -> Labels:
    """Compiled loops write where a label points to."""
    labels = np.asarray(start)
    whole = labels.dtype.kind in "iu" and labels.shape == (n,)
    if not (whole and 0 <= labels.min() <= labels.max() < k):
        got = f"{labels.min()} to {labels.max()}" if whole else f"{labels.dtype} of shape {labels.shape}"
        raise InputError(
            f"start must hold a group from 0 to {k - 1} for each of the {n} rows; got {got}: "
            "draw one by kernel_kmeans_plusplus."
        )
    return labels.astype(np.int32)


def _sums_after(kernel: Kernel, state: "_Means", labels: Labels, k: int) -> np.ndarray:
    """By the points that moved; where most did, all anew at half of the values costs less."""
    if kernel.is_held or 2 * (labels != state.labels).sum() > len(labels):
        return _sums(kernel, labels, state.weights, k)
    moved = moved_sums(kernel.values, kernel.rows, state.labels, labels, state.weights, k)
    return np.asarray(state.sums + moved)


def _sums(kernel: Kernel, labels: Labels, weights: np.ndarray, k: int) -> np.ndarray:
    """For each row, the weighted sum of its kernel values with each group."""
    if kernel.given is not None and kernel.is_held:
        return np.asarray(matrix_group_sums(kernel.given, labels, weights, k))
    return symmetric_group_sums(kernel.values, kernel.rows, labels, weights, k)


class _Means:
    """A grouping, with the kernel sums that say how far each point is from each mean."""

    def __init__(self, sums: np.ndarray, labels: Labels, weights: np.ndarray) -> None:
        k = sums.shape[1]
        self.sums, self.labels, self.weights = sums, labels, weights
        self.mass = np.bincount(labels, weights, k)
        self.filled = self.mass > 0
        own = np.bincount(labels, weights * sums[np.arange(len(sums)), labels], k)
        self.norms = np.where(self.filled, own / np.where(self.filled, self.mass, 1) ** 2, np.inf)

    def distances(self) -> np.ndarray:
        """Squared distance to each mean, less K_ii; infinite to a group without weight."""
        return np.asarray(self.norms - 2 * self.sums / np.where(self.filled, self.mass, 1))

    def nearest(self) -> Labels:
        return np.asarray(self.distances().argmin(axis=1), np.int32)

    def margins(self, diagonal: np.ndarray) -> np.ndarray:
        """How much farther the nearest other mean is than the own."""
        squared = np.maximum(self.distances() + diagonal[:, None], 0)
        rows = np.arange(len(squared))
        own = squared[rows, self.labels]
        squared[rows, self.labels] = np.inf
        return np.asarray(np.sqrt(squared.min(axis=1)) - np.sqrt(own))

    def cost(self, diagonal: np.ndarray) -> float:
        """sum_i w_i K_ii - sum_C mass_C |mean_C|^2"""
        return float(self.weights @ diagonal - (self.mass * np.where(self.filled, self.norms, 0)).sum())


def _filled(labels: Labels, state: _Means, diagonal: np.ndarray) -> Labels:
    """Labels in which each group without weight has taken the farthest point that leaves no other empty."""
    k = len(state.mass)
    members = np.bincount(labels[state.weights > 0], minlength=k)
    empty = np.flatnonzero(members == 0)
    if not empty.size:
        return labels
    labels = labels.copy()
    squared = diagonal + state.distances()[np.arange(len(labels)), labels]
    far = iter(np.argsort(-np.where(state.weights > 0, squared, -np.inf), kind="stable"))
    for group in empty:
        for point in far:
            if members[labels[point]] > 1:
                members[labels[point]] -= 1
                members[group] += 1
                labels[point] = group
                break
    return labels


class KernelKMeans(ClusterMixin, BaseEstimator):  # type: ignore[misc]
    """K-means in the space of a kernel: finds groups that no plane separates.

    Parameters
    ----------
    n_clusters : int, default=8
    kernel : {"rbf", "poly", "linear", "precomputed"} or callable, default="rbf"
        rbf is exp(-gamma |x - y|^2), poly is (gamma x.y + coef0)^degree. A callable takes two rows and
        returns a number. For "precomputed", X is the n x n matrix (in `predict`: rows x training points).
    gamma : float or "auto", default="auto"
        "auto" is 1 for poly, and for rbf 1 / (2 s^2), where s is the median distance within which a row has
        5 % of the rows, or 1.5, 2, 3 or 8 % where that cuts the rows into n_clusters nearly separate parts,
        with the widest gap of eigenvalues (`auto_gamma`).
    degree : int, default=3
    coef0 : float, default=1
    n_init : int, default=10
        Starts, of which the grouping of least inertia is kept: by k-means++ in the kernel's space, except
        the second, which is spectral (`spectral_start`). All are where "auto" found separate parts: at so
        large a gamma the least inertia of all is that of chips cut from the rim of a group.
    max_iter : int, default=300
    random_state : int, RandomState or None, default=None
    verbose : int, default=0
        Above 0, each iteration of each start is printed as it ends.

    Attributes
    ----------
    labels_ : int32 array (n,)
    inertia_ : float
        Weighted sum of squared distances to the own mean, in the kernel's space.
    inertia_history_ : tuple of float
        Of the best start; it never rises.
    history_, stopped_, margins_
        Of the best start, as in `KernelKMeansResult`: what moved, why it stopped, which rows are in doubt.
    gamma_ : float
    n_iter_, n_features_in_ : int

    Notes
    -----
    Source: Dhillon, Guan, Kulis 2004; ties, empty groups, cost: `kernel_kmeans`. X is dense, (n, d). Each
    start costs n^2/2 kernel values or more; memory grows with n k, no matrix of more than 512 rows is held
    unless it is given. `InputError` for more groups than distinct points and for a matrix that is not square
    and symmetric; `UserWarning` for a kernel that is not positive semi-definite. With degrees as
    `sample_weight` and sigma D^-1 + D^-1 A D^-1 as kernel, it lowers the normalised cut of the graph A.
    """

    def __init__(
        self,
        n_clusters: Any = 8,
        *,
        kernel: Any = "rbf",
        gamma: Any = "auto",
        degree: Any = 3,
        coef0: Any = 1,
        n_init: Any = 10,
        max_iter: Any = 300,
        random_state: Any = None,
        verbose: Any = 0,
    ) -> None:
        self.n_clusters = n_clusters
        self.kernel = kernel
        self.gamma = gamma
        self.degree = degree
        self.coef0 = coef0
        self.n_init = n_init
        self.max_iter = max_iter
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = isinstance(self.kernel, str) and self.kernel == "precomputed"
        return tags

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> "KernelKMeans":
        """Group the rows of X. `y` is ignored."""
        X = finite_rows(self, X, reset=True)
        self._check_parameters(len(X))
        weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        gamma, cut_off = self.gamma, False
        if isinstance(self.kernel, str) and (self.kernel, gamma) == ("rbf", "auto"):
            gamma, cut_off = auto_gamma(X, int(self.n_clusters))
        kernel = Kernel.over(X, self.kernel, gamma, self.degree, self.coef0)
        shift = _shift_after_warning(kernel) if kernel.may_be_indefinite() else 0.0
        with one_blas_thread():  # asked for each of 200 products, it was a tenth of a fit to 300 rows
            held, starts = kernel.held(), self._starts(kernel, weights, shift, cut_off)
            runs = (self._run(held, start, weights) for start in islice(starts, int(self.n_init)))
            best = min(runs, key=lambda run: run.inertia)
        if best.stopped == "max_iter":
            warnings.warn(
                f"KernelKMeans stopped after max_iter={self.max_iter} while labels still changed.",
                ConvergenceWarning,
                stacklevel=2,
            )
        self.labels_, self.inertia_, self.n_iter_ = best.labels, best.inertia, best.n_iter
        self.inertia_history_, self.history_, self.stopped_ = best.inertia_history, best.history, best.stopped
        self.margins_, self.gamma_ = best.margins, kernel.gamma
        self._kernel, self._weights, self._norms = kernel, weights, best.center_norms
        return self

    def _starts(
        self, kernel: Kernel, weights: np.ndarray, shift: float, cut_off: bool
    ) -> Iterator[np.ndarray]:
        k, rng = int(self.n_clusters), check_random_state(self.random_state)
        spectral = spectral_starts(kernel, k, weights, rng)
        for run in count():
            if run == 1 or cut_off:
                yield next(spectral)
            else:
                yield kernel_kmeans_plusplus(kernel, k, weights, rng, shift)

    def _run(self, kernel: Kernel, start: np.ndarray, weights: np.ndarray) -> KernelKMeansResult:
        k, report = int(self.n_clusters), _printer() if self.verbose else None
        return kernel_kmeans(kernel, start, k, sample_weight=weights, max_iter=self.max_iter, callback=report)

    def predict(self, X: Any) -> np.ndarray:
        """The nearest mean of each row of X, in the kernel's space. Costs n kernel values a row."""
        check_is_fitted(self)
        return np.asarray(self._distances(finite_rows(self, X, reset=False)).argmin(axis=1), np.int32)

    @available_if(lambda self: not isinstance(self.kernel, str) or self.kernel != "precomputed")  # type: ignore[untyped-decorator]
    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Minus the inertia of the rows of X. `y` is ignored.

        Not there where the kernel is a matrix: that has the kernel of no new row with itself.
        """
        check_is_fitted(self)
        X = finite_rows(self, X, reset=False)
        weights = _check_sample_weight(sample_weight, X, dtype=np.float64)
        own = replace(self._kernel, rows=self._kernel.queries(X)).diagonal()
        return -float(weights @ (own + self._distances(X).min(axis=1)))

    def _distances(self, X: np.ndarray) -> np.ndarray:
        """Squared distance of each row to each mean, less its kernel with itself."""
        kernel, k = self._kernel, len(self._norms)
        if kernel.given is not None:
            one_hot = np.zeros((X.shape[1], k))
            one_hot[np.arange(len(one_hot)), self.labels_] = self._weights
            sums = X @ one_hot
        else:
            sums = group_sums(kernel.values, kernel.queries(X), kernel.rows, self.labels_, self._weights, k)
        mass = np.bincount(self.labels_, self._weights, k)
        return np.asarray(self._norms - 2 * sums / np.where(mass > 0, mass, 1))

    def _check_parameters(self, n: int) -> None:
        check_groups("n_clusters", self.n_clusters, n)
        check_count("n_init", self.n_init)
        check_count("max_iter", self.max_iter)
        is_number = isinstance(self.gamma, Real) and 0 < float(self.gamma) < np.inf
        if not (is_number or (isinstance(self.gamma, str) and self.gamma == "auto")):
            raise InputError(f"gamma must be 'auto' or a finite number above 0; got {self.gamma!r}.")
        for name in ("degree", "coef0"):
            value = getattr(self, name)
            if not (isinstance(value, Real) and np.isfinite(float(value))):
                raise InputError(f"{name} must be a finite number; got {value!r}.")


def _printer() -> Callable[[KernelKMeansStep], None]:
    print("Initialization complete")  # noqa: T201
    steps = count()

    def report(step: KernelKMeansStep) -> None:
        print(f"Iteration {next(steps)}, inertia {step.inertia}, {step.n_changed} labels changed.")  # noqa: T201

    return report


def _shift_after_warning(kernel: Kernel) -> float:
    """What the diagonal lacks for a kernel that is positive semi-definite."""
    least = least_eigenvalue(kernel)
    if least >= -1e-5 * max(float(np.abs(kernel.diagonal()).max()), np.finfo(np.float64).tiny):
        return 0.0
    warnings.warn(
        f"the kernel is not positive semi-definite: its most negative eigenvalue is about {least:.3g} "
        f"(on up to 512 rows). Squared distances may be negative and the fit may end early; add "
        f"{-least:.3g} to the diagonal, or take another kernel.",
        UserWarning,
        stacklevel=3,
    )
    return -least
