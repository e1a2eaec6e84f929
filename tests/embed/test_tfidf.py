"""TF-IDF and its projection: fitted once, kept as a file, the same numbers ever after."""

from itertools import product

import numpy as np
import pytest

from sortal.embed import FittedWish, fitted_wish, rebuild
from sortal.embed.fit_file import read_fit
from sortal.embed.tfidf import Tfidf, fit_tfidf
from sortal.errors import DataError, InputError

ANIMALS, DOES, PLACES = ("cat", "dog"), ("sleeps", "eats", "runs"), ("house", "garden")
TEXTS = [f"the {animal} {does} in the {place}" for animal, does, place in product(ANIMALS, DOES, PLACES)]


def test_the_same_texts_give_the_same_file_and_vectors(tmp_path):
    one, two = fit_tfidf(TEXTS, tmp_path / "a"), fit_tfidf(TEXTS, tmp_path / "b")
    assert one.digest == two.digest
    vectors = one.embed(TEXTS)
    assert vectors.dtype == np.float32
    assert vectors.shape == (12, one.dim)
    again = rebuild(one.spec, one.weights)
    assert again.digest == one.digest
    assert np.array_equal(again.embed(TEXTS), vectors)
    assert np.array_equal(np.concatenate([again.embed([text]) for text in TEXTS]), vectors)


def test_it_keeps_the_angles_of_the_terms(tmp_path):
    from sklearn.feature_extraction.text import TfidfVectorizer

    encoder = fit_tfidf(TEXTS, tmp_path)
    terms = TfidfVectorizer(
        sublinear_tf=True, token_pattern=r"(?u)\b\w+\b", ngram_range=(1, 2), min_df=2
    ).fit_transform(TEXTS)
    vectors = encoder.embed(TEXTS)
    # 11 of 12 directions are kept; the terms of these texts span fewer.
    assert np.abs(vectors @ vectors.T - (terms @ terms.T).toarray()).max() < 1e-5


def test_words_never_seen_count_nothing(tmp_path):
    vectors = fit_tfidf(TEXTS, tmp_path).embed(["zebra", "zebra cat", "cat"])
    assert not vectors[0].any()
    assert vectors[1] @ vectors[2] > 0


def test_short_texts_are_told_by_their_letters(tmp_path):
    names = ["Ivanov", "Petrov", "Smirnov", "Rossi", "Bianchi", "Ferrari"]
    encoder = fit_tfidf(names, tmp_path)
    assert encoder.way == "letters"
    new = encoder.embed(["Pavlov", "Moretti"])
    old = encoder.embed(names)
    assert (new[0] @ old[:3].T).sum() > (new[0] @ old[3:].T).sum()


def test_too_little_to_fit_on(tmp_path):
    with pytest.raises(InputError, match="2 texts at least"):
        fit_tfidf(["one"], tmp_path)


def test_a_fit_that_is_damaged_is_one_line(tmp_path):
    encoder = fit_tfidf(TEXTS, tmp_path)
    (tmp_path / "torn.safetensors").write_bytes(encoder.weights.read_bytes()[:100])
    with pytest.raises(DataError, match="must be readable"):
        read_fit(tmp_path / "torn.safetensors")
    with pytest.raises(DataError, match="newer Sortal"):
        Tfidf(encoder.weights, "sentences")


def test_wishes():
    assert isinstance(fitted_wish("tfidf"), FittedWish)
    assert fitted_wish("hog") is None
