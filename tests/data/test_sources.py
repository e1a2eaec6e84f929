import os

import pytest

from sortal import data
from sortal.data import open_source
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
