"""Time series out of every format, and what is wrong with one, with its place."""

import io

import numpy as np
import pytest

from sortal.data.series import SeriesInput, as_npy, decode_series, series_pieces
from sortal.errors import Unreadable


def pieces(name, data, missing=None):
    content = data if isinstance(data, bytes) else data.encode()
    found, _ = series_pieces(name, content, missing)
    return [
        (where, one if isinstance(one, Unreadable) else decode_series(one).tolist(), label)
        for where, one, label in found
    ]


def npy(array):
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


TS = "# said\n@problemName x\n@classLabel true a b\n@data\n1,2,3:4,5,6:a\n7,8:9,10:b\n"


def test_ts():
    assert pieces("x.ts", TS) == [("5", [[1, 2, 3], [4, 5, 6]], "a"), ("6", [[7, 8], [9, 10]], "b")]
    assert pieces("x.ts", "@data\n1,2") == [("2", [[1, 2]], None)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1,2,3\n", "line 1: a .ts file has @-lines"),
        ("@x\n", "without @data"),
        ("@timeStamps true\n@data\n(0,1)", "time stamps"),
    ],
)
def test_a_ts_file_that_is_none(text, words):
    with pytest.raises(Unreadable, match=words):
        pieces("x.ts", text)


def test_wide_tables():
    assert pieces("x.csv", "1,2,3\n4,5,\n") == [("1", [[1, 2, 3]], None), ("2", [[4, 5]], None)]
    header = "name,id,t0,t1\na,x,1,2\nb,y,3,4\n"
    assert pieces("x.csv", header) == [("x", [[1, 2]], "a"), ("y", [[3, 4]], "b")]
    assert pieces("x.csv", "a,1,2\nb,3,4\n") == [("1", [[1, 2]], "a"), ("2", [[3, 4]], "b")]


def test_long_tables():
    text = "id,time,x,y\nb,1,1,2\na,10,5,6\na,9,3,4\nb,2,7,8\n"
    assert pieces("x.csv", text) == [("b", [[1, 7], [2, 8]], None), ("a", [[3, 5], [4, 6]], None)]


@pytest.mark.parametrize("sep", [";", "\t", "|"])
def test_tables_of_european_spreadsheets(sep):
    wide, long = "1,5;2;3,25\n4;5,5;\n", "id;time;x\nb;0,5;1,5\nb;0,25;7\n"
    assert pieces("x.csv", wide.replace(";", sep)) == [("1", [[1.5, 2, 3.25]], None), ("2", [[4, 5.5]], None)]
    assert pieces("x.csv", long.replace(";", sep)) == [("b", [[7, 1.5]], None)]
    assert series_pieces("x.csv", wide.encode(), None)[1] == "read with decimal commas"
    assert series_pieces("x.csv", b"1.5;2;3\n4;5;6\n", None)[1] is None


@pytest.mark.parametrize("text", ["1.5;2,5;3\n4;5;6\n", '1,"2,500",3\n4,5,6\n'])
def test_a_comma_that_may_part_thousands_is_no_decimal_comma(text):
    (_, bad, _), (_, good, _) = pieces("x.csv", text)
    assert bad.kind == "broken"
    assert "value 2 is no number: '2,5" in str(bad)
    assert "write a decimal point for the comma" in str(bad)
    assert good == [[4, 5, 6]]


def test_parquet(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    out = io.BytesIO()
    pq.write_table(pa.table({"id": [1, 1, 2], "time": [0, 1, 0], "value": [0.5, None, 2.0]}), out)
    assert pieces("x.parquet", out.getvalue()) == [("1", [[0.5]], None), ("2", [[2.0]], None)]


def test_npy():
    assert pieces("x.npy", npy(np.arange(3))) == [("1", [[0, 1, 2]], None)]
    assert pieces("x.npy", npy(np.eye(2))) == [("1", [[1, 0]], None), ("2", [[0, 1]], None)]
    assert len(pieces("x.npy", npy(np.zeros((4, 3, 2))))) == 4
    for bad in (npy(np.array(["a"])), npy(np.zeros((1, 1, 1, 1))), b"\x93NUMPY", npy(np.array([{}], object))):
        with pytest.raises(Unreadable):
            pieces("x.npy", bad)


@pytest.mark.parametrize(
    ("row", "kind", "words"),
    [
        ("1,?,3", "missing values", "value 2 is missing (1 in all); missing=linear"),
        ("1,2,3:4,NaN,NaN", "missing values", "value 2 of channel 2 is missing (2 in all)"),
        ("1,inf,3", "infinite", "value 2 is infinite"),
        ("1,x,3", "broken", "line 2: value 2 is no number: 'x'"),
        ("?,?", "empty", "without a value"),
    ],
)
def test_what_is_wrong_with_one_series_says_where(row, kind, words):
    content = f"@data\n{row}\n1,2\n".encode()
    (_, bad, _), (_, good, _) = series_pieces("x.ts", content, None)[0]
    assert bad.kind == kind
    assert words in str(bad)
    assert isinstance(good, bytes)


def test_missing_values_are_filled_when_asked():
    assert pieces("x.ts", "@data\n?,1,?,?,4:1,2,3,4,?", "linear") == [
        ("2", [[1, 1, 2, 3, 4], [1, 2, 3, 4, 4]], None)
    ]
    ((_, bad, _),) = pieces("x.ts", "@data\n?,?:1,2", "linear")
    assert "no value at all" in str(bad)


def test_rows_of_other_widths_are_refused_with_the_line():
    with pytest.raises(Unreadable, match="line 3 has 2 cells, the first 3"):
        pieces("x.csv", "1,2,3\n4,5,6\n7,8\n")


def test_one_length_for_an_encoder():
    want = SeriesInput(channels=1, length=3)
    assert want.prepared(np.array([[1.0, 2.0]])).tolist() == [[1, 2, 0]]
    assert want.prepared(np.array([[1.0, 2.0, 3.0, 4.0]])).tolist() == [[1, 2, 3]]
    with pytest.raises(Unreadable, match="2 channels; the encoder takes 1"):
        want.read(as_npy(np.ones((2, 3))))


def test_the_same_numbers_are_the_same_item():
    assert as_npy(np.ones((1, 3), np.float32)) == as_npy(np.asfortranarray(np.ones((1, 3))))
