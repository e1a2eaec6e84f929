"""What the rows of each cluster sum to, and what follows from it: cost and means."""

import numpy as np
from jaxtyping import Float

__all__ = ["ClusterSums", "squared_shifts"]


class ClusterSums:
    """Sums in float64 of weighted differences from `origin` (a huge offset would eat their digits).

    `total` is the weighted sum of squares of all rows, `variance` the mean variance of the columns.
    """

    total: float
    variance: float

    def __init__(self, origin: np.ndarray, k: int) -> None:
        self.origin = origin
        width = len(origin) + 2  # the numbers, the weight, the rows that have one
        self._sums, self._lost = np.zeros((k, width)), np.zeros((k, width))  # lost: what rounding took

    @property
    def sums(self) -> Float[np.ndarray, "k d"]:
        return self._sums[:, :-2] + self._lost[:, :-2]

    @property
    def mass(self) -> Float[np.ndarray, " k"]:
        return self._sums[:, -2] + self._lost[:, -2]

    @property
    def n_rows(self) -> Float[np.ndarray, " k"]:
        """Rows with a weight above 0, exactly."""
        return self._sums[:, -1]

    def inertia(self, centers: Float[np.ndarray, "k d"]) -> float:
        """From the sums alone, if each row is at the center of its cluster."""
        from sortal.kernels.lloyd_sums_loops import inertia_of_sums

        return float(inertia_of_sums(self.total, centers, self.origin, self._sums, self._lost))

    def means(
        self, centers: Float[np.ndarray, "k d"], room: Float[np.ndarray, "k d"] | None = None
    ) -> Float[np.ndarray, "k d"]:
        """The mean of each cluster, in `room` if given; a cluster without weight keeps its center."""
        from sortal.kernels.lloyd_sums_loops import move_centers

        means = np.empty_like(centers) if room is None else room
        np.copyto(means, centers)
        move_centers(means, self.origin, self._sums, self._lost)
        return means


def squared_shifts(new: Float[np.ndarray, "k d"], old: Float[np.ndarray, "k d"]) -> Float[np.ndarray, " k"]:
    """The square of how far each center moved."""
    from sortal.kernels import lloyd_sums_loops

    squared: np.ndarray = lloyd_sums_loops.squared_shifts(new, old)
    return squared
