"""Sentences with a part of speech for each word, in the CoNLL-U format of Universal Dependencies.

Source: universaldependencies.org/format.html: ten columns parted by tabs, a blank line ends a sentence, lines
with # are comments. Rows numbered 3-4 (a word of several) and 3.1 (a word left out) are no words of the text.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass

from sortal.data.lines import read_text
from sortal.data.shown import shown
from sortal.errors import DataError

__all__ = ["Sentence", "read_conllu", "sentence_texts"]


@dataclass(frozen=True)
class Sentence:
    """`tags` are universal parts of speech (column UPOS), one a word."""

    words: tuple[str, ...]
    tags: tuple[str, ...]


def read_conllu(path: str | os.PathLike[str]) -> list[Sentence]:
    """The sentences of a file, plain or gzipped. `DataError` with the line where it is no CoNLL-U."""
    found = []
    for block in _blocks(read_text(path)):
        rows = [_cells(line, number, path) for number, line in block if not line.startswith("#")]
        words = [cells for cells in rows if cells[0].isdecimal()]
        if words:
            found.append(Sentence(*zip(*((cells[1], cells[3]) for cells in words))))
    if not found:
        raise DataError(f"{shown(str(path))} must hold sentences in CoNLL-U; it holds none.")
    return found


def sentence_texts(text: str) -> Iterator[str]:
    """Each sentence as people write it: its line `# text = `, else its forms, words of several as one.

    Takes every table whose second column is a form, also one that `read_conllu` refuses.
    """
    for block in _blocks(text):
        lines = [line for _, line in block]
        said = next((line[8:] for line in lines if line.startswith("# text =")), None)
        yield (said if said is not None else " ".join(_forms(lines))).strip()


def _blocks(text: str) -> Iterator[list[tuple[int, str]]]:
    """The lines of each sentence with their numbers in the file."""
    block: list[tuple[int, str]] = []
    for number, line in enumerate([*text.replace("\r\n", "\n").split("\n"), ""], 1):
        if line.strip():
            block.append((number, line))
        elif block:
            yield block
            block = []


def _cells(line: str, number: int, path: str | os.PathLike[str]) -> list[str]:
    cells = line.split("\t")
    if len(cells) != 10 or not cells[0].replace("-", "").replace(".", "").isdecimal():
        raise DataError(
            f"{shown(str(path))} line {number:,} must have CoNLL-U's ten columns parted by tabs, a number "
            f"first; got {shown(line[:60])!r}."
        )
    return cells


def _forms(lines: list[str]) -> Iterator[str]:
    covered = 0  # words inside a multiword token are not said again
    for line in lines:
        cells = line.split("\t")
        if line.startswith("#") or len(cells) < 2 or "." in cells[0]:
            continue
        first, dash, last = cells[0].partition("-")
        if dash:
            covered = int(last) if last.isdigit() else 0
        elif first.isdigit() and int(first) <= covered:
            continue
        yield cells[1]
