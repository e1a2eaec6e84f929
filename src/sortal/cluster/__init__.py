"""Groups: arrays in, labels out. Knows no images, no files, no networks."""

from sortal.cluster.candidates import Candidate
from sortal.cluster.dbscan import DBSCAN, DBSCANResult, dbscan
from sortal.cluster.descent import KMeansResult, KMeansStep
from sortal.cluster.fuzzy import FuzzyCMeans, FuzzyCMeansResult, fuzzy_cmeans
from sortal.cluster.graph import (
    SharedNeighborClustering,
    SharedNeighborResult,
    by_falling_size,
    neighbor_vote,
    shared_neighbor_clustering,
)
from sortal.cluster.k_distances import KDistances, k_distances
from sortal.cluster.kernel_functions import Kernel
from sortal.cluster.kernel_kmeans import KernelKMeans, KernelKMeansResult, KernelKMeansStep, kernel_kmeans
from sortal.cluster.kernel_start import kernel_kmeans_plusplus, spectral_start
from sortal.cluster.kmeans import KMeans, center_margins, kmeans
from sortal.cluster.kmedoids import KMedoids, KMedoidsResult, KMedoidsStep, kmedoids
from sortal.cluster.methods import (
    METHODS,
    Comparison,
    Flow,
    Grouped,
    compare,
    group_by,
    split_views,
    takes_number,
)
from sortal.cluster.quantizer import ProductQuantizer, Quantization, VectorQuantizer
from sortal.cluster.reachability import Reachability, Step
from sortal.cluster.seeding import kmeans_parallel, kmeans_plusplus
from sortal.cluster.soft import SoftKMeans, SoftKMeansResult, soft_kmeans
from sortal.cluster.spherical import SphericalKMeans, spherical_kmeans, unit_rows
from sortal.cluster.suggest import suggest
from sortal.cluster.suggestion import (
    GammaEvidence,
    MethodEvidence,
    NumberEvidence,
    Suggestion,
)
from sortal.cluster.validity import (
    Agreement,
    Gap,
    Indices,
    agreement,
    density_validity,
    gap_statistic,
    indices,
    matched_accuracy,
    stability,
)
from sortal.cluster.whitening import HalfWhitening, half_whitening

__all__ = [
    "DBSCAN",
    "METHODS",
    "Agreement",
    "Candidate",
    "Comparison",
    "DBSCANResult",
    "Flow",
    "FuzzyCMeans",
    "FuzzyCMeansResult",
    "GammaEvidence",
    "Gap",
    "Grouped",
    "HalfWhitening",
    "Indices",
    "KDistances",
    "KMeans",
    "KMeansResult",
    "KMeansStep",
    "KMedoids",
    "KMedoidsResult",
    "KMedoidsStep",
    "Kernel",
    "KernelKMeans",
    "KernelKMeansResult",
    "KernelKMeansStep",
    "MethodEvidence",
    "NumberEvidence",
    "ProductQuantizer",
    "Quantization",
    "Reachability",
    "SharedNeighborClustering",
    "SharedNeighborResult",
    "SoftKMeans",
    "SoftKMeansResult",
    "SphericalKMeans",
    "Step",
    "Suggestion",
    "VectorQuantizer",
    "agreement",
    "by_falling_size",
    "center_margins",
    "compare",
    "dbscan",
    "density_validity",
    "fuzzy_cmeans",
    "gap_statistic",
    "group_by",
    "half_whitening",
    "indices",
    "k_distances",
    "kernel_kmeans",
    "kernel_kmeans_plusplus",
    "kmeans",
    "kmeans_parallel",
    "kmeans_plusplus",
    "kmedoids",
    "matched_accuracy",
    "neighbor_vote",
    "shared_neighbor_clustering",
    "soft_kmeans",
    "spectral_start",
    "spherical_kmeans",
    "split_views",
    "stability",
    "suggest",
    "takes_number",
    "unit_rows",
]
