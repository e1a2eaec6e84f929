"""Words and their weights: what a text is about, without a network. The embedded default for text."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sortal.arrays import Vectors
from sortal.data import TextInput
from sortal.embed.fit_file import read_fit, write_fit
from sortal.errors import DataError, InputError
from sortal.kernels import one_blas_thread

__all__ = ["Tfidf", "fit_tfidf"]

DIM = 256
# Short texts (names, titles) have hardly a word in common: of those, runs of letters are counted instead.
SHORT_WORDS = 3
_WAYS: dict[str, dict[str, Any]] = {
    "words": {"analyzer": "word", "token_pattern": r"(?u)\b\w+\b", "ngram_range": (1, 2)},
    "letters": {"analyzer": "char_wb", "ngram_range": (1, 4)},
}
MOST_TERMS = 50_000


class Tfidf:
    """TF-IDF (logarithmic counts, unit length) projected on its leading singular vectors.

    Fitted once on a pile (`fit_tfidf`): words that were not there then count nothing, and a text of none but
    such words is the zero vector. Source: Deerwester et al. 1990, "Indexing by latent semantic analysis".
    """

    name = "tfidf"
    input = TextInput()
    batch = 256

    def __init__(self, weights: Path, way: str) -> None:
        self.weights: Path | None = weights
        arrays, words, self.digest = read_fit(weights)
        self.way, self._projection = way, arrays.get("projection")
        idf = arrays.get("idf")
        if self._projection is None or idf is None or self._projection.ndim != 2 or way not in _WAYS:
            raise DataError(
                "the fit of tfidf must hold idf and projection: it is damaged or of a newer Sortal."
            )
        if not len(idf) == len(words) == len(self._projection):
            raise DataError("the fit of tfidf must have a weight and a row for each term: it is damaged.")
        self.dim = int(self._projection.shape[1])
        self._counter = _vectorizer(way, vocabulary=words)
        self._counter.idf_ = idf.astype(np.float64)

    @property
    def spec(self) -> dict[str, Any]:
        return {"kind": "tfidf", "way": self.way}

    def embed(self, texts: Sequence[str]) -> Vectors:
        assert self._projection is not None
        found: Vectors = np.asarray(self._counter.transform(texts) @ self._projection, dtype=np.float32)
        return found


def fit_tfidf(texts: Sequence[str], folder: Path) -> Tfidf:
    """Fit on `texts` and keep the fit in `folder`. The same texts give the same file.

    Of texts with a median of up to three words, runs of one to four letters are counted, else words and
    pairs of words; terms of a single text are left out, and at most the 50,000 most frequent kept.
    """
    from sklearn.utils.extmath import randomized_svd

    if len(texts) < 2:
        raise InputError("tfidf must be fitted on 2 texts at least; give more, or another encoder.")
    way = "letters" if np.median([len(text.split()) for text in texts]) <= SHORT_WORDS else "words"
    counter = _vectorizer(way, min_df=2, max_features=MOST_TERMS)
    try:
        counts = counter.fit_transform(texts)
    except ValueError:  # no term stands in two texts
        counter = _vectorizer(way, max_features=MOST_TERMS)
        counts = counter.fit_transform(texts)
    dim = min(DIM, min(counts.shape) - 1)
    terms = counter.get_feature_names_out().tolist()
    if dim < 1:
        raise InputError("tfidf must find 2 terms at least in the texts; give more, or another encoder.")
    # ARPACK needs 29 CPU-s for 20,050 names. One thread: the file's name must not depend on their number.
    with one_blas_thread():
        _, _, right = randomized_svd(counts, dim, n_iter=4, random_state=0)
    arrays = {"idf": counter.idf_.astype(np.float32), "projection": right.T.astype(np.float32)}
    return Tfidf(write_fit(folder, arrays, terms), way)


def _vectorizer(way: str, **given: Any) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(sublinear_tf=True, dtype=np.float32, **_WAYS[way], **given)
