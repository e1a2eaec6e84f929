"""The methods by name, and groupings side by side."""

import importlib.util

import numpy as np
import pytest
from sklearn.cluster import DBSCAN, HDBSCAN, AgglomerativeClustering
from sklearn.datasets import load_digits, make_blobs, make_circles

from sortal.cluster import (
    METHODS,
    compare,
    group_by,
    k_distances,
    shared_neighbor_clustering,
    split_views,
    takes_number,
)
from sortal.cluster.methods import sklearn_clusterer
from sortal.errors import InputError
from sortal.update import METHODS as NAMES

DIGITS = load_digits().data[:300].astype(np.float32)
BLOBS = make_blobs(200, centers=3, cluster_std=0.5, random_state=0)[0]


def test_pile_names_the_methods_there_are():
    assert tuple(METHODS) == NAMES


@pytest.mark.parametrize("method", [name for name in METHODS if name != "dbscan"])
def test_every_method_numbers_groups_by_size_and_gives_unit_rows(method):
    found = group_by(method, DIGITS, 5, 0)
    sizes = np.bincount(found.labels)
    assert found.n_groups == 5
    assert len(sizes) == 5
    assert list(sizes) == sorted(sizes, reverse=True)
    assert np.allclose(np.linalg.norm(found.points, axis=1), 1, atol=1e-6)  # float32


@pytest.mark.parametrize("method", [name for name in METHODS if name not in ("graph", "dbscan")])
def test_only_the_graph_can_guess(method):
    with pytest.raises(InputError, match=f"{method} needs the number of groups; got k='auto'"):
        group_by(method, np.eye(4, dtype=np.float32), "auto", 0)


def test_dbscan_finds_the_number_and_an_eps_itself():
    found = group_by("dbscan", BLOBS, "auto", 0)
    assert found.evidence["eps"] == k_distances(BLOBS, 5).eps
    same = DBSCAN(eps=found.evidence["eps"]).fit(BLOBS).labels_
    assert np.array_equal(same < 0, found.labels < 0)
    with pytest.raises(InputError, match="dbscan finds the number of groups itself; got k=3"):
        group_by("dbscan", BLOBS, 3, 0)


def test_scikit_learns_by_dotted_name():
    found = group_by("sklearn.cluster.HDBSCAN", BLOBS, "auto", 0, {"min_cluster_size": 20})
    expected = HDBSCAN(min_cluster_size=20).fit(BLOBS).labels_
    assert np.array_equal(expected < 0, found.labels < 0)
    assert len(set(zip(expected.tolist(), found.labels.tolist()))) == len(set(expected.tolist()))
    assert found.labels.dtype == np.int32
    params = {"n_clusters": None, "distance_threshold": 3.0, "linkage": "single"}
    found = group_by("sklearn.cluster.AgglomerativeClustering", BLOBS, "auto", 0, params)
    assert found.n_groups == AgglomerativeClustering(**params).fit(BLOBS).n_clusters_
    assert group_by("sklearn.cluster.SpectralClustering", BLOBS, 3, 0).n_groups == 3
    assert takes_number("sklearn.cluster.Birch")
    assert not takes_number("sklearn.cluster.OPTICS")


def test_all_noise_is_no_group():
    found = group_by("sklearn.cluster.DBSCAN", BLOBS, "auto", 0, {"eps": 1e-9})
    assert found.n_groups == 0
    assert (found.labels == -1).all()


def test_what_a_method_warns_of_is_evidence():
    found = group_by("sklearn.cluster.KMeans", np.ones((5, 2)), 2, 0)
    assert "distinct clusters (1) found smaller" in found.evidence["warnings"][0]


@pytest.mark.parametrize(
    "method",
    [
        "os.system", "sklearn.svm.SVC", "sklearn.cluster", "sklearn.cluster.", "sklearn.cluster.os",
        "sklearn.cluster._kmeans.KMeans", "sklearn.cluster.k_means", "sklearn.cluster.FeatureAgglomeration",
        "sklearn.cluster.SpectralBiclustering", "sklearn.cluster.KMeans.__init__", "", "KMEANS",
    ],
)  # fmt: skip
def test_nothing_else_can_be_reached_by_a_name(method):
    with pytest.raises(InputError, match=r"must be one of graph, .*give another|one of DBSCAN, HDBSCAN"):
        group_by(method, BLOBS, 3, 0)


