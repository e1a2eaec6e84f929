"""What cannot be opened or made says so in one line, and changes nothing."""

import os
import shutil
import sqlite3
import stat

import numpy as np
import pytest

from sortal.errors import StoreError
from sortal.store import Store

from .piles import child, fill


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


def test_a_strangers_trigger_is_not_run(pile):
    with sqlite3.connect(pile / "catalogue.db") as connection:
        connection.execute("CREATE TRIGGER t AFTER INSERT ON journal BEGIN DELETE FROM items; END")
    connection.close()
    refused(pile, "its tables are not a pile's")


def test_a_segments_name_cannot_lead_out_of_the_pile(pile):
    from sortal.store.catalogue import row_crc

    with sqlite3.connect(pile / "catalogue.db") as connection:
        row = list(connection.execute("SELECT * FROM segments").fetchone())
        row[3] = "../../secret.seg"
        row[-1] = row_crc(row[:-1])
        connection.execute("REPLACE INTO segments VALUES (?,?,?,?,?,?,?,?)", row)
    connection.close()
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


def test_a_read_only_pile_opens(pile):
    before = sorted(os.listdir(pile))
    chain = [
        folder for folder in pile.parents if folder.stat().st_uid == os.geteuid() and folder.parent != folder
    ]
    modes = {folder: folder.stat().st_mode for folder in chain}
    if os.geteuid() == 0:  # another user must reach the pile
        for folder in chain:
            os.chmod(folder, modes[folder] | stat.S_IXOTH | stat.S_IROTH)
    for path in (pile, pile / "segments"):
        os.chmod(path, 0o555)
    os.chmod(pile / "catalogue.db", 0o444)
    try:
        process = child(READ_ONLY, pile)
        _, error = process.communicate(timeout=60)
    finally:
        for path in (pile, pile / "segments"):
            os.chmod(path, 0o755)
        for folder, mode in modes.items():
            os.chmod(folder, mode)
    assert process.returncode == 0, error
    assert sorted(os.listdir(pile)) == before


def test_a_copy_of_the_folder_is_the_pile(pile, tmp_path):
    shutil.copytree(pile, tmp_path / "b.sortal")
    with Store.open(tmp_path / "b.sortal") as store:
        assert store.verify() == []
        assert store.count(1) == 5
