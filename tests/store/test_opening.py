"""What cannot be opened or made says so in one line, and changes nothing."""

import contextlib
import hashlib
import os
import shutil
import sqlite3
import stat
import subprocess

import numpy as np
import pytest

from sortal.errors import StoreError
from sortal.store import Batch, NewQuarantine, Store
from sortal.store.catalogue import row_crc

from .piles import batch, child, fill


@pytest.fixture
def pile(tmp_path):
    with Store.create(tmp_path / "a.sortal") as store:
        fill(store, range(3), range(3, 5))
        store.act("name", {"name": "cat"}, [1])
    return store.path


def refused(path, rule, make=Store.open):
    with pytest.raises(StoreError, match=rule) as caught:
        make(path)
    assert str(caught.value).isprintable()
    assert os.path.basename(os.path.dirname(path)) in str(caught.value)


def test_what_is_no_pile(tmp_path):
    refused(tmp_path / "missing", "no such pile")
    (tmp_path / "file").write_text("x")
    refused(tmp_path / "file", "this is a file")
    (tmp_path / "folder").mkdir()
    refused(tmp_path / "folder", "no pile")
    (tmp_path / "new\nline").mkdir()
    refused(tmp_path / "new\nline", r"new\\nline: a folder")


@pytest.mark.parametrize("content", [b"", b"x" * 5_000, b"SQLite format 3\0" + bytes(4_000)])
def test_a_catalogue_that_is_none(pile, content):
    (pile / "catalogue.db").write_bytes(content)
    refused(pile, "not the catalogue|damaged")


def test_another_programs_database(pile):
    (pile / "catalogue.db").unlink()
    sqlite3.connect(pile / "catalogue.db").execute("CREATE TABLE a (b)").connection.close()
    refused(pile, "not the catalogue of a Sortal pile")


@pytest.mark.parametrize(
    ("version", "rule"), [(9, r"newer Sortal \(format 9; this one reads 1\)"), (0, "unknown")]
)
def test_a_pile_of_another_format(pile, version, rule):
    with sqlite3.connect(pile / "catalogue.db") as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    refused(pile, rule)


def rewrite(pile, table, column, value):
    """Put a value into the last row of a table, with a right checksum, as a stranger can."""
    with sqlite3.connect(pile / "catalogue.db") as connection:
        row = list(connection.execute(f"SELECT * FROM {table} ORDER BY 1 DESC").fetchone())
        row[column] = value
        row[-1] = row_crc(row[:-1])
        connection.execute(f"REPLACE INTO {table} VALUES ({', '.join('?' * len(row))})", row)
    connection.close()


NONSENSE = [
    ("segments", 3, b"x.seg"),
    ("segments", 6, b""),
    ("groupings", 3, "[" * 100_000),
    ("groupings", 3, "{}"),
    ("groupings", 3, '{"k":"many"}'),
    ("groupings", 3, '{"k":1,"params":[1]}'),
    ("groupings", 5, "[]"),
    ("groupings", 5, '{"candidates":[],"suggestion":"dbscan"}'),
    ("groupings", 5, "{}"),
    ("groupings", 5, '{"candidates":[1]}'),
    ("groupings", 5, '{"candidates":[{"n_clusters":"2"}]}'),
    ("groupings", 1, 77),
    ("encoders", 4, "[]"),
    ("encoders", 1, b"hog"),
    ("sources", 1, 5),
    ("quarantine", 1, 5),
    ("runs", 3, "[1]"),
    ("meta", 1, "x"),
    ("journal", 3, "[]"),
    ("journal", 3, '{"name":"line\nbreak"}'),
    ("journal", 2, "merge"),
    ("journal", 4, b"1234567"),
]


