import errno
import os

import pytest

from sortal.data import TRANSIENT_KINDS
from sortal.data.reading import read_file
from sortal.data.source import READ_LIMIT
from sortal.errors import Unreadable

JPEG = b"\xff\xd8\xff" + bytes(range(256)) * 500


def kind_of(path) -> str:
    with pytest.raises(Unreadable) as caught:
        read_file(os.fspath(path))
    assert str(caught.value).isprintable()
    return caught.value.kind


def test_a_file_comes_back_whole_even_in_small_pieces(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(JPEG)
    assert read_file(str(tmp_path / "a")) == JPEG
    read = os.read
    monkeypatch.setattr(os, "read", lambda descriptor, size: read(descriptor, min(size, 4099)))
    assert read_file(str(tmp_path / "a")) == JPEG


def test_what_cannot_be_read_has_its_kind(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "empty").touch()
    (tmp_path / "text").write_text("hello")
    with open(tmp_path / "huge", "wb") as huge:
        huge.write(JPEG)
        huge.truncate(READ_LIMIT + 1)
    (tmp_path / "loop").symlink_to("loop")
    assert kind_of(tmp_path / "fifo") == "not a file"  # and does not wait for a writer
    assert kind_of(tmp_path) == "not a file"
    assert kind_of(tmp_path / "empty") == "empty"
    assert kind_of(tmp_path / "text") == "not an image"
    assert kind_of(tmp_path / "huge") == "too large"
    assert kind_of(tmp_path / "loop") == "link loop"
    assert kind_of(tmp_path / "gone") == "missing"
    assert kind_of(f"{tmp_path}/n\0ul") == "bad path"
    assert kind_of(tmp_path / ("x" * 10_000)) == "bad path"


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EIO, "i/o error"),
        (errno.ESTALE, "i/o error"),
        (errno.EMFILE, "i/o error"),
        (errno.EACCES, "permission"),
    ],
)
def test_errors_that_may_pass_are_told_apart(tmp_path, monkeypatch, number, kind):
    (tmp_path / "a").write_bytes(JPEG)

    def fail(*args):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "read", fail)
    assert kind_of(tmp_path / "a") == kind
    assert kind in TRANSIENT_KINDS


@pytest.mark.parametrize("size", [len(JPEG) - 9, len(JPEG) + 9])
def test_a_file_that_changes_while_it_is_read_is_not_half_taken(tmp_path, monkeypatch, size):
    path = tmp_path / "a"
    path.write_bytes(JPEG)
    read = os.read

    def read_and_resize(descriptor, wanted):
        os.truncate(path, size)
        return read(descriptor, wanted)

    monkeypatch.setattr(os, "read", read_and_resize)
    assert kind_of(path) == "changed"


def test_no_descriptor_is_left_open(tmp_path):
    (tmp_path / "text").write_text("hello")
    before = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0
    for _ in range(20):
        kind_of(tmp_path / "text")
    after = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0
    assert after == before
