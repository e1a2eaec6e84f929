import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from sortal.errors import InputError
from sortal.explore import project

X, Y = load_digits(return_X_y=True)
X = (X / np.linalg.norm(X, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.slow
def test_same_seed_same_bits_whatever_the_threads_and_neighbours_stay_together(monkeypatch):
    views = []
    for threads in ("1", "2"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        views.append(project(X, seed=3))
    one, two = views
    assert one.xy.tobytes() == two.xy.tobytes()
    assert project(X[:200], seed=4).xy.tobytes() != project(X[:200], seed=3).xy.tobytes()
    odd = np.arange(len(X)) % 2 == 1
    # .984 measured; two principal components give .623
    assert KNeighborsClassifier(5).fit(one.xy[odd], Y[odd]).score(one.xy[~odd], Y[~odd]) > 0.93


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 9, 10, 11, 40])
def test_tiny_piles(n):
    view = project(X[:n])
    assert view.positions.tolist() == list(range(n))
    assert view.xy.shape == (n, 2)
    assert np.isfinite(view.xy).all()
    if n > 1:
        assert np.abs(view.xy).max() == 1


@pytest.mark.parametrize(
    "points",
    [
        np.zeros((40, 5), np.float32),
        np.tile(X[:1], (120, 1)),
        np.tile(X[:20], (10, 1)),
        np.vstack([np.tile(X[:1], (150, 1)), X[:30]]),
        X[:50, 20:21],
    ],
    ids=["zero", "constant", "copies", "one huge copy", "one dimension"],
)
def test_degenerate_points(points):
    view = project(points)
    assert np.isfinite(view.xy).all()
    assert np.abs(view.xy).max() <= 1


def test_a_sample_holds_every_group_in_proportion():
    labels = np.r_[np.full(1500, 4), np.full(290, 2), np.full(5, -1), [77, 99]]
    view = project(X, labels=labels, most=60)
    again = project(X, labels=labels, most=60)
    assert np.array_equal(view.positions, again.positions)
    assert len(np.unique(view.positions)) == 60
    assert (np.diff(view.positions) > 0).all()
    count = {g: int((labels[view.positions] == g).sum()) for g in (4, 2, -1, 77, 99)}
    assert count[77] == count[99] == 1
    assert count[-1] >= 1
    assert abs(count[4] - 60 * 1500 / 1797) < 4  # one for each small group is taken from the rest
    assert abs(count[2] - 60 * 290 / 1797) < 3


def test_more_groups_than_places():
    assert len(project(X, labels=np.arange(len(X)), most=12).positions) == 12


def test_bad_input():
    with pytest.raises(InputError, match="most must be at least 1"):
        project(X, most=0)
    with pytest.raises(InputError, match="finite"):
        project(np.full((3, 2), np.nan, np.float32))
    with pytest.raises(InputError, match="labels"):
        project(X, labels=np.zeros(3, int))
