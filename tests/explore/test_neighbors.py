import threading

import numpy as np
import pytest
from sklearn.datasets import load_digits
from threadpoolctl import ThreadpoolController

from sortal.errors import InputError
from sortal.explore import nearest, neighbors, outliers, project
from sortal.kernels import one_blas_thread

X = load_digits().data
X = (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(np.float32)


def test_nearest_is_brute_force():
    cosines = X.astype(np.float64) @ X[7].astype(np.float64)
    cosines[7] = -2
    found = nearest(X, 7, 25)
    assert [n.position for n in found] == np.argsort(-cosines, kind="stable")[:25].tolist()
    assert found[0].similarity == pytest.approx(cosines.max(), abs=1e-12)


def test_ties_go_to_the_lower_position_and_copies_are_found():
    x = np.tile(X[:1], (5, 1))
    assert [n.position for n in nearest(x, 2, 9)] == [0, 1, 3, 4]


@pytest.mark.parametrize("position", [-1, 5, 10**9])
def test_a_position_outside_the_pile(position):
    with pytest.raises(InputError, match=r"0\.\.4"):
        nearest(X[:5], position, 3)


def test_outliers_are_brute_force_on_a_small_pile():
    cosines = X.astype(np.float64) @ X.T.astype(np.float64)
    np.fill_diagonal(cosines, -2)
    score = 1 - np.sort(cosines, axis=1)[:, -10:].mean(axis=1)
    found = outliers(X, 15)
    # 1e-5: similarities are float32
    np.testing.assert_allclose([o.score for o in found], np.sort(score)[::-1][:15], atol=1e-5)


@pytest.mark.parametrize("reference", [40, 5000])
def test_a_planted_stranger_is_first_also_where_the_pile_is_sampled(monkeypatch, reference):
    monkeypatch.setattr(neighbors, "REFERENCE", reference)
    x = np.vstack([X[:500], np.eye(1, 64, 0, dtype=np.float32), X[500:]])  # the corner pixel is always blank
    found = outliers(x, 3)
    assert found[0].position == 500
    assert found[0].score > 0.9
    assert found[1].score < 0.5


@pytest.mark.parametrize(("n", "expected"), [(0, 0), (1, 0), (2, 2), (3, 3)])
def test_tiny_piles(n, expected):
    assert len(outliers(X[:n])) == expected


def test_zero_rows_score_one():
    assert {o.score for o in outliers(np.zeros((4, 3), np.float32))} == {1.0}


def blas_threads():
    libraries = ThreadpoolController().info()
    return [lib["num_threads"] for lib in libraries if lib.get("threading_layer") == "pthreads"]


@pytest.mark.parametrize("look", [lambda: outliers(X, 3), lambda: project(X[:9])])
def test_the_blas_limit_of_another_thread_does_not_stay(look, monkeypatch):
    before = blas_threads()
    entered, leave = threading.Event(), threading.Event()

    def another():
        with one_blas_thread():
            entered.set()
            leave.wait()

    thread = threading.Thread(target=another)

    def leaving(function):
        def called(*arguments, **more):
            leave.set()
            thread.join()
            return function(*arguments, **more)

        return called

    monkeypatch.setattr(np, "partition", leaving(np.partition))
    monkeypatch.setattr(np.linalg, "eigh", leaving(np.linalg.eigh))
    thread.start()
    entered.wait()
    look()
    assert not thread.is_alive()
    assert blas_threads() == before
