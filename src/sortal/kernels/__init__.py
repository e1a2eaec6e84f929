"""The hot loops, behind one door: import kernels from here only."""

from sortal.kernels.reference import (
    nearest_center,
    oriented_gradients,
    shared_neighbors,
    top_neighbors,
    top_products,
)
from sortal.kernels.threads import map_blocks, n_threads, one_blas_thread

__all__ = [
    "map_blocks",
    "n_threads",
    "nearest_center",
    "one_blas_thread",
    "oriented_gradients",
    "shared_neighbors",
    "top_neighbors",
    "top_products",
]
