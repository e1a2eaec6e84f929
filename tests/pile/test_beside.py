"""Reading, naming and a second run while a run goes on."""

import subprocess

import numpy as np
import pytest

import sortal
from sortal.errors import StoreError

from ..store.piles import child
from .digits import write_digits

# Embeds slowly for ever: says when a batch is stored, and waits for a line before the next.
SLOW = """
import sys
import sortal, sortal.embed.run as run
from sortal.embed import Hog
from sortal.pile import Progress
Hog.batch = run.ROWS_PER_COMMIT = 20

class Waits(Progress):
    def advance(self, n):
        print("stored", flush=True)
        sys.stdin.readline()

sortal.organize(sys.argv[1], sys.argv[2], k=5, progress=Waits()).close()
print("done", flush=True)
"""


@pytest.fixture
def running(tmp_path):
    """A run that waits after its first 20 files of 100, and its pile."""
    write_digits(tmp_path / "few", 0, 100)
    process = child(SLOW, tmp_path / "few", tmp_path / "a.sortal", stdin=subprocess.PIPE)
    try:
        line = process.stdout.readline()
        assert line == "stored\n", process.stderr.read()
        yield process, tmp_path / "a.sortal"
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_a_second_run_is_told_at_once_who_has_the_pile(running, tmp_path):
    process, path = running
    for source in (tmp_path / "few", path):
        with pytest.raises(
            StoreError, match=rf"another run is going on \(organize, pid {process.pid} on "
        ) as caught:
            sortal.organize(source, path, k=3)
        assert str(caught.value).isprintable()
    out, _ = process.communicate("\n" * 10)
    assert out.endswith("done\n")
    with sortal.open(path) as pile:
        assert len(pile) == 100
        assert len(pile.groups) == 5


@pytest.mark.slow
def test_reading_and_naming_while_the_run_goes_on(running):
    process, path = running
    with sortal.open(path) as early:
        assert len(early) == 20
        first = np.array(early.vectors)
        paths = early.paths
        assert early.labels.tolist() == [-1] * 20
        early.name(None, "early", items=[3, paths[7]])
        early.none(items=[5])
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.stdout.readline() == "stored\n"
    with sortal.open(path) as later:
        assert len(later) == 40
        np.testing.assert_array_equal(later.vectors[:20], first)
        assert later.names[3] == "early"
    out, _ = process.communicate("\n" * 10)
    assert out.endswith("done\n")
    with sortal.open(path) as pile:
        named = dict(zip(pile.paths, pile.names))
        assert [named[path] for path in (paths[3], paths[7], paths[5])] == ["early", "early", None]
        where = [pile.paths.index(path) for path in paths]
        np.testing.assert_array_equal(pile.vectors[where], first)
        assert pile.none_of_these.sum() == 1
        assert pile.verify() == []


def test_a_pile_that_is_open_keeps_its_view_while_another_regroups(pile):
    labels, vectors = pile.labels.copy(), np.array(pile.vectors)
    with sortal.open(pile.path) as looking:
        assert len(looking.groups) == 10
        held = looking.vectors
        with sortal.organize(pile.path, k=4) as other:
            assert len(other.groups) == 4
        np.testing.assert_array_equal(looking.labels, labels)
        np.testing.assert_array_equal(held, vectors)
        looking.name(9, "from the old view")
        assert (np.array([n == "from the old view" for n in looking.names]) == (labels == 9)).all()
