"""DBSCAN is scikit-learn's to the last label, and can say why."""

import sys
import warnings
from importlib import import_module
from itertools import count

import numpy as np
import pytest
import sklearn.cluster
from scipy.sparse import csr_matrix
from sklearn.datasets import make_circles, make_moons
from sklearn.metrics import pairwise_distances
from sklearn.neighbors import NearestNeighbors
from sklearn.utils.estimator_checks import parametrize_with_checks

from sortal.cluster import DBSCAN, dbscan
from sortal.errors import InputError


@pytest.mark.slow
@parametrize_with_checks(
    [DBSCAN(), DBSCAN(metric="precomputed")],
    # It hands 50 x 2 numbers to whatever the metric; scikit-learn's own DBSCAN fails it so, too.
    expected_failed_checks=lambda one: (
        {} if one.metric != "precomputed" else {"check_clustering": "not square"}
    ),
)
def test_contract(estimator, check):
    check(estimator)


def clumps(n, d, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(4, d))[rng.integers(0, 4, n)] + 0.25 * rng.normal(size=(n, d))


def assert_as_sklearn(X, sample_weight=None, **parameters):
    ours = DBSCAN(**parameters).fit(X, sample_weight=sample_weight)
    theirs = sklearn.cluster.DBSCAN(**parameters).fit(X, sample_weight=sample_weight)
    np.testing.assert_array_equal(ours.labels_, theirs.labels_)
    np.testing.assert_array_equal(ours.core_sample_indices_, theirs.core_sample_indices_)
    assert ours.labels_.dtype == theirs.labels_.dtype
    if isinstance(theirs.components_, np.ndarray):
        np.testing.assert_array_equal(ours.components_, theirs.components_)
        assert ours.components_.dtype == theirs.components_.dtype
    return ours


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("d", [1, 2, 3, 5, 16, 80])
def test_euclidean(d, dtype):
    X = (3 * clumps(500, d)).astype(dtype)
    for eps in (0.4 * d**0.5, 1.0, 1.1 * d**0.5):
        for min_samples in (1, 2, 6):
            assert_as_sklearn(X, eps=eps, min_samples=min_samples)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("eps", [0.02, 0.3, 1.0, np.float64(0.3), 2.5])
def test_cosine(dtype, eps):
    assert_as_sklearn(clumps(400, 30).astype(dtype), eps=eps, metric="cosine", min_samples=6)


@pytest.mark.parametrize(
    ("dtype", "powers"), [(np.float32, (-130, -40, 60, 120)), (np.float64, (-1000, -60, 600))]
)
def test_cosine_does_not_mind_the_length_of_rows(dtype, powers):
    """scikit-learn takes rows shorter than 2e-15 for zero, in float32 1e-6: all were then one group."""
    X = clumps(400, 30).astype(dtype)
    expected = DBSCAN(eps=0.3, metric="cosine").fit(X)
    lengths = np.random.default_rng(0).choice(powers, len(X))
    found = DBSCAN(eps=0.3, metric="cosine").fit(np.ldexp(X, lengths[:, None]))
    assert np.array_equal(found.labels_, expected.labels_)
    assert found.explain(3).neighbors.tolist() == expected.explain(3).neighbors.tolist()
    assert DBSCAN(eps=0.3, metric="cosine", min_samples=1).fit(np.zeros((3, 2), dtype)).labels_.max() == 2


def test_cosine_of_counts_with_ties_at_eps():
    X = np.random.default_rng(1).integers(0, 2, (300, 12)).astype(float)
    for eps in (0.25, 0.5, 1 - 2**-0.5):
        assert_as_sklearn(X, eps=eps, metric="cosine", min_samples=4)


@pytest.mark.parametrize(
    "parameters",
    [
        {"metric": "manhattan"},
        {"metric": "chebyshev"},
        {"metric": "minkowski", "p": 3},
        {"metric": "minkowski", "p": 1},
        {"metric": "minkowski", "p": 2},
        {"metric": "canberra"},
        {"metric": "braycurtis"},
        {"metric": "correlation"},
        {"metric": "sqeuclidean", "algorithm": "brute"},
        {"metric": lambda a, b: float(np.abs(a - b).max())},
        {"algorithm": "brute"},
        {"algorithm": "ball_tree", "leaf_size": 5},
    ],
)
def test_any_metric(parameters):
    for dtype in (np.float32, np.float64):
        assert_as_sklearn(clumps(120, 4).astype(dtype), eps=0.4, **parameters)


