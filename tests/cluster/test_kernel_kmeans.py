import warnings

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.datasets import make_blobs, make_circles, make_moons
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score
from sklearn.metrics.pairwise import pairwise_kernels
from sklearn.utils.estimator_checks import parametrize_with_checks

from sortal.cluster import Kernel, KernelKMeans, kernel_kmeans, kernel_kmeans_plusplus, kmeans
from sortal.errors import InputError

# scikit-learn lists it for its KMeans too: seeding draws other rows when weights become repetitions.
EXPECTED = {"check_sample_weight_equivalence_on_dense_data": "a seed draws other rows"}


@pytest.mark.slow
@parametrize_with_checks(
    [KernelKMeans(3, n_init=2), KernelKMeans(3, n_init=2, kernel="precomputed")],
    # check_clustering hands 50 x 2 numbers to whatever the kernel; scikit-learn's own fail it so, too.
    expected_failed_checks=lambda one: (
        EXPECTED | ({"check_clustering": "not square"} if one.kernel == "precomputed" else {})
    ),
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def whole_matrix(kernel, labels, weights, k, max_iter=300):
    """The formula itself, with all values in memory."""
    for n_iter in range(1, max_iter + 1):
        distances = np.full((len(kernel), k), np.inf)
        for c in range(k):
            w = np.where(labels == c, weights, 0)
            if w.sum() > 0:
                mass = w.sum()
                distances[:, c] = np.diag(kernel) - 2 * kernel @ w / mass + w @ kernel @ w / mass**2
        new = distances.argmin(axis=1)
        if np.array_equal(new, labels):
            cost = float(weights @ distances[np.arange(len(kernel)), labels])
            return labels, cost, n_iter
        labels = new
    raise AssertionError


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "gamma", "degree", "coef0"),
    [
        ("rbf", 0.05, 3, 1),
        ("poly", 1.0, 2, 1),
        ("poly", 0.5, 3, 0.5),
        ("poly", 0.1, 4, 1),
        ("linear", 1, 3, 1),
    ],
)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n", [50, 700])
def test_every_label_is_the_formulas(name, gamma, degree, coef0, weighted, n):
    x = make_blobs(n, 4, centers=6, cluster_std=3, random_state=0)[0]
    rng = np.random.default_rng(0)
    weights = rng.integers(0, 4, n).astype(float) if weighted else np.ones(n)
    weights[:6] = 1
    more = {"poly": {"gamma": gamma, "degree": degree, "coef0": coef0}, "rbf": {"gamma": gamma}}.get(name, {})
    matrix = pairwise_kernels(x, metric=name, **more)
    start = rng.integers(0, 4, n).astype(np.int32)
    start[:4] = range(4)
    labels, cost, n_iter = whole_matrix(matrix, start, weights, 4)
    for kernel in (Kernel.over(x, name, gamma, degree, coef0), Kernel.over(matrix, "precomputed", 1, 1, 1)):
        found = kernel_kmeans(kernel, start, 4, sample_weight=weights)
        assert np.array_equal(found.labels, labels)
        assert found.inertia == pytest.approx(cost, rel=1e-9)  # another order of sums
        assert found.n_iter == n_iter
        assert found.history[-1].n_changed == 0
        assert found.stopped == "labels"
        assert (np.diff(found.inertia_history) < 0).all()


def test_the_linear_kernel_is_k_means():
    x = make_blobs(400, 5, centers=5, cluster_std=3, random_state=0)[0]
    start = ((x[:, None, :] - x[:5]) ** 2).sum(axis=2).argmin(axis=1).astype(np.int32)
    plain = kmeans(x, x[:5], tol=0.0)
    found = kernel_kmeans(Kernel.over(x, "linear", 1, 1, 1), start, 5)
    assert np.array_equal(plain.labels, found.labels)
    assert found.inertia == pytest.approx(plain.inertia)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("x", "truth"),
    [
        make_circles(500, factor=0.3, noise=0.05, random_state=0),
        make_circles(400, factor=0.5, noise=0.05, random_state=0),
        make_circles(400, factor=0.6, random_state=0),
        make_moons(500, noise=0.05, random_state=0),
        make_moons(1000, noise=0.1, random_state=0),
    ],
)
def test_rings_and_moons_are_found_where_k_means_cannot(x, truth):
    assert adjusted_rand_score(truth, KMeans(2, n_init=10, random_state=0).fit_predict(x)) < 0.5
    for seed in range(2):
        model = KernelKMeans(2, n_init=2, random_state=seed).fit(x)
        assert adjusted_rand_score(truth, model.labels_) > 0.98
        assert np.array_equal(model.predict(x), model.labels_)


