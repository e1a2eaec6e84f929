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

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from sortal.arrays import Labels, Mask, Points
from sortal.train.split import draw_evenly
from sortal.train.whitening import Whitening, whiten_within

__all__ = ["Novelty", "fit_novelty", "left_out_caught"]

NEAR_SHARE, FAR_SHARE = 0.96, 0.99  # of held-out items pass
MAX_BANK, MAX_AXES = 2_048, 128  # the memory of the rule: at most 262,144 numbers and 128 d more
N_NEIGHBORS = 5
BLOCK = 8_192  # vectors that meet the whole bank at once
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
        return np.maximum(self.near_distance(vectors) / self.near, self.far_distance(vectors) / self.far)

    def near_distance(self, vectors: Points) -> Float[np.ndarray, " n"]:
        """1 - cosine to the k-th nearest row of the bank; the last where there are fewer."""
        k = min(self.n_neighbors, len(self.bank))
        blocks = np.array_split(vectors, 1 + len(vectors) // BLOCK)
        cosines = (_unit((block - self.mean) @ self.axes) @ self.bank.T for block in blocks)
        return np.concatenate([1.0 - np.partition(cosine, -k, axis=1)[:, -k] for cosine in cosines])

    def far_distance(self, vectors: Points) -> Float[np.ndarray, " n"]:
        """1 - cosine with the mean of what was shown; 1 for a zero vector."""
        return np.asarray(1.0 - _unit(vectors) @ _unit(self.mean[None])[0])


def fit_novelty(
    vectors: Points, labels: Labels, held_out: Points, whitening: Whitening, seed: int
) -> tuple[Novelty, Mask]:
    """The rule from training vectors, its thresholds from held-out ones, and which of these fail.

    Each held-out item is judged by the thresholds that all the others set: nearly as many as will judge a new
    item. Judged by those that it helped to set, none of 40 would ever fail, where 5 % of new ones do.
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
    near, far, n = rule.near_distance(held_out), rule.far_distance(held_out), len(held_out)
    rule = replace(
        rule, near=_conformal_quantile(near, NEAR_SHARE, n), far=_conformal_quantile(far, FAR_SHARE, n)
    )
    # Taking out an item above this leaves it where it is; any other item lies within what its others set.
    others_near = _conformal_quantile(near, NEAR_SHARE, n - 1)
    others_far = _conformal_quantile(far, FAR_SHARE, n - 1)
    return rule, (near > others_near) | (far > others_far)


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
        rule, _ = fit_novelty(x[kept], labels, x_test[~out], whiten_within(x[kept], labels, seed), seed)
        n_caught += int((rule.scores(x_test[out]) > 1.0).sum())
    return n_caught / len(y_test)


def _renumbered(labels: Labels) -> Labels:
    return np.unique(labels, return_inverse=True)[1]


def _conformal_quantile(distances: Float[np.ndarray, " m"], share: float, n: int) -> float:
    """The ceil((n + 1) * share)-th smallest, the n-th where that is more than n; never 0."""
    place = min(n, int(np.ceil((n + 1) * share))) - 1
    # 1e-6 is float32's rounding of a cosine near 1: identical vectors must not count as novel.
    return max(float(np.sort(distances)[place]), 1e-6)


def _unit(vectors: Points) -> Points:
    """Rows to length 1; a zero row stays zero, so it is at distance 1 from everything."""
    largest = np.maximum(vectors.max(axis=1), -vectors.min(axis=1))[
        :, None
    ]  # squares of 1e20 and of 1e-25 leave float32
    near_one = np.divide(vectors, largest, out=np.zeros_like(vectors), where=largest > 0)
    return np.asarray(near_one / np.maximum(np.linalg.norm(near_one, axis=1, keepdims=True), 1.0))
