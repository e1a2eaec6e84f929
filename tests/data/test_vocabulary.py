"""Symbols and numbers, there and back."""

import pytest

from sortal.data.vocabulary import END, Vocabulary
from sortal.errors import InputError


def test_numbers_and_back():
    letters = Vocabulary.of(["abba", "cab"])
    assert letters.symbols == ("a", "b", "c")
    assert len(letters) == 7  # and four signs
    assert letters.numbers("cab").tolist() == [6, 4, 5]
    assert letters.ended("ab").tolist() == [4, 5, END]
    assert letters.text(letters.ended("cab")) == ["c", "a", "b"]
    assert letters.text([6, 0, 4]) == ["c"]  # padding ends it, too


def test_what_is_not_there_is_unknown_and_counted():
    words = Vocabulary.of([["a", "a", "b"]], least=2)
    assert words.symbols == ("a",)
    assert words.numbers(["b", "a", "z"]).tolist() == [1, 4, 1]
    assert words.n_unknown([["b", "a"], ["z", "z"]]) == 3
    assert words.text([1, 4]) == ["?", "a"]


def test_a_symbol_stands_once():
    with pytest.raises(InputError, match="must differ"):
        Vocabulary(("a", "a"))


def test_nothing_is_a_text_too():
    assert Vocabulary.of([]).numbers("").shape == (0,)
