import pytest

from sortal.data.signature import image_format, kind_of_file, refuse_other_than_image
from sortal.errors import Unreadable
from tests.data.samples import one_of_each


@pytest.mark.parametrize("name", one_of_each())
def test_every_format_is_known_by_its_first_bytes(name):
    assert image_format(one_of_each()[name][:16]) == name.split()[0].upper()


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"%PDF-1.7", "a PDF"),
        (b"PK\x03\x04....", "zip"),
        (b"\0\0\0\x18ftypheic", "HEIC"),
        (b"\0\0\0\x18ftypisom", "video"),
        (b"RIFF\0\0\0\0WAVE", "sound"),
        (b"hello\n", "text"),
        ("grüße ".encode() * 10, "text"),
        (("x" * 63 + "ü").encode()[:64], "text"),  # cut within a character
        (b"<!DOCTYPE html><html>", "a web page"),
        (b'<?xml version="1.0"?><svg>', "an SVG drawing"),
        (b"\0\0\0\x01Bud1", ".DS_Store"),
        (b"\x01\x02\x03", "something unknown (it begins with 01 02 03)"),
        (b"\x80\x81", "something unknown"),
        (b"%!PS-Adobe EPSF", "PostScript"),  # would start Ghostscript if Pillow were left to choose
    ],
)
def test_what_is_no_image_is_named(head, words):
    assert words in kind_of_file(head)
    with pytest.raises(Unreadable, match="JPEG, PNG, WebP") as caught:
        refuse_other_than_image(head)
    assert caught.value.kind == "not an image"
