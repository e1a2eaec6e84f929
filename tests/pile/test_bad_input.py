"""What cannot work is one line with its way out, and what is stored stays as it was."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sortal
from sortal.embed import Preprocess
from sortal.errors import DataError, InputError, SortalError, StoreError
from sortal.store import Store

from ..embed.networks import log_net, network
from .digits import state, write_digits


@contextlib.contextmanager
def refused(error, *words):
    with pytest.raises(error) as caught:
        yield
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 800
    for word in words:
        assert word in message


@pytest.fixture
def unchanged(pile):
    """The pile's path; afterwards it holds what it held."""
    pile.name(3, "kept")
    before = state(pile.path)
    yield pile.path
    assert state(pile.path) == before
    with sortal.open(pile.path) as again:
        assert again.verify() == []
        assert again.groups[3].name == "kept"


def bad_sources(folder):
    """What, the path, the words that are looked for."""
    (folder / "empty").mkdir()
    (folder / "texts").mkdir()
    (folder / "texts" / "a.pdf").write_bytes(b"%PDF-1.4")
    (folder / "a.pdf").write_bytes(b"%PDF-1.4")
    (folder / "none.csv").write_bytes(b"")
    (folder / "torn.zip").write_bytes(b"PK\x03\x04torn")
    os.mkfifo(folder / "pipe")
    return {
        "missing": (folder / "missing", "no such file"),
        "empty": (folder / "empty", "is empty"),
        "no image": (folder / "texts", "must hold images"),
        "a text": (folder / "a.pdf", "a.pdf"),
        "an empty list": (folder / "none.csv", "is empty"),
        "a broken zip": (folder / "torn.zip", "torn.zip"),
        "a pipe": (folder / "pipe", "FIFO"),
        "a line break": (folder / "a\nb", "a\\nb"),
        "a very long name": (folder / ("x" * 10_000), "longer than the system allows"),
        "bytes": (Path(os.fsdecode(os.fsencode(folder) + b"/\xff\xfe")), "\\xff\\xfe"),
        "a NUL": (f"{folder}/a\0b", ""),
        "nothing": ("", ""),
    }


SOURCES = (
    "missing", "empty", "no image", "a text", "an empty list", "a broken zip", "a pipe", "a line break",
    "a very long name", "bytes", "a NUL", "nothing",
)  # fmt: skip


@pytest.mark.parametrize("what", SOURCES)
def test_a_source_that_is_none_makes_no_pile(what, tmp_path):
    (tmp_path / "in").mkdir()
    source, words = bad_sources(tmp_path / "in")[what]
    with refused(SortalError, words):
        sortal.organize(source, tmp_path / "new.sortal")
    assert os.listdir(tmp_path) == ["in"]
    with refused(SortalError):
        sortal.organize(source)
    assert not [name for name in os.listdir(tmp_path / "in") if "sortal" in name]


@pytest.mark.parametrize("what", [one for one in SOURCES if one != "no image"])
def test_a_source_that_is_none_leaves_a_pile_alone(what, tmp_path, unchanged):
    source, words = bad_sources(tmp_path)[what]
    with refused(SortalError, words):
        sortal.organize(source, unchanged)


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"k": 0}, "k must be a whole number"),
        ({"k": -3}, "k must be a whole number"),
        ({"k": 2.5}, "k must be a whole number"),
        ({"k": True}, "k must be a whole number"),
        ({"k": "many"}, "k must be a whole number"),
        ({"k": 301}, "got k=301 for 300 items"),
        ({"method": "optics"}, "method must be one of graph, kmeans"),
        ({"seed": -1}, "seed must be"),
        ({"seed": 2**32}, "seed must be"),
        ({"seed": 0.5}, "seed must be"),
        ({"names_from": "moon"}, "names_from must be"),
        ({"encoder": "nope"}, "encoder must be auto, hog, pixels"),
        ({"encoder": "no/such\n.onnx"}, "such\\n.onnx"),
        ({"encoder": "pixels", "preprocess": Preprocess()}, "preprocess belongs to an ONNX file"),
    ],
)
def test_an_argument_that_breaks_its_rule(wish, words, digits, unchanged):
    with refused(InputError, words):
        sortal.organize(digits, unchanged, **wish)


