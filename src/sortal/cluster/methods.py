"""The ways to group a pile, by name: vectors in; labels, representation and evidence out."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from sortal.arrays import Labels, Vectors
from sortal.cluster.graph import by_falling_size, shared_neighbor_clustering
from sortal.cluster.kmeans import KMeans
from sortal.cluster.whitening import half_whitening
from sortal.errors import InputError

__all__ = ["METHODS", "Grouped"]


@dataclass(frozen=True)
class Grouped:
    """A grouping, whatever the method."""

    labels: Labels  # int32; 0 is the largest group
    points: Float[np.ndarray, "n q"]  # unit rows, in which typical members and outliers are looked for
    evidence: dict[str, Any]  # JSON: what speaks for it, and the numbers of groups that were weighed

    @property
    def n_groups(self) -> int:
        return int(self.labels.max()) + 1


def by_graph(vectors: Vectors, k: int | str, seed: int) -> Grouped:
    """`shared_neighbor_clustering`; k may be "auto"."""
    found = shared_neighbor_clustering(vectors, k, seed=seed)
    return Grouped(found.labels, found.points, {"candidates": [asdict(one) for one in found.candidates]})


def by_kmeans(vectors: Vectors, k: int | str, seed: int) -> Grouped:
    """k-means on the vectors as they are, best of 10 starts: the yardstick."""
    if isinstance(k, str):
        raise InputError("kmeans needs the number of groups; got k='auto': give k, or use the method graph.")
    fitted = KMeans(k, n_init=10, random_state=seed).fit(vectors)
    evidence = {"candidates": [], "inertia": float(fitted.inertia_)}
    return Grouped(by_falling_size(fitted.labels_), half_whitening(vectors, 128)(vectors), evidence)


METHODS: dict[str, Callable[[Vectors, int | str, int], Grouped]] = {"graph": by_graph, "kmeans": by_kmeans}
