"""How many groups: the candidates with their evidence, and a stated guess."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import sklearn  # its parts are imported when first named
from jaxtyping import Float
from scipy.sparse import csr_matrix

from sortal.arrays import Labels
from sortal.cluster.affinity import Spectrum
from sortal.kernels import one_blas_thread

__all__ = ["Candidate", "guess", "modularity", "weigh_candidates"]

ENOUGH = 0.85  # of the best modularity
SAMPLE = 2000  # points of which the silhouette is taken


@dataclass(frozen=True)
class Candidate:
    """A number of groups and what speaks for it; higher is better in all three."""

    n_clusters: int
    modularity: float  # of the graph; rarely collapses, tends to split
    silhouette: float  # mean, by cosine, on a sample of the representation
    eigengap: float  # between this eigenvalue of the graph and the next


def weigh_candidates(
    points: Float[np.ndarray, "n q"],
    graph: csr_matrix,
    spectrum: Spectrum,
    group: Callable[[int], Labels],
    numbers: Sequence[int],
    seed: int,
) -> tuple[Candidate, ...]:
    """The evidence for each number of groups in `numbers`, where `group(k)` gives the labels."""
    rng = np.random.default_rng(seed)
    sample = np.sort(rng.choice(len(points), min(len(points), SAMPLE), replace=False))
    found = []
    for k in numbers:
        labels = group(k)
        gap = spectrum.values[k - 1] - spectrum.values[k]
        found.append(
            Candidate(k, modularity(graph, labels), _silhouette(points[sample], labels[sample]), float(gap))
        )
    return tuple(found)


def guess(candidates: Sequence[Candidate]) -> int:
    """The number of best silhouette among those with at least .85 of the best modularity (ties: the lowest).

    Silhouette alone may put half of the groups together; even groups merged by pairs lose more modularity
    than that where they are few. On 45 overlapping subsets of three piles of glyphs and hands (3 to 10 true
    groups, 400 to 10,000 items) the guess was right in .53, within 30 % in .91; modularity alone .20 and .47.
    That is flattering: the rule was picked among 17 on these very subsets, where it never differed from
    silhouette alone, and on other piles silhouette alone was right in .33. It stays a guess.
    """
    most = max(candidate.modularity for candidate in candidates)
    plausible = [candidate for candidate in candidates if candidate.modularity >= ENOUGH * most] or candidates
    return max(plausible, key=lambda candidate: candidate.silhouette).n_clusters


def modularity(graph: csr_matrix, labels: Labels) -> float:
    """Newman 2004: the share of weight inside groups, less what chance would put there."""
    member = csr_matrix((np.ones(len(labels)), (np.arange(len(labels)), labels)))
    degree = np.asarray(graph.sum(axis=1)).ravel()
    total = degree.sum()
    if total == 0:
        return 0.0
    inside = np.asarray(member.multiply(graph @ member).sum(axis=0)).ravel()
    return float((inside / total - ((degree @ member) / total) ** 2).sum())


def _silhouette(points: np.ndarray, labels: Labels) -> float:
    if not 1 < len(np.unique(labels)) < len(labels):
        return 0.0
    with one_blas_thread():  # more may round its products differently
        return float(sklearn.metrics.silhouette_score(points, labels, metric="cosine"))
