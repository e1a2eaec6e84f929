"""Which items are learned from, and which only measure."""

import numpy as np
from jaxtyping import Int

from sortal.arrays import Labels, Mask

__all__ = ["draw_evenly", "draw_per_name", "held_out_mask"]


def held_out_mask(labels: Labels, share: float, seed: int) -> Mask:
    """True for the items held out: of each label `share` of its items, rounded, at least 1, never its last.

    A label with a single item keeps it for training. Labels are 0 to k - 1.
    """
    rank, size = _rank_in_label(labels, seed), np.bincount(labels)
    n_held = np.minimum(np.maximum(np.rint(share * size), 1), size - 1)
    return np.asarray(rank < n_held[labels])


def draw_evenly(labels: Labels, limit: int, seed: int) -> Int[np.ndarray, " m"]:
    """At most `limit` indices, in order, drawn so that the labels with most items give way first."""
    order = np.argsort(_rank_in_label(labels, seed), kind="stable")
    return np.sort(order[:limit])


def draw_per_name(labels: Labels, n: int, seed: int) -> Int[np.ndarray, " m"]:
    """Indices, in order, of at most `n` items of each label; the draw of 10 holds that of 5."""
    return np.flatnonzero(_rank_in_label(labels, seed) < n)


def _rank_in_label(labels: Labels, seed: int) -> Labels:
    """The place of each item in a random order of its label's items, from 0."""
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    grouped = shuffled[np.argsort(labels[shuffled], kind="stable")]
    first = np.concatenate([[0], np.cumsum(np.bincount(labels))])
    rank = np.empty(len(labels), dtype=np.int64)
    rank[grouped] = np.arange(len(labels)) - first[labels[grouped]]
    return rank
