import os
from pathlib import Path

import pytest

from sortal.data import Found, Refused, files_source, open_source
from sortal.errors import DataError, InputError, MissingExtra

JPEG = b"\xff\xd8\xff"


def write_list(folder: Path, text: str | bytes, *files: str) -> Path:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(JPEG)
    path = folder / "list.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def names(source):
    folder = os.path.dirname(source.location)
    return {os.path.relpath(entry.path, folder): entry.name for entry in source.scan()}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name,path\ncat,b.jpg\n,sub/a.jpg\n", {"b.jpg": "cat", "sub/a.jpg": None}),
        ("\ufeffPath,Name\r\nb.jpg,cat\r\n\r\nsub/a.jpg, dog \r\n", {"b.jpg": "cat", "sub/a.jpg": "dog"}),
        ("file\nb.jpg\nsub/a.jpg\n", {"b.jpg": None, "sub/a.jpg": None}),
        ("b.jpg\nsub/a.jpg", {"b.jpg": None, "sub/a.jpg": None}),
        ("file,size\nb.jpg,7\nb.jpg,7\n", {"b.jpg": None}),
        ('path\n"with, comma.jpg"\n', {"with, comma.jpg": None}),
        ("path;name\nwith, comma.jpg;cat\nb.jpg;a, dog\n", {"with, comma.jpg": "cat", "b.jpg": "a, dog"}),
    ],
)
def test_lists_with_and_without_a_header(tmp_path, text, expected):
    source = open_source(write_list(tmp_path, text, "b.jpg", "sub/a.jpg", "with, comma.jpg"))
    assert names(source) == expected
    assert all(isinstance(entry, Found) for entry in source.scan())
    assert {source.read(entry.path) for entry in source.scan()} == {JPEG}


def test_a_first_row_that_could_be_a_file_is_never_taken_for_a_header(tmp_path):
    source = open_source(write_list(tmp_path, "IMG1\nIMG2\n", "IMG1", "IMG2"))
    assert set(names(source)) == {"IMG1", "IMG2"}


def test_absolute_paths_and_the_folder_as_name(tmp_path):
    (tmp_path / "lists").mkdir()
    write_list(tmp_path, "", "cat/1.jpg")
    path = write_list(tmp_path / "lists", f"path\n{tmp_path}/cat/1.jpg\n")
    (entry,) = open_source(path, names_from="folders").scan()
    assert (entry.path, entry.name) == (f"{tmp_path}/cat/1.jpg", "cat")


def test_what_a_list_names_in_vain_is_refused_and_the_rest_read(tmp_path):
    text = b"path\nb.jpg\nmissing.jpg\nsub\nn\0ul.jpg\n" + b"x" * 10_000 + b".jpg\nb.jpg/x.jpg\n\xff.jpg\n"
    source = open_source(write_list(tmp_path, text, "b.jpg", "sub/a.jpg"))
    kinds = {
        os.fsencode(os.path.relpath(entry.path.replace("\0", "0"), tmp_path))[:12]: getattr(
            entry, "kind", None
        )
        for entry in source.scan()
    }
    assert kinds == {
        b"b.jpg": None,
        b"missing.jpg": "missing",
        b"sub": "not a file",
        b"n0ul.jpg": "bad path",
        b"x" * 12: "bad path",
        b"b.jpg/x.jpg": "missing",
        b"\xff.jpg": "missing",
    }
    assert all(
        entry.stamp is None
        for entry in source.scan()
        if isinstance(entry, Refused) and entry.kind != "not a file"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("path,name\na.jpg,cat\nb.jpg\n", "line 3: every row must have as many cells as the first, 2; got 1"),
        ("path\na,b.jpg\n", "line 2: .*double quotes"),
        ("path,name\na.jpg,cat\na.jpg,dog\n", "line 3: one path, two names: a.jpg"),
        ("path,name\n,cat\n", "line 2: the path must not be empty"),
        ("path\n" + "x" * 200_000, "line 2: must be CSV"),
    ],
)
def test_a_list_that_is_wrong_is_refused_with_its_line(tmp_path, text, said):
    with pytest.raises(DataError, match=said) as caught:
        open_source(write_list(tmp_path, text))
    assert "list.csv" in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_list_of_nothing_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="lists no file"):
        open_source(write_list(tmp_path, "path\n\n"))


def test_parquet_gives_what_csv_gives(tmp_path):
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    write_list(tmp_path, "", "b.jpg", "sub/a.jpg")
    table = pa.table(
        {"size": [1, 2], "Name": ["cat", None], "path": pa.array(["b.jpg", "sub/a.jpg"]).dictionary_encode()}
    )
    pq.write_table(table, tmp_path / "list.parquet")
    assert names(open_source(tmp_path / "list.parquet")) == {"b.jpg": "cat", "sub/a.jpg": None}
    pq.write_table(pa.table({"file": ["b.jpg"]}), tmp_path / "only")
    assert names(open_source(tmp_path / "only")) == {"b.jpg": None}


def test_a_parquet_list_that_is_wrong_is_named(tmp_path):
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "list.parquet"
    for column in [[1, 2], ["a.jpg", None]]:
        pq.write_table(pa.table({"path": column}), path)
        with pytest.raises(DataError, match=r"list\.parquet row [12]: column path must hold paths as text"):
            open_source(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"list\.parquet must be a Parquet list"):
        open_source(path)


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "list.parquet").write_bytes(b"PAR1....")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r"sortal\[parquet\]"):
        open_source(tmp_path / "list.parquet")


def test_single_files_are_found_or_refused_each_by_itself(tmp_path):
    write_list(tmp_path, "", "b.jpg", "a.jpg")
    source = files_source(
        [tmp_path / "b.jpg", str(tmp_path / "a.jpg"), tmp_path / "no.jpg", tmp_path / "b.jpg"]
    )
    assert [(os.path.basename(e.path), type(e)) for e in source.scan()] == [
        ("a.jpg", Found),
        ("b.jpg", Found),
        ("no.jpg", Refused),
    ]
    assert source.kind == "files"
    with pytest.raises(InputError, match="at least one file"):
        files_source([])
