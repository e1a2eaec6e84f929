import pytest

from sortal.data import printable, shown


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("photos/Größe 1.jpg", "photos/Größe 1.jpg"),
        ("a\nb\tc\r\x1b[31m\x00", r"a\nb\tc\r\x1b[31m\x00"),
        ("\udcff\udc80.jpg", r"\xff\x80.jpg"),
        ("\u202egpj.exe\u2066", r"\u202egpj.exe\u2066"),
        ("\u2028\x85\ud800", r"\u2028\x85\ud800"),
        ("", ""),
        ("x" * 200, "x" * 200),
    ],
)
def test_a_path_is_one_printable_line(path, line):
    assert shown(path) == printable(path) == line


def test_printable_cuts_nothing():
    assert printable("é\n" * 500) == "é\\n" * 500


@pytest.mark.parametrize(
    "path", ["s" + "x" * 10_000 + "e", "s" + "\n" * 150 + "e", "s" + "\U000e0001" * 300 + "e"]
)
def test_a_long_one_is_cut_in_the_middle_and_no_escape_is_torn(path):
    line = shown(path)
    assert len(line) <= 200
    assert line.isprintable()
    assert line[0] + line[-1] == "se"
    start, end = line.split("\u2026")
    for half in (start[1:], end[:-1]):
        assert set(half.replace(r"\n", "").replace(r"\U000e0001", "")) <= {"x"}