def test_blocks_of_rows_change_nothing(monkeypatch):
    module = import_module("sortal.cluster.dbscan")  # the package's own name `dbscan` is the function
    monkeypatch.setattr(module, "WHOLE_UP_TO", 10)
    X = clumps(2900, 3)  # several blocks
    assert_as_sklearn(X, eps=0.2, metric="manhattan")
    assert_as_sklearn(pairwise_distances(X), eps=0.2, metric="precomputed")


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "manhattan"])
def test_weights(metric):
    rng = np.random.default_rng(2)
    X = clumps(300, 3)
    for weights in (rng.integers(0, 4, 300), rng.random(300), rng.normal(size=300)):
        assert_as_sklearn(X, weights, eps=0.2, metric=metric, min_samples=6)


def test_weights_equal_repetitions():
    X, weights = clumps(200, 2), np.random.default_rng(3).integers(1, 4, 200)
    weighted = dbscan(X, 0.2, min_samples=9, sample_weight=weights)
    repeated = dbscan(np.repeat(X, weights, axis=0), 0.2, min_samples=9)
    np.testing.assert_array_equal(np.repeat(weighted.labels, weights), repeated.labels)


def test_weights_that_round():
    X, weights = np.zeros((10, 2)), np.full(10, 0.1)
    for min_samples in (1, 2):
        assert_as_sklearn(X, weights, eps=0.2, min_samples=min_samples)


def test_lists_of_neighbors_that_would_not_fit(monkeypatch):
    module = import_module("sortal.cluster.dbscan")
    monkeypatch.setattr(module, "free_memory", lambda: 1000)
    monkeypatch.setattr(module, "SMALL_LISTS", 1000)
    with pytest.raises(InputError, match="it has about 100 of n_samples=100, and the lists need"):
        dbscan(clumps(100, 2), 50.0, metric="manhattan")


def test_precomputed():
    X = clumps(200, 3)
    distances = pairwise_distances(X)
    assert_as_sklearn(distances, eps=0.3, metric="precomputed")
    graph = NearestNeighbors(radius=0.5).fit(X).radius_neighbors_graph(mode="distance")
    assert_as_sklearn(graph, eps=0.3, metric="precomputed")
    one_way = NearestNeighbors(n_neighbors=4).fit(X).kneighbors_graph(mode="distance")
    ours = assert_as_sklearn(one_way, eps=0.3, metric="precomputed", min_samples=4)
    assert ours.labels_.max() > 0
    assert_as_sklearn(csr_matrix(np.where(X > 0.5, X, 0)), eps=0.3)


def test_extreme_units():
    for unit in (1e-300, 1e-160, 1e150):
        assert_as_sklearn(unit * clumps(60, 2), eps=unit * 0.3)
    far = np.vstack([clumps(60, 2), [[1e15, 0]]])
    assert_as_sklearn(far, eps=0.3)


def test_law_permutation_translation():
    X = np.round(clumps(300, 2) * 64) / 64
    base = dbscan(X, 0.125, min_samples=4)
    moved = dbscan(X + 1024.0, 0.125, min_samples=4)
    np.testing.assert_array_equal(base.labels, moved.labels)
    order = np.random.default_rng(4).permutation(300)
    np.testing.assert_array_equal(dbscan(X[order], 0.125, min_samples=4).kinds, base.kinds[order])


def test_moons_and_rings():
    for X, truth in (
        make_moons(400, noise=0.04, random_state=0),
        make_circles(400, noise=0.03, factor=0.5, random_state=0),
    ):
        labels = dbscan(X, 0.2).labels
        assert len({*zip(labels, truth, strict=True)}) == 2
        assert labels.min() == 0


def test_notes_count_the_point_itself():
    X = np.array([[0.0], [1.0], [2.0], [9.0]])
    assert dbscan(X, 1.0, min_samples=3).kinds.tolist() == ["border", "core", "border", "noise"]


LINE = np.array([[0.0], [1.0], [2.0], [3.0], [4.5], [6.0], [7.0], [8.0], [20.0]])
# Within 1.5 and min_samples 3: 0..3 would be group 0, 4.5 sees both sides.


