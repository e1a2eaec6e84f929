"""Pairs: an image and one of its neighbours, the same whenever asked."""

import numpy as np
import pytest
import torch

from sortal.train.augment import Augment
from sortal.train.normalize import Normalize
from sortal.train.pairs import PairBatches

AS_IT_IS = Normalize((0.0,), (1 / 255,))


def pairs(n, size, steps=5, *, augment=Augment(), seed=0):  # noqa: B008 (frozen)
    """Images of one level, their number; the neighbours of i are the two after it."""
    pixels = np.arange(n, dtype=np.uint8).reshape(n, 1, 1, 1).repeat(4, 1).repeat(4, 2)
    neighbors = (np.arange(n)[:, None] + [1, 2]) % n
    return PairBatches(pixels, neighbors, size, steps, AS_IT_IS, augment=augment, seed=seed)


def levels(images):
    return images[:, 0, 0, 0].round().int().tolist()


@pytest.mark.parametrize(("n", "size"), [(2, 1), (10, 4), (7, 100), (130, 64)])
def test_every_image_comes_before_any_comes_again(n, size):
    batches = list(pairs(n, size).epoch(0))
    assert len(batches) == 5
    assert {len(batch["inputs"]) for batch in batches} == {min(n, size)}
    order = [level for batch in batches for level in levels(batch["inputs"])]
    for start in range(0, len(order) - n + 1, n):
        assert sorted(order[start : start + n]) == list(range(n))


def test_a_positive_is_a_neighbour_and_each_has_its_turn():
    seen = set()
    for batch in pairs(10, 10, 20).epoch(0):
        for own, other in zip(levels(batch["inputs"]), levels(batch["positives"])):
            seen.add((other - own) % 10)
    assert seen == {1, 2}


def test_an_epoch_begun_in_the_middle_is_its_rest_and_a_seed_decides():
    how = Augment(shift=1, turn=5, elastic=0.5, gamma=0.2)
    whole, rest = (list(pairs(40, 8, augment=how).epoch(2, start)) for start in (0, 3))
    assert len(rest) == 2
    for old, new in zip(whole[3:], rest):
        assert torch.equal(old["inputs"], new["inputs"])
        assert torch.equal(old["positives"], new["positives"])
    other = next(iter(pairs(40, 8, augment=how, seed=1).epoch(2)))
    assert not torch.equal(whole[0]["inputs"], other["inputs"])


def test_what_decides_is_in_the_record():
    records = [pairs(*given).as_json() for given in ((40, 8), (41, 8), (40, 9), (40, 8, 6))]
    assert len({repr(record) for record in records}) == 4
