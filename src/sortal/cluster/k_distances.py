"""How far each row's neighbours are: what a first eps of DBSCAN is read from."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import sklearn  # its parts are imported when first named
from jaxtyping import Float

from sortal.arrays import Points
from sortal.cluster.rows import checked_rows, refuse_nonfinite, refuse_overflow
from sortal.errors import InputError
from sortal.kernels import one_blas_thread

__all__ = ["MIN_SAMPLES", "KDistances", "k_distances"]

MIN_SAMPLES = 5


@dataclass(frozen=True)
class KDistances:
    """The distance of each row to its `min_samples`-th neighbour, itself counted, ascending."""

    curve: Float[np.ndarray, " n"]
    min_samples: int
    eps: float  # the knee: farthest below the line from the curve's first point to its last


def k_distances(
    x: Points, min_samples: int = MIN_SAMPLES, *, metric: Any = "euclidean", most: int = 2000, seed: int = 0
) -> KDistances:
    """The k-distance curve of `most` rows of `x` among all of them, and its knee: a first eps for DBSCAN.

    Source: Ester, Kriegel, Sander, Xu 1996, section 4.2. Where we differ: the knee is not picked by eye.
    """
    x = checked_rows("x", x)
    refuse_overflow("x", refuse_nonfinite("x", x))
    if not 1 <= min_samples <= len(x):
        raise InputError(f"min_samples must be between 1 and the {len(x)} rows; got {min_samples}.")
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.choice(len(x), most, replace=False)) if len(x) > most else np.arange(len(x))
    with one_blas_thread():
        found = (
            sklearn.neighbors.NearestNeighbors(n_neighbors=min_samples, metric=metric)
            .fit(x)
            .kneighbors(x[rows])[0]
        )
    curve = np.sort(found[:, -1]).astype(np.float64)
    below = np.linspace(curve[0], curve[-1], len(curve)) - curve
    knee = float(curve[below.argmax()])
    return KDistances(curve, min_samples, knee if knee > 0 else max(float(curve[-1]), np.finfo(float).tiny))
