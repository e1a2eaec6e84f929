"""Kill a child that works on a pile, at random moments, and see what is left.

    python -m tests.pile.crash --kills 60 [--seed 0]

A round is one pile: killed while it is made, while vectors come in, while they are compacted and grouped,
while it is grouped again and while a person names; then finished, and compared with a run nobody disturbed.
"""

import argparse
import random
import select
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

import sortal
from sortal.store import Store

from ..store.piles import child

N_IMAGES = 300
K = 6
# What the child has said when the clock for the kill begins to run.
MOMENTS = {
    "organize": ("", "embedding", "advanced", "advanced", "grouping", "grouping"),
    "regroup": ("", "grouping", "grouped"),
    "name": ("", "act"),
}
LOSING_PER_ROUND = 6  # kills a pile takes before it may finish

# Small batches and commits, so that there are many moments to be killed in. Says what it begins and what
# has been acknowledged.
WORK = """
import sys
import sortal, sortal.embed.run as run
from sortal.embed import Hog
from sortal.pile import Progress
import sklearn.cluster, sklearn.neighbors, scipy.sparse.linalg, sortal.cluster
Hog.batch, run.ROWS_PER_COMMIT = 8, 16

class Told(Progress):
    def say(self, line): print("grouping" if line.startswith("grouping") else "said", flush=True)
    def start(self, what, total): print(what, flush=True)
    def advance(self, n): print("advanced", flush=True)

what, source, pile = sys.argv[1:]
print("ready", flush=True)
if what == "organize":
    sortal.organize(source, pile, k=6, progress=Told()).close()
elif what == "regroup":
    for k in (3, 4, 5, 7, 8, 9) * 1000:
        sortal.organize(pile, k=k, progress=Told()).close()
        print("grouped", k, flush=True)
else:
    with sortal.open(pile) as opened:
        for i in range(10**6):
            one = [i % len(opened)]
            act = opened.name(None, f"n{i}", items=one) if i % 5 else opened.none(items=one)
            print("act", act, flush=True)
"""


@dataclass
class Seen:
    """What somebody was shown, or was told had been written: it has to stay."""

    vectors: dict[str, bytes] = field(default_factory=dict)  # path -> the bytes of its vector
    acts: dict[int, tuple] = field(default_factory=dict)
    groupings: dict[int, bytes] = field(default_factory=dict)

    def look(self, path: Path) -> None:
        """Read the pile as any reader does; what was seen before has to be seen again."""
        if not path.exists():
            assert not self.vectors, "the pile is gone"
            assert not self.acts, "the pile is gone"
            return
        with Store.open(path) as store:
            acts = {a.id: (a.time, a.kind, str(a.detail), a.items.tobytes()) for a in store.acts()}
            groupings = {}
            for row in store.groupings():
                column = store.column("labels", row.id)
                assert column is not None, f"grouping {row.id} has no labels"
                groupings[row.id] = column.array.tobytes()
            _same("acts", self.acts, acts)
            _same("groupings", self.groupings, groupings)
            _same("vectors", self.vectors, stored_vectors(store))


def _same(what: str, before: dict, now: dict) -> None:
    lost = before.keys() - now.keys()
    assert not lost, f"{what} lost: {sorted(lost)[:3]} of {len(before)}"
    changed = [key for key in before if before[key] != now[key]]
    assert not changed, f"{what} changed: {changed[:3]}"
    before.update(now)


def stored_vectors(store: Store) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for encoder in store.encoders():
        ids, column = store.items(encoder.id), store.vectors(encoder.id)
        if column is None or not len(ids):
            continue
        ids = np.intersect1d(ids, column.item_ids)  # a batch may have come in between the two reads
        rows = column.rows(column.positions(ids))
        found |= {path: row.tobytes() for paths, row in zip(store.paths(ids), rows) for path in paths}
    return found


