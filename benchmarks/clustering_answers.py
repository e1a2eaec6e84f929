"""Whether two contenders found the same, looked at before their time counts."""

from dataclasses import dataclass

import numpy as np
from clustering_data import Data
from clustering_peers import Answer


@dataclass(frozen=True)
class Verdict:
    equal: bool
    words: str


def same_centers_found(data: Data, ours: Answer, theirs: Answer) -> Verdict:
    """Equal inertia to 1e-3: from the same start two float32 programs part ways over many iterations."""
    loss, other = (_inertia(data["x"], one) for one in (ours, theirs))
    alike = np.mean(ours["labels"] == theirs["labels"])
    return Verdict(
        abs(other / loss - 1) <= 1e-3, f"inertia {_percent(other, loss)}, labels {alike:.3%} equal"
    )


def no_worse(data: Data, ours: Answer, theirs: Answer) -> Verdict:
    """Other random numbers, so another of the good optima: ours may cost 2 % more at most."""
    loss, other = (_inertia(data["x"], one) for one in (ours, theirs))
    return Verdict(loss <= 1.02 * other, f"inertia {_percent(other, loss)}")


def same_potential(data: Data, ours: Answer, theirs: Answer) -> Verdict:
    """To 5 %: another draw of the same distribution. A few seeds scatter more."""
    if len(ours["seeds"]) < 100:
        distinct = len(set(ours["seeds"].tolist())) == len(ours["seeds"])
        return Verdict(distinct, "another draw")
    loss, other = (_potential(data["x"], one["seeds"]) for one in (ours, theirs))
    return Verdict(abs(other / loss - 1) <= 0.05, f"potential {_percent(other, loss)}")


def same_labels(data: Data, ours: Answer, theirs: Answer) -> Verdict:
    """Up to 1e-4 of the rows: float32 programs round near ties otherwise."""
    alike = np.mean(ours["labels"] == theirs["labels"])
    return Verdict(bool(alike >= 1 - 1e-4), f"labels {alike:.4%} equal")


def same_groups(data: Data, ours: Answer, theirs: Answer) -> Verdict:
    """Labels identical to scikit-learn's. Others may err: in what is noise by 1e-3 of the rows, in groups by
    2 %, since a border point within reach of several may fall to any."""
    a = ours["labels"]
    if "labels" in theirs:
        differ = int((a != theirs["labels"]).sum())
        groups = f"{a.max() + 1} groups, {np.mean(a < 0):.0%} noise"
        return Verdict(differ == 0, f"{differ} labels differ" if differ else f"labels identical, {groups}")
    b = theirs["partition"]
    noise, moved = np.mean((a < 0) != (b < 0)), _moved(a, b)
    words = f"noise differs in {noise:.4%} of rows, {moved:.2%} in another group"
    return Verdict(bool(noise <= 1e-3 and moved <= 0.02), words)


def _moved(a: np.ndarray, b: np.ndarray) -> float:
    """The share of rows in another group under the best matching of the groups."""
    from scipy.optimize import linear_sum_assignment

    pairs, counts = np.unique(np.stack([a, b]) + 1, axis=1, return_counts=True)
    together = np.zeros(pairs.max(axis=1) + 1, np.int64)
    together[pairs[0], pairs[1]] = counts
    return 1 - together[linear_sum_assignment(together, maximize=True)].sum() / len(a)


def same_medoid_loss(data: Data, ours: Answer, theirs: Answer) -> Verdict:
    """Equal to 1e-6 from the same start; 1 % worse at most where candidates come in another order."""
    loss, other = (
        float(data["x"][one["medoids"]].min(axis=0).sum(dtype=np.float64)) for one in (ours, theirs)
    )
    return Verdict(loss <= 1.01 * other, f"loss {_percent(other, loss)}")


def near_medoid_loss(data: Data, ours: Answer, theirs: Answer) -> Verdict:
    """Within 1 % of full FasterPAM."""
    loss, other = (_medoid_loss(data["x"], one["medoids"]) for one in (ours, theirs))
    return Verdict(loss <= 1.01 * other, f"loss {_percent(other, loss)}")


def same_places(data: Data, ours: Answer, theirs: Answer) -> Verdict:
    """Centers to 2e-2, which is less than a hundredth of a group's width times its distance to the next."""
    if ours["centers"].shape != theirs["centers"].shape:
        return Verdict(False, "other centers")
    apart = float(np.abs(ours["centers"] - theirs["centers"]).max())
    return Verdict(apart <= 2e-2, f"centers at most {apart:.1e} apart")


def same_kernel_cost(data: Data, ours: Answer, theirs: Answer) -> Verdict:
    """Ours may cost 1e-3 more at most, in the kernel's space."""
    cost, other = (_kernel_cost(data, one["labels"]) for one in (ours, theirs))
    alike = np.mean(ours["labels"] == theirs["labels"])
    return Verdict(cost <= 1.001 * other, f"cost {_percent(other, cost)}, labels {alike:.3%} equal")


def _percent(theirs: float, ours: float) -> str:
    """How much more theirs is than ours."""
    return f"{100 * (theirs / ours - 1):+.2g} %"


def _inertia(x: np.ndarray, answer: Answer) -> float:
    centers, labels = answer["centers"].astype(np.float64), answer["labels"]
    blocks = (slice(at, at + 8192) for at in range(0, len(x), 8192))
    return float(sum(((x[rows] - centers[labels[rows]]) ** 2).sum() for rows in blocks))


def _potential(x: np.ndarray, seeds: np.ndarray) -> float:
    """On a tenth of the rows, which stand for all."""
    from sklearn.metrics import pairwise_distances_argmin_min

    return float((pairwise_distances_argmin_min(x[::10], x[seeds])[1] ** 2).sum())


def _medoid_loss(x: np.ndarray, medoids: np.ndarray) -> float:
    from sklearn.metrics import pairwise_distances_argmin_min

    return float(pairwise_distances_argmin_min(x, x[medoids])[1].sum(dtype=np.float64))


def _kernel_cost(data: Data, labels: np.ndarray) -> float:
    """n - sum over groups of the mean kernel value within, times its size; block by block."""
    x, gamma = data["x"], float(data["gamma"])
    squares = np.einsum("nd,nd->n", x, x)
    cost = float(len(x))
    for group in np.unique(labels):
        rows = x[labels == group]
        own = squares[labels == group]
        kernel = np.exp(-gamma * (own[:, None] + own - 2 * rows @ rows.T))
        cost -= float(kernel.sum(dtype=np.float64)) / len(rows)
    return cost
