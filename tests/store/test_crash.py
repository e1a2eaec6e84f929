"""Killed, raced and starved: what was acknowledged stays, and the pile opens.

SORTAL_KILLS sets how many times the child is killed (10 here; more for a night).
"""

import contextlib
import os
import random
import resource
import signal
import subprocess
import time

import numpy as np
import pytest

from sortal.errors import StoreError
from sortal.store import Store, marks

from .piles import batch, child, fill, vector

KILLS = int(os.environ.get("SORTAL_KILLS", "10"))

# Commits, compacts and names for ever; says on stdout what has been acknowledged.
WORK = """
import sys
from sortal.store import Store
from tests.store.piles import batch
with Store.open(sys.argv[1]) as store, store.run("organize"):
    start = store._catalogue.next_id("items") - 1
    print("ready", flush=True)
    for i in range(start, start + 3 * 10**6, 3):
        store.commit(batch(store, range(i, i + 3)))
        print("item", i + 2, flush=True)
        print("act", store.act("name", {"name": f"n{i}"}, [i + 1]), flush=True)
        if i % 4 == 0:
            store.compact("vectors", 1, store.items(1))
"""


def killed_after(seconds, path):
    process = child(WORK, path)
    assert process.stdout.readline() == "ready\n", process.stderr.read()
    time.sleep(seconds)
    process.kill()
    lines, _ = process.communicate()
    said = [line.split() for line in lines.splitlines(keepends=True) if line.endswith("\n")]
    return [int(n) for kind, n in said if kind == "item"], [int(n) for kind, n in said if kind == "act"]


@pytest.mark.slow
def test_kill_at_any_moment_loses_nothing_acknowledged(tmp_path):
    path, delays = tmp_path / "a.sortal", random.Random(os.environ.get("SORTAL_KILLS"))
    Store.create(path).close()
    for _ in range(KILLS):
        items, acts = killed_after(delays.uniform(0, 0.3), path)
        with Store.open(path) as store:
            assert store.verify() == []
            ids = store.items(1) if store.encoders() else np.zeros(0, int)
            known = {row.item for row in store.files(1).values()} if len(ids) else ()
            assert not items or items[-1] + 1 in known
            assert len(store.acts()) >= max(acts, default=0)
            if len(ids):
                column = store.vectors(1)
                rows = column.rows(column.positions(ids))
                np.testing.assert_array_equal(rows, [vector(i - 1) for i in ids.tolist()])
                assert store.items_without_vectors(1).tolist() == []
            with store.run("organize"):  # the dead run's lock and files do not stay
                files = set(os.listdir(path / "segments"))
                assert files == {row[0] for row in store._catalogue.read("SELECT file FROM segments")}
                if len(ids):
                    store.compact("vectors", 1, ids)
            assert [run.outcome for run in store.runs()][-2:] == ["interrupted", "done"]


class Interrupting:
    """A connection under which Ctrl-C is raised as a terminal does it: when the statement has returned."""

    def __init__(self, connection, statement):
        self._connection, self._statement = connection, statement

    def __getattr__(self, name):
        return getattr(self._connection, name)

    def execute(self, sql, *parameters):
        cursor = self._connection.execute(sql, *parameters)
        if sql == self._statement:
            self._statement = None
            raise KeyboardInterrupt
        return cursor


@pytest.mark.parametrize("statement", ["BEGIN IMMEDIATE", "COMMIT"])
@pytest.mark.parametrize("work", ["commit", "compact", "group", "act"])
def test_ctrl_c_around_a_transaction_leaves_a_whole_pile(tmp_path, work, statement):
    labels, points = np.zeros(6, np.int32), np.ones((6, 2), np.float32)
    with Store.create(tmp_path / "a.sortal") as store:
        fill(store, range(3), range(3, 6))
        with pytest.raises(KeyboardInterrupt), store.run("organize"):  # noqa: PT012
            new = batch(store, range(6, 9))
            store._catalogue._connection = Interrupting(store._catalogue._connection, statement)
            if work == "commit":
                store.commit(new)
            elif work == "compact":
                store.compact("vectors", 1, store.items(1))
            elif work == "group":
                store.add_grouping(1, "graph", {"k": 1}, 0, {"candidates": []}, range(1, 7), labels, points)
            else:
                store.act("name", {"name": "cat"}, [1])
        assert store.verify() == []
        store.act("name", {"name": "dog"}, [2])  # no transaction was left open
        with Store.open(store.path) as other, other.run("organize"):
            names = set(os.listdir(store.path / "segments"))
            assert names == {file for (file,) in other._catalogue.read("SELECT file FROM segments")}
            done = statement == "COMMIT"
            assert len(other.items(1)) == (9 if work == "commit" and done else 6)
            assert (other.grouping() is not None) == (work == "group" and done)
            assert len(other.acts()) == (2 if work == "act" and done else 1)
            column = other.vectors(1)
            expected = [vector(i - 1) for i in column.item_ids.tolist()]
            np.testing.assert_array_equal(column.checked(), expected)
        assert store.runs()[0].outcome == "done"
        assert store.runs()[1].outcome == "interrupted"


COMPACT = """
import sys
from sortal.store import Store
from tests.store.piles import fill
with Store.create(sys.argv[1]) as store:
    fill(store, range(300), range(300, 600))
    with store.run("organize"):
        ids = store.items(1)
        print("ready", flush=True)
        while True:
            store.compact("vectors", 1, ids)
            ids = ids[::-1].copy()
"""