def test_rings_by_a_polynomial():
    x, truth = make_circles(300, factor=0.3, noise=0.03, random_state=0)
    found = KernelKMeans(2, kernel=lambda a, b: (a @ a) * (b @ b), n_init=2, random_state=0).fit(x[::3])
    assert adjusted_rand_score(truth[::3], found.labels_) == 1


def test_normalised_cut_of_a_graph_is_a_special_case():
    """Weights d, kernel s D^-1 + D^-1 A D^-1: inertia falls as the cut does (Dhillon et al. 2004)."""
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1, 2], 40)
    adjacent = rng.random((120, 120)) < np.where(truth[:, None] == truth, 0.4, 0.03)
    graph = np.triu(adjacent, 1) * rng.uniform(0.5, 1.5, (120, 120))
    graph += graph.T
    degree = graph.sum(axis=1)
    shift = 1.0  # D^-1/2 A D^-1/2 has eigenvalues from -1 on, so that this makes a kernel
    kernel = np.diag(shift / degree) + graph / np.outer(degree, degree)

    def cut(labels):
        return sum(
            graph[np.ix_(labels == c, labels != c)].sum() / degree[labels == c].sum()
            for c in np.unique(labels)
        )

    for labels in (truth.astype(np.int32), rng.permutation(truth).astype(np.int32)):
        found = kernel_kmeans(Kernel.over(kernel, "precomputed", 1, 1, 1), labels, 3, sample_weight=degree)
        # inertia = n s - s k + trace-free part: (n - k) s - (k - cut)
        assert found.inertia == pytest.approx((120 - 3) * shift - (3 - cut(found.labels)))
        assert cut(found.labels) <= cut(labels) + 1e-12
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = KernelKMeans(3, kernel="precomputed", random_state=0).fit(kernel, sample_weight=degree)
    assert adjusted_rand_score(truth, model.labels_) == 1


def test_weights_equal_repetitions():
    x = make_blobs(150, 3, centers=4, cluster_std=2, random_state=1)[0]
    weights = np.random.default_rng(0).integers(0, 4, 150)
    weights[:4] = 1
    start = (np.arange(150) % 4).astype(np.int32)
    weighted = kernel_kmeans(Kernel.over(x, "rbf", 0.1, 1, 1), start, 4, sample_weight=weights.astype(float))
    repeated = kernel_kmeans(
        Kernel.over(np.repeat(x, weights, axis=0), "rbf", 0.1, 1, 1), np.repeat(start, weights), 4
    )
    assert np.array_equal(np.repeat(weighted.labels, weights), repeated.labels)
    assert weighted.inertia == pytest.approx(repeated.inertia)


@pytest.mark.parametrize("offset", [1e6, -1e8])
def test_a_huge_offset_changes_nothing(offset):
    x = np.round(make_blobs(200, 2, centers=3, random_state=0)[0] * 2**10) / 2**10
    near, far = (KernelKMeans(3, n_init=2, random_state=0).fit(rows) for rows in (x, x + offset))
    assert np.array_equal(near.labels_, far.labels_)
    assert near.inertia_ == pytest.approx(far.inertia_, rel=1e-6)
    assert np.array_equal(far.predict(x + offset), far.labels_)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_outlier_costs_no_digits(dtype):
    x = np.append(make_blobs(99, 2, centers=3, random_state=0)[0], [[3e5, 0]], axis=0).astype(dtype)
    kernel = Kernel.over(x, "rbf", 1.0, 1, 1)
    values = kernel.values(kernel.rows, kernel.rows)
    expected = pairwise_kernels(x.astype(np.float64), metric="rbf", gamma=1.0)
    exact = np.exp(-((x.astype(np.float64)[:, None] - x.astype(np.float64)) ** 2).sum(axis=2))
    # The exponent is off by at most 1e-4 of what rounding to the mean's side of 3e5 leaves.
    np.testing.assert_allclose(values, exact, atol=1e-4)
    assert expected.shape == values.shape