def test_explains_core_and_chain():
    why = DBSCAN(eps=1.2, min_samples=2).fit(LINE).explain(0, to=3)
    assert (why.kind, why.label, why.reached_by, why.mass) == ("core", 0, 0, 2.0)
    assert [(step.start, step.end) for step in why.chain] == [(0, 1), (1, 2), (2, 3)]
    assert all(step.distance <= 1.2 for step in why.chain)
    assert why.neighbors.tolist() == [0, 1]
    assert "0 -> 1 (1) -> 2 (1) -> 3 (1)" in str(why)


def test_explains_a_border_point_between_two_groups():
    model = DBSCAN(eps=1.5, min_samples=4).fit(
        np.array([[0.0], [0.5], [1.0], [1.5], [3.0], [4.5], [5.0], [5.5], [6.0]])
    )
    assert model.labels_.tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1]
    why = model.explain(4)
    assert (why.kind, why.groups, why.reached_by, why.label) == ("border", (0, 1), 3, 0)
    assert "within reach of groups 0 and 1" in str(why)
    assert "Core point 3, at 1.5, reaches it." in str(why)


def test_explains_noise_by_what_was_missing():
    model = DBSCAN(eps=1.2, min_samples=2).fit(LINE)
    why = model.explain(8)
    assert (why.kind, why.label, why.nearest_core, why.chain) == ("noise", -1, 7, ())
    assert why.missing == pytest.approx(20 - 8 - 1.2, abs=1e-12)  # one rounding of each difference
    assert why.core_at == 12.0
    assert "10.8 too far" in str(why)
    alone = DBSCAN(eps=0.1, min_samples=5).fit(LINE).explain(0)
    assert alone.nearest_core is None
    assert "no core point at all" in str(alone)


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "manhattan", "precomputed", "graph"])
def test_explanations_agree_with_the_fit(metric):
    points = clumps(150, 3)
    X, name, eps = points, metric, 0.005 if metric == "cosine" else 0.3
    if metric in ("precomputed", "graph"):
        X, name = pairwise_distances(points), "precomputed"
    if metric == "graph":
        X = NearestNeighbors(n_neighbors=6).fit(points).kneighbors_graph(mode="distance")
    model = DBSCAN(eps=eps, min_samples=5, metric=name).fit(X)
    kinds = model.kinds_
    assert set(kinds) == {"core", "border", "noise"}
    for i in range(150):
        why = model.explain(i)
        assert (why.kind, why.label) == (kinds[i], model.labels_[i])
        assert (why.mass >= 5) == (kinds[i] == "core")
        assert (why.missing > 0) == (kinds[i] == "noise")
        assert why.groups[:1] == ((why.label,) if why.label >= 0 else ())
        assert all(kinds[step.start] == "core" and step.distance <= eps for step in why.chain)
        assert all(a.end == b.start for a, b in zip(why.chain, why.chain[1:], strict=False))
        assert str(why).startswith(f"Point {i} is")


def test_explains_weights():
    model = DBSCAN(eps=0.5, min_samples=6).fit([[0.0], [0.4]], sample_weight=[5.9, 0.1])
    why = model.explain(0)
    assert (why.kind, why.mass, why.core_at) == ("core", 6.0, 0.4)
    assert "of total weight 6" in str(why)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"eps": 0}, "eps must be a finite number above 0, a distance; got 0."),
        ({"eps": "wide"}, "eps must be a finite number above 0, a distance; got 'wide'."),
        (
            {"min_samples": 0},
            "min_samples must be an integer of at least 1, the point itself counted; got 0.",
        ),
        ({"min_samples": 2.5}, "got 2.5."),
        ({"metric": 3}, "metric must be a name that scikit-learn knows, or a function of two rows; got 3."),
        ({"algorithm": "magic"}, "algorithm must be 'auto', 'ball_tree', 'kd_tree' or 'brute'; got 'magic'."),
        ({"leaf_size": 0}, "leaf_size must be an integer of at least 1; got 0."),
        ({"p": -1}, "p must be None or a number of at least 0; got -1."),
    ],
)
def test_refuses(parameters, message):
    with pytest.raises(InputError) as caught:
        DBSCAN(**parameters).fit(LINE)
    assert message in str(caught.value)


