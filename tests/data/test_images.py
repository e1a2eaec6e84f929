import io
import struct
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from sortal.data import PIXEL_LIMIT, decode_image
from sortal.errors import Unreadable
from tests.data.samples import encoded, exif, one_of_each, photo

FILES = one_of_each()
pytestmark = pytest.mark.filterwarnings("ignore:::PIL")  # pytest puts its own filters over ours


def kind_of(data: bytes) -> str:
    with pytest.raises(Unreadable) as caught:
        decode_image(data)
    assert str(caught.value).isprintable()
    return caught.value.kind


@pytest.mark.parametrize("name", FILES)
def test_every_format_decodes_to_rgb(name):
    image = decode_image(FILES[name])
    assert image.mode == "RGB"
    assert np.ptp(np.asarray(image)) > 100  # there is a picture in it


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF"])
def test_lossless_formats_keep_every_pixel(form):
    assert np.array_equal(decode_image(encoded(photo(), form)), photo())


def test_gif_and_tiff_give_their_first_picture():
    first, second = Image.new("RGB", (9, 7), "red"), Image.new("RGB", (9, 7), "blue")
    for form in ["GIF", "TIFF", "WEBP", "PNG"]:
        data = encoded(first, form, save_all=True, append_images=[second])
        red, _, blue = decode_image(data).getpixel((4, 3))
        assert red > 240
        assert blue < 20


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turns_images_upright(form, orientation):
    corners = Image.new("RGB", (32, 16), "white")
    corners.paste("black", (0, 0, 16, 8))  # the upper left of the upright picture
    undo = [None, None, 0, 3, 1, 5, 2, 6, 4][orientation]  # Pillow's transpose that EXIF's rule reverses
    stored = corners if undo is None else corners.transpose(undo)
    image = decode_image(encoded(stored, form, exif=exif(orientation)))
    assert image.size == (32, 16)
    assert np.array_equal(np.asarray(image.convert("L")) < 128, np.asarray(corners.convert("L")) < 128)


@pytest.mark.parametrize(
    "block", [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"no"]
)
def test_nonsense_in_exif_changes_nothing(block):
    data = encoded(photo(), "JPEG", exif=block)
    assert np.array_equal(decode_image(data), decode_image(encoded(photo(), "JPEG")))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_truncated_files_are_refused_as_such(name, share):
    data = FILES[name]
    cut = data[: int(share * len(data))]
    if name == "gif" and share == 0.9:  # the cut lies in the second frame, which nobody asks for
        assert decode_image(cut).size == photo().size
        return
    # A TIFF with its directory up front does not say where it ends.
    expected = {"truncated", "broken"} if name.startswith("tiff") else {"truncated"}
    assert kind_of(cut) in expected


