"""What parts the cells of a table: a comma, and in much of Europe a semicolon, a tab or a bar."""

import csv
import itertools
import re

__all__ = ["SEPARATORS", "is_decimal_comma", "separator"]

SEPARATORS = ",;\t|"
_ROWS, _LOOKED_AT = 20, 1 << 16  # rows and characters
_COMMA = re.compile(r"\s*[+-]?\d+,\d+([eE][+-]?\d+)?\s*")


def separator(text: str) -> str:
    """The one of `SEPARATORS` that gives all rows at the beginning of `text` as many cells, two at least.

    Of several the one with most numbers among its cells: `1,5;2,5` is two by semicolons, one by commas.
    Where rows differ, the one that the first row has most of; a comma where it has none.
    """
    rows = {one: _rows(text, one) for one in SEPARATORS}
    even = [one for one in SEPARATORS if len({len(row) for row in rows[one]}) == 1 and len(rows[one][0]) > 1]
    if even:
        return max(even, key=lambda one: _share_of_numbers(rows[one]))
    return max(SEPARATORS, key=lambda one: len(rows[one][0]) if rows[one] else 0)


def is_decimal_comma(cell: str) -> bool:
    """Whether a cell is a number written as in 3,14. So is the 1,000 of others: ask where it stands."""
    return _COMMA.fullmatch(cell) is not None


def _rows(text: str, delimiter: str) -> list[list[str]]:
    lines = text[:_LOOKED_AT].replace("\r\n", "\n").replace("\r", "\n").split("\n")
    rows = (row for row in csv.reader(lines, delimiter=delimiter) if any(cell.strip() for cell in row))
    try:
        found = list(itertools.islice(rows, _ROWS + 1))
    except csv.Error:
        return []
    cut = len(found) > _ROWS or len(text) > _LOOKED_AT  # then the last row may be half of one
    return found[:-1] if cut and len(found) > 1 else found


def _share_of_numbers(rows: list[list[str]]) -> float:
    cells = [cell for row in rows[1:] or rows for cell in row]
    return sum(is_decimal_comma(cell) or _is_number(cell) for cell in cells) / len(cells)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