def test_refuses_weights_that_are_not_finite():
    with pytest.raises(InputError, match="sample_weight must be finite; got nan for row 1"):
        dbscan(LINE, sample_weight=[1, np.nan, *np.ones(len(LINE) - 2)])


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_refuses_what_is_not_finite_by_place(wrong):
    X = clumps(20, 3)
    X[7, 2] = wrong
    with pytest.raises(InputError, match=r"in row 7, column 2"):
        DBSCAN().fit(X)
    with pytest.raises(InputError, match=r"in row 7, column 2"):
        DBSCAN().fit(csr_matrix(np.where(np.isfinite(X) & (X < 0.3), 0, X)))


def test_explain_refuses():
    model = DBSCAN(eps=1.2, min_samples=2).fit(LINE)
    with pytest.raises(InputError, match="i must be the number of a point, 0 to 8; got 9"):
        model.explain(9)
    with pytest.raises(InputError, match="no chain leads out of it"):
        model.explain(0, to=8)


def test_unused_parameters_change_nothing():
    X = clumps(200, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        want = DBSCAN(eps=0.2).fit(X).labels_
        for algorithm in ("ball_tree", "kd_tree", "brute"):
            got = DBSCAN(eps=0.2, algorithm=algorithm, leaf_size=3, n_jobs=2).fit(X).labels_
            np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("metric", ["euclidean", "manhattan"])
def test_lists_will_do(metric):
    found = dbscan([[0], [1]], 0.5, sample_weight=[6, 0], min_samples=6, metric=metric)
    assert found.core_sample_indices.tolist() == [0]


@pytest.mark.parametrize("weights", [[2], [2, 3, 4], [[1, 1]]])
def test_weights_that_are_not_one_a_row_are_refused(weights):
    with pytest.raises(InputError, match="sample_weight must hold one number for each row of X"):
        dbscan(np.array([[0.0], [1.0]]), sample_weight=weights)


def test_more_rows_than_are_asked_for_at_once(monkeypatch):
    monkeypatch.setattr(import_module("sortal.cluster.dbscan"), "WHOLE_UP_TO", 64)
    for parameters in ({"algorithm": "kd_tree"}, {"algorithm": "brute"}, {"n_jobs": 2}):
        assert_as_sklearn(clumps(300, 2), None, eps=0.2, metric="manhattan", **parameters)


def test_names_of_columns_are_forgotten_with_the_next_rows():
    model = DBSCAN().fit(clumps(50, 2))
    model.feature_names_in_ = np.array(["a", "b"])
    assert not hasattr(model.fit(clumps(40, 3)), "feature_names_in_")
    assert model.n_features_in_ == 3


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0, "far", None, np.zeros(3), 1j])
def test_a_callable_that_returns_nonsense(value):
    with pytest.raises(InputError, match=r"metric must return a finite number of at least 0.*returned"):
        dbscan(LINE, 0.5, metric=lambda a, b: value if a[0] != b[0] else 0.0)


@pytest.mark.parametrize(
    ("metric", "x", "message"),
    [
        ("precomputed", np.ones((4, 3)), "Precomputed matrix must be square. Input is a 4x3 matrix; give"),
        ("precomputed", -np.ones((4, 4)), "Negative values in data"),
        ("mahalanobis", np.arange(180.0).reshape(60, 3), "Must provide either V or VI.*metric_params"),
        ("cosy", LINE, "metric='cosy' is refused by scikit-learn: The 'metric' parameter"),
    ],
)
def test_what_scikit_learn_refuses_is_an_input_error(metric, x, message):
    with pytest.raises(InputError, match=message):
        dbscan(x, 0.5, metric=metric)


@pytest.mark.parametrize("trouble", [KeyboardInterrupt(), np.nan])
def test_what_a_tree_would_ignore_is_raised(trouble):
    """The tree is built by then: what a metric raises while it is asked, scikit-learn ignores."""
    x = np.random.default_rng(0).normal(size=(300, 2))
    calls = count()

    def metric(a, b):
        late = next(calls) > 5000
        if late and isinstance(trouble, BaseException):
            raise trouble
        return trouble if late else float(np.abs(a - b).sum())

    before = sys.unraisablehook
    with pytest.raises(KeyboardInterrupt if isinstance(trouble, BaseException) else InputError):
        DBSCAN(0.2, metric=metric).fit(x)
    assert sys.unraisablehook is before
