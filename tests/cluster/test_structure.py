"""Groups are seen where they are, and hardly ever where there are none."""

import numpy as np
import pytest
from sklearn.datasets import load_digits, make_blobs

from sortal.cluster.structure import modularity_excess, valley
from sortal.cluster.suggest import EXCESS, VALLEY

NUMBERS = tuple(range(2, 13))


def without_groups(n, d, seed):
    rng = np.random.default_rng(seed)
    normal = rng.normal(size=(n, d))
    direction = normal / np.linalg.norm(normal, axis=1, keepdims=True)
    return {
        "uniform": rng.uniform(size=(n, d)),
        "long uniform": rng.uniform(size=(n, d)) * np.logspace(0, -2, d),
        "ball": direction * rng.uniform(size=(n, 1)) ** (1 / d),
        "Gaussian": normal,
        "correlated": normal @ rng.normal(size=(d, d)),
        "long Gaussian": normal * np.logspace(0, -2, d),
        "Student's t, round": normal / np.sqrt(rng.chisquare(3, size=(n, 1)) / 3),
        "Student's t by columns": rng.standard_t(3, size=(n, d)),
        "exponential": rng.exponential(size=(n, d)),
        "log-normal": np.exp(0.7 * rng.normal(size=(n, d))),
    }


@pytest.mark.slow
def test_false_alarms_are_at_most_one_in_twenty():
    """110 draws, not those on which the thresholds were set."""
    alarms = []
    sizes = [(200, 2), (200, 8), (300, 4), (500, 2), (500, 16), (300, 64), (1000, 3), (200, 32), (200, 16),
             (400, 6), (1000, 12)]  # fmt: skip
    for seed, (n, d) in enumerate(sizes):
        for kind, x in without_groups(n, d, 100 + seed).items():
            deepest = max(valley(x, k, seed=seed) for k in (2, 3, 4, 6, 9, 12))
            most = modularity_excess(x, NUMBERS, seed=seed).max()
            if deepest >= VALLEY or most >= EXCESS:
                alarms.append((kind, n, d, deepest, most))
    assert len(alarms) <= 5, alarms


@pytest.mark.parametrize("seed", range(3))
def test_blobs_that_touch_have_valleys_between_them(seed):
    x = make_blobs(400, centers=[[0, 0], [4, 0], [2, 3.5]], random_state=seed)[0]
    assert valley(x, 3, seed=seed) >= VALLEY
    assert valley(x + 1e6, 3, seed=seed) == pytest.approx(valley(x, 3, seed=seed), abs=0.1)
    assert valley(np.random.default_rng(seed).normal(size=(400, 2)), 3, seed=seed) < 0


@pytest.mark.parametrize("n", [300, 500])
def test_the_graph_sees_digits_that_k_means_cuts_through(n):
    x = load_digits().data[:n]
    assert valley(x, 10) < VALLEY
    assert modularity_excess(x, (5, 10)).max() > EXCESS + 0.1


def test_equal_rows_and_least_data():
    for x in (np.ones((20, 2)), np.random.default_rng(0).normal(size=(20, 3))):
        assert valley(x, 4) < VALLEY
        assert modularity_excess(x, (2, 3, 4)).max() < EXCESS
