import pytest

from sortal.data.separator import separator

CASES = {
    "": ",",
    "one\ntwo words, said\n": ",",
    "a;b\n1;2\n": ";",
    "a\tb\n1,5\t2,5\n": "\t",
    "a|b\n1|2\n": "|",
    "1,5;2,5\n3,5;4,5\n": ";",
    "a,b\n1;2,3;4\n": ",",
    'a;b\n"x\ny;z";1\n': ";",
    "a;b;c\n1;2;3\n4;5\n": ";",  # a row that lacks a cell is told of later
    "a;b\r\n1;2\r\n": ";",
    "a;b\r1;2\r": ";",
}


@pytest.mark.parametrize(("text", "expected"), CASES.items())
def test_what_parts_the_cells(text, expected):
    assert separator(text) == expected


def test_a_row_cut_by_the_end_of_what_is_looked_at_counts_nothing():
    assert separator("a;b\n1;2\n3;" + "x, y " * 20_000) == ";"
    assert separator('a;b\n1;"' + "x, y\n" * 20_000 + '"\n') == ";"
