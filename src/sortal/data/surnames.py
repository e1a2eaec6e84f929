"""Names by language: a folder of files, one for each language, a name on each line."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int

from sortal.data.lines import read_text
from sortal.data.shown import shown
from sortal.errors import InputError

__all__ = ["Surnames", "load_surnames"]


@dataclass(frozen=True)
class Surnames:
    """Each name once a language. `n_repeated` lines said a name again, `n_empty` said nothing."""

    names: tuple[str, ...]
    labels: Int[np.ndarray, " n"]
    languages: tuple[str, ...]
    n_repeated: int
    n_empty: int

    def __len__(self) -> int:
        return len(self.names)


def load_surnames(folder: str | os.PathLike[str]) -> Surnames:
    """The names in `folder/LANGUAGE.txt`; a file's name is its language.

    Repeated names go: in the 18 languages of spro/practical-pytorch, 2,000 Arabic lines hold 108 names, so
    that a split by lines would ask for what it has taught.
    """
    files = sorted(Path(folder).glob("*.txt"))
    if not files:
        raise InputError(f"{shown(str(folder))} must hold files such as Italian.txt, a name on each line.")
    names: list[str] = []
    labels: list[int] = []
    n_lines = n_empty = 0
    for label, file in enumerate(files):
        lines = [line.strip() for line in read_text(file).splitlines()]
        distinct = dict.fromkeys(line for line in lines if line)
        n_lines, n_empty = n_lines + len(lines), n_empty + lines.count("")
        names += distinct
        labels += [label] * len(distinct)
    return Surnames(
        names=tuple(names), labels=np.array(labels, np.int64), languages=tuple(file.stem for file in files),
        n_repeated=n_lines - n_empty - len(names), n_empty=n_empty,
    )  # fmt: skip
