import os
import socket
import subprocess
from pathlib import Path

import pytest

from sortal.data import READ_LIMIT, Found, Refused, open_source
from sortal.errors import InputError


def scan(folder: Path, **options: object) -> dict[str, Found | Refused]:
    entries = list(open_source(folder, **options).scan())
    assert len({entry.path for entry in entries}) == len(entries)
    return {os.path.relpath(entry.path, folder): entry for entry in entries}


def write(path: Path, data: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_the_scan_is_sorted_by_the_bytes_of_the_path(tmp_path):
    # "a.jpg" and "a-b" sort before "a/", "a0" after it; no sort by name alone gets that right.
    for name in ["a/z.jpg", "a.jpg", "a-b/x.jpg", "a0.jpg", "B.jpg", "é.jpg", "a/b/c/d.jpg"]:
        write(tmp_path / name)
    paths = [entry.path for entry in open_source(tmp_path).scan()]
    assert paths == sorted(paths, key=os.fsencode)
    assert len(paths) == 7


def test_the_stamp_tells_a_changed_file_and_only_that(tmp_path):
    file = write(tmp_path / "a.jpg", b"12")
    first = scan(tmp_path)["a.jpg"].stamp
    assert scan(tmp_path)["a.jpg"].stamp == first
    assert first == (2, file.stat().st_mtime_ns, file.stat().st_ctime_ns)
    write(file, b"123")
    assert scan(tmp_path)["a.jpg"].stamp != first


def test_names_come_from_the_first_folder_and_only_when_asked_for(tmp_path):
    for name in ["top.jpg", "cat/1.jpg", "cat/2021/2.jpg"]:
        write(tmp_path / name)
    assert {entry.name for entry in scan(tmp_path).values()} == {None}
    named = scan(tmp_path, names_from="folders")
    assert {path: entry.name for path, entry in named.items()} == {
        "top.jpg": None,
        "cat/1.jpg": "cat",
        "cat/2021/2.jpg": "cat",
    }


def test_what_is_no_readable_file_is_refused_and_never_opened(tmp_path):
    write(tmp_path / "empty.jpg", b"")
    os.mkfifo(tmp_path / "fifo.jpg")  # opening it would wait for ever
    (tmp_path / "device.jpg").symlink_to("/dev/null")
    (tmp_path / "dangling.jpg").symlink_to("nowhere")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    with open(write(tmp_path / "huge.jpg"), "wb") as huge:
        huge.truncate(READ_LIMIT + 1)  # a hole: no disk is used
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        found = scan(tmp_path)
    assert {path: entry.kind for path, entry in found.items()} == {
        "empty.jpg": "empty",
        "fifo.jpg": "not a file",
        "device.jpg": "not a file",
        "dangling.jpg": "dangling link",
        "loop.jpg": "link loop",
        "huge.jpg": "too large",
        "s": "not a file",
    }
    assert "FIFO" in found["fifo.jpg"].reason
    assert found["dangling.jpg"].stamp is None
    assert all(entry.reason.isprintable() for entry in found.values())


def test_links_to_files_and_folders_are_followed(tmp_path):
    write(tmp_path / "elsewhere/cat/1.jpg")
    (tmp_path / "pile").mkdir()
    (tmp_path / "pile/linked").symlink_to(tmp_path / "elsewhere/cat")
    (tmp_path / "pile/file.jpg").symlink_to(tmp_path / "elsewhere/cat/1.jpg")
    found = scan(tmp_path / "pile", names_from="folders")
    assert {path: entry.name for path, entry in found.items()} == {"file.jpg": None, "linked/1.jpg": "linked"}


@pytest.mark.parametrize("target", [".", "..", "/", "../.."])
def test_a_link_back_to_a_folder_being_read_is_a_loop(tmp_path, target):
    write(tmp_path / "pile/a/1.jpg")
    (tmp_path / "pile/a/back").symlink_to(target)
    found = scan(tmp_path / "pile")
    assert {path: getattr(entry, "kind", "found") for path, entry in found.items()} == {
        "a/1.jpg": "found",
        "a/back": "link loop",
    }


def test_folders_that_all_link_to_each_other_are_read_in_bounded_time(tmp_path):
    names = [f"f{i:02}" for i in range(12)]  # 12! paths without a loop
    for name in names:
        write(tmp_path / name / "1.jpg")
        for other in set(names) - {name}:
            (tmp_path / name / f"to-{other}").symlink_to(tmp_path / other)
    entries = scan(tmp_path)
    assert len(entries) < 2_000
    assert {entry.kind for entry in entries.values() if isinstance(entry, Refused)} == {
        "link loop",
        "linked twice",
    }
    assert {f"{name}/1.jpg" for name in names} <= set(entries)


def test_piles_and_models_of_any_name_are_passed_over_but_not_what_only_looks_like_one(tmp_path):
    for pile in ("x.sortal", "deep/pile"):
        write(tmp_path / pile / "catalogue.db")
        write(tmp_path / pile / "segments/1.jpg")
    for model in ("m.model", "model"):
        for name in ("config.json", "MANIFEST.sha256", "a.png"):
            write(tmp_path / model / name)
    images = {"plain.sortal/1.jpg", "plain.model/1.jpg", "photos/1.jpg", "photos/config.json"}
    for name in images:
        write(tmp_path / name)
    assert set(scan(tmp_path)) == images


def test_names_that_are_no_utf8_or_hold_line_ends_are_read(tmp_path):
    odd = [b"\xff\xfe.jpg", b"two\nlines.jpg", b"-rf.jpg", "\u202egpj.exe".encode()]
    for name in odd:
        with open(os.path.join(os.fsencode(tmp_path), name), "wb") as file:
            file.write(b"\xff\xd8\xff")
    source = open_source(tmp_path)
    entries = list(source.scan())
    assert sorted(os.path.basename(os.fsencode(entry.path)) for entry in entries) == sorted(odd)
    assert {source.read(entry.path) for entry in entries} == {b"\xff\xd8\xff"}


def test_a_tree_deeper_than_the_stack_and_than_a_path_may_be_is_refused_not_raised(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.jpg")
    top = os.open(".", os.O_RDONLY)
    here = os.dup(top)
    for _ in range(2_500):  # one folder at a time, since the whole path is too long for the system
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    os.close(top)
    try:
        entries = scan(tmp_path)
    finally:  # pytest's own clearing away recurses too deep
        subprocess.run(["rm", "-rf", tmp_path / "d"], check=True)
    assert isinstance(entries.pop("a.jpg"), Found)
    assert [entry.kind for entry in entries.values()] == ["bad path"]


def refuse_access(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests may run as root, whom no mode stops."""
    monkeypatch.setattr(os, "access", lambda *args, **options: False)


def test_files_and_folders_without_permission_are_refused(tmp_path, monkeypatch):
    write(tmp_path / "open.jpg").chmod(0o644)
    write(tmp_path / "shut.jpg").chmod(0o000)
    write(tmp_path / "folder/1.jpg")
    (tmp_path / "folder").chmod(0o600)
    refuse_access(monkeypatch)
    found = scan(tmp_path)
    (tmp_path / "folder").chmod(0o700)
    assert isinstance(found["open.jpg"], Found)
    assert (found["shut.jpg"].kind, found["folder"].kind) == ("permission", "permission")


def test_a_location_that_is_gone_at_the_scan_raises_rather_than_looking_empty(tmp_path):
    file = write(tmp_path / "pile/1.jpg")
    source = open_source(tmp_path / "pile")
    file.unlink()
    (tmp_path / "pile").rmdir()
    with pytest.raises(InputError, match="no such"):
        list(source.scan())
