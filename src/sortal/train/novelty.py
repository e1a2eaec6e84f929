"""When an item is like nothing that was shown.

Two readings, and either is enough.

near  The item lies far from its nearest neighbours among the training items: cosine distance to the k-th
      nearest, in the first 128 principal components of the half-whitened space (whitening.py). Catches a name
      that was never shown. Source: Sun et al. 2022, "Out-of-distribution detection with deep nearest
      neighbors" (they normalise and take Euclidean distance, the same order); the space is ours.
far   The vector as it came points elsewhere than the mean of what was shown: 1 - cosine. Catches a blank,
      noise, another kind of picture, which after centring may lie near anything. Ours: one direction, and it
      was enough where `near` failed (a blank on HOG, noise on MobileNetV2).

Each has a threshold that 96 % (near) and 99 % (far) of the held-out items pass, so at least 95 % pass both:
split conformal quantiles (Vovk et al. 2005), the ceil((n + 1) * share)-th smallest of n; with few items
that is the largest seen.

Compared by hand, three of ten names left out, AUROC on HOG of MNIST / digits / sign-digits, MobileNetV2 of
sign-digits / CIFAR-10: maximum logit .88 / .96 / .82 / .79, energy .88 / .95 / .82 / .78, Mahalanobis (Lee et
al. 2018) .86 / .97 / .66 / .65, relative Mahalanobis (Ren et al. 2021) .95 / .96 / .91 / .45, nearest
neighbours on raw vectors .95 / .99 / .72 / .69; `near` .975 / .992 / .931 / .864 / .63. Logits
miss nearly every blank.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sortal.arrays import Labels, Points
from sortal.train.split import draw_evenly
from sortal.train.whitening import Whitening, whiten_within

__all__ = ["Novelty", "fit_novelty", "left_out_caught"]

NEAR_SHARE, FAR_SHARE = 0.96, 0.99  # of held-out items pass
MAX_BANK, MAX_AXES = 2_048, 128  # the memory of the rule: at most 262,144 numbers and 128 d more
N_NEIGHBORS = 5
MAX_LEFT_OUT_ROWS = 4_096  # twice the bank; the estimate costs 1 to 3 CPU-s at 1,024 features


@dataclass(frozen=True)
class Novelty:
    """The rule: `scores` above 1 say "like nothing shown"."""

    mean: Float[np.ndarray, " d"]
    axes: Float[np.ndarray, "d q"]
    bank: Float[np.ndarray, "m q"]  # unit rows
    n_neighbors: int
    near: float  # thresholds
    far: float

    def scores(self, vectors: Points) -> Float[np.ndarray, " n"]:
        """The larger of the two distances, each divided by its threshold."""
        near = self.near_distance(self.similarity(vectors))
        return np.maximum(near / self.near, self.far_distance(vectors) / self.far)

    def similarity(self, vectors: Points) -> Float[np.ndarray, "n m"]:
        """Cosine of each vector with each row of the bank."""
        return np.asarray(_unit((vectors - self.mean) @ self.axes) @ self.bank.T)

    def near_distance(self, similarity: Float[np.ndarray, "n m"]) -> Float[np.ndarray, " n"]:
        """1 - cosine to the k-th nearest of these rows of the bank; the last where there are fewer."""
        k = min(self.n_neighbors, similarity.shape[1])
        return np.asarray(1.0 - np.partition(similarity, -k, axis=1)[:, -k])

    def far_distance(self, vectors: Points) -> Float[np.ndarray, " n"]:
        """1 - cosine with the mean of what was shown; 1 for a zero vector."""
        return np.asarray(1.0 - _unit(vectors) @ _unit(self.mean[None])[0])


def fit_novelty(
    vectors: Points, labels: Labels, held_out: Points, whitening: Whitening, seed: int
) -> Novelty:
    """The rule from training vectors, its thresholds from held-out ones.

    k is 5, or the median number of training items a name where that is smaller. The bank is an even draw.
    """
    whitened = whitening(vectors)
    rows = draw_evenly(labels, MAX_BANK, seed)
    n_axes = max(1, min(MAX_AXES, whitened.shape[1], len(rows) - 1))
    with np.errstate(invalid="ignore"):  # identical vectors have no variance to share out
        from sklearn.decomposition import PCA  # slow to import, and not needed to predict

        pca = PCA(n_axes, random_state=seed).fit(whitened[draw_evenly(labels, 16_384, seed)])
    components = np.asarray(pca.components_.T, dtype=np.float32)
    rule = Novelty(
        mean=whitening.mean,
        axes=whitening.axes @ components,
        bank=_unit(whitened[rows] @ components),
        n_neighbors=int(np.clip(np.median(np.bincount(labels)), 1, N_NEIGHBORS)),
        near=1.0,
        far=1.0,
    )
    near = _conformal_quantile(rule.near_distance(rule.similarity(held_out)), NEAR_SHARE)
    far = _conformal_quantile(rule.far_distance(held_out), FAR_SHARE)
    return Novelty(rule.mean, rule.axes, rule.bank, rule.n_neighbors, near, far)


def left_out_caught(x: Points, y: Labels, x_test: Points, y_test: Labels, seed: int) -> float:
    """Share of held-out items that the rule catches when it has never seen their name.

    The names are dealt into three parts (two for two names); the space, the bank and the thresholds are made
    anew without each part. Taking the name's rows out of the bank alone is not honest: a space learned with
    a name keeps it apart, and gave .80 where .30 was true (MobileNetV2 of sign-digits).
    """
    n_names = int(y.max()) + 1
    part = np.random.default_rng(seed).permutation(n_names) % min(3, n_names)
    n_caught = 0
    for left in np.unique(part):
        kept = np.flatnonzero(part[y] != left)
        kept = kept[draw_evenly(_renumbered(y[kept]), MAX_LEFT_OUT_ROWS, seed)]
        labels, out = _renumbered(y[kept]), part[y_test] == left
        rule = fit_novelty(x[kept], labels, x_test[~out], whiten_within(x[kept], labels, seed), seed)
        n_caught += int((rule.scores(x_test[out]) > 1.0).sum())
    return n_caught / len(y_test)


def _renumbered(labels: Labels) -> Labels:
    return np.unique(labels, return_inverse=True)[1]


def _conformal_quantile(distances: Float[np.ndarray, " n"], share: float) -> float:
    """The ceil((n + 1) * share)-th smallest, the largest where there is no such one; never 0."""
    n = len(distances)
    place = min(n, int(np.ceil((n + 1) * share))) - 1
    # 1e-6 is float32's rounding of a cosine near 1: identical vectors must not count as novel.
    return max(float(np.sort(distances)[place]), 1e-6)


def _unit(vectors: Points) -> Points:
    """Rows to length 1; a zero row stays zero, so it is at distance 1 from everything."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0))
