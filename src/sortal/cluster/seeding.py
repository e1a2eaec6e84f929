"""Where k-means starts."""

from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import _check_sample_weight

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
    1 gives the plain method. X is dense or CSR. Where fewer distinct rows than clusters exist, rows repeat.

    Source: Arthur and Vassilvitskii 2007, k-means++; the greedy trials are from their section 7 and
    scikit-learn, whose signature this is. `x_squared_norms` is accepted and not used: distances are
    taken from a row of X as origin, so that a huge offset costs no digits.
    """
    X = check_array(X, accept_sparse="csr", dtype=[np.float64, np.float32])
    n = X.shape[0]
    if not 1 <= n_clusters <= n:
        raise InputError(
            f"n_clusters must be between 1 and the number of samples; "
            f"got n_clusters={n_clusters} for n_samples={n}."
        )
    if x_squared_norms is not None and np.shape(x_squared_norms) != (n,):
        raise InputError(
            f"x_squared_norms must have one number for each of the {n} samples; "
            f"got shape {np.shape(x_squared_norms)}."
        )
    weights = _check_sample_weight(sample_weight, X, dtype=np.float64)
    with one_blas_thread():
        index = _draw(X, n_clusters, weights, check_random_state(random_state), n_local_trials)
    return _dense(X, index), index


def _draw(X: Any, k: int, weights: np.ndarray, rng: Any, n_trials: int | None) -> np.ndarray:
    n_trials = n_trials or 2 + int(np.log(k))
    index = np.empty(k, np.intp)
    index[0] = rng.choice(len(weights), p=weights / weights.sum())
    origin = _dense(X, index[:1])[0].astype(np.float64)
    nearest = _squared_distances(X, index[:1], origin)[0]
    for c in range(1, k):
        reach = np.cumsum(weights * nearest, dtype=np.float64)
        draws = rng.uniform(size=n_trials) * reach[-1]
        candidates = np.minimum(np.searchsorted(reach, draws), len(weights) - 1)
        closer = np.minimum(nearest, _squared_distances(X, candidates, origin))
        best = int((closer @ weights).argmin())
        index[c], nearest = candidates[best], closer[best]
    return index


def _squared_distances(X: Any, index: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """From each row of `index` to all rows of X, (len(index), n), in float64 and seen from `origin`.

    Products are several times faster than differences; float64 and an origin among the points keep their
    rounding far below any distance that matters.
    """
    chosen = _dense(X, index) - origin
    norms = np.einsum("kd,kd->k", chosen, chosen)[:, None]
    out = np.empty((len(index), X.shape[0]))
    block = max(1, 2**17 // X.shape[1])
    for at in range(0, X.shape[0], block):
        rows = _dense(X, slice(at, at + block)) - origin
        squared = norms - 2 * (chosen @ rows.T) + np.einsum("nd,nd->n", rows, rows)
        np.maximum(squared, 0, out=out[:, at : at + block])
    out[np.arange(len(index)), index] = 0
    return out


def _dense(X: Any, rows: Any) -> np.ndarray:
    return np.asarray(X[rows].toarray() if issparse(X) else X[rows])
