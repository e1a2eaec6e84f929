"""What speaks for a number of groups, an eps, a gamma, a method: gathered on a sample."""

from typing import Any

import numpy as np

from sortal.arrays import Labels
from sortal.cluster.k_distances import KDistances
from sortal.cluster.kernel_functions import separations
from sortal.cluster.methods import found_by
from sortal.cluster.structure import modularity_excess, valley
from sortal.cluster.suggestion import GammaEvidence, MethodEvidence, NumberEvidence
from sortal.cluster.validity import Gap, Indices, gap_statistic, indices, stability
from sortal.errors import SortalError
from sortal.kernels import one_blas_thread

__all__ = ["along_eps", "along_gamma", "by_method", "by_number"]

DIMENSIONS = 32  # principal components in which numbers of groups are weighed: 12 groups span 11
# Starts of each fit on a sample; as `group_by` has them they were most of the time.
STARTS = {"kmeans": 3, "kernel": 2, "spherical": 3}


def by_number(x: np.ndarray, most: int, seed: int) -> tuple[NumberEvidence, ...]:
    """Each number of groups up to `most`, by k-means."""
    seen = x - x.mean(axis=0, dtype=np.float64)
    if x.shape[1] > DIMENSIONS:
        with one_blas_thread():
            seen = seen @ np.linalg.svd(seen, full_matrices=False)[2][:DIMENSIONS].T
    gap = gap_statistic(seen, range(1, most + 1), n_references=8, n_init=2, seed=seed)
    excess = modularity_excess(x, gap.numbers[1:], seed=seed)
    return tuple(_number(x, seen, gap, i, excess, seed) for i in range(most))


def _number(
    x: np.ndarray, seen: np.ndarray, gap: Gap, i: int, excess: np.ndarray, seed: int
) -> NumberEvidence:
    k = gap.numbers[i]
    if k == 1:
        return NumberEvidence(1, gap.gap[i], gap.error[i], None, None, None, None, None, None)
    has = indices(seen, _labels("kmeans", seen, k, {}, seed), seed=seed, density=False)
    firm = stability(seen, lambda rows: _labels("kmeans", rows, k, {}, seed), seed=seed)
    return NumberEvidence(
        k, gap.gap[i], gap.error[i], has.silhouette, has.davies_bouldin, has.calinski_harabasz, firm,
        valley(x, k, seed=seed), float(excess[i - 1]),
    )  # fmt: skip


def _labels(method: str, x: np.ndarray, k: int | str, params: dict[str, Any], seed: int) -> Labels:
    if method in STARTS:
        params = {"n_init": STARTS[method]} | params
    return found_by(method, x, k, seed, params).labels


def by_method(x: np.ndarray, method: str, k: int | str, params: dict[str, Any], seed: int) -> MethodEvidence:
    """A method on all rows, and on samples of them."""
    try:
        labels = _labels(method, x, k, params, seed)
        has: Indices = indices(x, labels, seed=seed)
        firm = None
        if has.n_groups > 1:
            firm = stability(x, lambda rows: _labels(method, rows, k, params, seed), seed=seed)
    except SortalError as e:
        return MethodEvidence(method, k, params, 0, 0.0, 0.0, None, None, None, str(e))
    sizes = np.bincount(labels[labels >= 0]) if has.n_groups else np.zeros(1)
    return MethodEvidence(
        method, k, params, has.n_groups, has.left_out / len(x), float(sizes.min()) / len(x),
        has.silhouette, has.density, firm,
    )  # fmt: skip


def along_eps(x: np.ndarray, distances: KDistances, seed: int) -> tuple[MethodEvidence, ...]:
    """DBSCAN along the curve and beyond its end, where thin groups hold together."""
    curve = distances.curve
    candidates = [float(np.quantile(curve, q, method="lower")) for q in (0.8, 0.9, 0.95, 0.98, 1.0)]
    candidates += [float(curve[-1]) * beyond for beyond in (1.25, 1.6, 2.0)]
    asked = sorted({eps for eps in [*candidates, distances.eps] if eps > 0})
    found: list[MethodEvidence] = []
    for eps in asked:
        params = {"eps": eps, "min_samples": distances.min_samples}
        found.append(by_method(x, "dbscan", "auto", params, seed))
        if found[-1].n_groups == 1 and found[-1].left_out == 0:  # a larger eps changes nothing more
            break
    return tuple(found)


def along_gamma(x: np.ndarray, most: int) -> tuple[GammaEvidence, ...]:
    """RBF kernels from narrow to wide; for each, of nearly separate parts (else of any) the widest gap."""
    found = separations(x, range(2, most + 1))
    best = [
        max((one for one in found if one.share == share), key=lambda one: (one.cut_off, one.gap))
        for share in sorted({one.share for one in found})
    ]
    return tuple(GammaEvidence(one.gamma, one.share, one.k, one.separate, one.gap) for one in best)
