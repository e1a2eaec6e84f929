import io
import os
import stat
import struct
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from sortal.data import READ_LIMIT, Found, open_source
from sortal.errors import DataError, InputError, Unreadable
from tests.data.samples import encoded, photo

PNG = encoded(photo(), "PNG")


def make(path, members, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_members_are_sorted_named_after_their_folder_and_read(tmp_path):
    names = ["top/b/2.png", "top/a/1.png", "plain.png", "top/"]
    path = make(tmp_path / "a.zip", {name: b"" if name.endswith("/") else PNG for name in names})
    source = open_source(path, names_from="folders")
    entries = list(source.scan())
    assert [(os.path.relpath(entry.path, path), entry.name) for entry in entries] == [
        ("plain.png", None),
        ("top/a/1.png", "a"),
        ("top/b/2.png", "b"),
    ]
    assert (source.kind, source.location) == ("zip", str(path))
    assert {source.read(entry.path) for entry in entries} == {PNG}
    assert {entry.name for entry in open_source(path).scan()} == {None}


def test_an_unchanged_member_keeps_its_stamp_when_the_zip_is_written_again(tmp_path):
    def stamps(other):
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.writestr(zipfile.ZipInfo("same.png", (2020, 1, 2, 3, 4, 6)), PNG)
            archive.writestr(zipfile.ZipInfo("other.png", (2020, 1, 2, 3, 4, 6)), other)
        return [entry.stamp for entry in open_source(tmp_path / "a.zip").scan()]

    (other, same), (other_now, same_now) = stamps(b"abcd"), stamps(b"abce")  # size and date alike
    assert same == same_now
    assert other != other_now


def patched(path, offset, value):
    """The zip with one field of its only member changed, in the central directory."""
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02") + offset
    data[at : at + len(value)] = value
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("offset", "value", "kind"),
    [
        (8, struct.pack("<H", 1), "encrypted"),
        (10, struct.pack("<H", 12), "compression"),
        (24, struct.pack("<I", READ_LIMIT + 1), "too large"),
        (24, struct.pack("<I", 100_000_000), "too large"),  # more than deflate can
        (24, struct.pack("<I", 0), "empty"),
        (38, struct.pack("<I", (stat.S_IFLNK | 0o777) << 16), "link"),
        (46, b"../x.png", "bad path"),
        (46, b"/etc.png", "bad path"),
    ],
)
def test_members_of_no_use_are_refused_by_the_scan_and_by_read(tmp_path, offset, value, kind):
    source = open_source(patched(make(tmp_path / "a.zip", {"12345.pn": PNG}), offset, value))
    (entry,) = source.scan()
    assert entry.kind == kind
    assert entry.reason.isprintable()
    with pytest.raises(Unreadable) as caught:
        source.read(entry.path)
    assert caught.value.kind == kind


def test_a_member_that_lies_about_its_size_or_is_damaged_is_unreadable(tmp_path):
    for offset, value in [(24, struct.pack("<I", len(PNG) + 7)), (16, b"\0\0\0\0")]:
        source = open_source(patched(make(tmp_path / "a.zip", {"1.png": PNG}), offset, value))
        (entry,) = source.scan()
        with pytest.raises(Unreadable) as caught:
            source.read(entry.path)
        assert caught.value.kind == "broken"


def test_what_is_no_image_is_refused_after_its_first_bytes(tmp_path):
    source = open_source(make(tmp_path / "a.zip", {"notes.txt": b"hello " * 100}))
    (entry,) = source.scan()
    assert isinstance(entry, Found)  # contents decide, not names
    with pytest.raises(Unreadable, match="looks like text"):
        source.read(entry.path)
    with pytest.raises(Unreadable, match="no such member"):
        source.read("/etc/passwd")


def test_threads_read_side_by_side(tmp_path):
    members = {f"{i:03}.png": encoded(photo(seed=i), "PNG") for i in range(60)}
    path = make(tmp_path / "a.zip", members)
    source = open_source(path)
    paths = [entry.path for entry in source.scan()] * 5
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(source.read, paths))
    assert read == [members[os.path.basename(path)] for path in paths]


@pytest.mark.parametrize("cut", [0.2, 0.9])
def test_a_broken_zip_is_named(tmp_path, cut):
    whole = make(tmp_path / "whole.zip", {f"{i}.png": PNG for i in range(4)}).read_bytes()
    (tmp_path / "bro\nken.zip").write_bytes(whole[: int(cut * len(whole))])
    with pytest.raises(DataError, match=r"bro\\nken\.zip must be a zip") as caught:
        open_source(tmp_path / "bro\nken.zip")
    assert str(caught.value).isprintable()


def test_an_empty_zip_is_refused_and_a_zip_needs_no_ending(tmp_path):
    with pytest.raises(InputError, match="lists no file"):
        open_source(make(tmp_path / "empty.zip", {}))
    buffer = io.BytesIO()
    make(buffer, {"1.png": PNG})
    (tmp_path / "download").write_bytes(buffer.getvalue())
    assert open_source(tmp_path / "download").kind == "zip"


def test_a_member_whose_name_is_no_utf8_does_not_cost_the_others(tmp_path):
    path = make(tmp_path / "a.zip", {"1.png": PNG, "caf\u00e9.png": PNG, "gr\u00fcn.png": PNG})
    path.write_bytes(path.read_bytes().replace("caf\u00e9".encode(), b"caf\xff\xfe"))
    source = open_source(path)
    entries = list(source.scan())
    good = [entry for entry in entries if isinstance(entry, Found)]
    assert [os.path.basename(entry.path) for entry in good] == ["1.png", "gr\u00fcn.png"]
    assert {source.read(entry.path) for entry in good} == {PNG}
    (bad,) = set(entries) - set(good)
    assert (bad.kind, os.path.basename(bad.path)[:3]) == ("bad path", "caf")
    with pytest.raises(Unreadable, match="no UTF-8"):
        source.read(bad.path)
