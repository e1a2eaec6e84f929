"""What is suggested, with the evidence; and that nothing is where there is nothing."""

import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.datasets import load_digits, make_blobs, make_circles, make_moons
from sklearn.metrics import adjusted_rand_score

from sortal.cluster import group_by, k_distances, suggest
from sortal.errors import InputError

FEW = ("kmeans", "dbscan")
SEEDS = [10, pytest.param(11, marks=pytest.mark.slow), pytest.param(12, marks=pytest.mark.slow)]

pytestmark = pytest.mark.slow  # each runs every method on a sample, many times


def without_groups(kind, seed, n=200):
    rng = np.random.default_rng(seed)
    if kind in ("square", "line"):
        return rng.uniform(size=(n, 2)) * [1, 1 if kind == "square" else 0.01]
    if kind == "cube of 10":
        return rng.uniform(size=(n, 10))
    if kind == "disc":
        angle, radius = rng.uniform(0, 2 * np.pi, n), np.sqrt(rng.uniform(size=n))
        return np.c_[radius * np.cos(angle), radius * np.sin(angle)]
    if kind == "triangle":
        return np.sort(rng.uniform(size=(n, 2)), axis=1)
    if kind == "long Gaussian":
        return rng.normal(size=(n, 5)) * [5, 2, 1, 0.5, 0.1]
    return rng.normal(size=(n, 2 if kind == "Gaussian" else 16))


KINDS = ["square", "cube of 10", "disc", "triangle", "Gaussian", "Gaussian of 16", "long Gaussian", "line"]


@pytest.mark.parametrize("seed", SEEDS)  # not among the seeds that the rules were set on
@pytest.mark.parametrize("kind", KINDS)
def test_no_groups_are_suggested_where_there_are_none(kind, seed):
    found = suggest(without_groups(kind, seed), methods=FEW, max_clusters=5, seed=seed)
    assert not found.groups
    assert str(found).startswith("no groups here: ")
    assert found.k == 1


@pytest.mark.parametrize("seed", SEEDS)
def test_blobs(seed):
    centers = [[0, 0], [8, 0], [0, 8], [8, 8]]
    x, truth = make_blobs(250, centers=centers, random_state=seed)
    found = suggest(x, methods=FEW, max_clusters=5, seed=seed)
    assert (found.groups, found.method, found.k) == (True, "kmeans", 4)
    labels = group_by(found.method, x, found.k, 0, found.params).labels
    assert adjusted_rand_score(truth, labels) > 0.99
    for n in (400, 1000):
        touching = make_blobs(n, centers=[[0, 0], [4, 0], [2, 3.5]], random_state=seed)[0]
        found = suggest(touching, methods=FEW, max_clusters=5, seed=seed)
        assert (found.groups, found.k) == (True, 3)


def test_few_handwritten_digits_are_groups():
    """Only the graph sees them: k-means cuts through, and 64 columns leave no gap."""
    x = load_digits().data[:300]
    found = suggest(x, methods=("graph", "kmeans"), max_clusters=12)
    assert (found.groups, found.method) == (True, "graph")
    assert 8 <= found.k <= 12
    assert "share neighbours more than" in found.reason


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("shape", ["rings", "moons"])
def test_groups_without_a_center_need_another_method(shape, seed):
    if shape == "rings":
        x, truth = make_circles(600, factor=0.4, noise=0.04, random_state=seed)
    else:
        x, truth = make_moons(600, noise=0.05, random_state=seed)
    found = suggest(x, methods=FEW, max_clusters=6, seed=seed)
    assert found.groups
    assert found.method in ("dbscan", "kernel")
    labels = group_by(found.method, x, found.k, 0, found.params).labels
    assert adjusted_rand_score(truth, labels) > 0.98


@pytest.mark.slow
def test_gammas_are_weighed():
    x, truth = make_circles(400, factor=0.4, noise=0.04, random_state=0)
    found = suggest(x, methods=("kernel", "dbscan"), max_clusters=4)
    assert len({one.gamma for one in found.gammas}) > 3
    assert max(found.gammas, key=lambda one: one.gap).k == 2
    assert found.groups
    labels = group_by(found.method, x, found.k, 0, found.params).labels
    assert adjusted_rand_score(truth, labels) == 1


@pytest.mark.parametrize("methods", [("kernel",), ("dbscan", "kernel")])
def test_rings_of_few_points_are_two(methods):
    """Six gammas at the k of k-means saw nothing; DBSCAN took arcs of the outer ring for groups."""
    x, truth = make_circles(200, factor=0.3, noise=0.05, random_state=0)
    for most in (3, 4, 12):
        found = suggest(x, methods=methods, max_clusters=most)
        assert found.groups
        labels = group_by(found.method, x, found.k, 0, found.params).labels
        assert adjusted_rand_score(truth, labels) == 1


@pytest.mark.parametrize("seed", [903, 907, 909])
def test_rings_too_thin_for_samples_are_cut_off(seed):
    x, truth = make_circles(200, factor=0.5, noise=0.05, random_state=seed)
    found = suggest(x, methods=("kmeans", "kernel", "dbscan"), max_clusters=6)
    assert (found.groups, found.method, found.k) == (True, "kernel", 2)
    labels = group_by(found.method, x, found.k, 0, found.params).labels
    assert adjusted_rand_score(truth, labels) == 1