def test_k_above_the_number_of_items_is_said_before_anything_is_embedded(tmp_path, monkeypatch):
    write_digits(tmp_path / "few", 0, 9)
    with monkeypatch.context() as patch:
        patch.setattr("sortal.embed.Hog.embed", None)
        with refused(InputError, "k must be between 1 and the number of items", "k=10 for 9"):
            sortal.organize(tmp_path / "few", k=10)
    assert os.listdir(tmp_path) == ["few"]


def test_k_above_the_number_of_items_that_is_only_known_at_the_end_keeps_the_vectors(tmp_path):
    folder = write_digits(tmp_path / "few", 0, 9)
    first = next(folder.rglob("*.png"))
    for i in range(4):
        first.with_name(f"copy{i}.png").write_bytes(first.read_bytes())
    (folder / "torn.png").write_bytes(first.read_bytes()[:50])
    with refused(InputError, "k=12 for 9 items"):
        sortal.organize(folder, k=12)
    with sortal.open(tmp_path / "few.sortal") as pile:
        assert pile.vectors.shape == (9, 1024)
        assert pile.labels.tolist() == [-1] * 9
        assert pile.groups == []
        assert len(pile.quarantine) == 1
        assert "9 items" in repr(pile)
        pile.report()
        pile._repr_html_()
        with refused(InputError, "has no groups yet", "run organize"):
            pile.name(0, "a")
    with sortal.organize(folder, k=9) as pile:
        assert len(pile.groups) == 9


def test_an_act_that_breaks_its_rule(pile):
    before = state(pile.path)
    acts = {
        lambda: pile.name(99, "a"): "group must be one of 0 to 9",
        lambda: pile.name(-1, "a"): "group must be one of",
        lambda: pile.name(0, ""): "1 to 200 characters",
        lambda: pile.name(0, "  "): "1 to 200 characters",
        lambda: pile.name(0, "a\nb"): "line breaks",
        lambda: pile.name(0, "x" * 10_000): "1 to 200 characters",
        lambda: pile.name(0, "\udcff"): "broken UTF-8",
        lambda: pile.name(None, "a"): "neither",
        lambda: pile.name(0, "a", items=[1]): "both",
        lambda: pile.name(None, "a", items=[300]): "0 to 299; got 300",
        lambda: pile.name(None, "a", items=[-1]): "0 to 299; got -1",
        lambda: pile.none(items=["no\nsuch.png"]): "no\\nsuch.png",
        lambda: pile.unname(items=["x" * 10_000]): "an item must be",
        lambda: pile.merge([0, 77]): "got 77",
        lambda: pile.split(0, 1): "into must be between 2",
        lambda: pile.split(0, 10_000): "into must be between 2",
        lambda: pile.split(55): "got 55",
        pile.undo: "nothing to undo",
    }
    for act, words in acts.items():
        with refused(InputError, words):
            act()
    assert state(pile.path) == before


def test_a_pile_that_is_none(tmp_path, digits):
    (tmp_path / "file.sortal").write_text("x")
    (tmp_path / "folder.sortal").mkdir()
    (tmp_path / "folder.sortal" / "mine.txt").write_text("keep")
    for name, words in (
        ("missing.sortal", "no such pile"),
        ("file.sortal", "this is a file"),
        ("folder.sortal", "no pile"),
    ):
        with refused(StoreError, name, words):
            sortal.open(tmp_path / name)
    for name in ("file.sortal", "folder.sortal"):
        with refused(StoreError, name, "free"):
            sortal.organize(digits, tmp_path / name)
    assert (tmp_path / "file.sortal").read_text() == "x"
    assert os.listdir(tmp_path / "folder.sortal") == ["mine.txt"]
    with refused(StoreError, "no such folder"):
        sortal.organize(digits, tmp_path / "no" / "folder.sortal")
    with refused(StoreError, "x"):
        sortal.organize(digits, tmp_path / ("x" * 10_000))


def test_a_pile_made_by_a_newer_version(pile, digits):
    pile.close()
    with closing(sqlite3.connect(pile.path / "catalogue.db")) as db:
        db.execute("PRAGMA user_version = 99")
    before = state(pile.path)
    for act in (lambda: sortal.open(pile.path), lambda: sortal.organize(digits, pile.path, k=3)):
        with refused(StoreError, "newer Sortal (format 99", "upgrade"):
            act()
    assert state(pile.path) == before