@pytest.mark.parametrize("name", ["memory", "verbose", "random_state", "nonsense", "__class__"])
def test_parameters_that_a_name_may_not_have(name):
    with pytest.raises(InputError, match=f"takes the parameters .*; got '{name}'"):
        group_by("sklearn.cluster.AgglomerativeClustering", BLOBS, 3, 0, {name: "x"})


@pytest.mark.parametrize(
    ("method", "k", "params", "message"),
    [
        ("sklearn.cluster.HDBSCAN", "auto", {"min_cluster_size": "many"}, "refuses: .*min_cluster_size"),
        ("sklearn.cluster.KMeans", "auto", {}, "needs the number of groups"),
        ("sklearn.cluster.OPTICS", 4, {}, "finds the number of groups itself; got k=4"),
        ("sklearn.cluster.KMeans", 201, {}, "refuses: .*201"),
        ("kmeans", 3, {"n_cluster": 3}, "kmeans takes the parameters .*; got 'n_cluster'"),
        ("graph", 3, {"eps": 3}, "graph takes the parameters n_neighbors"),
        ("kmeans", 3, {"max_iter": -1}, "max_iter"),
    ],
)
def test_what_cannot_work_is_one_line(method, k, params, message):
    with pytest.raises(InputError, match=message) as caught:
        group_by(method, BLOBS, k, 0, params)
    assert "\n" not in str(caught.value)


def test_every_clusterer_of_scikit_learn_has_its_module_in_one_place():
    import sklearn.cluster

    assert sklearn_clusterer("sklearn.cluster.MeanShift") is sklearn.cluster.MeanShift


def test_comparison_of_groupings():
    a = np.array([0, 0, 0, 0, 1, 1, 1, 1], np.int32)
    b = np.array([1, 1, 1, 0, 0, 0, 0, 0], np.int32)  # one item has changed sides
    found = compare([a, a, b])
    assert found.agreement[0, 1] == 1
    assert 0 < found.agreement[0, 2] < 1
    assert found.most_disputed(1).tolist() == [3]
    # The moved item keeps no companion of 3 + itself: 1 of 8 shared; its groups hold 4 and 5, overlap 1.
    assert found.disputed[3] == pytest.approx((0 + 2 * (1 - 1 / 8)) / 3)
    assert [(flow.a, flow.b, flow.group_a, flow.group_b, flow.n_items) for flow in found.flows] == [
        (0, 2, 0, 0, 1), (1, 2, 0, 0, 1),
    ]  # fmt: skip
    assert compare([a, 1 - a]).most_disputed(5).size == 0


def test_left_out_items_are_groups_of_their_own():
    a, b = np.array([0, 0, -1, -1], np.int32), np.array([0, 0, 1, 1], np.int32)
    found = compare([a, b])
    assert found.disputed.tolist() == [0, 0, 0.5, 0.5]
    assert compare([a, a]).agreement[0, 1] == 1
    with pytest.raises(InputError, match="two groupings or more"):
        compare([a])


@pytest.mark.skipif(importlib.util.find_spec("sortal.cluster.kernel_kmeans") is None, reason="not built")
def test_kernel_method_solves_rings():
    x, truth = make_circles(300, factor=0.3, noise=0.03, random_state=0)
    found = group_by("kernel", x, 2, 0, {"gamma": 4.0})
    assert compare([truth.astype(np.int32), found.labels]).agreement[0, 1] == 1


def test_views_side_by_side_are_grouped_by_all_of_them():
    first, second = np.random.default_rng(0).normal(size=(2, 90, 12)).astype(np.float32)
    second = second[:, :5]
    joined = np.hstack([first, second])
    assert [view.shape for view in split_views(joined, (12, 5))] == [(90, 12), (90, 5)]
    assert split_views(joined, ())[0] is joined
    found = group_by("graph", joined, 3, 0, {"n_neighbors": 7}, views=(12, 5))
    expected = shared_neighbor_clustering([first, second], 3, n_neighbors=7)
    assert np.array_equal(found.labels, expected.labels)
    assert np.array_equal(found.points, expected.points)
    assert np.array_equal(
        group_by("kmeans", joined, 3, 0, views=(12, 5)).labels, group_by("kmeans", joined, 3, 0).labels
    )
