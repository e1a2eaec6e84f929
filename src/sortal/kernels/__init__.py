"""The hot loops, behind one door: import kernels from here only."""

from sortal.kernels.density import cosine_density_groups, density_groups, spread_groups
from sortal.kernels.gram import gaussians, group_sums, matrix_group_sums, moved_sums, symmetric_group_sums
from sortal.kernels.lloyd import DenseRows, nearest_center, nearest_labels, squared_to_center
from sortal.kernels.lloyd_block import BlockOfRows, block_if_small
from sortal.kernels.lloyd_sparse import SparseRows, nearest_labels_sparse, squared_to_center_sparse
from sortal.kernels.lloyd_sums import squared_shifts
from sortal.kernels.medoids import (
    Exchanges,
    NearestTwo,
    build_medoids,
    exchange_medoids,
    first_flaw,
    nearest_two_medoids,
)
from sortal.kernels.memberships import fuzzy_step, soft_step
from sortal.kernels.recurrent import GATES, CellKind, CellSteps, before_step, run_cell, step_jacobians
from sortal.kernels.reference import (
    oriented_gradients,
    shared_neighbors,
    top_neighbors,
    top_products,
)
from sortal.kernels.seeding import draw_in_turn, lower_nearest, nearer_pairs, squared_differences
from sortal.kernels.threads import map_blocks, n_threads, one_blas_thread

__all__ = [
    "GATES",
    "BlockOfRows",
    "CellKind",
    "CellSteps",
    "DenseRows",
    "Exchanges",
    "NearestTwo",
    "SparseRows",
    "before_step",
    "block_if_small",
    "build_medoids",
    "cosine_density_groups",
    "density_groups",
    "draw_in_turn",
    "exchange_medoids",
    "first_flaw",
    "fuzzy_step",
    "gaussians",
    "group_sums",
    "lower_nearest",
    "map_blocks",
    "matrix_group_sums",
    "moved_sums",
    "n_threads",
    "nearer_pairs",
    "nearest_center",
    "nearest_labels",
    "nearest_labels_sparse",
    "nearest_two_medoids",
    "one_blas_thread",
    "oriented_gradients",
    "run_cell",
    "shared_neighbors",
    "soft_step",
    "spread_groups",
    "squared_differences",
    "squared_shifts",
    "squared_to_center",
    "squared_to_center_sparse",
    "step_jacobians",
    "symmetric_group_sums",
    "top_neighbors",
    "top_products",
]