def test_a_pile_is_no_source_of_another_and_needs_no_into(pile, tmp_path):
    with refused(InputError, "is a pile"):
        sortal.organize(pile.path, tmp_path / "other.sortal")
    assert not (tmp_path / "other.sortal").exists()


def test_networks_that_are_none(tmp_path, digits, unchanged):
    turned = [
        ("Flatten", ["image"], ["flat"], {"axis": 1}),
        ("Transpose", ["flat"], ["out"], {"perm": [1, 0]}),
    ]
    nets = {
        "broken": b"\x08\x08broken",
        "empty": b"",
        "cut": log_net()[:-30],
        "shape": network(turned, input_shape=("b", 3, 5, 7), output_shape=None),
        "nan": network(
            [("Log", ["image"], ["l"], {}), ("Flatten", ["l"], ["out"], {"axis": 1})],
            input_shape=("b", 3, 2, 2),
        ),
    }
    wish = {"nan": Preprocess(mean=(1, 1, 1), std=(1, 1, 1))}
    for name, content in nets.items():
        (tmp_path / f"{name}.onnx").write_bytes(content)
        with refused(DataError, f"{name}.onnx"):
            sortal.organize(
                digits, unchanged, encoder=str(tmp_path / f"{name}.onnx"), preprocess=wish.get(name)
            )


@pytest.mark.slow
def test_a_model_with_one_byte_changed(pile, tmp_path, digits):
    for group in range(10):
        pile.name(group, f"n{group}")
    pile.train(tmp_path / "a.model")
    for file in sorted((tmp_path / "a.model").iterdir()):
        whole = file.read_bytes()
        file.write_bytes(
            whole[: len(whole) // 2] + bytes([whole[len(whole) // 2] ^ 1]) + whole[len(whole) // 2 + 1 :]
        )
        with refused(DataError, "a.model"):
            sortal.load(tmp_path / "a.model")
        file.write_bytes(whole)
    classifier = sortal.load(tmp_path / "a.model")
    with refused(InputError, "missing"):
        classifier.predict(tmp_path / "missing")
    with refused(InputError):
        classifier.predict([])
    found = classifier.predict([tmp_path / "missing.png", next(digits.rglob("*.png"))])
    assert (len(found.predictions), len(found.refused)) == (1, 1)
    with refused(InputError, "missing.model"):
        sortal.load(tmp_path / "missing.model")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "text").write_text("keep")
    with refused(InputError, "mine"):
        pile.train(tmp_path / "mine")
    assert (tmp_path / "mine" / "text").read_text() == "keep"


# ---- odd names


def test_names_of_files_with_line_breaks_and_bytes_that_are_no_text(tmp_path):
    folder = write_digits(tmp_path / "few", 0, 6)
    odd = [b"new\nline.png", b"\xff\xfe.png", b"tab\there.png", "\u202eright.png".encode()]
    image = (folder / "0").glob("*.png").__next__()
    for i, name in enumerate(odd):
        pixels = np.asarray(Image.open(image)).copy()
        pixels[0, i] = 1
        Image.fromarray(pixels).save(os.fsdecode(os.fsencode(folder) + b"/" + name))
    Path(os.fsdecode(os.fsencode(folder) + b"/torn\n\xfe.png")).write_bytes(b"torn")
    with sortal.organize(folder, k=3) as pile:
        assert {os.path.basename(os.fsencode(path)) for path in pile.paths} >= set(odd)
        which = os.fsdecode(os.fsencode(folder) + b"/\xff\xfe.png")
        pile.name(None, "odd", items=[which])
        assert pile.names[pile.paths.index(which)] == "odd"
        pile.export_names(tmp_path / "names.csv")
        pile.export_names(tmp_path / "names.json")
        pile.write_report(tmp_path / "page.html")
        assert len(pile.thumbnails(range(10))) == 10
        assert os.fsencode(pile.quarantine[0].path).endswith(b"torn\n\xfe.png")
    assert "\\xff\\xfe.png" in (tmp_path / "page.html").read_text(encoding="utf-8").replace("\\\\", "\\")
    with sortal.organize(folder) as again:
        assert again.names.count("odd") == 1


