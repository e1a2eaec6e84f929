import numpy as np
import pytest
from sklearn.datasets import make_blobs, make_circles
from sklearn.metrics import (
    adjusted_rand_score,
    calinski_harabasz_score,
    davies_bouldin_score,
    silhouette_score,
)

import sortal.cluster
from sortal.cluster import (
    KMeans,
    agreement,
    density_validity,
    gap_statistic,
    indices,
    matched_accuracy,
    stability,
)
from sortal.errors import InputError


def test_groups_are_matched_one_to_one():
    names = ["a", "a", "a", "b", "b", "c"]
    assert matched_accuracy(names, np.array([1, 1, 1, 0, 0, 2])) == 1
    assert matched_accuracy(names, np.array([0, 0, 0, 0, 0, 0])) == 0.5
    # Taking the commonest name for each group would count 6 of 6; one to one, two of group "a" are wrong.
    assert matched_accuracy(names, np.array([0, 1, 1, 2, 2, 3])) == pytest.approx(5 / 6)
    # What a method left out is wrong, also where all that was left out carries one name.
    assert matched_accuracy(names, np.array([-1, 0, 0, 1, 1, -1])) == pytest.approx(4 / 6)
    assert matched_accuracy(names, np.full(6, -1)) == 0


def test_agreement_gathers_three_measures():
    names, labels = np.array([0, 0, 1, 1, 2, 2]), np.array([1, 1, 0, 0, 0, 2])
    found = agreement(names, labels)
    assert found.accuracy == pytest.approx(5 / 6)
    assert found.ari == adjusted_rand_score(names, labels)
    assert 0 < found.nmi < 1


def test_lengths_must_agree():
    with pytest.raises(InputError, match="got 2 and 3"):
        matched_accuracy(["a", "b"], np.zeros(3, int))


def test_the_package_lists_all_it_offers():
    assert len(set(sortal.cluster.__all__)) == len(sortal.cluster.__all__)
    assert all(hasattr(sortal.cluster, name) for name in sortal.cluster.__all__)


# ---- groups by themselves


def slow_dbcv(x, labels):
    """Moulavi et al. 2014 word for word, with loops and powers; small data of few dimensions only."""
    n, dim = x.shape
    distance = np.sqrt(((x[:, None] - x) ** 2).sum(axis=2))
    core = np.zeros(n)
    for i in range(n):
        own = [j for j in range(n) if labels[j] == labels[i] >= 0 and j != i]
        powers = sum((1 / distance[i, j]) ** dim for j in own)
        core[i] = (powers / len(own)) ** (-1 / dim) if own else 0
    reach = np.maximum(distance, np.maximum(core[:, None], core))
    inner, sparseness = {}, {}
    for g in sorted(set(labels) - {-1}):
        rows = np.flatnonzero(labels == g)
        tree, inside = [], [0]
        while len(inside) < len(rows):  # ties of reachability are common, and the tree then depends on them
            outside = [j for j in range(len(rows)) if j not in inside]
            edge = min((reach[rows[i], rows[j]], j, inside.index(i), i) for i in inside for j in outside)
            tree.append((edge[3], edge[1], edge[0]))
            inside.append(edge[1])
        degree = np.bincount([end for edge in tree for end in edge[:2]], minlength=len(rows))
        keep = degree > 1 if (degree > 1).any() else degree > 0
        inner[g] = rows[keep]
        between = [v for i, j, v in tree if keep[i] and keep[j]]
        sparseness[g] = max(between) if between else max(v for _, _, v in tree)
    total = 0
    for g in inner:
        gap = min(reach[np.ix_(inner[g], inner[h])].min() for h in inner if h != g)
        total += (labels == g).sum() / n * (gap - sparseness[g]) / max(gap, sparseness[g])
    return total


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("d", [1, 2, 3])
def test_density_validity_is_the_papers(seed, d):
    rng = np.random.default_rng(seed)
    x, labels = rng.normal(size=(60, d)), rng.integers(-1, 3, size=60)
    x[labels == 1] += 3
    # Powers against logarithms: the last digits.
    assert density_validity(x, labels) == pytest.approx(slow_dbcv(x, labels), rel=1e-9)


def test_density_validity_does_not_mind_shape():
    x, rings = make_circles(400, factor=0.4, noise=0.02, random_state=0)
    halves = (x[:, 0] > 0).astype(int)
    assert density_validity(x, rings) > 0.5
    assert density_validity(x, halves) < 0
    assert indices(x, halves).silhouette > indices(x, rings).silhouette  # which does


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_density_validity_of_odd_shapes(scale):
    x = scale * np.array([[0.0], [1], [2], [10], [11], [12]])
    labels = np.array([0, 0, 0, 1, 1, 1])
    assert density_validity(x, labels) == pytest.approx(density_validity(x / scale, labels))
    pairs = scale * np.array([[0.0], [1], [10], [11]])
    assert density_validity(pairs, np.array([0, 0, 1, 1])) == pytest.approx((9 - 1) / 9)
    duplicates = np.repeat(pairs[[0, 2]], 3, axis=0)
    assert density_validity(duplicates, labels) == 1
    assert density_validity(np.zeros((6, 2)), labels) == 0
    wide = np.random.default_rng(0).normal(size=(40, 5000)) + np.repeat([[0], [3]], 20, axis=0)
    assert 0 < density_validity(wide, np.repeat([0, 1], 20)) < 1
    assert density_validity(x, np.array([0, 0, 0, 0, 0, 1])) == 0  # a row cut off was worth 5/6
    assert density_validity(x, np.arange(6)) == 0
    lone = np.array([0, 0, 0, 1, 1, 2])  # a group of one counts as left out
    assert density_validity(x, lone) == density_validity(x, np.where(lone == 2, -1, lone))


