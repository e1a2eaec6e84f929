"""Fuzzy c-means: memberships by powers of distances."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from numbers import Real
from typing import Any

import numpy as np

from sortal.cluster.soft_groups import Descent, SoftGroups, Step, checked_start, descend
from sortal.errors import InputError
from sortal.kernels import fuzzy_step

__all__ = ["FuzzyCMeans", "FuzzyCMeansResult", "fuzzy_cmeans"]


@dataclass(frozen=True)
class FuzzyCMeansResult(Descent):
    """What `fuzzy_cmeans` found."""


def fuzzy_cmeans(
    x: Any,
    start: Any,
    *,
    fuzziness: Any = 2.0,
    sample_weight: Any = None,
    max_iter: int = 300,
    tol: Any = 1e-4,
    callback: Callable[[float], object] | None = None,
) -> FuzzyCMeansResult:
    """Move the centers `start` (k x d) to means weighted by membership^fuzziness until they rest.

    A row's memberships go with |x - c|^(-2 / (fuzziness - 1)), scaled to sum 1; a row that lies on a center
    belongs to it alone. Towards 1 they become 0 and 1, which is hard k-means; towards infinity all become
    1 / k and all centers one.

    The cost, the sum of membership^fuzziness |x - c|^2, never rises; `callback` is told it before each move.
    Deterministic, whatever the number of threads. Memory beyond the memberships does not grow with n; time is
    n k d a step. `InputError` for numbers that are not finite, shapes that do not fit, a fuzziness up to 1.

    Source: Bezdek 1981, Pattern Recognition with Fuzzy Objective Function Algorithms, section 11; Dunn 1973.
    """
    x, start, weights = checked_start(x, start, sample_weight)
    if not isinstance(fuzziness, Real) or isinstance(fuzziness, bool) or not 1 < float(fuzziness) < np.inf:
        raise InputError(
            f"fuzziness must be a finite number above 1; got {fuzziness!r}: for hard groups use KMeans."
        )
    step = partial(fuzzy_step, fuzziness=float(fuzziness))
    return FuzzyCMeansResult(**vars(descend(x, start, weights, step, max_iter, tol, callback)))


class FuzzyCMeans(SoftGroups):
    """Fuzzy c-means: every row belongs to every group, by powers of its distances.

    Parameters
    ----------
    n_clusters : int, default=8
    fuzziness : float, default=2.0
        Above 1; as in `fuzzy_cmeans`. Other values than 2 take about twice the time.
    init : "k-means++" or array (k, d), default="k-means++"
    n_init : int, default=1
        Starts, of which the one of least cost is kept.
    max_iter : int, default=300
    tol : float, default=1e-4
    verbose : int, default=0
        Above 0, the cost is printed at each step.
    random_state : int, RandomState or None, default=None

    Attributes
    ----------
    memberships_ : array (n, k)
        In the type of X; rows sum to 1.
    cluster_centers_ : array (k, d)
    labels_ : int32 array (n,)
        The group of largest membership (ties: the lowest number).
    cost_ : float
        `history_` has it for each step, `stopped_` says "tol" or "max_iter".
    n_iter_, n_features_in_ : int

    Notes
    -----
    Source: Dunn 1973, Bezdek 1981; cost, memory, errors: `fuzzy_cmeans`. X is dense, (n, d). The method
    `memberships` gives those of other rows. `InputError` also for more groups than distinct rows.
    """

    def __init__(
        self,
        n_clusters: Any = 8,
        *,
        fuzziness: Any = 2.0,
        init: Any = "k-means++",
        n_init: Any = 1,
        max_iter: Any = 300,
        tol: Any = 1e-4,
        verbose: Any = 0,
        random_state: Any = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.fuzziness = fuzziness
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.verbose = verbose
        self.random_state = random_state

    def _run(self, X: np.ndarray, start: np.ndarray, weights: np.ndarray, callback: Any) -> FuzzyCMeansResult:
        return fuzzy_cmeans(
            X,
            start,
            fuzziness=self.fuzziness,
            sample_weight=weights,
            max_iter=self.max_iter,
            tol=self.tol,
            callback=callback,
        )

    def _step(self) -> Step:
        return partial(fuzzy_step, fuzziness=float(self.fuzziness))