def test_a_folder_and_a_pile_whose_own_names_are_odd(tmp_path):
    folder = write_digits(Path(os.fsdecode(os.fsencode(tmp_path) + b"/a\n\xff")), 0, 6)
    with sortal.organize(folder, k=2, names_from="folders") as pile:
        assert os.fsencode(pile.path).endswith(b"a\n\xff.sortal")
        assert repr(pile).isprintable()
        pile.train(tmp_path / "odd.model") if len(set(pile.names)) < 4 else None
        pile.write_report(tmp_path / "page.html")


def test_folder_names_that_can_be_no_names_do_not_stop_a_run(tmp_path):
    folder = write_digits(tmp_path / "few", 0, 6)
    for i, odd in enumerate((b"a\nb", b"\xff", b"x" * 250, b"   ")):
        os.rename(folder / str(i), os.fsdecode(os.fsencode(folder) + b"/" + odd))
    with sortal.organize(folder, k=2, names_from="folders") as pile:
        assert pile.names.count(None) == 4
        assert {"4", "5"} <= set(pile.names)


def test_a_pile_inside_its_own_source_is_passed_over(tmp_path):
    folder = write_digits(tmp_path / "few", 0, 12)
    with sortal.organize(folder, folder / "inside.sortal", k=3) as pile:
        assert len(pile) == 12
    with sortal.organize(folder, folder / "inside.sortal", k=4) as pile:
        assert len(pile) == 12
        assert pile.quarantine == []


# ---- a disk that is full, a folder that is shut


