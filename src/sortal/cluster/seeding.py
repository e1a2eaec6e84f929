"""Where k-means starts."""

from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight

from sortal.cluster.rows import checked_rows, dense_rows, refuse_overflow
from sortal.errors import InputError
from sortal.kernels import one_blas_thread

__all__ = ["kmeans_plusplus"]


def kmeans_plusplus(
    X: Any,
    n_clusters: int,
    *,
    sample_weight: Any = None,
    x_squared_norms: Any = None,
    random_state: Any = None,
    n_local_trials: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """`n_clusters` rows of X far from one another: the rows (dense) and their indices.

    Each row is drawn with probability proportional to its weight times its squared distance to the rows
    taken before. Of `n_local_trials` draws (None: 2 + log k) the one that lowers the cost most is kept;
    1 gives the plain method. X is dense or CSR; integers are taken as float64. Where fewer distinct rows than
    clusters exist, rows repeat.

    Source: Arthur and Vassilvitskii 2007, k-means++; the greedy trials are from their section 7 and
    scikit-learn, whose signature this is. `x_squared_norms` is accepted and not used: distances are
    taken from a row of X as origin, so that a huge offset costs no digits.
    """
    X = checked_rows("X", X, or_sparse=True)
    refuse_overflow("X", X)
    n = X.shape[0]
    if not isinstance(n_clusters, Integral) or not 1 <= n_clusters <= n:
        raise InputError(
            f"n_clusters must be an integer between 1 and the number of samples; "
            f"got n_clusters={n_clusters} for n_samples={n}."
        )
    if n_local_trials is not None and not (isinstance(n_local_trials, Integral) and n_local_trials >= 1):
        raise InputError(f"n_local_trials must be None or an integer of at least 1; got {n_local_trials!r}.")
    if x_squared_norms is not None and np.shape(x_squared_norms) != (n,):
        raise InputError(
            f"x_squared_norms must have one number for each of the {n} samples; "
            f"got shape {np.shape(x_squared_norms)}."
        )
    weights = _check_sample_weight(sample_weight, X, dtype=np.float64)
    with one_blas_thread():
        index = _draw(X, n_clusters, weights, check_random_state(random_state), n_local_trials)
    return dense_rows(X, index), index


def _draw(X: Any, k: int, weights: np.ndarray, rng: Any, n_trials: int | None) -> np.ndarray:
    n_trials = n_trials or 2 + int(np.log(k))
    index = np.empty(k, np.intp)
    index[0] = rng.choice(len(weights), p=weights / weights.sum())
    origin = dense_rows(X, index[:1])[0].astype(np.float64)
    norms = _squared_norms(X, origin)
    nearest = norms.copy()
    for c in range(1, k):
        reach = np.cumsum(weights * nearest, dtype=np.float64)
        draws = rng.uniform(size=n_trials) * reach[-1]
        candidates = np.minimum(np.searchsorted(reach, draws), len(weights) - 1)
        closer = np.minimum(nearest, _squared_distances(X, candidates, origin, norms))
        best = int((closer @ weights).argmin())
        index[c], nearest = candidates[best], closer[best]
    return index


def _squared_norms(X: Any, origin: np.ndarray) -> np.ndarray:
    blocks = (dense_rows(X, rows) - origin for rows in _blocks(X))
    return np.concatenate([np.einsum("nd,nd->n", block, block) for block in blocks])


def _squared_distances(X: Any, index: np.ndarray, origin: np.ndarray, norms: np.ndarray) -> np.ndarray:
    """From each row of `index` to all rows of X, (len(index), n), in float64 and seen from `origin`.

    Products are several times faster than differences; float64 and an origin among the points keep their
    rounding far below any distance that matters.
    """
    chosen = dense_rows(X, index) - origin
    out = np.empty((len(index), X.shape[0]))
    for rows in _blocks(X):
        squared = norms[index, None] - 2 * (chosen @ (dense_rows(X, rows) - origin).T) + norms[rows]
        np.maximum(squared, 0, out=out[:, rows])
    out[np.arange(len(index)), index] = 0
    return out


def _blocks(X: Any) -> list[slice]:
    block = max(1, 2**17 // X.shape[1])
    return [slice(at, at + block) for at in range(0, X.shape[0], block)]