@pytest.mark.slow
def test_ctrl_c_at_any_moment_of_a_compaction(tmp_path):
    delays = random.Random(os.environ.get("SORTAL_KILLS"))
    for i in range(KILLS):
        process = child(COMPACT, tmp_path / f"{i}.sortal")
        assert process.stdout.readline() == "ready\n", process.stderr.read()
        time.sleep(delays.uniform(0, 0.1))
        process.send_signal(signal.SIGINT)
        process.communicate()
        with Store.open(tmp_path / f"{i}.sortal") as store:
            assert store.verify() == []
            assert store.runs()[-1].outcome == "interrupted"


CREATE = "import sys; from sortal.store import Store; print('x', flush=True); Store.create(sys.argv[1])"


@pytest.mark.slow
def test_a_killed_creation_leaves_nothing_or_a_pile(tmp_path):
    delays = random.Random(1)
    for i in range(5):
        path = tmp_path / f"{i}.sortal"
        process = child(CREATE, path)
        process.stdout.readline()
        time.sleep(delays.uniform(0, 0.02))
        process.kill()
        process.communicate()
        if path.exists():
            with Store.open(path) as store:
                assert store.verify() == []
        else:
            Store.create(path).close()


def test_what_a_killed_creation_left_goes_in_time(tmp_path):
    names = [f".sortal-creating-{end}" for end in ("0123abcd", "0123abce", "of mine")]
    old, young, other = (tmp_path / name for name in names)
    for folder in (old, young, other):
        folder.mkdir()
    for folder in (old, other):
        os.utime(folder, (0, 0))
    Store.create(tmp_path / "a.sortal").close()
    assert sorted(os.listdir(tmp_path)) == sorted([young.name, other.name, "a.sortal"])


HOLD = """
import sys
from sortal.store import Store
with Store.open(sys.argv[1]) as store, store.run("organize"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_second_run_is_told_who_has_the_pile_and_a_dead_ones_lock_is_taken(tmp_path):
    path = tmp_path / "a.sortal"
    Store.create(path).close()
    process = child(HOLD, path, stdin=subprocess.PIPE)
    assert process.stdout.readline() == "held\n"
    with Store.open(path) as store:
        said = rf"another run is going on \(organize, pid {process.pid} on .*, since 20"
        with pytest.raises(StoreError, match=said), store.run("organize"):
            pass
        process.send_signal(signal.SIGKILL)
        process.communicate()
        with (
            store.run("organize"),
            Store.open(path) as other,
            pytest.raises(StoreError, match=f"pid {os.getpid()}"),
            other.run("organize"),
        ):
            pass
        assert [run.outcome for run in store.runs()] == ["interrupted", "done"]


def test_a_reader_and_a_naming_person_beside_a_run(tmp_path):
    path = tmp_path / "a.sortal"
    with Store.create(path) as store:
        fill(store, range(3))
    process = child(WORK, path)
    assert process.stdout.readline() == "ready\n"
    try:
        with Store.open(path) as store:
            mine = []
            for i in range(25):
                mine.append(store.act("name", {"name": f"mine {i}"}, [1 + i % 3]))
                column = store.vectors(1)
                expected = [vector(i - 1) for i in column.item_ids.tolist()]
                np.testing.assert_array_equal(column.rows(np.arange(len(column))), expected)
                assert len(store.items(1)) >= 3
            assert [a.id for a in store.acts() if a.detail["name"].startswith("mine")] == mine
            assert marks(store.acts()).names[3].startswith("mine")
            assert process.poll() is None
    finally:
        process.kill()
        process.communicate()


@contextlib.contextmanager
def file_size_limit(n_bytes):
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)


def until_full(store):
    """Commit and name until the store refuses; what was acknowledged."""
    done = store._catalogue.next_id("items") - 1
    named = len(store.acts())
    with pytest.raises(StoreError, match="everything committed before is safe") as caught:  # noqa: PT012
        while True:
            store.commit(batch(store, range(done, done + 200), dim=40))
            done += 200
            named = store.act("name", {"name": "x" * 150}, range(1, done + 1))
    assert str(caught.value).isprintable()
    return done, named


def check_after_starving(path, done, named):
    with Store.open(path) as store:
        assert store.verify() == []
        assert len(store.items(1)) == done
        assert len(store.acts()) == named
        with store.run("organize"):
            store.commit(batch(store, range(done, done + 3), dim=40))
            store.compact("vectors", 1, store.items(1))
        assert store.verify() == []


def test_a_file_size_limit_is_reported_and_nothing_is_lost(tmp_path):
    path = tmp_path / "a.sortal"
    with Store.create(path) as store, store.run("organize"):
        with file_size_limit(400_000):
            done, named = until_full(store)
        with file_size_limit(20_000), pytest.raises(StoreError, match=r"\.seg\.tmp: .*ulimit -f"):
            store.commit(batch(store, range(done, done + 200), dim=40))
        assert not [name for name in os.listdir(path / "segments") if name.endswith(".tmp")]
    check_after_starving(path, done, named)


def test_a_full_disk_is_reported_and_nothing_is_lost(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as e:
        pytest.skip(f"a tmpfs cannot be mounted here: {e}")
    try:
        path = disk / "a.sortal"
        with Store.create(path) as store, contextlib.suppress(StoreError), store.run("organize"):
            done, named = until_full(store)
        subprocess.run(["mount", "-o", "remount,size=20m", str(disk)], check=True, capture_output=True)
        assert done
        check_after_starving(path, done, named)
        with Store.open(path) as store:
            assert store.runs()[0].outcome in ("done", "interrupted")
    finally:
        subprocess.run(["umount", str(disk)], check=True)