def run_python(code, *arguments, before=()):
    command = [*before, sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")


# Organizes until the disk or the limit says no; prints the message.
LIMITED = """
import resource, sys
import sortal, sortal.embed.run as run
from sortal.embed import Hog
from sortal.errors import SortalError
import sortal.cluster, sklearn.cluster
Hog.batch, run.ROWS_PER_COMMIT = 16, 32
source, pile, limit = sys.argv[1:]
if int(limit):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
try:
    sortal.organize(source, pile, k=12)
except SortalError as e:
    print(str(e))
else:
    print("done")
"""


def stored(path):
    if not path.exists():
        return {}
    with sortal.open(path) as pile:
        assert pile.verify() == []
        ids = pile._store.items(1)
        column = pile._store.vectors(1)
        rows = [] if column is None else column.rows(column.positions(ids))
        return dict(zip((paths[0] for paths in pile._store.paths(ids)), map(bytes, rows)))


# The catalogue alone takes 120 KB; the segment of a commit 130 KB; the compacted column 1.2 MB.
@pytest.mark.slow
@pytest.mark.parametrize("limit", [20_000, 125_000, 300_000, 900_000])
def test_a_file_size_limit_stops_a_run_and_loses_nothing(limit, digits, tmp_path, pile):
    path = tmp_path / "limited.sortal"
    found = run_python(LIMITED, digits, path, limit)
    message = found.stdout.rstrip("\n")
    assert message, found.stderr
    assert message.isprintable()
    assert "run it again" in message, message
    assert not list(path.glob("segments/*.tmp"))
    before = stored(path)
    assert run_python(LIMITED, digits, path, 0).stdout == "done\n"
    after = stored(path)
    assert len(after) == 300
    assert all(after[key] == value for key, value in before.items())
    with sortal.organize(path, k=10) as done:
        np.testing.assert_array_equal(done.vectors, pile.vectors)
        np.testing.assert_array_equal(done.labels, pile.labels)


@pytest.mark.slow
def test_a_limit_on_a_pile_that_is_there_changes_nothing_of_it(digits, pile):
    pile.name(2, "kept")
    vectors, labels, names = np.array(pile.vectors), pile.labels.copy(), pile.names
    message = run_python(LIMITED, digits, pile.path, 900).stdout
    assert message.strip().isprintable()
    assert "done" not in message
    with sortal.open(pile.path) as again:
        assert again.verify() == []
        np.testing.assert_array_equal(again.vectors, vectors)
        np.testing.assert_array_equal(again.labels, labels)
        assert again.names == names


@pytest.mark.slow
@pytest.mark.parametrize("size", ["200k", "900k", "1900k"])
def test_a_full_disk_stops_a_run_and_loses_nothing(size, digits, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mount.returncode:
        pytest.skip(f"a tmpfs cannot be mounted here: {mount.stderr.decode().strip()}")
    try:
        message = run_python(LIMITED, digits, disk / "a.sortal", 0).stdout.rstrip("\n")
        assert message.isprintable()
        assert "is full" in message or "disk full" in message
        subprocess.run(["mount", "-o", "remount,size=40m", str(disk)], check=True, capture_output=True)
        before = stored(disk / "a.sortal")
        assert run_python(LIMITED, digits, disk / "a.sortal", 0).stdout == "done\n"
        after = stored(disk / "a.sortal")
        assert len(after) == 300
        assert all(after[key] == value for key, value in before.items())
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.fixture
def shut(tmp_path):
    """A folder whose modes a test may take away; they come back."""
    folder = tmp_path / "shut"
    folder.mkdir()
    yield folder
    for inner, _, _ in os.walk(folder):
        os.chmod(inner, 0o755)


# Root may do everything; without this right it obeys the modes of files as anybody does.
AS_ANYBODY = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.getuid() == 0 else []

TRY = """
import sys, sortal
from sortal.errors import SortalError
try:
    exec(sys.argv[1])
except SortalError as e:
    print(type(e).__name__, str(e))
else:
    print("done")
"""


def as_anybody(code):
    """What somebody without rights is told; skipped where root cannot be made one."""
    if AS_ANYBODY and (shutil.which("setpriv") is None or run_python("pass", before=AS_ANYBODY).returncode):
        pytest.skip("setpriv, which takes root's rights away, does not work here")
    found = run_python(TRY, code, before=AS_ANYBODY)
    assert found.stdout, found.stderr
    said = found.stdout.rstrip("\n")
    assert said.isprintable()
    return said


def test_a_read_only_folder(shut):
    folder = write_digits(shut / "few", 0, 12)
    shut.chmod(0o555)
    said = as_anybody(f"sortal.organize({str(folder)!r}, k=3)")
    assert said.startswith("StoreError")
    assert "--into" in said
    assert os.listdir(shut) == ["few"]


@pytest.mark.slow
def test_a_read_only_pile_can_be_looked_at_and_not_changed(shut):
    folder = write_digits(shut / "few", 0, 12)
    with sortal.organize(folder, k=3) as pile:
        path = str(pile.path)
    for inner in [shut, *shut.rglob("*")]:
        inner.chmod(0o555 if inner.is_dir() else 0o444)
    before = state(Path(path))
    look = f"p = sortal.open({path!r}); assert len(p.groups) == 3; p.report(with_map=False); p.vectors[0]"
    assert as_anybody(look) == "done"
    assert as_anybody(f"sortal.open({path!r}).name(0, 'a')").startswith("StoreError")
    assert as_anybody(f"sortal.organize({path!r}, k=4)").startswith("StoreError")
    assert state(Path(path)) == before


@pytest.mark.slow
def test_what_may_not_be_read_is_listed_and_the_run_goes_on(shut):
    folder = write_digits(shut / "few", 0, 12)
    file = next(folder.rglob("*.png"))
    file.chmod(0)
    (folder / "shut").mkdir(mode=0)
    code = f"p = sortal.organize({str(folder)!r}, {str(shut / 'a.sortal')!r}, k=3); "
    code += "assert len(p) == 11; assert [q.kind for q in p.quarantine] == ['permission'] * 2"
    assert as_anybody(code) == "done"


def test_a_pile_whose_first_run_was_killed_at_once_opens_and_says_what_to_do(tmp_path):
    Store.create(tmp_path / "new.sortal").close()
    with sortal.open(tmp_path / "new.sortal") as pile:
        assert (len(pile), pile.paths, pile.groups, pile.quarantine) == (0, [], [], [])
        assert "0 items" in repr(pile)
        with refused(StoreError, "no vectors yet", "run organize"):
            pile.write_report(tmp_path / "r.html")
        with refused(InputError, "has no groups yet"):
            pile.name(0, "x")
