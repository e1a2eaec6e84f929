"""sortal cluster: plain tables; and the ways to group that organize shares with it."""

import csv

import numpy as np
import pytest
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score

from sortal.errors import InputError
from sortal.wishes import read_method

X, TRUTH = make_blobs(90, centers=[[0, 0], [9, 0], [0, 9]], random_state=0)


def write_csv(path, header="a,b", delimiter=","):
    rows = [delimiter.join(map(repr, row)) for row in X.tolist()]
    path.write_text("\n".join(([header] if header else []) + rows) + "\n")


@pytest.mark.parametrize(("header", "delimiter"), [("a,b", ","), ("a;b", ";"), ("", "\t")])
def test_csv(sortal, tmp_path, header, delimiter):
    write_csv(tmp_path / "t.csv", header, delimiter)
    record = sortal("cluster", "t.csv", "-k", "3", "--method", "kmeans", "--json").json("cluster")
    assert (record["rows"], record["n_groups"], record["sizes"]) == (90, 3, [30, 30, 30])
    with open(tmp_path / "t.groups.csv", newline="") as file:
        rows = list(csv.reader(file, delimiter=delimiter))
    if header:
        assert rows.pop(0) == ["a", "b", "group"]
    assert adjusted_rand_score(TRUTH, [int(row[2]) for row in rows]) == 1
    assert [row[:2] for row in rows] == [list(map(repr, row)) for row in X.tolist()]  # to the last digit


def test_what_a_spreadsheet_wrote_it_can_read_again(sortal, tmp_path):
    text = "größe;b\r\n" + "".join(f"{a!r};{b!r}\r\n" for a, b in X.tolist())
    (tmp_path / "t.csv").write_bytes(text.encode("utf-8-sig"))
    assert sortal("cluster", "t.csv", "-k", "3").code == 0
    lines = (tmp_path / "t.groups.csv").read_bytes().decode("utf-8").split("\r\n")
    assert lines[0] == "\ufeffgröße;b;group"
    assert [line.rpartition(";")[0] for line in lines[1:-1]] == text.split("\r\n")[1:-1]


def test_npy_and_parquet(sortal, tmp_path):
    np.save(tmp_path / "v.npy", X.astype(np.float32))
    options = ["--method", "sklearn.cluster.DBSCAN", "--param", "eps=2.0"]
    record = sortal("cluster", "v.npy", *options, "--json").json("cluster")
    found = np.load(tmp_path / "v.groups.npy")
    assert found.dtype == np.float32
    assert found[:, 2].astype(int).min() == (-1 if record["left_out"] else 0)
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    pq.write_table(pa.table({"a": X[:, 0], "b": X[:, 1], "name": ["x"] * 90}), tmp_path / "t.parquet")
    assert "column name must hold numbers" in sortal("cluster", "t.parquet").error()
    out = sortal("cluster", "t.parquet", "--columns", "a,b", "-k", "3", "--label-column", "kind")
    assert out.code == 0
    table = pq.read_table(tmp_path / "t.groups.parquet")
    assert table.column_names == ["a", "b", "name", "kind"]
    assert adjusted_rand_score(TRUTH, table["kind"].to_numpy()) == 1


@pytest.mark.slow
def test_suggest(sortal, tmp_path):
    write_csv(tmp_path / "t.csv")
    ran = sortal("cluster", "t.csv", "--method", "kmeans", "--suggest", "--json")
    record = ran.json("cluster")
    assert (record["k"], record["suggestion"]["groups"]) == (3, True)
    assert "evidence from all 90 items" in ran.err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n3,x\n", "line 3: column b must hold numbers and holds text (x): name the columns"),
        ("a,b\n1,2\n3,\n", "line 3: column b must hold numbers and is empty"),
        ("a,b\n1,2\n3,NA\n", "line 3: column b must hold numbers and is empty ('NA'): fill it"),
        (
            "a;b\n1;2\n3;4,5\n",
            "line 3: column b must hold numbers and holds text (4,5): write a decimal point",
        ),
        ("a,b\n1,2\n3,nan\n", "row 1 of column b is nan"),
        ("a,b\n1,2\n3,inf\n", "row 1 of column b is inf"),
        ("a,b\n1,2\n3\n", "line 3: every row must have 2 cells"),
        ("a,group\n1,2\n", "has a column group already"),
        ("a,b\n", "has a header and no row"),
        ("", "is empty"),
    ],
)
def test_tables_that_are_refused(sortal, tmp_path, text, message):
    (tmp_path / "t.csv").write_text(text)
    assert message in sortal("cluster", "t.csv").error()
    assert not (tmp_path / "t.groups.csv").exists()


def test_few_columns_go_to_k_means(sortal, tmp_path):
    """The graph, made for hundreds of columns, guessed 15 groups of 4 in two columns."""
    write_csv(tmp_path / "t.csv")
    ran = sortal("cluster", "t.csv", "-k", "3", "--json")
    assert ran.json("cluster")["method"] == "kmeans"
    assert "by kmeans: 2 columns, fewer than 10 (--method says otherwise)" in ran.err
    for n, d, method in ((99, 10, "kmeans"), (100, 10, "graph"), (1000, 9, "kmeans")):
        np.save(tmp_path / "v.npy", np.random.default_rng(0).normal(size=(n, d)))
        assert sortal("cluster", "v.npy", "-k", "2", "--json").json("cluster")["method"] == method


