import numpy as np
import pytest

from sortal.errors import InputError, StoreError
from sortal.store import Act, Store, checked_name, effective_labels, marks

from .piles import fill


def act(id, kind, items=(), **detail):
    return Act(id, "2026-01-01T00:00:00+00:00", kind, detail, np.array(items, np.int64))


@pytest.fixture
def store(tmp_path):
    with Store.create(tmp_path / "a.sortal") as store:
        fill(store, range(6))
        yield store


def test_the_last_word_on_an_item_counts():
    acts = [
        act(1, "name", [1, 2, 3], name="cat"),
        act(2, "name", [2], name="dog"),
        act(3, "none", [3, 4]),
        act(4, "name", [4], name="cow"),
        act(5, "unname", [1]),
        act(6, "none", [5]),
        act(7, "unname", [5]),
    ]
    found = marks(acts)
    assert found.names == {2: "dog", 4: "cow"}
    assert found.none == {3}


def test_an_undone_act_does_not_count():
    acts = [act(1, "name", [1], name="cat"), act(2, "name", [1], name="dog"), act(3, "undo", act=2)]
    assert marks(acts).names == {1: "cat"}
    assert marks([*acts, act(4, "undo", act=1)]).names == {}


def test_merges_and_splits_of_one_grouping():
    ids, labels = np.array([9, 4, 7, 2, 5]), np.array([2, 0, 1, 3, -1])
    acts = [
        act(1, "merge", grouping=1, groups=[3, 2]),
        act(2, "split", [2, 5, 99], grouping=1, groups=[4, 0, 8]),  # item 99 is not here
        act(3, "merge", grouping=2, groups=[0, 1]),  # another grouping's
    ]
    assert effective_labels(ids, labels, acts, 1).tolist() == [2, 0, 1, 4, 0]
    assert effective_labels(ids, labels, [*acts, act(4, "undo", act=2)], 1).tolist() == [2, 0, 1, 2, -1]
    assert effective_labels(ids[:0], labels[:0], acts, 1).tolist() == []
    assert labels.tolist() == [2, 0, 1, 3, -1]


@pytest.mark.parametrize(
    "name", ["", "  ", "a\nb", "a\x00", "x" * 201, "x" * 10_000, "\udcff", "a\u2028b", "a\x85b"]
)
def test_names_that_break_the_rule(name):
    with pytest.raises(InputError) as caught:
        checked_name(name)
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 250


def test_names_are_stripped_and_composed():
    assert checked_name(" thumb up\n") == "thumb up"
    assert checked_name("e\u0301") == "\u00e9"
    assert checked_name("👩\u200d🔬") == "👩\u200d🔬"
    assert len(checked_name("é" * 200)) == 200


def test_acts_come_back_in_order_and_survive(store):
    first = store.act("name", {"name": " cat "}, [1, 3])
    second = store.act("none", items=np.array([2]))
    store.act("undo", {"act": first})
    with Store.open(store.path) as again:
        acts = again.acts()
        assert [(a.kind, a.detail, a.items.tolist()) for a in acts] == [
            ("name", {"name": "cat"}, [1, 3]),
            ("none", {}, [2]),
            ("undo", {"act": first}, []),
        ]
        assert marks(acts).none == {2}
    assert second == first + 1


@pytest.mark.parametrize(
    ("kind", "detail", "items", "rule"),
    [
        ("rename", {}, [1], "an act is one of"),
        ("name", {"name": "x", "more": 1}, [1], "the detail of name"),
        ("name", {"name": "x"}, [], "needs at least one item"),
        ("name", {"name": "x"}, [7], "numbered 1 to 6"),
        ("name", {"name": "x"}, [0], "numbered 1 to 6"),
        ("merge", {"grouping": 1, "groups": [1, 1]}, [], "two or more different"),
        ("merge", {"grouping": 1, "groups": [1, -1]}, [], "from 0 up"),
        ("merge", {"grouping": 1, "groups": [1, 2]}, [], "no grouping 1"),
        ("split", {"grouping": 1, "groups": [1, 2]}, [1], "one group number for each"),
        ("undo", {"act": 5}, [], "no such act"),
    ],
)
def test_a_wrong_act_is_refused_and_leaves_no_trace(store, kind, detail, items, rule):
    with pytest.raises(InputError, match=rule):
        store.act(kind, detail, items)
    assert store.acts() == []


def test_undo_once_and_not_of_an_undo(store):
    name = store.act("name", {"name": "x"}, [1])
    undo = store.act("undo", {"act": name})
    with pytest.raises(InputError, match="itself an undo"):
        store.act("undo", {"act": undo})
    with pytest.raises(InputError, match="undone already"):
        store.act("undo", {"act": name})


def test_a_damaged_act_is_never_read(store):
    store.act("name", {"name": "cat"}, [1])
    store._catalogue._connection.execute("""UPDATE journal SET detail = '{"name":"bat"}'""")
    with pytest.raises(StoreError, match="table journal is damaged"):
        store.acts()
