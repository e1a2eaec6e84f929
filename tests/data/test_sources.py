import gzip
import os

import pytest

from sortal import data
from sortal.data import detected_kind, open_source
from sortal.errors import InputError
from tests.data.samples import encoded, photo


def test_the_public_names_are_those_listed():
    public = {name for name in vars(data) if not name.startswith("_")}
    modules = {name for name in public if type(vars(data)[name]).__name__ == "module"}
    assert public - modules == set(data.__all__)


def test_a_location_that_holds_no_source_is_one_line_with_the_way_out(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.csv").touch()
    (tmp_path / "photo.jpg").write_bytes(encoded(photo(), "JPEG"))
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.4")
    (tmp_path / "x.sortal").mkdir()
    (tmp_path / "x.sortal/catalogue.db").touch()
    os.mkfifo(tmp_path / "fifo")
    cases = {
        "missing": "there is no such file",
        "empty": "empty is empty",
        "empty.csv": "empty.csv is empty",
        "photo.jpg": "photo.jpg looks like a JPEG image",
        "a.pdf": "looks like a PDF",
        "x.sortal": "is a pile",
        "fifo": "is a FIFO",
        "n\0ul": r"n\\x00ul",
        "x" * 10_000: "longer than the system allows",
        "new\nline": r"new\\nline",
    }
    for name, said in cases.items():
        with pytest.raises(InputError, match=said) as caught:
            open_source(tmp_path / name)
        assert str(caught.value).isprintable()
        assert str(caught.value).startswith("source must")
    with pytest.raises(InputError, match="an empty path"):
        open_source("")
    with pytest.raises(InputError, match="names_from"):
        open_source(tmp_path, names_from="files")


def test_a_folder_that_cannot_be_listed_is_an_input_error(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InputError, match="no permission"):
        open_source(tmp_path)


def test_a_relative_location_becomes_absolute(tmp_path, monkeypatch):
    (tmp_path / "a.jpg").touch()
    monkeypatch.chdir(tmp_path)
    assert open_source(".").location == str(tmp_path)


TABLES = {
    "id;t0;t1;t2\na;1,5;2;3\n": "series",
    "1,5\t2\t3,5\n": "series",
    "id|time|value\na|1|2\n": "series",
    'nr;text\n1;"so; oder, so"\n': "text",
    "path;name\na.wav;dog, brown\n": "sound",
    "a.wav;dog\nb.wav;cat\n": "sound",
    "a;1.wav,dog\nb;2.wav,cat\n": "sound",  # a comma where both would do
}


@pytest.mark.parametrize(("text", "kind"), TABLES.items())
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_the_kind_of_a_table_whatever_parts_its_cells(tmp_path, text, kind, encoding):
    table = tmp_path / "table.csv"
    table.write_bytes(text.encode(encoding))
    if kind == "sound":
        table.write_text(text)  # lists are UTF-8
    assert detected_kind(table) == kind
    if kind != "sound":
        (tmp_path / "table.csv.gz").write_bytes(gzip.compress(table.read_bytes()))
        assert detected_kind(tmp_path / "table.csv.gz") == kind


def test_tabs_hold_series_or_texts(tmp_path):
    (tmp_path / "a.tsv").write_text("1\t2.5\t3\n")
    assert detected_kind(tmp_path / "a.tsv") == detected_kind(tmp_path) == "series"
    (tmp_path / "a.tsv").write_text("path\tsentence\na.mp3\tso it is\n")
    assert detected_kind(tmp_path / "a.tsv") == detected_kind(tmp_path) == "text"


@pytest.mark.parametrize("name", ["table.csv", "table.csv.gz"])
def test_a_table_that_does_not_say_what_it_holds(tmp_path, name):
    text = b"nr;Kommentar\n1;gut, ja\n2;schlecht\n"
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    with pytest.raises(InputError, match=r"\(nr, Kommentar\): for texts name theirs .*column=NAME"):
        detected_kind(tmp_path / name)