@pytest.mark.slow
def test_few_columns_without_a_number_are_left_to_suggest(sortal, tmp_path):
    write_csv(tmp_path / "t.csv")
    ran = sortal("cluster", "t.csv", "--json")
    record = ran.json("cluster")
    assert (record["method"], record["k"], record["n_groups"]) == ("kmeans", 3, 3)
    assert "3 groups with sparse space between them" in ran.err
    assert "evidence from" not in ran.err  # that is for --suggest
    (tmp_path / "one.csv").write_text("a,b\n1,2\n")
    assert "got 1 row: give k" in sortal("cluster", "one.csv").error()


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
def test_whole_numbers_that_float64_cannot_tell_apart_are_refused(sortal, tmp_path, dtype):
    np.save(tmp_path / "v.npy", np.array([[2**62 + i, i] for i in range(9)], dtype=dtype))
    assert "whole numbers must lie within 2**53" in sortal("cluster", "v.npy", "-k", "2").error()


def test_other_refusals(sortal, tmp_path):
    write_csv(tmp_path / "t.csv")
    np.save(tmp_path / "o.npy", np.array([[{}]], dtype=object), allow_pickle=True)
    np.save(tmp_path / "one.npy", np.zeros(5))
    assert "must be .csv, .npy or .parquet" in sortal("cluster", "t.xlsx").error()
    assert "no such file" in sortal("cluster", "gone.csv").error()
    assert "o.npy must be an array of numbers" in sortal("cluster", "o.npy").error()
    assert "reshape it" in sortal("cluster", "one.npy").error()
    np.save(tmp_path / "nan.npy", np.array([[1, np.nan], [2, 3]]))
    assert "row 0 of column 2 is nan: fill it" in sortal("cluster", "nan.npy").error()
    (tmp_path / "hole.csv").write_text("1,2\n3,\n")
    assert "hole.csv line 2: column 2 must hold numbers and is empty" in sortal("cluster", "hole.csv").error()
    (tmp_path / "broken.npy").write_bytes(b"\x93NUMPY garbage")
    assert "save one by numpy.save" in sortal("cluster", "broken.npy").error()
    assert "--columns must name columns" in sortal("cluster", "t.csv", "--columns", "z").error()
    assert "--out must be a .csv" in sortal("cluster", "t.csv", "--out", "a.npy").error()
    assert "needs the number" in sortal("cluster", "t.csv", "--method", "kmeans").error()
    assert "it is a folder" in sortal("cluster", ".").error()
    assert "--param belongs to a method" in sortal("cluster", "t.csv", "--param", "a=1").error(2)
    assert "exclude each other" in sortal("cluster", "t.csv", "-k", "3", "--suggest").error(2)
    assert "KEY=VALUE" in sortal("cluster", "t.csv", "--method", "kmeans", "--param", "a").error(2)
    assert "sortal cluster table.csv" in sortal("cluster", "--help").out


def test_organize_by_scikit_learn(sortal, pile):
    options = ["--method", "sklearn.cluster.HDBSCAN", "--param", "min_cluster_size=5"]
    record = sortal("organize", pile, *options, "--json").json("organize")
    assert record["method"] == "sklearn.cluster.HDBSCAN"
    assert (record["k"], record["params"]) == ("auto", {"min_cluster_size": 5})
    shown = sortal("show", pile, "--json").json("show")
    assert sum(group["size"] for group in shown["groups"]) == shown["items"] - record["left_out"]
    again = sortal("organize", pile)
    assert "nothing changed" in again.err
    assert (
        sortal("organize", pile, "--method", "kmeans", "-k", "4", "--json").json("organize")["params"] == {}
    )
    assert "dbscan finds the number" in sortal("organize", pile, "--method", "dbscan", "-k", "4").error()
    assert sortal("organize", pile, *options).code == 0
    said = sortal("organize", pile, "-k", "4").error()
    assert "HDBSCAN, the method of the last grouping, finds the number of groups itself; got k=4" in said
    assert "or say another method (--method graph)" in said


@pytest.mark.slow
def test_organize_as_suggested(sortal, pile):
    record = sortal("organize", pile, "--method", "kmeans", "--suggest", "--json").json("organize")
    assert record["method"] == "kmeans"
    assert record["k"] == record["suggestion"]["k"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dbscan", ("dbscan", {})),
        ("dbscan()", ("dbscan", {})),
        ("dbscan(eps=0.5, metric=cosine)", ("dbscan", {"eps": 0.5, "metric": "cosine"})),
        ('a.b(x="p,q)",y=[1,2],z=null,w=true)', ("a.b", {"x": "p,q)", "y": [1, 2], "z": None, "w": True})),
    ],
)
def test_methods_in_words(text, expected):
    assert read_method(text) == expected


@pytest.mark.parametrize(
    "text", ["", "a(", "a b", "a(x)", "a(x=)", "a(x=1 y=2)", "a(x={})", "a(1=2)", "a(x=1e999)"]
)
def test_methods_that_are_no_words(text):
    if text == "a(x=1e999)":
        assert read_method(text) == ("a", {"x": "1e999"})  # a word, which every method refuses
        return
    with pytest.raises(InputError):
        read_method(text)
