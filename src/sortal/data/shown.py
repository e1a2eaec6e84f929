"""Text from strangers, as one line that is safe to print."""

from collections.abc import Iterable

__all__ = ["printable", "shown"]

_LONGEST = 200


def printable(text: str) -> str:
    """`text` whole, as one line that cannot command a terminal; escaped as by `shown`."""
    return "".join(map(_printable, text))


def shown(path: str) -> str:
    """`path` as one printable line of at most 200 characters.

    Whatever does not print (controls, line ends, bidirectional overrides) is escaped as in Python, bytes
    that are no UTF-8 as `\\xff`. A long one is cut in the middle, because its two ends tell most.
    """
    pieces = [_printable(c) for c in path[: _LONGEST + 1]]
    if len(path) <= _LONGEST and sum(map(len, pieces)) <= _LONGEST:
        return "".join(pieces)
    start = _fitting(pieces)
    end = _fitting(_printable(c) for c in reversed(path[-_LONGEST:]))
    return f"{''.join(start)}\u2026{''.join(reversed(end))}"


def _fitting(pieces: Iterable[str]) -> list[str]:
    """As many whole pieces as half a line holds, so that no escape is torn apart."""
    room = (_LONGEST - 1) // 2
    taken: list[str] = []
    for piece in pieces:
        room -= len(piece)
        if room < 0:
            break
        taken.append(piece)
    return taken


def _printable(character: str) -> str:
    if character.isprintable():
        return character
    if "\udc80" <= character <= "\udcff":  # a byte that was no UTF-8
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
