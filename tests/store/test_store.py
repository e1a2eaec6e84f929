import os

import numpy as np
import pytest

from sortal.errors import InputError, StoreError
from sortal.store import Batch, FileRow, NewFile, NewItem, NewQuarantine, NewVectors, Store

from .piles import DIM, batch, digest, fill, vector


@pytest.fixture
def store(tmp_path):
    with Store.create(tmp_path / "a.sortal") as store:
        yield store


def test_a_batch_comes_back(store):
    fill(store, range(3), [5, 4])
    assert store.files(1)["4.png"] == FileRow((7, 4, 4), 5)
    assert store.items(1).tolist() == [1, 2, 3, 4, 5]
    assert store.items_without_vectors(1).tolist() == []
    assert store.count(1) == 5
    assert store.paths([5, 1]) == [["4.png"], ["0.png"]]
    column = store.vectors(1)
    np.testing.assert_array_equal(column.array, [vector(i) for i in (0, 1, 2, 5, 4)])
    np.testing.assert_array_equal(column.rows([4, 0, 4]), [vector(i) for i in (4, 0, 4)])
    assert store.verify() == []


def test_duplicates_are_one_item_with_several_paths(store):
    source = store.source("/photos", "folder")
    item = NewItem(digest(0), 7)
    files = [NewFile(p, (7, 0, 0), digest(0)) for p in ("b", "a")]
    store.commit(Batch(source, [item, item], files))
    store.commit(Batch(source, [item], [NewFile("c", (7, 0, 0), digest(0))]))
    assert store.paths([1]) == [["a", "b", "c"]]
    assert store.first_files([1])[0].path == "a"
    encoder = store.encoder("hog", "hog/1", DIM, {})
    assert store.items_without_vectors(encoder).tolist() == [1]
    assert store.count(encoder) == 0


def test_items_whose_files_are_gone_keep_their_vectors(store):
    fill(store, range(4))
    store.forget(1, ["1.png", "never there"])
    assert store.items(1).tolist() == [1, 3, 4]
    assert store.count(1) == 3
    assert store.paths([2]) == [[]]
    assert len(store.vectors(1)) == 4


def test_paths_that_are_not_utf8_survive(store):
    path = os.fsdecode(b"caf\xe9/\xff\n.png")
    source = store.source(os.fsdecode(b"/ph\xf6tos"), "folder")
    store.commit(
        Batch(source, [NewItem(digest(0), 1)], [NewFile(path, (1, 2, 3), digest(0))],
              [NewQuarantine(path + "x", "empty", "it is empty", None)])
    )  # fmt: skip
    assert list(store.files(source)) == [path]
    assert store.quarantine()[0].path == path + "x"
    assert store.sources()[0].location == os.fsdecode(b"/ph\xf6tos")
    assert store.verify() == []


def test_quarantine_and_files_exclude_each_other(store):
    source = store.source("/photos", "folder")
    good = Batch(source, [NewItem(digest(0), 1)], [NewFile("a", (1, 2, 3), digest(0))])
    bad = Batch(source, quarantine=[NewQuarantine("a", "truncated", "it ends early", (1, 2, 4))])
    store.commit(good)
    store.commit(bad)
    assert store.files(source) == {}
    first = store.quarantine(source)[0]
    assert (first.kind, first.stamp) == ("truncated", (1, 2, 4))
    store.commit(Batch(source, quarantine=[NewQuarantine("a", "empty", "it is empty", None)]))
    assert store.quarantine()[0].since == first.since
    store.commit(good)
    assert store.quarantine() == []
    store.commit(bad)
    store.forget(source, ["a"])
    assert store.quarantine() == []


def test_sources_and_encoders_are_found_again(store):
    a = store.source("/a", "folder")
    assert store.source("/a", "folder", "folders") == a
    assert store.sources()[0].names_from == "folders"
    assert store.source("/a", "zip") != a
    one = store.encoder("hog", "hog/1", 3, {"b": 1, "a": 2})
    assert store.encoder("hog", "hog/1", 3, {"a": 2, "b": 1}) == one
    assert store.encoder("hog", "hog/2", 3, {"b": 1, "a": 2}) != one
    assert store.encoders()[0].spec == {"a": 2, "b": 1}


