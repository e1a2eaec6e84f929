"""The words that set a group of texts apart: what stands for its picture."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["keywords"]

_WORDS = {"token_pattern": r"(?u)\b\w\w+\b"}
_RUNS = {"analyzer": "char_wb", "ngram_range": (2, 5)}
# Of names no two texts share a word, and the best word is only the first by the alphabet: "abashin" for 4,130
# surnames. A group tells itself by words where one of them stands in a twentieth of its texts.
_COMMON, _FEWEST_TEXTS = 0.05, 20


def keywords(groups: Mapping[int, Sequence[str]], most: int = 6) -> dict[int, list[str]]:
    """Up to `most` words of each group, the most telling first; none where no text of it has a word.

    Told by the share of the group's texts that have the word, times the logarithm of how many times larger
    that is than the mean share over all groups. Ties go by the alphabet. Where most groups have no word in
    common, runs of letters stand for words: `-ov` ends one, `mc-` begins one.
    Source: class-based TF-IDF, Grootendorst 2022, arXiv:2203.05794. Where we differ: texts are counted, not
    words.
    """
    words, shares = _counted(groups, _WORDS)
    if _in_common(shares, [len(texts) for texts in groups.values()]) < 0.5:
        runs, shares = _counted(groups, _RUNS)
        return {number: _apart(runs, row, most) for number, row in zip(groups, _scores(shares))}
    return {
        number: [words[i] for i in np.argsort(-row, kind="stable")[:most] if row[i] > 0]
        for number, row in zip(groups, _scores(shares))
    }


def _counted(groups: Mapping[int, Sequence[str]], what: Mapping[str, Any]) -> tuple[list[str], np.ndarray]:
    """The terms of all texts, and for each group the share of its texts that have each."""
    from sklearn.feature_extraction.text import CountVectorizer

    counter = CountVectorizer(binary=True, **what)
    try:
        counter.fit(text for texts in groups.values() for text in texts)
    except ValueError:  # no word at all
        return [], np.zeros((len(groups), 0))
    terms = counter.get_feature_names_out().tolist()
    found = [
        counter.transform(texts).mean(axis=0) if texts else np.zeros(len(terms)) for texts in groups.values()
    ]
    return terms, np.array(found).reshape(len(groups), len(terms))


def _in_common(shares: np.ndarray, sizes: Sequence[int]) -> float:
    """The share of the large groups that have a common word; 1 where there are none, or no words."""
    large = shares[np.array(sizes) >= _FEWEST_TEXTS]
    return float((large.max(axis=1) >= _COMMON).mean()) if large.size else 1.0


def _marked(run: str) -> str:
    """`ov ` as `-ov`, ` mc` as `mc-`."""
    return f"{'' if run[0] == ' ' else '-'}{run.strip()}{'' if run[-1] == ' ' else '-'}"


def _scores(shares: np.ndarray) -> np.ndarray:
    scores: np.ndarray = shares * np.log(np.maximum(shares, 1e-9) / np.maximum(shares.mean(axis=0), 1e-9))
    return scores


def _apart(runs: Sequence[str], scores: np.ndarray, most: int) -> list[str]:
    """The best runs of two letters and more, none of which holds another; of equal ones the longest."""
    chosen: list[str] = []
    for i in np.lexsort((-np.array(list(map(len, runs))), -scores)):
        run = runs[i].strip()
        if scores[i] <= 0 or len(chosen) == most:
            break
        if len(run) > 1 and not any(run in one or one.strip() in run for one in chosen):
            chosen.append(runs[i])
    return [_marked(run) for run in chosen]
