"""The kernels in NumPy: what every faster twin is measured against."""

from functools import cache

import numpy as np
from jaxtyping import Float, Int

from sortal.kernels.threads import map_blocks

__all__ = ["nearest_center", "oriented_gradients", "shared_neighbors", "top_neighbors", "top_products"]


def nearest_center(
    x: Float[np.ndarray, "n d"], centers: Float[np.ndarray, "k d"]
) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """The nearest center of each row (int32; ties: the lowest number) and its squared distance (float64).

    Labels equal float64 brute force. The expanded square |x|^2 - 2xc + |c|^2 decides where its rounding
    error cannot change the answer; the rows left over, and all distances, are computed by differences.
    """
    wide = max(x.shape[1], centers.shape[0])
    parts = list(map_blocks(lambda rows: _nearest_in_block(x[rows], centers), len(x), max(16, 2**18 // wide)))
    if not parts:
        return np.empty(0, np.int32), np.empty(0)
    return np.concatenate([labels for labels, _ in parts]), np.concatenate([d2 for _, d2 in parts])


def _nearest_in_block(x: np.ndarray, centers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    labels, doubtful = _by_expanded_square(x, centers)
    if doubtful.size:
        from scipy.spatial.distance import cdist  # .3 s that commands which group nothing need not pay

        exact = cdist(x[doubtful].astype(np.float64), centers.astype(np.float64), "sqeuclidean")
        labels[doubtful] = exact.argmin(axis=1)
    difference = x.astype(np.float64) - centers[labels]
    return labels, np.einsum("nd,nd->n", difference, difference)


@np.errstate(over="ignore", invalid="ignore")  # what overflows in float32 is doubtful, and float64 decides
def _by_expanded_square(x: np.ndarray, centers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest centers, and the rows in which rounding might have changed them."""
    # A huge offset would cost the product its digits.
    origin = centers.mean(axis=0, dtype=np.float64).astype(centers.dtype)
    shifted, moved = x - origin, centers - origin
    norms = np.einsum("kd,kd->k", moved, moved)
    scores = norms - 2 * (shifted @ moved.T)
    rows = np.arange(len(x))
    labels = scores.argmin(axis=1).astype(np.int32)
    if len(centers) == 1:
        return labels, rows[:0]
    best = scores[rows, labels]
    scores[rows, labels] = np.inf
    reach = np.einsum("nd,nd->n", shifted, shifted) + norms.max()
    slack = (8 + 2 * x.shape[1] ** 0.5) * np.finfo(scores.dtype).eps * reach
    return labels, np.flatnonzero(~(scores.min(axis=1) - best > slack))


def top_neighbors(
    x: Float[np.ndarray, "n d"], m: int
) -> tuple[Int[np.ndarray, "n m"], Float[np.ndarray, "n m"]]:
    """`top_products` of each row of x with all others: itself is left out, so `m` must be below n."""
    assert 0 < m < len(x), "callers cap m"
    return _top(x, x, m, leave_own_out=True)


def top_products(
    queries: Float[np.ndarray, "r d"], x: Float[np.ndarray, "n d"], m: int
) -> tuple[Int[np.ndarray, "r m"], Float[np.ndarray, "r m"]]:
    """The `m` rows of x of largest inner product with each query: indices (int32) and products.

    Exact up to the rounding of one matrix product; best first, ties by lowest index. Costs r n d
    multiplications and about 150 MB a thread.

    A full partition of n columns would cost more than the product. So columns are dealt into chunks, the m
    chunks of largest maximum are found first, and only their members are partitioned: the m largest of all
    must lie in them.
    """
    assert 0 < m <= len(x), "callers cap m"
    return _top(queries, x, m, leave_own_out=False)


def _top(queries: np.ndarray, x: np.ndarray, m: int, leave_own_out: bool) -> tuple[np.ndarray, np.ndarray]:
    n, d = x.shape
    columns = np.zeros((-(-n // CHUNK) * CHUNK, d), x.dtype)  # padded, so that chunks are equally long
    columns[:n] = x

    def best(rows: slice) -> tuple[np.ndarray, np.ndarray]:
        products = queries[rows] @ columns.T
        products[:, n:] = -np.inf
        if leave_own_out:
            products[np.arange(len(products)), np.arange(rows.start, rows.stop)] = -np.inf
        return _top_in_block(products, m)

    # Blocks of up to 64 MB: fewer rows, and the product packs x more often than it pays.
    block = max(16, min(512, 2**24 // len(columns)))
    parts = list(map_blocks(best, len(queries), block))
    if not parts:
        return np.empty((0, m), np.int32), np.empty((0, m), x.dtype)
    return np.concatenate([index for index, _ in parts]), np.concatenate([value for _, value in parts])


CHUNK = 64  # columns


def _top_in_block(products: np.ndarray, m: int) -> tuple[np.ndarray, np.ndarray]:
    n_rows, n_columns = products.shape
    n_chunks = n_columns // CHUNK
    rows = np.arange(n_rows)[:, None]
    maxima = products.reshape(n_rows, CHUNK, n_chunks).max(axis=1)  # chunk c: columns c, c + n_chunks, ...
    chosen = np.argpartition(maxima, max(n_chunks - m, 0), axis=1)[:, -m:]
    columns = (chosen[:, None, :] + n_chunks * np.arange(CHUNK)[:, None]).reshape(n_rows, -1)
    values = products[rows, columns]
    top = np.argpartition(values, values.shape[1] - m, axis=1)[:, -m:]
    index, value = columns[rows, top], values[rows, top]
    order = np.lexsort((index, -value), axis=1)
    index, value = index[rows, order], value[rows, order]
    # Where more than m columns reach the m-th value, which of them were taken was chance: take the lowest.
    threshold = value[:, -1:]
    crowded = (values >= threshold).sum(axis=1) > m
    crowded |= (maxima >= threshold).sum(axis=1) > (maxima[rows, chosen] >= threshold).sum(axis=1)
    for row in np.flatnonzero(crowded):
        reach = np.flatnonzero(products[row] >= threshold[row])
        index[row] = reach[np.argsort(-products[row, reach], kind="stable")[:m]]
        value[row] = products[row, index[row]]
    return index.astype(np.int32), value


def shared_neighbors(
    neighbors: Int[np.ndarray, "n m"], edges: Int[np.ndarray, "e 2"]
) -> Int[np.ndarray, " e"]:
    """For each edge (i, j), how many entries rows i and j of `neighbors` have in common (int32).

    The entries of a row must differ from one another. m^2 comparisons an edge.
    """
    by_place = np.ascontiguousarray(neighbors.T)

    def count(rows: slice) -> np.ndarray:
        mine, theirs = by_place[:, edges[rows, 0]], by_place[:, edges[rows, 1]]
        shared = np.zeros(mine.shape[1], np.int32)
        for entry in mine:
            shared += (theirs == entry).any(axis=0)
        return shared

    parts = list(map_blocks(count, len(edges), 4096))
    return np.concatenate(parts) if parts else np.empty(0, np.int32)


SIDE = 32  # pixels
CELLS = 8  # pooled cells a side
ORIENTATIONS = 16  # signed, over the full circle


def oriented_gradients(images: Float[np.ndarray, "b 32 32"]) -> Float[np.ndarray, "b 1024"]:
    """Histograms of oriented gradients of grey images (float32), each image scaled to its own range.

    Any scale of grey values gives the same answer; a constant image gives zeros. The 1,024 numbers run
    over 16 orientations, then 8 x 8 cells.

    Source: Dalal and Triggs 2005, and the smooth orientation channels and pooling of Tola, Lepetit, Fua
    2010 (DAISY). Where we differ: local contrast is divided out by the blurred energy of the cell grid,
    and the root of the result is taken (Arandjelovic and Zisserman 2012).
    """
    # 16 images a block: fewer cost more calls than they save, more leave the caches (1 MB of channels).
    parts = list(map_blocks(lambda rows: _gradients_in_block(images[rows]), len(images), 16))
    return np.concatenate(parts) if parts else np.empty((0, CELLS * CELLS * ORIENTATIONS), np.float32)


def _gradients_in_block(images: np.ndarray) -> np.ndarray:
    """Image by image, every product is of two small matrices of one shape.

    One wide product for all images would be summed in an order that depends on an image's place in it, and
    its last bits with it.
    """
    filters = _filters()
    blur, slope, pool = filters["blur"], filters["slope"], filters["pool"]
    grey = images.astype(np.float32)
    grey -= grey.min(axis=(1, 2), keepdims=True)
    grey /= np.maximum(grey.max(axis=(1, 2), keepdims=True), np.finfo(np.float32).tiny)
    gx, gy = blur @ grey @ slope.T, slope @ grey @ blur.T
    magnitude = np.sqrt(gx * gx + gy * gy)
    unit = 1 / np.maximum(magnitude, 1e-12)
    gx *= unit
    gy *= unit
    channels = np.empty((ORIENTATIONS, *grey.shape), np.float32)
    half = ORIENTATIONS // 2
    for b in range(half):  # orientation b and its opposite share all but the sign
        angle = 2 * np.pi * b / ORIENTATIONS
        along = gx * np.float32(np.cos(angle)) + gy * np.float32(np.sin(angle))
        response = along * along
        response *= response
        response *= response
        response *= magnitude
        np.multiply(response, along > 0, out=channels[b])
        np.subtract(response, channels[b], out=channels[b + half])
    cells = (pool @ channels @ pool.T).reshape(ORIENTATIONS, len(images), CELLS * CELLS)
    energy = np.einsum("oic,oic->ic", cells, cells)
    floor = 0.02 * energy.mean(axis=1, keepdims=True)
    energy = (filters["spread"] @ energy[:, :, None])[:, :, 0] + floor
    contrast = np.sqrt(np.maximum(energy, np.finfo(np.float32).tiny))
    descriptor: np.ndarray = np.sqrt(cells / contrast).transpose(1, 0, 2).reshape(len(images), -1)
    return descriptor


@cache
def _filters() -> dict[str, np.ndarray]:
    """Every step as a small matrix: blur, blurred central difference, pooling, spreading over the cells."""
    pixels, cells = np.arange(SIDE, dtype=float), np.arange(CELLS, dtype=float)
    blur = _gaussian(pixels, pixels, 0.7)
    inner = np.clip(np.arange(SIDE)[:, None] + [-1, 1], 0, SIDE - 1)
    slope = (blur[inner[:, 1]] - blur[inner[:, 0]]) / 2
    pool = _gaussian((cells + 0.5) * SIDE / CELLS - 0.5, pixels, 2.4)
    grid = _gaussian(cells, cells, 1.0)
    filters = {"blur": blur, "slope": slope, "pool": pool, "spread": np.kron(grid, grid)}
    return {name: matrix.astype(np.float32) for name, matrix in filters.items()}


def _gaussian(at: np.ndarray, of: np.ndarray, sigma: float) -> np.ndarray:
    weight = np.exp(-0.5 * ((at[:, None] - of) / sigma) ** 2)
    return np.asarray(weight / weight.sum(axis=1, keepdims=True))