def test_float32_and_float64_agree_and_float32_stays():
    x = make_blobs(300, 4, centers=4, random_state=0)[0]
    wide, narrow = (
        KernelKMeans(4, n_init=2, random_state=0).fit(x.astype(t)) for t in (np.float64, np.float32)
    )
    assert adjusted_rand_score(wide.labels_, narrow.labels_) == 1
    assert narrow._kernel.rows.dtype == np.float32


@pytest.mark.slow
@pytest.mark.parametrize("threads", ["1", "3"])
def test_the_number_of_threads_changes_no_bit(threads, monkeypatch):
    x = make_blobs(1500, 3, centers=5, cluster_std=3, random_state=0)[0].astype(np.float32)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    expected = KernelKMeans(5, n_init=2, random_state=7).fit(x)
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    found = KernelKMeans(5, n_init=2, random_state=7).fit(x)
    assert found.inertia_ == expected.inertia_
    assert np.array_equal(found.labels_, expected.labels_)


def test_seeds_are_drawn_by_squared_distance_in_the_kernels_space():
    x = np.array([[0.0], [1.0], [3.0]])
    kernel = Kernel.over(x, "linear", 1, 1, 1)
    rng = np.random.RandomState(0)
    drawn = [kernel_kmeans_plusplus(kernel, 2, np.array([1.0, 1, 2]), rng) for _ in range(2000)]
    alone = np.mean([labels[0] != labels[1] and labels[0] != labels[2] for labels in drawn])
    # 0 stays alone where it and 1 are drawn: first 0 or 1 (1/4 each), then the other by weight times square.
    expected = 1 / 4 * (1 / (1 + 2 * 9)) + 1 / 4 * (1 / (1 + 2 * 4))
    assert alone == pytest.approx(expected, abs=4 * np.sqrt(expected / 2000))


def test_an_empty_group_is_filled():
    x = np.array([[0.0], [1], [2], [100]])
    found = kernel_kmeans(Kernel.over(x, "linear", 1, 1, 1), np.zeros(4, np.int32), 2)
    assert found.labels.tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize("kind", ["precomputed", "callable", "poly"])
def test_a_kernel_that_is_none_is_said_and_the_fit_ends(kind):
    x = np.random.default_rng(0).normal(size=(120, 3))
    matrix = -np.sqrt(((x[:, None] - x) ** 2).sum(axis=2))
    least = np.linalg.eigvalsh(matrix)[0]
    assert least < -100
    parameters, rows = {
        "precomputed": ({"kernel": "precomputed"}, matrix),
        "callable": ({"kernel": lambda a, b: -np.sqrt(((a - b) ** 2).sum()), "n_init": 1}, x),
        "poly": ({"kernel": "poly", "coef0": -50}, x),
    }[kind]
    told = f"about {least:.3g}" if kind != "poly" else "about -"
    with pytest.warns(UserWarning, match=f"not positive semi-definite.*{told}"):
        model = KernelKMeans(4, random_state=0, **parameters).fit(rows)
    assert (np.diff(model.inertia_history_) < 0).all()
    assert len(np.unique(model.labels_)) == 4


def test_a_graph_without_a_shift_is_cut_with_a_warning():
    truth = np.repeat([0, 1], 20)
    graph = (np.random.default_rng(0).random((40, 40)) < np.where(truth[:, None] == truth, 0.7, 0.05)).astype(
        float
    )
    graph = np.triu(graph, 1) + np.triu(graph, 1).T
    degree = graph.sum(axis=1)
    with pytest.warns(UserWarning, match="most negative eigenvalue is about -0.0"):
        model = KernelKMeans(2, kernel="precomputed", random_state=0).fit(
            graph / np.outer(degree, degree), sample_weight=degree
        )
    assert adjusted_rand_score(truth, model.labels_) == 1