def write_images(folder: Path, n: int = N_IMAGES) -> None:
    """Six kinds of figure with noise; some files are copies, some are broken."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:24, :24] / 24
    figures = [x, y, x * y, abs(x - y), (x - 0.5) ** 2 + (y - 0.5) ** 2, np.sin(9 * x)]
    for i in range(n):
        figure = figures[i % 6] + rng.normal(0, 0.08, x.shape)
        path = folder / f"part{i % 3}" / f"{i:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((255 * figure.clip(0, 1)).astype(np.uint8)).save(path)
        if i % 40 == 7:
            path.with_name(f"copy{i}.png").write_bytes(path.read_bytes())
        if i % 70 == 9:
            path.with_name(f"torn{i}.png").write_bytes(path.read_bytes()[:60])


def read_lines(process: subprocess.Popen, until: str, seconds: float) -> list[str]:
    """The child's lines until one begins with `until`, the child ends, or the time is up."""
    lines, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        ready, _, _ = select.select([process.stdout], [], [], max(0, end - time.monotonic()))
        if ready:
            line = process.stdout.readline()
            if not line:
                break
            lines.append(line)
            if line.startswith(until):
                break
    return lines


def kill_one(what: str, source: Path, pile: Path, chance: random.Random, seen: Seen) -> bool:
    """Start the work, look on as a reader, kill it. Whether it died of that (and had not finished before)."""
    with child(WORK, what, source, pile, bufsize=0) as process:
        try:
            lines = read_lines(process, "ready", 60)
            assert lines, process.stderr.read()
            moment = chance.choice(MOMENTS[what])
            if moment:
                lines += read_lines(process, moment, 20)
            lines += read_lines(process, "nothing", chance.uniform(0, 0.08 if moment else 0.4))
            if chance.random() < 0.7:
                seen.look(pile)
            process.kill()
            lines += process.stdout.readlines()
        finally:
            process.kill()
        died = process.wait() == -9
        assert died or process.returncode == 0, process.stderr.read()
    told = [line.split() for line in lines if line.startswith(("act ", "grouped ")) and line.endswith("\n")]
    acts = [int(words[1]) for words in told if words[0] == "act"]
    seen.look(pile)
    assert not acts or max(acts) in seen.acts, f"act {max(acts)} was acknowledged and is lost"
    if pile.exists():
        with sortal.open(pile) as opened:
            assert opened.verify() == []
    return died


def finished(source: Path, pile: Path) -> tuple[list[str], np.ndarray, np.ndarray, list[str]]:
    with sortal.organize(source, pile, k=K) as made:
        assert made.verify() == []
        outcome = made.paths, np.array(made.vectors), np.array(made.labels), [r.path for r in made.quarantine]
    assert len(list((pile / "segments").glob("*vectors*.seg"))) <= 1
    assert not list((pile / "segments").glob("*.tmp"))
    return outcome


def play(kills: int, seed: int, folder: Path, say=lambda line: None) -> int:
    """At least `kills` kills; AssertionError for anything lost, changed or different. The number of kills."""
    chance, done, number = random.Random(seed), 0, 0
    source = folder / "images"
    write_images(source)
    expected = finished(source, folder / "undisturbed.sortal")
    while done < kills:
        number += 1
        pile, seen, here = folder / f"{number}.sortal", Seen(), 0
        while here < LOSING_PER_ROUND:
            kinds = ["regroup", "regroup", "name", "organize"] if seen.groupings else ["organize"] * 3
            what = chance.choice(kinds + ["name"] * bool(seen.vectors))
            died = kill_one(what, source, pile, chance, seen)
            here, done = here + died, done + died
            there = f"{len(seen.vectors)} vectors, {len(seen.acts)} acts, {len(seen.groupings)} groupings"
            say(f"pile {number}: {what} {'killed' if died else 'was done'}; {there} are there; {done} kills")
        outcome = finished(source, pile)
        seen.look(pile)
        assert outcome[0] == expected[0], "the paths differ from those of an undisturbed run"
        np.testing.assert_array_equal(outcome[1].view(np.uint32), expected[1].view(np.uint32))
        np.testing.assert_array_equal(outcome[2], expected[2])
        assert outcome[3] == expected[3], "the quarantine differs from that of an undisturbed run"
    return done


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    wish = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        done = play(wish.kills, wish.seed, Path(folder), lambda line: print(line, flush=True))
    print(f"{done} kills: every pile opened, nothing acknowledged was lost, every finished run was the same")


if __name__ == "__main__":
    sys.exit(main())
