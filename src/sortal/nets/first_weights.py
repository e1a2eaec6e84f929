"""First weights of a network that is made of others' layers."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["first_weights"]


@contextmanager
def first_weights(seed: int | None) -> Iterator[None]:
    """While inside, torch's generator starts from `seed`; then it is as it was. None leaves it alone."""
    if seed is None:
        yield
        return
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
