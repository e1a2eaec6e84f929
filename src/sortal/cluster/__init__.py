"""Groups: arrays in, labels out. Knows no images, no files, no networks."""

from sortal.cluster.candidates import Candidate
from sortal.cluster.graph import (
    SharedNeighborClustering,
    SharedNeighborResult,
    by_falling_size,
    neighbor_vote,
    shared_neighbor_clustering,
)
from sortal.cluster.kmeans import KMeans, KMeansResult, kmeans
from sortal.cluster.methods import METHODS, Grouped
from sortal.cluster.seeding import kmeans_plusplus
from sortal.cluster.validity import Agreement, agreement, matched_accuracy
from sortal.cluster.whitening import HalfWhitening, half_whitening

__all__ = [
    "METHODS",
    "Agreement",
    "Candidate",
    "Grouped",
    "HalfWhitening",
    "KMeans",
    "KMeansResult",
    "SharedNeighborClustering",
    "SharedNeighborResult",
    "agreement",
    "by_falling_size",
    "half_whitening",
    "kmeans",
    "kmeans_plusplus",
    "matched_accuracy",
    "neighbor_vote",
    "shared_neighbor_clustering",
]
