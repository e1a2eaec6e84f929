"""First weights of a network that is made of others' layers."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["first_weights"]


@contextmanager
def first_weights(seed: int | None) -> Iterator[None]:
    """While inside, torch's CPU generator starts from `seed`; then it is as before. None leaves it alone."""
    if seed is None:
        yield
        return
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch's own would start those of GPUs anew, for good
        yield
