"""A space in which distances speak of names: half-whitened within the names.

What varies between items of one name (light, pose, hand) is noise for telling names apart. Its covariance is
estimated with Ledoit and Wolf's shrinkage, and each of its axes divided by the fourth root of its variance.
Full whitening (the square root; linear discriminant analysis) is better for the head only with many items a
name, and worse with few; no whitening leaves the noise. Measured over five piles and 30 to 8,000 items.

Source: Ledoit and Wolf 2004, "A well-conditioned estimator for large-dimensional covariance matrices";
half-whitening as in the recipe for groups (cluster).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sortal.arrays import Labels, Points
from sortal.errors import InputError
from sortal.train.split import draw_evenly

__all__ = ["Whitening", "whiten_within"]

MAX_ROWS = 16_384  # for the covariance: 8 times the widest space below
MAX_FEATURES = 2_048  # wider vectors go through PCA first: an eigendecomposition costs d^3

MIN_SPREAD = 1e-15  # its inverse goes into the weights, which meet vectors of up to 1e15


@dataclass(frozen=True)
class Whitening:
    """x becomes (x - mean) @ axes; over the training items its mean is 0 and its mean squared norm is 1."""

    mean: Float[np.ndarray, " d"]
    axes: Float[np.ndarray, "d q"]

    def __call__(self, vectors: Points) -> Points:
        return np.asarray((vectors - self.mean) @ self.axes)


def whiten_within(vectors: Points, labels: Labels, seed: int) -> Whitening:
    """The half-whitening of float32 `vectors` within `labels` (0 to k - 1, each with an item)."""
    mean = vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    rows = draw_evenly(labels, MAX_ROWS, seed)
    centred, labels = vectors[rows] - mean, labels[rows]
    scale = float(np.abs(centred).max()) or 1.0  # below, numbers are squared: 1e20 would leave float32
    if scale < MIN_SPREAD:
        raise InputError(
            f"vectors must differ by at least {MIN_SPREAD:g} somewhere, or not at all; their largest "
            f"distance from the mean is {scale:.3g}. Multiply them all by one large number."
        )
    centred /= scale
    basis = _principal_axes(centred, seed)
    if basis is not None:
        centred = centred @ basis
    within = _half_inverse(centred - _means(centred, labels)[labels])
    whitened = centred @ within
    norm = np.sqrt(np.mean(np.einsum("nd,nd->n", whitened, whitened)))
    axes = within if basis is None else basis @ within
    return Whitening(mean, (axes / (scale * (norm or 1.0))).astype(np.float32))


def _principal_axes(centred: Points, seed: int) -> Points | None:
    """None where the vectors are narrow enough as they are."""
    if centred.shape[1] <= MAX_FEATURES:
        return None
    from sklearn.decomposition import PCA  # slow to import, and not needed to predict

    n_components = min(MAX_FEATURES // 2, len(centred))
    pca = PCA(n_components, svd_solver="randomized", random_state=seed).fit(centred)
    return np.asarray(pca.components_.T, dtype=np.float32)


def _means(vectors: Points, labels: Labels) -> Points:
    return np.stack([vectors[labels == label].mean(axis=0) for label in range(labels.max() + 1)])


def _half_inverse(residuals: Points) -> Points:
    """The covariance of `residuals` to the power -1/4; the identity where nothing varies within a name."""
    scale = float(np.abs(residuals).max())
    if scale == 0.0:  # one training item a name
        return np.eye(residuals.shape[1], dtype=np.float32)
    from sklearn.covariance import ledoit_wolf  # slow to import, and not needed to predict

    covariance, _ = ledoit_wolf(residuals / scale, assume_centered=True)
    variance, axes = np.linalg.eigh(covariance.astype(np.float64))
    floor = variance[-1] * 1e-7  # float32's resolution: below it an axis holds rounding only
    return np.asarray(axes / np.maximum(variance, floor) ** 0.25, dtype=np.float32)
