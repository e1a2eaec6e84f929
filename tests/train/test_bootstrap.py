"""Redrawn shares: around what they come from, narrower with more items, paired."""

import numpy as np
import pytest

from sortal.train.bootstrap import interval, resampled


def answers(n, shares, seeds=1, seed=0):
    random = np.random.default_rng(seed)
    return np.stack([[random.random(n) < share for _ in range(seeds)] for share in shares])


def test_the_interval_of_one_share_is_the_binomials():
    right = answers(400, [0.8])
    low, high = interval(resampled(right)[:, 0])
    share = right.mean()
    width = 2 * 1.96 * (share * (1 - share) / 400) ** 0.5
    assert low < share < high
    assert high - low == pytest.approx(width, rel=0.1)  # 2,000 rounds: the ends vary by 3 %


def test_items_are_the_same_for_all():
    right = answers(300, [0.7, 0.7])
    right[1] = right[0]
    right[1, 0, :3] = ~right[0, 0, :3]
    draws = resampled(right)
    low, high = interval(draws[:, 1] - draws[:, 0])
    assert high - low < 0.03  # of shares that differ in 3 items of 300; drawn apart it would be .15


def test_seeds_that_disagree_widen_it():
    alike = answers(300, [0.8], seeds=4)
    apart = np.stack([[row for share in (0.6, 0.75, 0.85, 1.0) for row in answers(300, [share])[0]]])
    wide, narrow = (np.ptp(interval(resampled(right)[:, 0])) for right in (apart, alike))
    assert wide > 2 * narrow


def test_the_same_seed_gives_the_same_bits():
    right = answers(50, [0.5, 0.9], seeds=2)
    assert (resampled(right) == resampled(right)).all()
    assert (resampled(np.ones((1, 1, 1), bool)) == 1).all()
