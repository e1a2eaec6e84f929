"""Centers and rows as the compiled loops want them, and the rows that only float64 can decide."""

from dataclasses import dataclass

import numpy as np

__all__ = ["PackedCenters", "assign_block", "block_rows", "pack_centers", "read_block", "settle"]

BLOCK = 2**19  # numbers: 2 MB of float32, small beside what a thread needs and long beside its start


@dataclass(frozen=True)
class PackedCenters:
    """Centers as `sweep` reads them: from an origin of their own, times -2, six side by side."""

    centers: np.ndarray  # as they came
    origin: np.ndarray
    panels: np.ndarray  # flat: panels x d x PANEL
    norms: np.ndarray  # panels * PANEL; infinite where there is no center
    most: float  # the largest norm
    slack: float  # rounding of a score, in units of |x|^2 + most


def pack_centers(
    centers: np.ndarray, dtype: np.dtype, order: np.ndarray | None = None, spent: PackedCenters | None = None
) -> PackedCenters:
    """`order`: which center stands where (-1: none); None for their own order.

    The arrays of `spent`, as many centers in the same order, are written anew. What overflows in float32 is
    in doubt, and float64 decides.
    """
    from sortal.kernels.lloyd_loops import pack_panels
    from sortal.kernels.lloyd_tile import PANEL

    k, d = centers.shape
    centers = np.ascontiguousarray(centers)
    if order is None:
        order = np.full(-(-k // PANEL) * PANEL, -1, np.int32)
        order[:k] = np.arange(k)
    origin = centers.mean(axis=0, dtype=np.float64).astype(
        dtype
    )  # a huge offset would cost the product its digits
    if spent is None:
        panels, norms = np.empty(len(order) * d, dtype), np.empty(len(order), dtype)
    else:
        panels, norms = spent.panels, spent.norms
    most = pack_panels(np.ascontiguousarray(centers, dtype), order, origin, panels, norms)
    slack = (8 + 2 * d**0.5) * float(np.finfo(dtype).eps)
    return PackedCenters(centers, origin, panels, norms, float(most), slack)


def block_rows(x: np.ndarray) -> int:
    return max(64, BLOCK // int(x.shape[1]) // 64 * 64)


def read_block(x: np.ndarray, rows: slice) -> np.ndarray:
    """Rows side by side; always marked read-only, so that loops are compiled for one kind of array."""
    block = np.require(x[rows], requirements=["C", "A"]).view(np.ndarray)
    block.flags.writeable = False
    return block


def assign_block(x: np.ndarray, packed: PackedCenters, labels: np.ndarray) -> None:
    """labels (int32) = the nearest center of each row, as float64 brute force finds it."""
    from sortal.kernels.lloyd_loops import assign_rows

    assign_rows(x, packed.origin, packed.panels, packed.norms, packed.most, packed.slack, labels)
    settle(x, packed.centers, labels)


def settle(x: np.ndarray, centers: np.ndarray, labels: np.ndarray) -> None:
    """Decides in float64 the rows whose label is a complement (negative)."""
    rows = np.flatnonzero(labels < 0)
    if not rows.size:
        return
    if x.dtype == np.float32 and len(rows) > 64:  # many: the same scores in float64 leave few of them
        wide = read_block(x[rows].astype(np.float64), slice(None))
        settled = np.empty(len(rows), np.int32)
        assign_block(wide, pack_centers(centers, wide.dtype), settled)
        labels[rows] = settled
        return
    from sortal.kernels.lloyd_loops import settle_rows

    settle_rows(x, rows, centers, labels)
