"""How well groups agree with names that are known."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.metrics.cluster import contingency_matrix

from sortal.arrays import Labels
from sortal.errors import InputError

__all__ = ["Agreement", "agreement", "matched_accuracy"]


@dataclass(frozen=True)
class Agreement:
    """Groups against known names; 1 is perfect in all three."""

    named: int  # items compared
    accuracy: float  # by the best one-to-one matching of groups and names
    nmi: float  # normalised mutual information
    ari: float  # adjusted Rand index; 0 is chance


def agreement(names: Sequence[Any] | np.ndarray, labels: Labels) -> Agreement:
    """How well `labels` agree with `names`, one of each per item.

    Items that a method left out (-1) count as one more group for NMI and ARI, and as wrong for the accuracy.
    """
    accuracy = matched_accuracy(names, labels)
    nmi, ari = normalized_mutual_info_score(names, labels), adjusted_rand_score(names, labels)
    return Agreement(len(labels), accuracy, float(nmi), float(ari))


def matched_accuracy(names: Sequence[Any] | np.ndarray, labels: Labels) -> float:
    """The share of items that are right when groups and names are matched one to one as well as can be.

    Source: Kuhn 1955, the Hungarian method. A group or name left over counts as wrong, and so does -1.
    """
    if len(names) != len(labels) or len(labels) == 0:
        raise InputError(
            f"names and labels must hold one entry for each item, at least one; "
            f"got {len(names)} and {len(labels)}."
        )
    grouped = np.asarray(labels) >= 0
    if not grouped.any():
        return 0.0
    table = contingency_matrix(np.asarray(names)[grouped], np.asarray(labels)[grouped])
    return float(table[linear_sum_assignment(table, maximize=True)].sum() / len(labels))
