"""A head learns what can be learned, says what it is worth, and notices what it was never shown."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.linear_model import RidgeClassifierCV

from sortal.errors import InputError
from sortal.train import head as head_module
from sortal.train import train_head, train_head_from
from sortal.train.split import draw_evenly, held_out_mask
from sortal.train.whitening import MAX_FEATURES


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
    assert sum(count for _, _, count in report.confusion) == report.n_held_out
    right = sum(count for true, called, count in report.confusion if true == called)
    assert right == round(report.accuracy * report.n_held_out)
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


@pytest.mark.filterwarnings("error")  # of overflow
@pytest.mark.parametrize("factor", [1e13, 1e-13])
@pytest.mark.parametrize("d", [12, 2_100])
def test_any_scale_gives_the_same_answers(factor, d):
    x, names = clusters((40, 40), d=d)
    one, other = train_head(x, names), train_head(x * np.float32(factor), names)
    assert other.report.accuracy == one.report.accuracy
    assert other.report.novelty == one.report.novelty
    # 1e-3: float32 sums of 2,100 numbers, rounded otherwise.
    assert other.temperature == pytest.approx(one.temperature, rel=1e-3)
    assert other.classify(x[:1] * np.float32(1e15 / np.abs(x[:1]).max() / 2)).confidence[0] <= 1.0


def test_known_items_called_new_are_counted_by_thresholds_that_others_set(digits):
    x, names = digits
    labels, reported, true = np.array(names), [], []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        few = np.concatenate(
            [rng.permutation(np.flatnonzero(labels == label))[:5] for label in sorted(set(names))]
        )
        head = train_head(x[few], labels[few].tolist(), seed=seed)
        reported.append(head.report.novelty.known)
        true.append(head.classify(np.delete(x, few, axis=0)).like_nothing_shown.mean())
    # .19 and .18 measured. Ten held-out items each: the mean of 80 draws of such a share is known to .04.
    assert np.mean(reported) == pytest.approx(np.mean(true), abs=0.08)


def test_only_what_is_learned_from_is_read(monkeypatch):
    x, names = clusters((300, 40))
    none, asked = x[:30] + 9, []
    everything = np.concatenate([x, none])

    def read(rows):
        asked.append(rows)
        return everything[rows]

    lazy = train_head_from(read, 12, names, n_none=30, seed=1)
    assert lazy.report == train_head(x, names, none_vectors=none, seed=1).report
    assert sorted(np.concatenate(asked)) == list(range(370))
    monkeypatch.setattr(head_module, "MAX_NUMBERS", 12 * 50)
    asked.clear()
    train_head_from(read, 12, names, n_none=30, seed=1)
    assert [len(rows) for rows in asked] == [50, 50]
    assert all((np.diff(rows) > 0).all() for rows in asked)


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


@pytest.mark.parametrize("sizes", [(9, 8), (9, 8, 7)])
def test_vectors_wider_than_the_space_learn_by_ridge_regression(sizes):
    x, names = clusters(sizes)
    rng = np.random.default_rng(1)
    wide = np.concatenate([x, rng.normal(0, 0.1, (len(x), MAX_FEATURES))], axis=1).astype(np.float32)
    head, scaled = train_head(wide, names), train_head(wide * 1_000, names)
    assert head.report.accuracy == 1
    assert head.weights.shape == (len(sizes), wide.shape[1])
    said, again = head.classify(wide), scaled.classify(wide * 1_000)
    assert [head.labels[i] for i in said.name_index] == names
    np.testing.assert_allclose(again.confidence, said.confidence, atol=1e-4)  # float32, 2,060 numbers
    # The same numbers as scikit-learn's, from which the bias differs by where zero is.
    held = held_out_mask(np.unique(names, return_inverse=True)[1], 0.2, 0)
    learned = wide[~held] - head.novelty.mean
    scale = np.sqrt(np.mean(np.square(learned, dtype=np.float64)))
    model = RidgeClassifierCV(alphas=np.logspace(-3, 3, 10)).fit(learned / scale, np.array(names)[~held])
    wanted = model.decision_function((wide - head.novelty.mean) / scale)
    logits = head.logits(wide)
    found = logits if len(sizes) > 2 else logits[:, 1] - logits[:, 0]
    np.testing.assert_allclose(found, wanted, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, n: (x, n[:-1]), "one for each vector"),
        (lambda x, n: (x, ["a"] * len(n)), "at least 2 different names; got 1"),
        (lambda x, n: (x, ["alone", *n[1:]]), "'alone' has 1"),
        (lambda x, n: (x, ["", *n[1:]]), "1 to 200 characters; got 0"),
        (lambda x, n: (x, ["x" * 201, *n[1:]]), "1 to 200 characters; got 201"),
        (lambda x, n: (x, ["a\nb", *n[1:]]), "no line breaks"),
        (lambda x, n: (x, [None, *n[1:]]), "NoneType"),
        (lambda x, n: (x * 1e20, n), "at most 1e"),
        (lambda x, n: (x.astype(np.float64) * 1e300, n), "at most 1e"),
        (lambda x, n: (x * 1e-25, n), "differ by at least 1e-15"),
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
