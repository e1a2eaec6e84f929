"""Commands and the actions they mean, in the format of SCAN: a line is `IN: jump twice OUT: I_JUMP I_JUMP`.

Source: Lake and Baroni 2018, arXiv:1711.00350.
"""

import os
from dataclasses import dataclass

from sortal.data.lines import read_text
from sortal.data.shown import shown
from sortal.errors import DataError

__all__ = ["Command", "read_commands"]


@dataclass(frozen=True)
class Command:
    words: tuple[str, ...]
    actions: tuple[str, ...]


def read_commands(path: str | os.PathLike[str]) -> list[Command]:
    """The commands of a file, plain or gzipped. `DataError` with the line where it has another form."""
    found = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        words, parted, actions = line.removeprefix("IN:").partition(" OUT: ")
        if not (line.startswith("IN:") and parted and words.strip() and actions.strip()):
            raise DataError(
                f"{shown(str(path))} line {number:,} must read IN: words OUT: actions; got "
                f"{shown(line[:60])!r}."
            )
        found.append(Command(tuple(words.split()), tuple(actions.split())))
    if not found:
        raise DataError(f"{shown(str(path))} must hold commands; it is empty.")
    return found