@pytest.mark.parametrize("kind", ["square", "disc", "Gaussian", "long Gaussian"])
@pytest.mark.parametrize("seed", [21, 22])
def test_a_kernel_cuts_off_nothing_where_there_are_no_groups(kind, seed):
    assert not suggest(without_groups(kind, seed), methods=("kernel",), max_clusters=6, seed=seed).groups


@pytest.mark.slow
def test_all_methods_are_weighed_on_a_sample_of_digits():
    found = suggest(load_digits().data)
    assert found.groups
    assert 7 <= found.k <= 12
    assert (found.n, found.n_sample) == (1797, 1000)
    assert [one.method for one in found.methods] == [
        "graph", "kmeans", "spherical", "soft", "kernel", "kmedoids", "dbscan"
    ]  # fmt: skip
    assert not [one.refused for one in found.methods if one.refused]


def test_the_density_of_a_sample_is_carried_over_to_all():
    x = make_moons(4000, noise=0.05, random_state=0)
    found = suggest(x[0], methods=("dbscan",), n_sample=500, max_clusters=3)
    assert found.params["min_samples"] == 40  # 5 of 500
    labels = group_by("dbscan", x[0], "auto", 0, found.params).labels
    assert adjusted_rand_score(x[1], labels) > 0.95


def fits_the_schema(record):
    pages = Path(__file__).parents[2] / "docs" / "schemas"
    for name in ("organize", "cluster", "show"):
        schema = json.loads((pages / f"{name}.schema.json").read_text())["properties"]
        found = (
            schema["suggestion"] if "suggestion" in schema else schema["grouping"]["properties"]["suggestion"]
        )
        jsonschema.validate(record, found)
    return True


def test_a_suggestion_is_deterministic_readable_and_json():
    x = make_blobs(100, centers=3, random_state=0)[0]
    asked = {"methods": ("kmeans", "sklearn.cluster.HDBSCAN", "dbscan", "kernel"), "max_clusters": 5}
    found = suggest(x, **asked)
    text, told = str(found), []
    assert text == str(suggest(x, **asked, callback=told.append))
    assert told[:2] == ["weighing 1 to 5 groups", "trying kmeans"]
    assert "evidence from all 100 items" in text
    assert len([line for line in text.splitlines() if "HDBSCAN" in line]) == 1
    assert [one.k for one in found.numbers] == [1, 2, 3, 4, 5]
    record = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert fits_the_schema(record)
    assert record["method"] == found.method
    with pytest.raises(AttributeError):
        found.k = 3


def test_a_method_that_cannot_run_says_why():
    x = make_blobs(60, centers=3, random_state=0)[0]
    found = suggest(x, methods=("kmeans", "nonsense"), max_clusters=4)
    assert "method must be one of" in found.methods[1].refused
    assert "method must be one of" in str(found)
    with pytest.raises(InputError, match="no method can group these data; nonsense: method must be"):
        suggest(x, methods=("nonsense",), max_clusters=4)


@pytest.mark.parametrize(
    ("x", "options", "message"),
    [
        (np.zeros((5, 2)), {}, "needs 20 rows, .* got 5 rows: give k"),
        (np.zeros((50, 2)), {"max_clusters": 1}, "max_clusters"),
        (
            np.zeros((50, 2)),
            {"methods": "kmeans"},
            "methods must be a list of names, or None for all",
        ),
        (np.zeros((50, 2)), {"methods": ()}, "methods must be a list of names"),
        (csr_matrix(np.eye(50)), {}, r"must be dense; got a sparse matrix of shape \(50, 50\)"),
        (np.full((50, 2), np.inf), {}, "finite"),
        (np.array([["a", "b"]] * 50), {}, "must hold numbers"),
    ],
)
def test_what_suggest_refuses(x, options, message):
    with pytest.raises(InputError, match=message):
        suggest(x, **options)


@pytest.mark.parametrize("seed", [0, 1])
def test_chance_gaps_on_a_line_are_no_groups(seed):
    """Kernel k-means cut at the widest of 200 spacings: density validity .43, stability .96."""
    x = without_groups("line", 400 + seed)
    assert not suggest(x, methods=("kernel", "dbscan"), max_clusters=3, seed=seed).groups
    two = np.r_[x[:100], x[100:] + np.array([3, 0])]  # far apart they are
    assert suggest(two, methods=("kernel", "dbscan"), max_clusters=3, seed=seed).groups


def test_equal_rows_are_no_groups():
    assert not suggest(np.ones((60, 3)), methods=FEW, max_clusters=3).groups


def test_k_distances():
    x = np.array([[0.0], [1], [3], [6]])
    found = k_distances(x, 2)  # itself and one more
    assert found.curve.tolist() == [1, 1, 2, 3]
    assert k_distances(np.zeros((5, 2)), 3).eps > 0  # what DBSCAN takes
    blob = np.r_[np.random.default_rng(0).normal(size=(200, 2)), [[50, 50], [60, 60], [70, 70]]]
    assert k_distances(blob, 5).eps < 5  # under the far ones, above the blob's
    with pytest.raises(InputError, match="min_samples must be between 1 and the 4 rows"):
        k_distances(x, 5)


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_plots(tmp_path, ending):
    pytest.importorskip("matplotlib")
    found = suggest(make_blobs(60, centers=3, random_state=0)[0], methods=FEW, max_clusters=4)
    found.plot(tmp_path / f"a.{ending}")
    assert (tmp_path / f"a.{ending}").stat().st_size > 5000
    with pytest.raises(InputError, match=r"must be written to \.png"):
        found.plot(tmp_path / "a.txt")
