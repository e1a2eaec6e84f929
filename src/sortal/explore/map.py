"""A pile as a picture: two dimensions that keep neighbours together.

openTSNE (Barnes-Hut t-SNE) does the work: on 5,000 points half the time of scikit-learn's and of UMAP.
"""

from dataclasses import dataclass

import numpy as np

from sortal.arrays import Labels, Points
from sortal.errors import InputError
from sortal.explore.groups import checked_labels
from sortal.kernels import n_threads, one_blas_thread

__all__ = ["MapView", "project"]

COMPONENTS = 50  # principal components given to t-SNE, as van der Maaten and Hinton 2008 do
FEWEST = 10  # below this t-SNE has nothing to arrange, and two principal components say it all


@dataclass(frozen=True)
class MapView:
    """Where items lie on the map."""

    #: (m,) int64, ascending
    positions: np.ndarray
    #: (m, 2) float32 in [-1, 1], one scale for both axes
    xy: np.ndarray


def project(
    points: Points,
    *,
    seed: int = 0,
    most: int = 5_000,
    labels: Labels | None = None,
) -> MapView:
    """A map of `points` (n, q unit rows); above `most` items, of a sample that holds every group's share.

    Perplexity is 30, or a third of the other items where there are fewer than 91. Fewer than 10 distinct
    points are laid out by their two principal components. Same `seed`, same bits, whatever the threads.
    *Source:* van der Maaten 2014, "Accelerating t-SNE using tree-based algorithms". Where we differ: it sees
    50 principal components at most and starts from the first two (Kobak and Berens 2019); the picture is
    centred and scaled. `InputError` where a value is not finite.
    """
    if most < 1:
        raise InputError(f"most must be at least 1 point on the map; got {most}.")
    labels = checked_labels(points, np.zeros(len(points), np.int64) if labels is None else labels)
    positions = _sample(labels, most, np.random.default_rng(seed))
    rows = np.asarray(points[positions], dtype=np.float64)
    if not np.isfinite(rows).all():
        raise InputError("points must be finite; some on the map hold NaN or infinity; embed the pile again.")
    # One BLAS thread: more may round differently. openTSNE's own threads work on one point each, bit for bit.
    with one_blas_thread():
        components = _principal_components(rows)
        if len(np.unique(rows, axis=0)) < FEWEST:
            return MapView(positions, _scaled(components[:, :2]))
        return MapView(positions, _scaled(_tsne(components, seed)))


def _sample(labels: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """Positions, ascending: at least one of each group (if `most` allows), the rest in proportion to size.

    Items are put in the order of their groups, at random within each; every (n/most)th is taken.
    """
    n = len(labels)
    if n <= most:
        return np.arange(n)
    order = np.lexsort((rng.random(n), labels))
    first_of_group = np.flatnonzero(np.diff(labels[order], prepend=labels[order[0]] - 1))
    if len(first_of_group) >= most:
        first_of_group = first_of_group[:0]
    rest = np.setdiff1d(np.arange(n), first_of_group, assume_unique=True)
    wanted = most - len(first_of_group)
    even = rest[((np.arange(wanted) + 0.5) * len(rest) / wanted).astype(np.int64)]
    return np.sort(order[np.concatenate([first_of_group, even])])


def _principal_components(rows: np.ndarray) -> np.ndarray:
    """At least two columns, by the covariance's eigenvectors, each with its largest entry positive."""
    if not len(rows):
        return np.zeros((0, 2))
    centred = rows - rows.mean(axis=0)
    values, axes = np.linalg.eigh(centred.T @ centred)
    axes = axes[:, ::-1][:, :COMPONENTS]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    components: np.ndarray = centred @ axes
    components[:, values[::-1][:COMPONENTS] <= 1e-12 * max(values[-1], 1e-12)] = 0  # rounding is no direction
    missing = np.zeros((len(rows), max(0, 2 - components.shape[1])))
    return np.hstack([components, missing])


def _tsne(components: np.ndarray, seed: int) -> np.ndarray:
    from openTSNE import TSNE

    n = len(components)
    # openTSNE wants a start of standard deviation 1e-4; the jitter parts exact duplicates, which would
    # otherwise share one leaf of the tree for ever.
    start = components[:, :2] / components[:, 0].std() * 1e-4
    start = start + np.random.default_rng(seed).normal(scale=1e-6, size=start.shape)
    tsne = TSNE(
        perplexity=min(30.0, (n - 1) / 3),
        initialization=start,
        neighbors="exact",
        negative_gradient_method="bh",
        # On a busy machine threads made 11 points wait 15 s for each other.
        n_jobs=n_threads() if n > 1_000 else 1,
        random_state=seed,
    )
    return np.asarray(tsne.fit(components))


def _scaled(xy: np.ndarray) -> np.ndarray:
    if not len(xy):
        return np.zeros((0, 2), np.float32)
    centred = xy - (xy.max(axis=0) + xy.min(axis=0)) / 2
    scaled: np.ndarray = (centred / max(np.abs(centred).max(), 1e-12)).astype(np.float32)
    return scaled
