import os
import subprocess
import sys
import warnings
from inspect import unwrap

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.estimator_checks import parametrize_with_checks

from sortal.cluster import (
    SharedNeighborClustering,
    by_falling_size,
    matched_accuracy,
    shared_neighbor_clustering,
)
from sortal.cluster.graph import neighbor_vote
from sortal.errors import InputError


@pytest.fixture(scope="module")
def digits():
    data = load_digits()
    return data.data.astype(np.float32), data.target


def blobs(sizes, d=20, spread=0.3, seed=0):
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(len(sizes), d))
    truth = np.repeat(np.arange(len(sizes)), sizes)
    return (centers[truth] + spread * rng.normal(size=(len(truth), d))).astype(np.float32), truth


@pytest.mark.slow
@parametrize_with_checks([SharedNeighborClustering(n_clusters=3, n_init=2)])
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def test_digits_from_their_pixels(digits):
    x, truth = digits
    result = shared_neighbor_clustering(x, 10)
    # k-means on the same pixels reaches .79, this .89.
    assert matched_accuracy(truth, result.labels) > 0.87
    assert result.points.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(result.points, axis=1), 1, atol=1e-5)  # float32 unit rows
    sizes = np.bincount(result.labels)
    assert (np.diff(sizes) <= 0).all()


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bits_on_any_number_of_threads(digits, monkeypatch):
    results = []
    for threads in ("1", "2"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        results.append(shared_neighbor_clustering(digits[0], 10, seed=3))
    one, two = results
    assert np.array_equal(one.labels, two.labels)
    assert np.array_equal(one.points, two.points)
    assert np.array_equal(one.embedding, two.embedding)


def test_a_memory_map_is_grouped_as_an_array_is(tmp_path):
    x, _ = blobs([60, 50, 40])
    x.tofile(tmp_path / "x")
    mapped = np.memmap(tmp_path / "x", np.float32, "r", shape=x.shape)
    assert np.array_equal(
        shared_neighbor_clustering(mapped, 3).labels, shared_neighbor_clustering(x, 3).labels
    )


def test_a_shift_a_turn_and_a_scale_of_the_space_change_nothing():
    x, _ = blobs([80, 70, 60])
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(20, 20)))[0]
    moved = (x @ turn * 7 + 5).astype(np.float32)
    assert np.array_equal(
        shared_neighbor_clustering(x, 3).labels, shared_neighbor_clustering(moved, 3).labels
    )


def test_the_order_of_items_does_not_matter():
    x, truth = blobs([80, 70, 60])
    order = np.random.default_rng(0).permutation(len(x))
    assert (
        matched_accuracy(
            shared_neighbor_clustering(x, 3).labels[order], shared_neighbor_clustering(x[order], 3).labels
        )
        == 1
    )
    assert matched_accuracy(truth, shared_neighbor_clustering(x, 3).labels) == 1


