"""A head learns what can be learned, says what it is worth, and notices what it was never shown."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from sortal.errors import InputError
from sortal.train import train_head
from sortal.train.split import draw_evenly, held_out_mask


def clusters(sizes, d=12, seed=0, spread=0.2):
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(len(sizes), d)) + 3.0
    index = np.repeat(np.arange(len(sizes)), sizes)
    x = (centers[index] + spread * rng.normal(size=(len(index), d))).astype(np.float32)
    return x, [f"name {i}" for i in index]


@pytest.fixture(scope="module")
def digits():
    data = load_digits()
    return data.data.astype(np.float32), [str(t) for t in data.target]


def test_digits_are_learned_and_calibrated(digits):
    report = train_head(*digits).report
    assert report.accuracy > 0.93  # pixels and a linear map: 0.95 to 0.97 by split
    assert report.interval[0] < report.accuracy < report.interval[1]
    assert report.calibration.log_loss[1] < report.calibration.log_loss[0]
    assert report.calibration.ece[1] < 0.06  # 360 items: 1 / sqrt(360) is .05
    assert report.n_train + report.n_held_out == report.n_items == 1797
    assert report.confusion_matrix().sum() == report.n_held_out
    assert np.trace(report.confusion_matrix()) == round(report.accuracy * report.n_held_out)
    assert report.converged


def test_a_name_never_shown_a_blank_and_noise_are_noticed(digits):
    x, names = digits
    new = np.array([name in "37" for name in names])
    head = train_head(x[~new], [n for n, is_new in zip(names, new) if not is_new])
    assert 0.0 <= head.report.novelty.known <= 0.1
    assert head.classify(x[new]).like_nothing_shown.mean() > 0.5  # 0.9 measured
    odd = np.concatenate(
        [np.zeros((1, 64)), np.full((1, 64), 16.0), np.random.default_rng(0).uniform(0, 16, (9, 64))]
    )
    assert head.classify(odd.astype(np.float32)).like_nothing_shown.all()


@pytest.mark.parametrize("sizes", [(2, 2), (5, 5), (2, 300), (2, 2, 2, 2, 2, 2, 2), (3, 4, 90)])
def test_few_items_and_odd_sizes(sizes):
    x, names = clusters(sizes)
    head = train_head(x, names)
    said = head.classify(x)
    assert np.mean([head.labels[i] == n for i, n in zip(said.name_index, names)]) > 0.9
    assert ((said.confidence > 0) & (said.confidence <= 1)).all()
    assert min(score.n_held_out for score in head.report.names) >= 1
    assert min(score.n_train for score in head.report.names) >= 1
    assert head.report.majority_share >= 1 / len(sizes)


def test_two_held_out_items_do_not_make_certain():
    x, names = clusters((5, 5))
    assert train_head(x, names).classify(x).confidence.max() < 0.95


@pytest.mark.parametrize("d", [1, 3, 2_100])  # 2,100: past the width that PCA narrows
def test_any_width(d):
    x, names = clusters((30, 31), d=d, spread=0.05)
    assert train_head(x, names).report.accuracy > 0.9


def test_identical_vectors_are_an_answer_not_a_crash():
    head = train_head(np.ones((10, 4), np.float32), ["a"] * 6 + ["b"] * 4)
    said = head.classify(np.ones((3, 4), np.float32))
    assert not said.like_nothing_shown.any()
    assert head.report.accuracy <= 0.75


def test_none_of_these_is_learned():
    x, names = clusters((60, 60, 60))
    third = np.array([n == "name 2" for n in names])
    head = train_head(x[~third], [n for n in names if n != "name 2"], none_vectors=x[third])
    assert head.labels == ("name 0", "name 1")
    assert head.report.n_none == 60
    assert head.report.novelty.none == 1.0
    assert head.classify(x[third]).like_nothing_shown.all()
    one = train_head(x[~third], [n for n in names if n != "name 2"], none_vectors=x[third][:1])
    assert one.report.novelty.none is None  # a single one is learned from, nothing measures


def test_same_seed_same_bits_and_a_memory_map_is_enough(tmp_path):
    x, names = clusters((40, 50))
    np.save(tmp_path / "x.npy", x)
    one, two = (
        train_head(x, names, seed=3),
        train_head(np.load(tmp_path / "x.npy", mmap_mode="r"), names, seed=3),
    )
    assert one.weights.tobytes() == two.weights.tobytes()
    assert one.novelty.bank.tobytes() == two.novelty.bank.tobytes()
    assert one.report == two.report
    assert train_head(x, names, seed=4).weights.tobytes() != one.weights.tobytes()


def test_huge_offsets_lose_nothing():
    x, names = clusters((40, 40))
    # 4096 leaves float32 2**-11 of resolution: fine beside a spread of 0.2.
    assert train_head(x + 4096, names).report.accuracy > 0.95
    assert train_head(x * 1e6, names).report.accuracy > 0.95
    assert train_head(x * 1e-6, names).report.accuracy > 0.95


def test_names_that_look_the_same_are_one():
    x, names = clusters((6, 6))
    names = ["caf\u00e9" if n == "name 0" else "x" * 200 for n in names]
    names[0] = "cafe\u0301"
    assert train_head(x, names).labels == ("caf\u00e9", "x" * 200)


def test_predictions_keep_order_and_name():
    x, names = clusters((20, 20))
    head = train_head(x, names)
    far = -50 * np.ones((1, 12), np.float32)
    known, novel = head.predict(["a.png", "b.png"], np.concatenate([x[:1], far]))
    assert (known.path, known.name, known.like_nothing_shown) == ("a.png", "name 0", False)
    assert novel.like_nothing_shown
    assert novel.name in head.labels
    assert novel.novelty > 1 >= known.novelty
    assert head.predict([], x[:0]) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, n: (x, n[:-1]), "one for each vector"),
        (lambda x, n: (x, ["a"] * len(n)), "at least 2 different names; got 1"),
        (lambda x, n: (x, ["alone", *n[1:]]), "'alone' has 1"),
        (lambda x, n: (x, ["", *n[1:]]), "1 to 10000 characters; got 0"),
        (lambda x, n: (x, [None, *n[1:]]), "NoneType"),
        (lambda x, n: (x[:, 0], n), "n x d"),
        (lambda x, n: (np.where(np.arange(12) == 3, np.nan, x), n), "NaN or infinity"),
    ],
)
def test_mistakes_are_named(change, message):
    with pytest.raises(InputError, match=message) as caught:
        train_head(*change(*clusters((5, 5))))
    assert "\n" not in str(caught.value)


def test_mistakes_at_prediction_are_named():
    x, names = clusters((5, 5))
    head = train_head(x, names)
    with pytest.raises(InputError, match="n x 12"):
        head.classify(x[:, :5])
    with pytest.raises(InputError, match="first in row 2"):
        head.classify(np.where(np.arange(10)[:, None] == 2, np.inf, x).astype(np.float32))
    with pytest.raises(InputError, match="held_out"):
        train_head(x, names, held_out=1.0)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=9), st.floats(0.01, 0.99), st.integers(0, 99))
@settings(deadline=None)
def test_split_holds_some_of_each_and_never_all(sizes, share, seed):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    held = np.bincount(labels[held_out_mask(labels, share, seed)], minlength=len(sizes))
    for n_held, size in zip(held, sizes):
        assert n_held == min(max(1, round(share * size)), size - 1)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=9), st.integers(1, 200), st.integers(0, 99))
@settings(deadline=None)
def test_even_draw_takes_from_the_largest(sizes, limit, seed):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    rows = draw_evenly(labels, limit, seed)
    assert len(rows) == min(limit, len(labels))
    assert (np.diff(rows) > 0).all()
    left = np.bincount(labels[rows], minlength=len(sizes))
    cut = [kept for kept, size in zip(left, sizes) if kept < size]
    assert not cut or max(left) - min(cut) <= 1
