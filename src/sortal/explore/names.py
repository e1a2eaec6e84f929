"""What people's names say about groups: a name for each group, who disagrees, and how well the two agree."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sortal.arrays import Labels, Mask
from sortal.errors import InputError

if TYPE_CHECKING:
    from sortal.cluster import Agreement

__all__ = ["Conflict", "GroupName", "agreement", "name_groups"]

Names = Sequence[str | None]


@dataclass(frozen=True)
class Conflict:
    """Members of a group that carry another name than most of their group."""

    name: str
    size: int
    #: the first 12 of them
    positions: tuple[int, ...]


@dataclass(frozen=True)
class GroupName:
    """A group's name: the one most of its named members carry; None where nobody has named one."""

    number: int
    name: str | None
    #: members that carry any name, and the share of those that carry this one
    named: int
    share: float | None
    #: the other names, most frequent first
    conflicts: tuple[Conflict, ...]
    #: members marked "none of these"
    none: int


def name_groups(names: Names, labels: Labels, none: Mask | None = None) -> list[GroupName]:
    """A `GroupName` per group number, in the order of the numbers; -1 is no group.

    `none` tells which items were marked "none of these". Where two names are equally frequent, the one given
    to the lower position wins.
    """
    labels = _checked(names, labels)
    members: dict[int, dict[str, list[int]]] = {int(g): {} for g in np.unique(labels) if g >= 0}
    for position, name in enumerate(names):
        if name is not None and labels[position] >= 0:
            members[int(labels[position])].setdefault(name, []).append(position)
    marked = np.bincount(labels[none & (labels >= 0)], minlength=1) if none is not None else np.zeros(1, int)
    return [
        _group_name(number, members[number], int(marked[number]) if number < len(marked) else 0)
        for number in sorted(members)
    ]


def agreement(names: Names, labels: Labels) -> "Agreement | None":
    """How well `labels` agree with `names`, over the named items; None where no item has a name.

    Items left out by the method (-1) count: as one more group for ARI and NMI, as wrong for the accuracy.
    """
    labels = _checked(names, labels)
    named = np.array([p for p, name in enumerate(names) if name is not None], dtype=np.int64)
    if not len(named):
        return None
    from sortal import cluster  # scikit-learn: a second that only the page of a pile with names needs

    return cluster.agreement([names[p] for p in named], labels[named])


def _group_name(number: int, by_name: dict[str, list[int]], none: int) -> GroupName:
    ranked = Counter({name: len(positions) for name, positions in by_name.items()}).most_common()
    named = sum(size for _, size in ranked)
    if not ranked:
        return GroupName(number, None, 0, None, (), none)
    conflicts = tuple(Conflict(name, size, tuple(by_name[name][:12])) for name, size in ranked[1:])
    return GroupName(number, ranked[0][0], named, ranked[0][1] / named, conflicts, none)


def _checked(names: Names, labels: Labels) -> np.ndarray:
    labels = np.asarray(labels)
    if labels.shape != (len(names),):
        raise InputError(
            f"labels must have one entry per item, {len(names)} here; got an array of shape {labels.shape}."
        )
    return labels