def test_indices_are_scikit_learns():
    x, labels = make_blobs(150, centers=3, random_state=0)
    found = indices(x, labels)
    assert found.silhouette == pytest.approx(silhouette_score(x, labels))
    assert found.davies_bouldin == pytest.approx(davies_bouldin_score(x, labels))
    assert found.calinski_harabasz == pytest.approx(calinski_harabasz_score(x, labels))
    assert (found.n_groups, found.left_out) == (3, 0)
    labels[:10] = -1
    less = indices(x, labels)
    assert less.left_out == 10
    assert less.silhouette == pytest.approx(silhouette_score(x[10:], labels[10:]))


@pytest.mark.parametrize("labels", [np.zeros(5, int), np.arange(5), np.full(5, -1)])
def test_indices_that_are_not_defined_are_none(labels):
    found = indices(np.random.default_rng(0).normal(size=(5, 2)), labels)
    assert (found.silhouette, found.davies_bouldin, found.calinski_harabasz, found.density) == (None,) * 4


@pytest.mark.parametrize(
    ("x", "labels", "message"),
    [
        (np.zeros((3, 2)), np.zeros(2, int), "one integer for each of the 3 rows"),
        (np.zeros((3, 2)), np.zeros(3), "one integer"),
        (np.array([[np.nan], [1.0]]), np.zeros(2, int), "finite"),
        (np.zeros((3, 2)), np.zeros(3, int), "at least two groups; got 1"),
    ],
)
def test_density_validity_refuses(x, labels, message):
    with pytest.raises(InputError, match=message):
        density_validity(x, labels)


def test_what_no_index_can_be_taken_of_is_said():
    with pytest.raises(InputError, match=r"metric must be one that scipy.* knows; got 'near'"):
        density_validity(np.eye(4), np.array([0, 0, 1, 1]), metric="near")
    with pytest.raises(InputError, match="n_references must be an integer of at least 1; got 0"):
        gap_statistic(np.eye(4), [1, 2], n_references=0)
    with pytest.raises(InputError, match=r"group must give a label for each of 7 rows; got shape \(3,\)"):
        stability(np.eye(10), lambda rows: np.zeros(3))


# ---- against chance, under resampling


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_gap_finds_the_number_and_says_one_where_there_are_no_groups(seed):
    rng = np.random.default_rng(seed)
    blobs = make_blobs(100, centers=[[0, 0], [9, 0], [0, 9]], random_state=seed)[0]
    few = {"n_references": 5, "n_init": 2, "seed": seed}
    found = gap_statistic(blobs, range(1, 5), **few)
    assert found.numbers[int(np.argmax(found.gap))] == 3
    pair = make_blobs(100, centers=[[0, 0], [9, 0]], random_state=seed)[0]
    assert gap_statistic(pair, range(1, 5), **few).best == 2
    assert gap_statistic(rng.normal(size=(100, 3)), range(1, 4), **few).best == 1


def test_gap_of_equal_rows_is_one_group():
    assert gap_statistic(np.ones((10, 2)), range(1, 4), n_references=2).best == 1


@pytest.mark.slow
def test_gap_does_not_depend_on_place_scale_or_turn():
    x = make_blobs(100, centers=3, random_state=0)[0]
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    a, b = gap_statistic(x, [1, 2]), gap_statistic(1000 * x @ turn + 5e4, [1, 2])
    assert a.gap == pytest.approx(b.gap, abs=0.2)  # axes may come mirrored: the same box, other draws
    assert a == gap_statistic(x, [1, 2])


@pytest.mark.parametrize("numbers", [[], [0, 1], [2, 1], [1, 1], [1, 11]])
def test_gap_refuses_numbers(numbers):
    with pytest.raises(InputError, match="numbers must ascend from 1 to at most the 10 rows"):
        gap_statistic(np.random.default_rng(0).normal(size=(10, 2)), numbers)


def test_stability():
    x = make_blobs(120, centers=[[0, 0], [9, 0], [0, 9]], random_state=0)[0]

    def by_k(k):
        return lambda rows: KMeans(k, n_init=3, random_state=0).fit(rows).labels_

    assert stability(x, by_k(3)) == 1
    assert stability(x, by_k(7)) < 0.9
    rng = np.random.default_rng(0)
    assert abs(stability(x, lambda rows: rng.integers(0, 3, len(rows)))) < 0.1  # chance is 0
    with pytest.raises(InputError, match="got 1 draws"):
        stability(x, by_k(3), n_draws=1)