def test_a_wrong_batch_changes_nothing(store):
    fill(store, range(2))
    before = os.listdir(store.path / "segments")
    good = batch(store, [7, 8])
    wrong = {
        "one vector of an encoder": batch(store, [7, 1]),
        "no encoder 9": Batch(
            good.source, good.items, vectors=NewVectors(9, [digest(7)], good.vectors.array[:1])
        ),
        "no item of the batch": Batch(good.source, files=[NewFile("x", (1, 1, 1), digest(99))]),
        "float32 of shape": Batch(
            good.source, good.items, vectors=NewVectors(1, [digest(7)], good.vectors.array)
        ),
        "32 bytes": Batch(good.source, [NewItem(b"short", 1)]),
    }
    with store.run("organize"):
        for rule, one in wrong.items():
            with pytest.raises(InputError, match=rule):
                store.commit(one)
    assert store._catalogue.read("SELECT count(*) FROM items") == [(2,)]
    assert store.verify() == []
    with store.run("organize"):  # the next run sweeps segments that nothing refers to
        assert os.listdir(store.path / "segments") == before


def test_vector_index_sees_what_is_committed(store):
    with store.run("organize"):
        store.commit(batch(store, [1]))
        has = store.vector_index(1)
        assert has(digest(1))
        assert not has(digest(2))
        store.commit(batch(store, [2]))
        assert has(digest(2))
        store.compact("vectors", 1, [2])
        assert [has(digest(i)) for i in (1, 2)] == [False, True]


def test_compaction_gives_one_map_in_the_order_asked(store):
    fill(store, range(5), [9], range(5, 8))
    order = np.array([3, 9, 1, 6])
    with store.run("organize"):
        old = store.vectors(1)
        store.compact("vectors", 1, order)
        files = os.listdir(store.path / "segments")
        store.compact("vectors", 1, order)
        assert os.listdir(store.path / "segments") == files  # so already: nothing written
        with pytest.raises(InputError, match="every item asked for"):
            store.compact("vectors", 1, [3, 2])
    column = store.vectors(1)
    assert isinstance(column.array, np.memmap)
    assert column.item_ids.tolist() == order.tolist()
    np.testing.assert_array_equal(column.array, [vector(i) for i in (2, 7, 0, 9)])
    assert len(files) == 1
    assert len(old.array) == 9  # what a reader had open stays whole
    assert store.verify() == []


def test_compaction_in_chunks_to_nothing_and_never_over_damage(store, monkeypatch):
    monkeypatch.setattr("sortal.store.columns._CHUNK_BYTES", 2 * DIM * 4)
    fill(store, range(5), range(5, 8))
    with store.run("organize"):
        store.compact("vectors", 1, np.arange(8, 0, -1))
        np.testing.assert_array_equal(store.vectors(1).array, [vector(i) for i in range(7, -1, -1)])
        (segment,) = (store.path / "segments").iterdir()
        raw = bytearray(segment.read_bytes())
        raw[4096] ^= 1
        segment.write_bytes(raw)
        with pytest.raises(StoreError, match="block 0 is damaged"):
            store.compact("vectors", 1, [1, 2])
        assert [p.file for p in store.verify()] == [f"segments/{segment.name}"]
        raw[4096] ^= 1
        segment.write_bytes(raw)
        store.compact("vectors", 1, [])
    assert store.vectors(1).array.shape == (0, DIM)
    assert store.items_without_vectors(1).tolist() == list(range(1, 9))