@pytest.mark.parametrize("matrix", [-np.eye(30), -np.ones((30, 30)), np.ones((30, 30)) - np.eye(30)])
def test_squares_that_are_all_negative_end_the_fit_too(matrix):
    with pytest.warns(UserWarning, match="not positive semi-definite"):
        model = KernelKMeans(3, kernel="precomputed", random_state=0).fit(matrix)
    assert (np.diff(model.inertia_history_) < 0).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("gamma", [1, 10, 1e4, 1e8])  # at 10 in float32 the exponent errs by 1e-4
def test_points_repeated_are_not_distinct_at_any_scale(dtype, gamma):
    x = np.repeat(np.random.default_rng(0).normal(size=(5, 3)), 40, axis=0).astype(dtype)
    with pytest.raises(InputError, match="for 5: ask for at most 5"):
        KernelKMeans(6, gamma=gamma, n_init=3, random_state=0).fit(x)


def test_a_kernel_is_not_suspected():
    x = np.random.default_rng(0).normal(size=(800, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        KernelKMeans(3, kernel="poly", n_init=1).fit(x)
        KernelKMeans(3, kernel="precomputed", n_init=1).fit((x @ x.T).astype(np.float32))


def test_stopping_early_is_said():
    x = make_blobs(300, 2, centers=9, cluster_std=3, random_state=0)[0]
    with pytest.warns(ConvergenceWarning, match="max_iter=1 while labels still changed"):
        KernelKMeans(9, n_init=1, max_iter=1, random_state=0).fit(x)


@pytest.mark.parametrize(("n", "k", "d"), [(1, 1, 1), (5, 5, 1), (6, 2, 70_000), (4, 3, 2)])
def test_odd_shapes(n, k, d):
    x = np.random.default_rng(0).normal(size=(n, d))
    model = KernelKMeans(k, random_state=0).fit(x)
    assert len(np.unique(model.labels_)) == k
    assert model.inertia_ >= -1e-9


def test_a_stated_gamma():
    x = np.arange(21.0)[:, None]  # 5 % of 21 rows is one more than the row itself: a distance of 1
    assert KernelKMeans(2).fit(x).gamma_ == 0.5
    assert KernelKMeans(1).fit(np.ones((9, 2))).gamma_ == 1.0
    assert KernelKMeans(2, kernel="poly").fit(x).gamma_ == 1.0
    few = np.append(np.zeros((30, 1)), [[1.0]], axis=0)
    assert np.isfinite(KernelKMeans(2).fit(few).gamma_)


SOUND = np.eye(6) + 0.1
FLAWED = SOUND.copy()
FLAWED[2, 1] = np.nan
LOPSIDED = SOUND.copy()
LOPSIDED[2, 1] = 0.5
ROWS = np.array([[0.0], [1], [2], [10], [11], [12.5]])


@pytest.mark.parametrize(
    ("parameters", "x", "message"),
    [
        ({"kernel": "precomputed"}, SOUND[:4], r"kernel must be square, n x n; got shape \(4, 6\)"),
        ({"kernel": "precomputed"}, LOPSIDED, "symmetric; got 0.1 in row 1, column 2 and 0.5 in row 2"),
        ({"kernel": "precomputed"}, FLAWED, "got NaN in row 2, column 1"),
        ({}, [[0.0, 1], [np.inf, 1]], "got infinity in row 1, column 0"),
        ({"kernel": "gauss"}, ROWS, "kernel must be a callable or one of linear.*got 'gauss'"),
        ({"kernel": lambda a, b: "near"}, ROWS, "must return a finite number.*returned near"),
        ({"kernel": lambda a, b: np.nan}, ROWS, "must return a finite number"),
        ({"n_clusters": 7}, ROWS, "got n_clusters=7 for n_samples=6"),
        (
            {"n_clusters": 4},
            np.repeat(ROWS[:3], 2, axis=0),
            "distinct points.*n_clusters=4 for 3: ask for at most 3",
        ),
        ({"gamma": 0}, ROWS, "gamma must be"),
        ({"gamma": "scale"}, ROWS, "gamma must be 'auto' or"),
        ({"degree": "3"}, ROWS, "degree must be"),
        ({"coef0": np.nan}, ROWS, "coef0 must be"),
        (
            {"kernel": "poly", "degree": -1},
            ROWS,
            "degree must be a whole number.*got -1: take 0",
        ),
        ({"kernel": "poly", "degree": 2.5}, -ROWS, "where rows or coef0 are negative; got 2.5: take 2"),
        ({"n_init": 0}, ROWS, "n_init must be"),
        ({"max_iter": 1.5}, ROWS, "max_iter must be"),
    ],
)
def test_what_it_cannot_take_is_said(parameters, x, message):
    with pytest.raises(InputError, match=message):
        KernelKMeans(**{"n_clusters": 2} | parameters).fit(x)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("kernel", "x", "message"),
    [
        ("rbf", [[0.0], [1e200]], "squared distances too: values may span 1e"),
        ("linear", [[0.0], [1e200]], "finite float64 numbers; 'linear' gives inf for a row with itself"),
        ("poly", np.float32([[0], [1e15]]), "finite float32 numbers; 'poly' gives 1e.90 for a row"),
        ("linear", np.float32([[0], [1e-20]]), "products float32 can hold; got 1e-40 for the longest"),
        (lambda a, b: a[0] - 2 * b[0], ROWS, "kernel must be symmetric; .* for rows 0 and 3, 10 for 3 and 0"),
    ],
)
def test_values_that_cannot_be_used_are_said(kernel, x, message):
    with pytest.raises(InputError, match=message):
        KernelKMeans(2, kernel=kernel).fit(x)


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ([0, 1, 2, 0, 0, 0], "a group from 0 to 1 for each of the 6 rows; got 0 to 2"),
        ([0, -1, 1, 0, 0, 0], "got -1 to 1"),
        ([0, 1], r"got int64 of shape \(2,\)"),
        ([0.0] * 6, "got float64"),
    ],
)
def test_a_start_that_points_nowhere(start, message):
    with pytest.raises(InputError, match=message):
        kernel_kmeans(Kernel.over(ROWS, "rbf", 1.0, 1, 1), start, 2)
    with pytest.raises(InputError, match="sample_weight must be a finite number"):
        kernel_kmeans(Kernel.over(ROWS, "rbf", 1.0, 1, 1), np.arange(6) % 2, 2, sample_weight=[1.0])


