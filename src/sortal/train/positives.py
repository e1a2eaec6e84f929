"""Which images belong together before a network has learned anything: neighbours by oriented gradients."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, UInt8
from scipy.linalg import eigh
from torch.nn.functional import affine_grid, grid_sample

from sortal.arrays import Neighbors
from sortal.kernels import one_blas_thread, oriented_gradients, top_products

__all__ = ["hog_neighbors"]

# As it is; shifted by 2 of 32 pixels; turned by 10 degrees; smaller and larger by a tenth.
VARIANTS = (
    (0, 0, 0, 1), (2, 0, 0, 1), (-2, 0, 0, 1), (0, 2, 0, 1), (0, -2, 0, 1),
    (0, 0, 10, 1), (0, 0, -10, 1), (0, 0, 0, 0.9), (0, 0, 0, 1.1),
)  # fmt: skip


def hog_neighbors(
    grey: UInt8[np.ndarray, "n 32 32"], count: int = 5, *, advance: Callable[[int], None] = lambda n: None
) -> Neighbors:
    """For each image the `count` others that it is most like after a small shift, turn or scale.

    Best cosine over nine variants of the image, in the 128 directions that hold most of the descriptors.
    Half-whitened, as groups are found, .76 of the neighbours of hands were of the same sign, so .84; without
    variants .78. n^2 products, exact; ties go to the lowest number.
    """
    described = oriented_gradients(grey.astype(np.float32))
    axes = _main_axes(described)
    points = _unit_along(axes, described)
    found = []
    for variant in VARIANTS:
        queries = _unit_along(axes, oriented_gradients(moved(grey, *variant)))
        found.append(top_products(queries, points, count + 1))
        advance(1)
    near = np.concatenate([one[0] for one in found], axis=1)
    cosine = np.concatenate([one[1] for one in found], axis=1)
    return _best_distinct(near, cosine, count)


def _main_axes(x: np.ndarray, most: int = 128) -> np.ndarray:
    """The directions of largest mean square, not of largest variance: d x `most`, float32."""
    d = x.shape[1]
    with one_blas_thread():
        axes = eigh(x.T @ x, subset_by_index=[d - most, d - 1])[1]
    return np.asarray(axes, np.float32)


def _unit_along(axes: np.ndarray, x: np.ndarray) -> np.ndarray:
    with one_blas_thread():
        x = x @ axes
    lengths = np.linalg.norm(x, axis=1, keepdims=True)
    return np.asarray(x / np.where(lengths > 0, lengths, 1), np.float32)


def _best_distinct(near: np.ndarray, cosine: np.ndarray, count: int) -> Neighbors:
    """Of each row the `count` best numbers, none twice and not the row's own."""
    n = len(near)
    cosine = np.where(near == np.arange(n)[:, None], -np.inf, cosine)
    order = np.lexsort((near, -cosine), axis=1)
    near = np.take_along_axis(near, order, axis=1)
    by_number = np.argsort(near, axis=1, kind="stable")
    numbers = np.take_along_axis(near, by_number, axis=1)
    again = np.zeros_like(near, dtype=np.bool_)
    np.put_along_axis(again, by_number[:, 1:], numbers[:, 1:] == numbers[:, :-1], axis=1)
    again |= near == np.arange(n)[:, None]
    first = np.argsort(again, axis=1, kind="stable")[:, :count]
    return np.take_along_axis(near, first, axis=1).astype(np.int32)


def moved(
    grey: UInt8[np.ndarray, "n 32 32"], right: float, down: float, degrees: float, scale: float
) -> Float[np.ndarray, "n 32 32"]:
    """All images shifted (pixels), turned and scaled alike; what comes in from outside repeats the edge."""
    angle, side = np.deg2rad(degrees), grey.shape[1]
    cos, sin = np.cos(angle) / scale, np.sin(angle) / scale
    theta = torch.tensor([[cos, -sin, -2 * right / side], [sin, cos, -2 * down / side]], dtype=torch.float32)
    with torch.inference_mode():
        grid = affine_grid(theta[None], [1, 1, *grey.shape[1:]], align_corners=False)
        blocks = [
            grid_sample(
                torch.from_numpy(block[:, None].astype(np.float32)),
                grid.expand(len(block), -1, -1, -1),
                padding_mode="border",
                align_corners=False,
            )[:, 0]
            for block in np.array_split(grey, -(-len(grey) // 1024))
        ]
        return np.asarray(torch.cat(blocks).numpy())
