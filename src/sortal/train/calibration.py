"""Confidences that mean what they say: of the items given 0.8, about 80 % should be right."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import log_softmax, softmax

from sortal.arrays import Labels, Points

__all__ = ["TEMPERATURES", "Calibration", "calibrate", "expected_calibration_error", "fit_temperature"]


TEMPERATURES = (float(np.exp(-7.0)), float(np.exp(7.0)))  # the fit looks between these


@dataclass(frozen=True)
class Calibration:
    """`log_loss` and `ece` (expected calibration error) are (before, after).

    After is cross-fitted: each half of the held-out items is measured with the temperature that the other
    half gave; `temperature` itself comes from all of them.
    """

    temperature: float
    log_loss: tuple[float, float]
    ece: tuple[float, float]


def calibrate(logits: Points, labels: Labels) -> Calibration:
    """The temperature fitted on held-out logits (n, k), and what it changes."""
    after = np.array(logits, dtype=np.float64)
    halves = np.arange(len(labels)) % 2 == 0
    for half in (halves, ~halves):
        if half.any() and not half.all():
            after[half] = logits[half] / fit_temperature(logits[~half], labels[~half])
    return Calibration(
        temperature=fit_temperature(logits, labels),
        log_loss=(_log_loss(logits, labels), _log_loss(after, labels)),
        ece=(expected_calibration_error(logits, labels), expected_calibration_error(after, labels)),
    )


def fit_temperature(logits: Points, labels: Labels) -> float:
    """The T > 0 for which softmax(logits / T) has the least log-loss on these items.

    Source: Guo et al. 2017, "On calibration of modern neural networks", section 4.2. Where we differ: the
    targets are smoothed as in Platt 1999, section 2.2: (n + 1) / (n + 2) for the item's own label, the rest
    shared by the others. Without that two held-out items, both right, would make every later confidence 1.
    """
    from scipy.optimize import minimize_scalar  # slow to import, and not needed to predict

    n, k = logits.shape
    targets = np.full((n, k), 1.0 / ((n + 2) * (k - 1)))
    targets[np.arange(n), labels] = (n + 1.0) / (n + 2)

    def loss(log_t: float) -> float:
        return float(-np.mean(np.sum(targets * log_softmax(logits / np.exp(log_t), axis=1), axis=1)))

    return float(np.exp(minimize_scalar(loss, bounds=tuple(np.log(TEMPERATURES)), method="bounded").x))


def expected_calibration_error(logits: Points, labels: Labels, n_bins: int = 15) -> float:
    """Mean gap between confidence and share right, over bins of equal width.

    Source: Guo et al. 2017, section 2, with their 15 bins.
    """
    confidence = softmax(logits, axis=1).max(axis=1)
    right = logits.argmax(axis=1) == labels
    bins = np.minimum((confidence * n_bins).astype(np.int64), n_bins - 1)
    gaps: Float[np.ndarray, " b"] = np.bincount(bins, weights=confidence - right, minlength=n_bins)
    return float(np.abs(gaps).sum() / len(labels))


def _log_loss(logits: Points, labels: Labels) -> float:
    return float(-np.mean(log_softmax(logits, axis=1)[np.arange(len(labels)), labels]))