@pytest.mark.slow
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8, 21, 60])
@pytest.mark.parametrize("d", [1, 2, 50])
@pytest.mark.parametrize("kind", ["random", "equal", "pairs", "zeros"])
def test_piles_smaller_than_every_number_in_the_recipe(n, d, kind):
    rng = np.random.default_rng(n)
    rows = rng.normal(size=(n, d))
    rows = {
        "random": rows,
        "equal": np.full((n, d), 3.1),
        "pairs": rows[np.arange(n) // 2],
        "zeros": 0 * rows,
    }[kind]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for k in {1, min(2, n), n, "auto"}:
            result = shared_neighbor_clustering(rows.astype(np.float32), k)
            assert result.labels.shape == (n,)
            assert result.n_clusters == result.labels.max() + 1
            assert np.isfinite(result.points).all()
            assert np.isfinite(result.embedding).all()
            if kind in ("equal", "zeros"):
                assert result.n_clusters == 1
            if kind == "random" and d == 50 and k != "auto":
                assert result.n_clusters == k  # all distinct: as many groups as asked for, up to one each


def families(seed):
    """Three families of three tight parts of 30; no part holds a neighbour of another."""
    rng = np.random.default_rng(seed)
    parts = np.repeat(6 * rng.normal(size=(3, 12)), 3, axis=0) + 1.5 * rng.normal(size=(9, 12))
    return (np.repeat(parts, 30, axis=0) + 1e-3 * rng.normal(size=(270, 12))).astype(np.float32)


@pytest.mark.slow
def test_more_parts_than_groups_are_joined_by_likeness():
    scores = []
    for seed in range(10):
        labels = shared_neighbor_clustering(families(seed), 3).labels
        assert all(len(set(part)) == 1 for part in labels.reshape(9, 30))
        scores.append(matched_accuracy(np.repeat(np.arange(3), 90), labels))
    assert np.mean(scores) > 0.75  # measured .85; without ties .55
    alone = shared_neighbor_clustering(families(0), 9).labels
    assert matched_accuracy(np.repeat(np.arange(9), 30), alone) == 1


@pytest.mark.slow
def test_a_crowd_of_eigenvalues_near_one_still_ends():
    x = np.repeat(np.random.default_rng(0).normal(size=(100, 30)), 50, axis=0).astype(np.float32)
    result = shared_neighbor_clustering(x, 10)
    assert result.n_clusters == 10
    for copies in result.labels.reshape(100, 50):
        assert len(set(copies)) == 1


def test_unequal_groups_keep_their_sizes():
    x, truth = blobs([600, 60, 40], spread=0.2)
    result = shared_neighbor_clustering(x, 3)
    assert np.bincount(result.labels).tolist() == [600, 60, 40]
    assert matched_accuracy(truth, result.labels) == 1


def test_auto_shows_its_evidence_and_finds_clear_groups():
    x, _ = blobs([90, 80, 70, 60], spread=0.2)
    result = shared_neighbor_clustering(x, "auto")
    assert result.n_clusters == 4
    assert [candidate.n_clusters for candidate in result.candidates] == list(range(2, 21))
    best = max(result.candidates, key=lambda candidate: candidate.silhouette)
    assert best.n_clusters == 4
    assert np.array_equal(result.labels, shared_neighbor_clustering(x, 4).labels)


def test_new_items_join_the_group_of_their_neighbours(digits):
    x, _ = digits
    model = SharedNeighborClustering(10, random_state=0).fit(x[::2])
    together = shared_neighbor_clustering(x, 10).labels
    # Measured .98: the fit saw only half of the graph.
    assert matched_accuracy(together[1::2], model.predict(x[1::2])) > 0.94
    assert (model.predict(x[::2]) == model.labels_).mean() > 0.97


def test_votes_are_shares_and_a_stranger_to_all_gets_none():
    points = np.eye(4, dtype=np.float32)
    queries = np.array([[1, 0, 0, 0], [0.6, 0.8, 0, 0], [0, 0, 0, 0]], np.float32)
    votes = neighbor_vote(queries, points, np.array([0, 1, 1, 0], np.int32))
    np.testing.assert_allclose(votes, [[1, 0], [0.6 / 1.4, 0.8 / 1.4], [0, 0]], rtol=1e-6)  # float32 cosines


def test_numbers_follow_size_then_first_item():
    assert by_falling_size(np.array([7, 2, 2, 5, 5, 9])).tolist() == [2, 0, 0, 1, 1, 3]


@pytest.mark.parametrize(
    ("k", "more", "message"),
    [
        (6, {}, "between 1 and the number of samples; got n_clusters=6 for n_samples=5"),
        (0, {}, "got n_clusters=0"),
        ("many", {}, "must be 'auto' or an integer"),
        (True, {}, "must be 'auto' or an integer"),
        (2, {"n_neighbors": 0}, "n_neighbors must be an integer of at least 1; got 0"),
        (2, {"n_init": -1}, "n_init must be"),
    ],
)
def test_a_wrong_parameter_is_named(k, more, message):
    estimator = SharedNeighborClustering(k, **more)
    with pytest.raises(InputError, match=message):
        estimator.fit(np.eye(5))


def test_a_vector_that_is_not_finite_is_named():
    x = np.ones((50, 3), np.float32)
    x[17, 2] = np.nan
    with pytest.raises(InputError, match=r"got NaN in row 17, column 2"):
        shared_neighbor_clustering(x, 2)
    with pytest.raises(InputError, match="at least one row"):
        shared_neighbor_clustering(x[:0], 1)


EVIDENCE = """
import sys
from sklearn.datasets import load_digits
from sortal.cluster import METHODS
found = METHODS["graph"](load_digits().data.astype("float32"), "auto", 0)
sys.stdout.buffer.write(found.labels.tobytes() + found.points.tobytes() + repr(found.evidence).encode())
"""


@pytest.mark.slow
def test_evidence_has_the_same_bits_in_processes_of_one_and_two_threads():
    one, two = (
        subprocess.run(
            [sys.executable, "-c", EVIDENCE],
            env={**os.environ, "OMP_NUM_THREADS": threads},
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
        for threads in ("1", "2")
    )
    assert b"silhouette" in one
    assert one == two


def huge_column(x):
    return np.column_stack([x, np.full(len(x), 1e8)])


@pytest.mark.parametrize(
    "change", [lambda x: x + 1e7, huge_column, lambda x: x * 1e25, lambda x: x * 1e300, lambda x: x * 1e-25]
)
def test_groups_stand_whatever_the_units(change):
    x, truth = blobs([80, 70, 60])
    labels = SharedNeighborClustering(3, random_state=0).fit_predict(change(x.astype(np.float64)))
    assert matched_accuracy(truth, labels) == 1


def test_fewer_groups_than_asked_for_is_said():
    line = np.arange(20.0)[:, None]  # of two directions
    with pytest.warns(ConvergenceWarning, match=r"groups \(6\) found smaller than n_clusters \(15\)"):
        SharedNeighborClustering(15, random_state=0).fit(line)


def test_each_step_is_told(capsys):
    x, told = blobs([30, 30])[0], []
    shared_neighbor_clustering(x, 2, n_init=3, callback=told.append)
    assert told[0] == "half-whitening 60 rows"
    assert told[-1] == "grouping 60 rows of 4 eigenvectors into 2 groups, 3 starts"
    SharedNeighborClustering("auto", verbose=1).fit(x)
    assert "weighing 2 to 20 groups\n" in capsys.readouterr().out


def test_equal_rows_are_not_torn_apart():
    x = np.random.default_rng(0).normal(size=(2, 3))
    for k in (2, 3, 60):
        found = shared_neighbor_clustering(np.repeat(x, 30, axis=0), k)
        assert (found.n_clusters, found.labels.tolist()) == (2, [0] * 30 + [1] * 30)
    views = np.repeat([[0.0], [1]], 2, axis=0), np.array([[0.0], [1], [0], [1]])
    assert shared_neighbor_clustering(views, 4).n_clusters == 4  # no two are equal in both


def test_many_groups_keep_to_few_eigenvectors():
    x, truth = blobs([5] * 200, d=40)
    result = shared_neighbor_clustering(x, 200, n_init=1)
    assert result.embedding.shape == (1000, 256)
    assert matched_accuracy(truth, result.labels) > 0.8  # measured .84 from one start


def test_integers_are_vectors_and_other_things_are_refused():
    pixels = load_digits().data[:100].astype(np.uint8)
    group = unwrap(shared_neighbor_clustering)  # without the tests' check of types
    assert np.array_equal(group(pixels, 5).labels, group(pixels.astype(float), 5).labels)
    with pytest.raises(InputError, match=r"vectors must hold numbers.*got float64 of shape \(4,\)"):
        group(np.zeros(4), 2)


def two_views(n=240, seed=0):
    """Four groups, of which one view sees the first bit and the other the second."""
    rng = np.random.default_rng(seed)
    truth = np.arange(n) % 4
    corners = rng.normal(size=(2, 2, 20))
    first, second = (
        (corners[v, (truth >> v) & 1] + 0.3 * rng.normal(size=(n, 20))).astype(np.float32) for v in (0, 1)
    )
    return first, second, truth


def test_views_together_find_what_neither_sees():
    first, second, truth = two_views()
    alone = [matched_accuracy(truth, shared_neighbor_clustering(view, 4).labels) for view in (first, second)]
    together = shared_neighbor_clustering([first, second], 4)
    assert max(alone) < 0.7
    assert matched_accuracy(truth, together.labels) > 0.95
    np.testing.assert_allclose(np.linalg.norm(together.points, axis=1), 1, atol=1e-5)  # float32 unit rows
    one, two = (whitening(view) for whitening, view in zip(together.whitenings, (first, second)))
    cosines = (one @ one.T + two @ two.T) / 2
    np.testing.assert_allclose(together.points @ together.points.T, cosines, atol=1e-5)


def test_one_view_in_a_list_is_the_view():
    x, _ = blobs([60, 50, 40])
    alone, listed = shared_neighbor_clustering(x, 3), shared_neighbor_clustering([x], 3)
    assert np.array_equal(alone.labels, listed.labels)
    assert np.array_equal(alone.points, listed.points)


def test_views_of_other_items_are_refused():
    with pytest.raises(InputError, match=r"as many rows as there are items; got \[20, 21\]"):
        shared_neighbor_clustering([np.eye(20), np.eye(21)], 2)