@pytest.mark.parametrize(("table", "column", "value"), NONSENSE, ids=str)
def test_a_row_with_a_right_checksum_and_wrong_content_is_named(pile, table, column, value):
    with Store.open(pile) as store, store.run("group"):
        for _ in range(2):
            labels, points = np.zeros(5, np.int32), np.ones((5, 2), np.float32)
            store.add_grouping(1, "graph", {"k": 1}, 0, {"candidates": []}, range(1, 6), labels, points)
        store.commit(Batch(1, quarantine=[NewQuarantine("a", "empty", "it is empty", None)]))
    rewrite(pile, table, column, value)
    with Store.open(pile) as store:
        with pytest.raises(StoreError, match=rf"a\.sortal.*(of table {table}|grouping 2 names)") as caught:
            look(store)
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 600
        assert store.verify() != []


def look(store):
    store.grouping()
    store.sources(), store.encoders(), store.runs(), store.quarantine(), store.acts()
    store.vectors(1), store.column("labels", 2), store.column("points", 2)


def test_a_network_that_is_not_its_name_is_found(pile):
    (pile / "models").mkdir()
    content = b"a network"
    path = pile / "models" / f"{hashlib.sha256(content).hexdigest()}.onnx"
    path.write_bytes(content)
    with Store.open(pile) as store:
        assert store.verify() == []
        path.write_bytes(b"A network")
        assert [(p.file, p.what) for p in store.verify()] == [
            (f"models/{path.name}", "damaged: its SHA-256 is not its name")
        ]
        path.unlink()
        os.mkfifo(path)
        assert "no plain file" in store.verify()[0].what


def test_a_name_as_long_as_the_file_system_allows(tmp_path):
    name = "n" * (os.pathconf(tmp_path, "PC_NAME_MAX") - len(".sortal")) + ".sortal"
    with Store.create(tmp_path / name) as store:
        assert store.verify() == []


def test_a_strangers_trigger_is_not_run(pile):
    with sqlite3.connect(pile / "catalogue.db") as connection:
        connection.execute("CREATE TRIGGER t AFTER INSERT ON journal BEGIN DELETE FROM items; END")
    connection.close()
    refused(pile, "its tables are not a pile's")


def test_a_segments_name_cannot_lead_out_of_the_pile(pile):
    rewrite(pile, "segments", 3, "../../secret.seg")
    with Store.open(pile) as store:
        with pytest.raises(StoreError, match="no name of a segment"):
            store.vectors(1)
        assert "no name of a segment" in store.verify()[0].what


def test_create_where_something_is(tmp_path, pile):
    refused(pile, "a pile already", Store.create)
    (tmp_path / "folder").mkdir()
    refused(tmp_path / "folder", "no pile: choose another name with --into", Store.create)
    (tmp_path / "link").symlink_to("nowhere")
    refused(tmp_path / "link", "--into", Store.create)
    with pytest.raises(StoreError, match=r"missing: no such folder.*--into"):
        Store.create(tmp_path / "missing" / "a.sortal")
    assert sorted(os.listdir(tmp_path)) == ["a.sortal", "folder", "link"]


def test_a_flipped_bit_anywhere_in_the_catalogue_is_found_or_harmless(pile):
    """Whatever byte is hit, the pile is refused, verify() complains, or all that it holds is as it was."""
    path = pile / "catalogue.db"
    original = path.read_bytes()
    with Store.open(pile) as store:
        expected = everything(store)
    found = 0
    for offset in np.random.default_rng(0).choice(
        np.flatnonzero(np.frombuffer(original, np.uint8)), 150, False
    ):
        raw = bytearray(original)
        raw[offset] ^= 1 << offset % 8
        path.write_bytes(raw)
        try:
            with Store.open(pile) as store:
                if store.verify():
                    found += 1
                else:
                    assert everything(store) == expected
        except StoreError:
            found += 1
        for left in ("catalogue.db-wal", "catalogue.db-shm"):
            (pile / left).unlink(missing_ok=True)
    assert found > 75  # most bytes that are not zero mean something


