"""The kernels of `memberships` in NumPy, with the same signatures."""

import numpy as np

__all__ = ["fuzzy_step", "soft_step"]


def soft_step(
    x: np.ndarray, origin: np.ndarray, centers: np.ndarray, weights: np.ndarray,
    memberships: np.ndarray | None = None, *, stiffness: float,
) -> tuple[np.ndarray, np.ndarray, float]:  # fmt: skip
    rows = x.astype(np.float64) - origin
    squared = ((rows[:, None] - centers) ** 2).sum(axis=2)
    least = squared.min(axis=1, keepdims=True)
    share = np.exp(-stiffness / 2 * (squared - least))
    total = share.sum(axis=1, keepdims=True)
    share /= total
    if memberships is not None:
        memberships[:] = share
    cost = weights @ (least - 2 / stiffness * np.log(total))[:, 0]
    share *= weights[:, None]
    return share.T @ rows, share.sum(axis=0), float(cost)


def fuzzy_step(
    x: np.ndarray, origin: np.ndarray, centers: np.ndarray, weights: np.ndarray,
    memberships: np.ndarray | None = None, *, fuzziness: float,
) -> tuple[np.ndarray, np.ndarray, float]:  # fmt: skip
    rows = x.astype(np.float64) - origin
    squared = ((rows[:, None] - centers) ** 2).sum(axis=2)
    least = squared.min(axis=1, keepdims=True)
    ratio = np.divide(least, squared, out=np.ones_like(squared), where=squared > least)
    share = ratio ** (1 / (fuzziness - 1))
    share /= share.sum(axis=1, keepdims=True)
    if memberships is not None:
        memberships[:] = share
    share = share**fuzziness * weights[:, None]
    return share.T @ rows, share.sum(axis=0), float((share * squared).sum())
