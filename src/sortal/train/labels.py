"""What must hold of names before a network can learn them, and what is done where they are uneven."""

from typing import TYPE_CHECKING

import numpy as np

from sortal.arrays import Labels
from sortal.errors import InputError
from sortal.progress import counted

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["balancing_weights", "check_labels", "uneven"]

UNEVEN = 1.5  # the largest name's items over the smallest's: below this, weights only add noise


def check_labels(labels: Labels, names: tuple[str, ...], *, held_out: bool) -> None:
    """`InputError` unless every item has a name, there are two names, and each can be split if it has to be.

    Labels are the numbers of names; -1 is an item without one.
    """
    missing = int((labels < 0).sum())
    if missing:
        raise InputError(
            f"labels must be given for every item; {counted(missing, 'item')} of {len(labels):,} has none. "
            "Name them or leave them out."
        )
    counts = np.bincount(labels, minlength=len(names))
    if np.count_nonzero(counts) < 2:
        only = f"all {len(labels):,} are {names[int(counts.argmax())]!r}" if len(labels) else "there are none"
        raise InputError(f"labels must hold at least two names, so that there is a choice to learn; {only}.")
    if held_out and (counts == 1).any():
        single = [repr(names[i]) for i in np.flatnonzero(counts == 1)]
        raise InputError(
            f"a name needs two items, one to learn from and one to be judged by; {', '.join(single[:5])} "
            f"{'has' if len(single) == 1 else 'have'} one. Add items, merge names, or leave it out."
        )


def uneven(labels: Labels) -> bool:
    """Whether the largest name has so many more items than the smallest that each item is weighted."""
    counts = np.bincount(labels)
    some = counts[counts > 0]
    return bool(some.max() >= UNEVEN * some.min())


def balancing_weights(labels: Labels, names: tuple[str, ...]) -> tuple["Tensor | None", str | None]:
    """Weights that let every name count the same in the loss, and a line that says so; None where even."""
    if not uneven(labels):
        return None, None
    import torch

    from sortal.tasks import class_weights

    counts = np.bincount(labels, minlength=len(names))
    most, least = int(counts.argmax()), int(np.where(counts > 0, counts, counts.max()).argmin())
    said = (
        f"names are uneven, {names[most]!r} has {counts[most]:,} items, {names[least]!r} {counts[least]:,}: "
        "each item is weighted so that every name counts the same in the loss"
    )
    return class_weights(torch.from_numpy(labels), len(names)), said