def everything(store):
    names = [name for (name,) in store._catalogue.read("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    return [store._catalogue.read(f"SELECT * FROM {name}") for name in names]


READ_ONLY = """
import mmap, os, sys
from sortal.errors import StoreError
from sortal.store import Store
if os.geteuid() == 0:  # nobody; after the imports, which nobody may have no right to
    os.setgid(65534); os.setuid(65534)
with Store.open(sys.argv[1]) as store:
    assert not store.writable
    assert store.vectors(1).array.shape == (5, 5) and len(store.acts()) == 1 and store.verify() == []
    for attempt in (lambda: store.act("none", items=[1]), lambda: store.run("x").__enter__()):
        try:
            attempt()
        except StoreError as e:
            assert "read-only" in str(e), e
        else:
            raise AssertionError
try:
    Store.create(sys.argv[1] + "/new.sortal")
except StoreError as e:
    assert "--into" in str(e), e
else:
    raise AssertionError
"""


@contextlib.contextmanager
def for_others(pile, files=0o444, folders=0o555):
    """Let another user reach and read the pile; nobody may write where the modes say so."""
    chain = [
        folder for folder in pile.parents if folder.stat().st_uid == os.geteuid() and folder.parent != folder
    ]
    modes = {folder: folder.stat().st_mode for folder in chain}
    if os.geteuid() == 0:
        for folder in chain:
            os.chmod(folder, modes[folder] | stat.S_IXOTH | stat.S_IROTH)
    for path in (pile, pile / "segments"):
        os.chmod(path, folders)
    os.chmod(pile / "catalogue.db", files)
    try:
        yield
    finally:
        for path in (pile, pile / "segments"):
            os.chmod(path, 0o755)
        for folder, mode in modes.items():
            os.chmod(folder, mode)


def test_a_read_only_pile_opens(pile):
    before = sorted(os.listdir(pile))
    with for_others(pile):
        process = child(READ_ONLY, pile)
        _, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    assert sorted(os.listdir(pile)) == before


ANOTHER_USER = """
import mmap, os, sys
from sortal.store import Store
os.setgid(65534); os.setuid(65534)
store = Store.open(sys.argv[1])
assert not store.writable
print("ready", flush=True)
for line in sys.stdin:
    for one in (store, Store.open(sys.argv[1])):
        vectors = one.vectors(1).checked()
        seen = one.count(1), len(one.items(1)), len(one.files(1)), len(vectors), len(one.acts())
        print(*seen, one.verify(), flush=True)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to read as another user")
def test_another_user_reads_while_the_owner_organizes(pile):
    """A reader without write rights has no locks: what it has open may be written to under it."""

    def told(process):
        process.stdin.write("look\n")
        process.stdin.flush()
        return {process.stdout.readline() or process.stderr.read() for _ in range(2)}

    with for_others(pile, 0o644, 0o755):
        process = child(ANOTHER_USER, pile, stdin=subprocess.PIPE)
        assert process.stdout.readline() == "ready\n", process.stderr.read()
        assert told(process) == {"5 5 5 5 1 []\n"}
        with Store.open(pile) as store:
            with store.run("organize"):
                for start in range(5, 2_000, 399):
                    store.commit(batch(store, range(start, start + 399)))
                assert told(process) == {"2000 2000 2000 2000 1 []\n"}
                store.compact("vectors", 1, store.items(1))
            store.act("name", {"name": "dog"}, [2])
        assert told(process) == {"2000 2000 2000 2000 2 []\n"}
        process.stdin.close()
        assert process.wait(60) == 0, process.stderr.read()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to read as another user")
def test_another_user_reads_a_pile_that_was_written_to_and_closed(pile):
    with for_others(pile, 0o644, 0o755):
        process = child(ANOTHER_USER, pile, stdin=subprocess.PIPE)
        assert process.stdout.readline() == "ready\n", process.stderr.read()
        with Store.open(pile) as store:
            fill(store, range(5, 2_000))
            with store.run("organize"):
                store.compact("vectors", 1, store.items(1))
        out, error = process.communicate("look\n", timeout=60)
    assert out == 2 * "2000 2000 2000 2000 1 []\n", error


def test_a_copy_of_the_folder_is_the_pile(pile, tmp_path):
    shutil.copytree(pile, tmp_path / "b.sortal")
    with Store.open(tmp_path / "b.sortal") as store:
        assert store.verify() == []
        assert store.count(1) == 5
