"""The words that set a group of texts apart: what stands for its picture."""

from collections.abc import Mapping, Sequence

import numpy as np

__all__ = ["keywords"]

_WORD = r"(?u)\b\w\w+\b"


def keywords(groups: Mapping[int, Sequence[str]], most: int = 6) -> dict[int, list[str]]:
    """Up to `most` words of each group, the most telling first; none where no text of it has a word.

    Told by the share of the group's texts that have the word, times the logarithm of how many times larger
    that is than the mean share over all groups. Ties go by the alphabet.
    Source: class-based TF-IDF, Grootendorst 2022, arXiv:2203.05794. Where we differ: texts are counted, not
    words.
    """
    from sklearn.feature_extraction.text import CountVectorizer

    counter = CountVectorizer(binary=True, token_pattern=_WORD)
    try:
        counter.fit(text for texts in groups.values() for text in texts)
    except ValueError:  # no word at all
        return {number: [] for number in groups}
    words = counter.get_feature_names_out()
    shares = np.array([_shares(counter, texts, len(words)) for texts in groups.values()])
    scores = shares * np.log(np.maximum(shares, 1e-9) / np.maximum(shares.mean(axis=0), 1e-9))
    return {
        number: [str(words[i]) for i in np.argsort(-row, kind="stable")[:most] if row[i] > 0]
        for number, row in zip(groups, scores)
    }


def _shares(counter: object, texts: Sequence[str], n_words: int) -> np.ndarray:
    if not texts:
        return np.zeros(n_words)
    found: np.ndarray = np.asarray(counter.transform(texts).mean(axis=0)).ravel()  # type: ignore[attr-defined]
    return found
