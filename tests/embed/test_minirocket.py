"""MiniRocket kept as a file: the same numbers as aeon's own, standardised."""

import numpy as np
import pytest

from sortal.embed import rebuild
from sortal.embed.minirocket import LEAST_SPREAD, fit_minirocket
from sortal.errors import DataError, InputError, MissingExtra

RNG = np.random.default_rng(0)
SERIES = [RNG.normal(size=(2, n)).cumsum(axis=1) for n in (40, 50, 45, 50, 50, 33, 50)]


def test_without_the_extra_it_says_which(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "aeon.transformations.collection.convolution_based", None)
    with pytest.raises(MissingExtra, match=r'pip install "sortal\[series\]"'):
        fit_minirocket(SERIES, tmp_path)


def test_no_series_at_all(tmp_path):
    with pytest.raises(InputError, match="a series at least"):
        fit_minirocket([], tmp_path)


def test_equals_aeon_and_comes_back_from_its_file(tmp_path):
    pytest.importorskip("aeon", reason="needs the extra series")
    from aeon.transformations.collection.convolution_based import MiniRocket

    encoder = fit_minirocket(SERIES, tmp_path / "a")
    assert (encoder.input.channels, encoder.input.length) == (2, 50)
    ready = np.stack([encoder.input.prepared(one) for one in SERIES])
    shares = MiniRocket(random_state=0).fit_transform(ready)
    want = (shares - shares.mean(axis=0)) / np.hypot(shares.std(axis=0), LEAST_SPREAD)
    found = encoder.embed(ready)
    assert found.shape == (7, encoder.dim)
    assert np.abs(found - want).max() < 1e-4  # means in float32
    again = rebuild(encoder.spec, encoder.weights)
    assert again.digest == encoder.digest == fit_minirocket(SERIES, tmp_path / "b").digest
    assert np.array_equal(again.embed(ready), found)
    assert np.array_equal(np.concatenate([again.embed(ready[i : i + 1]) for i in range(7)]), found)


def test_a_fit_of_something_else_is_refused(tmp_path):
    from sortal.embed.tfidf import fit_tfidf

    other = fit_tfidf(["a b", "b c", "a c"], tmp_path)
    with pytest.raises(DataError, match="its parameters"):
        rebuild({"kind": "minirocket", "channels": 1, "length": 9}, other.weights)