def test_each_iteration_is_told(capsys):
    x = make_blobs(200, 2, centers=4, cluster_std=3, random_state=0)[0]
    start = (np.arange(200) % 4).astype(np.int32)
    steps = []
    found = kernel_kmeans(Kernel.over(x, "rbf", 0.1, 1, 1), start, 4, callback=steps.append)
    assert tuple(steps) == found.history
    assert steps[-1].inertia == found.inertia
    KernelKMeans(4, n_init=1, random_state=0, verbose=1).fit(x)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "Initialization complete"
    assert printed[-1].endswith(", 0 labels changed.")


def test_a_root_that_there_is_and_new_rows_for_which_there_is_none():
    model = KernelKMeans(2, kernel="poly", degree=2.5, random_state=0).fit(np.abs(ROWS))
    with pytest.raises(InputError, match="degree must be a whole number"):
        model.predict([[-5.0] * ROWS.shape[1]])


@pytest.mark.parametrize(("kernel", "x"), [("rbf", 1e200), ("linear", 1e200), ("poly", 1e120)])
def test_new_rows_too_far_to_measure_are_said(kernel, x):
    model = KernelKMeans(2, kernel=kernel, gamma=1.0, random_state=0).fit(ROWS)
    with pytest.raises(InputError, match=r"must be finite|must give finite"):
        model.predict([[x] * ROWS.shape[1]])
