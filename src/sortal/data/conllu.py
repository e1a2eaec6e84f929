"""Sentences with a part of speech for each word, in the CoNLL-U format of Universal Dependencies.

Source: universaldependencies.org/format.html: ten columns parted by tabs, a blank line ends a sentence, lines
with # are comments. Rows numbered 3-4 (a word of several) and 3.1 (a word left out) are no words of the text.
"""

import os
from dataclasses import dataclass

from sortal.data.lines import read_text
from sortal.data.shown import shown
from sortal.errors import DataError

__all__ = ["Sentence", "read_conllu"]


@dataclass(frozen=True)
class Sentence:
    """`tags` are universal parts of speech (column UPOS), one a word."""

    words: tuple[str, ...]
    tags: tuple[str, ...]


def read_conllu(path: str | os.PathLike[str]) -> list[Sentence]:
    """The sentences of a file, plain or gzipped. `DataError` with the line where it is no CoNLL-U."""
    found: list[Sentence] = []
    words: list[str] = []
    tags: list[str] = []
    for number, line in enumerate([*read_text(path).split("\n"), ""], 1):
        if line.startswith("#"):
            continue
        cells = line.rstrip("\r").split("\t")
        if cells == [""]:
            if words:
                found.append(Sentence(tuple(words), tuple(tags)))
            words, tags = [], []
        elif len(cells) != 10 or not cells[0].replace("-", "").replace(".", "").isdecimal():
            raise DataError(
                f"{shown(str(path))} line {number:,} must have CoNLL-U's ten columns parted by tabs, a "
                "number "
                f"first; got {shown(line[:60])!r}."
            )
        elif cells[0].isdecimal():
            words.append(cells[1])
            tags.append(cells[3])
    if not found:
        raise DataError(f"{shown(str(path))} must hold sentences in CoNLL-U; it holds none.")
    return found
