"""Soft k-means: responsibilities by a softmax of distances."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from numbers import Real
from typing import Any

import numpy as np

from sortal.cluster.kmeans import kmeans
from sortal.cluster.soft_groups import Descent, SoftGroups, Step, checked_start, descend
from sortal.errors import InputError
from sortal.kernels import soft_step

__all__ = ["SoftKMeans", "SoftKMeansResult", "soft_kmeans"]

LEAST = 1e-290  # of a stiffness: the free energy divides by it


@dataclass(frozen=True)
class SoftKMeansResult(Descent):
    """What `soft_kmeans` found; its cost is the free energy."""

    stiffness: float


def soft_kmeans(
    x: Any,
    start: Any,
    *,
    stiffness: Any = "auto",
    sample_weight: Any = None,
    max_iter: int = 300,
    tol: Any = 1e-4,
    callback: Callable[[float], object] | None = None,
) -> SoftKMeansResult:
    """Move the centers `start` (k x d) to means weighted by responsibilities until they rest.

    A row's responsibilities are exp(-stiffness |x - c|^2 / 2), scaled to sum 1. `stiffness` is 1 / length^2:
    groups closer than its root's inverse melt into one, and towards infinity responsibilities become 0 and
    1: hard k-means. "auto" is 1 / s^2, s^2 being the variance of a column within the groups that hard k-means
    finds from the same start.

    The free energy, the sum of -2 / stiffness log(sum of exp(...)), never rises and tends to the inertia of
    hard k-means. `callback` is told the cost before each move.
    Deterministic, whatever the number of threads. Memory beyond the memberships does not grow
    with n; time is n k d a step. `InputError` for numbers that are not finite, shapes that do not fit, a
    stiffness below 1e-290.

    Source: MacKay 2003, Information Theory, Inference, and Learning Algorithms, section 20.2 (soft k-means
    version 1, distance |x - c|^2 / 2). Where we differ: the free energy is doubled; the "auto" stiffness.
    """
    x, start, weights = checked_start(x, start, sample_weight)
    beta = _stiffness(stiffness, x, start, weights)
    found = descend(x, start, weights, partial(soft_step, stiffness=beta), max_iter, tol, callback)
    return SoftKMeansResult(**vars(found), stiffness=beta)


def _stiffness(asked: Any, x: np.ndarray, start: np.ndarray, weights: np.ndarray) -> float:
    if isinstance(asked, Real) and not isinstance(asked, bool) and LEAST <= float(asked) < np.inf:
        return float(asked)
    if not (isinstance(asked, str) and asked == "auto"):
        raise InputError(f"stiffness must be 'auto' or a finite number of at least {LEAST}; got {asked!r}.")
    hard = kmeans(x, start, sample_weight=weights)
    variance = hard.inertia / (weights.sum() * x.shape[1])
    # Where every row lies on its center there is no width to go by: then as good as hard.
    least = np.finfo(np.float64).eps * max(
        float(np.square(np.ptp(x, axis=0), dtype=np.float64).max()), 1e-280
    )
    return float(1 / max(variance, least))


class SoftKMeans(SoftGroups):
    """Soft k-means: every row belongs to every group, by a softmax of its distances.

    Parameters
    ----------
    n_clusters : int, default=8
    stiffness : float or "auto", default="auto"
        How fast a responsibility falls with squared distance; as in `soft_kmeans`.
    init : "k-means++" or array (k, d), default="k-means++"
    n_init : int, default=1
        Starts, of which the one of least free energy is kept.
    max_iter : int, default=300
    tol : float, default=1e-4
    verbose : int, default=0
        Above 0, the cost is printed at each step.
    random_state : int, RandomState or None, default=None

    Attributes
    ----------
    memberships_ : array (n, k)
        Responsibilities, in the type of X; rows sum to 1.
    cluster_centers_ : array (k, d)
    labels_ : int32 array (n,)
        The group of largest responsibility (ties: the lowest number).
    stiffness_ : float
    cost_ : float
        The free energy; `history_` has it for each step, `stopped_` says "tol" or "max_iter".
    n_iter_, n_features_in_ : int

    Notes
    -----
    Source: MacKay 2003; cost, memory, errors: `soft_kmeans`. X is dense, (n, d). The method
    `memberships` gives those of other rows. `InputError` also for more groups than distinct rows.
    """

    def __init__(
        self,
        n_clusters: Any = 8,
        *,
        stiffness: Any = "auto",
        init: Any = "k-means++",
        n_init: Any = 1,
        max_iter: Any = 300,
        tol: Any = 1e-4,
        verbose: Any = 0,
        random_state: Any = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.stiffness = stiffness
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.verbose = verbose
        self.random_state = random_state

    def _run(self, X: np.ndarray, start: np.ndarray, weights: np.ndarray, callback: Any) -> SoftKMeansResult:
        return soft_kmeans(
            X,
            start,
            stiffness=self.stiffness,
            sample_weight=weights,
            max_iter=self.max_iter,
            tol=self.tol,
            callback=callback,
        )

    def _keep(self, best: Any) -> None:
        super()._keep(best)
        self.stiffness_ = best.stiffness

    def _step(self) -> Step:
        return partial(soft_step, stiffness=self.stiffness_)