def test_bytes_that_are_no_image():
    assert kind_of(b"") == "not an image"
    assert kind_of(b"hello") == "not an image"
    assert kind_of(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n") == "not an image"
    assert kind_of(b"\x89PNG\r\n\x1a\n" + b"\0" * 100) in {"broken", "truncated"}
    assert kind_of(b"\xff\xd8\xff\xd9") in {"broken", "truncated"}


def test_bombs_are_refused_by_their_header_alone():
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    def png(width, height):
        header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")

    assert kind_of(png(30_000, 30_000)) == "too large"
    assert kind_of(png(1, PIXEL_LIMIT + 1)) == "too large"
    assert kind_of(png(0, 5)) == "broken"
    jpeg = bytearray(encoded(photo(), "JPEG"))
    at = jpeg.index(b"\xff\xc0") + 5
    jpeg[at : at + 4] = b"\xff\xff\xff\xff"
    assert kind_of(bytes(jpeg)) == "too large"
    bmp = bytearray(encoded(photo(), "BMP"))
    bmp[18:26] = struct.pack("<ii", 50_000, 50_000)
    assert kind_of(bytes(bmp)) == "too large"


def test_the_limit_is_ours_whatever_pillows_is(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert decode_image(encoded(photo(), "PNG")).size == photo().size


def test_at_least_is_kept_twice_over_on_both_axes_also_when_turned():
    data = encoded(photo(640, 200), "JPEG")
    assert decode_image(data, (40, 12)).size == (80, 25)
    assert decode_image(data, (40, 13)).size == (160, 50)
    assert decode_image(data, (321, 1)).size == (640, 200)
    lying = encoded(photo(640, 200), "JPEG", exif=exif(6))
    assert decode_image(lying, (12, 40)).size == (25, 80)
    assert decode_image(lying, (40, 12)).size == (100, 320)
    assert decode_image(encoded(photo(640, 200), "PNG"), (4, 4)).size == (640, 200)


def test_metadata_that_pillow_warns_of_warns_nobody():
    """In a process of its own: pytest resets the filters. `-W error` makes exceptions of warnings."""
    tiff = bytearray(encoded(photo(), "TIFF", dpi=(72, 72)))
    first = struct.unpack("<I", tiff[4:8])[0]
    struct.pack_into("<I", tiff, first + 2 + 12 * 5 + 4, 1_000_000)  # a tag with a count beyond the file
    corrupt_exif = b"Exif\0\0II*\0\x08\0\0\0\x05\0\x1a\x01\x05\0\x01\0\0\0\xff\xff\0\0"
    jpeg = encoded(photo(), "JPEG", exif=corrupt_exif)
    code = (
        "import sys; from sortal.data import decode_image; from sortal.errors import Unreadable\n"
        f"decode_image(bytes.fromhex('{jpeg.hex()}'))\n"
        f"try: decode_image(bytes.fromhex('{bytes(tiff).hex()}'))\n"
        "except Unreadable as e: assert 'Warning' not in repr(e.__cause__), repr(e.__cause__)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-"], input=code.encode(), capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_pillows_globals_are_left_alone():
    from PIL import ImageFile

    for data in FILES.values():
        decode_image(data)
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False
    assert Image.MAX_IMAGE_PIXELS == 89_478_485


def test_threads_give_the_same_pixels():
    expected = {name: decode_image(data).tobytes() for name, data in FILES.items()}
    with ThreadPoolExecutor(8) as pool:
        again = pool.map(lambda name: (name, decode_image(FILES[name]).tobytes()), list(FILES) * 10)
    assert all(expected[name] == pixels for name, pixels in again)


@pytest.mark.parametrize("name", FILES)
def test_damaged_bytes_never_raise_anything_but_unreadable(name):
    """300 truncations and flips a format, most of them in the header, where parsers are weakest."""
    rng = np.random.default_rng(7)
    valid = FILES[name]
    for trial in range(300):
        data = bytearray(valid)
        if trial % 3 == 0:
            data = data[: rng.integers(len(data))]
        for at in rng.integers(0, len(valid) if trial % 3 == 1 else 200, size=rng.integers(1, 6)):
            if at < len(data):
                data[at] ^= 1 << rng.integers(8)
        outcome = decoded_or_refused(bytes(data), (8, 8) if trial % 2 else None)
        if isinstance(outcome, Unreadable):
            assert outcome.kind in {"not an image", "too large", "truncated", "broken"}
            assert str(outcome).isprintable()
        else:
            assert outcome.mode == "RGB"


def decoded_or_refused(data: bytes, at_least: tuple[int, int] | None) -> Image.Image | Unreadable:
    try:
        return decode_image(data, at_least)
    except Unreadable as e:
        return e


def test_a_jpeg_thumbnail_inside_a_jpeg_does_not_matter():
    """EXIF carries a whole JPEG of its own, with markers that a search through the bytes would find."""
    small = io.BytesIO()
    photo(16, 16).save(small, "JPEG")
    data = encoded(photo(), "JPEG", exif=exif(6) + small.getvalue())
    assert decode_image(data).size == photo().size[::-1]