def test_a_reader_that_lost_a_segment_looks_again(store, monkeypatch):
    fill(store, range(3), range(3, 5))
    from sortal.store import columns

    real, late = columns.open_segment, iter([True])

    def compacted_meanwhile(folder, row):
        if next(late, False):
            with Store.open(store.path) as other, other.run("organize"):
                monkeypatch.setattr(columns, "open_segment", real)
                other.compact("vectors", 1, other.items(1))
        return real(folder, row)

    monkeypatch.setattr(columns, "open_segment", compacted_meanwhile)
    np.testing.assert_array_equal(store.vectors(1).array, [vector(i) for i in range(5)])
    next((store.path / "segments").iterdir()).unlink()
    with pytest.raises(StoreError, match="missing: restore"):
        store.vectors(1)
    assert [p.what for p in store.verify()] == ["missing"]


def test_a_flipped_bit_in_a_column_is_found_before_it_is_used(store):
    fill(store, range(3))
    assert store.vectors(1).checked().shape == (3, DIM)
    (segment,) = (store.path / "segments").iterdir()
    raw = bytearray(segment.read_bytes())
    raw[4096 + 2] ^= 1
    segment.write_bytes(raw)
    with pytest.raises(StoreError, match=r"vectors-.* block 0 is damaged .* restore"):
        store.vectors(1).checked()


def test_columns_are_written_inside_a_run_only(store):
    fill(store, range(3))
    with pytest.raises(AssertionError, match=r"inside .with store\.run"):
        store.compact("vectors", 1, [1])


def test_a_closed_pile_says_so(store):
    store.close()
    with pytest.raises(StoreError, match="the pile is closed: open it again"):
        store.acts()


def test_groupings(store):
    fill(store, range(4))
    assert store.grouping() is None
    with store.run("group"):
        for k in (2, 3):
            id = store.add_grouping(
                1, "graph", {"k": k}, 0, {"candidates": [], "score": 0.5}, [1, 2, 3, 4],
                np.array([0, 1, -1, 0], np.int32), np.ones((4, 2), np.float32) * k,
            )  # fmt: skip
    latest = store.grouping(1)
    assert (latest.id, latest.parameters) == (id, {"k": 3})
    assert latest.evidence == {"candidates": [], "score": 0.5}
    assert [g.parameters["k"] for g in store.groupings()] == [2, 3]
    assert store.column("labels", id).array.tolist() == [0, 1, -1, 0]
    assert store.column("points", 1).array[0, 0] == 2
    assert store.runs()[-1].id == latest.run
    merge = store.act("merge", {"grouping": id, "groups": [0, 1]})
    assert store.acts()[merge - 1].detail == {"grouping": id, "groups": [0, 1]}
    assert store.verify() == []
    with store.run("group"):
        for ids, rule in ([1, 2, 3], "a row an item"), ([1, 2, 3, 3], "each item once"):
            with pytest.raises(InputError, match=rule):
                store.add_grouping(
                    1, "graph", {"k": 2}, 0, {"candidates": []}, ids,
                    np.zeros(4, np.int32), np.ones((4, 2), np.float32),
                )  # fmt: skip


def test_runs_are_recorded_with_their_outcome(store):
    with store.run("organize", {"k": 3}):
        assert store.runs()[0].outcome is None
    with pytest.raises(ValueError, match="x"), store.run("organize"):
        raise ValueError("x")
    with pytest.raises(KeyboardInterrupt), store.run("organize"):
        raise KeyboardInterrupt
    assert [run.outcome for run in store.runs()] == ["done", "failed", "interrupted"]
    assert store.runs()[0].parameters == {"k": 3}
    assert store.runs()[0].versions["numpy"] == np.__version__


def test_the_store_may_be_shared_between_threads(store):
    from concurrent.futures import ThreadPoolExecutor

    with store.run("organize"), ThreadPoolExecutor(4) as pool:
        store.commit(batch(store, [0]))
        has = store.vector_index(1)
        answers = pool.map(has, [digest(i % 5) for i in range(400)])
        for i in range(5, 25):
            store.commit(batch(store, [i]))
        assert list(answers) == [i % 5 == 0 for i in range(400)]
