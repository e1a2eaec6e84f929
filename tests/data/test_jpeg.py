import io

import numpy as np
import pytest
from PIL import Image

from sortal.data import decode_image, jpeg
from sortal.data.jpeg import decode_plain_jpeg, read_jpeg_header, reduction
from tests.data.samples import encoded, exif, photo


def variants() -> dict[str, bytes]:
    odd = photo(251, 173)
    return {
        "4:2:0": encoded(odd, "JPEG", subsampling="4:2:0"),
        "4:2:2": encoded(odd, "JPEG", subsampling="4:2:2", quality=30),
        "4:4:4": encoded(odd, "JPEG", subsampling="4:4:4", quality=97),
        "progressive": encoded(odd, "JPEG", progressive=True),
        "grey": encoded(odd.convert("L"), "JPEG"),
        "stored as RGB": encoded(odd, "JPEG", keep_rgb=True),
        "restarts": encoded(odd, "JPEG", restart_marker_blocks=3),
        "turned": encoded(odd, "JPEG", exif=exif(7)),
        "tiny": encoded(photo(1, 1), "JPEG"),
        "thin": encoded(photo(3, 700), "JPEG"),
        "profile": encoded(odd, "JPEG", icc_profile=b"p" * 70_000, comment=b"\xff\xda\xff\xc0"),
    }


@pytest.mark.parametrize("name", variants())
@pytest.mark.parametrize("at_least", [None, (1, 1), (15, 10), (30, 20), (60, 40)])
def test_simplejpeg_gives_pillows_pixels_bit_for_bit(name, at_least, monkeypatch):
    pytest.importorskip("simplejpeg")
    data = variants()[name]
    header = read_jpeg_header(data)
    shrink = reduction((header.width, header.height), at_least)
    fast = decode_plain_jpeg(data, header, shrink)
    assert fast is not None or name in {"tiny", "thin"}  # there libjpeg-turbo may shrink by another share
    with_it = decode_image(data, at_least)
    monkeypatch.setattr(jpeg, "simplejpeg", None)
    without = decode_image(data, at_least)
    assert with_it.size == without.size
    assert with_it.tobytes() == without.tobytes()


def test_verdicts_on_damaged_files_do_not_depend_on_simplejpeg_either(monkeypatch):
    pytest.importorskip("simplejpeg")
    from sortal.errors import Unreadable

    def outcome(data):
        try:
            return decode_image(data, (9, 9)).tobytes()
        except Unreadable as e:
            return e.kind, str(e)

    rng = np.random.default_rng(3)
    damaged = []
    for data in variants().values():
        for _ in range(40):
            bad = bytearray(data)
            bad[rng.integers(2, len(bad))] = rng.integers(256)
            damaged.append(bytes(bad[: rng.integers(2, len(bad))] if rng.random() < 0.3 else bad))
    with_it = [outcome(data) for data in damaged]
    monkeypatch.setattr(jpeg, "simplejpeg", None)
    without = [outcome(data) for data in damaged]
    differ = [i for i, (a, b) in enumerate(zip(with_it, without)) if a != b]
    assert differ == []
    assert 20 < sum(isinstance(one, tuple) for one in without) < len(damaged) - 20  # both kinds were tried


def test_the_header_says_what_pillow_says():
    for data in variants().values():
        header = read_jpeg_header(data)
        with Image.open(io.BytesIO(data)) as image:
            assert ((header.width, header.height), header.mode) == (image.size, image.mode)
            assert header.orientation == image.getexif().get(0x0112, 1)
    assert not read_jpeg_header(encoded(photo().convert("CMYK"), "JPEG")).is_plain
    assert read_jpeg_header(b"\xff\xd8\xff") is None
    assert read_jpeg_header(b"\xff\xd8" + b"\xff\xe0\0\0" * 9) is None


@pytest.mark.parametrize(
    ("size", "at_least", "shrink"),
    [
        ((800, 800), (50, 50), 8),
        ((800, 799), (50, 50), 4),
        ((800, 800), (50, 401), 1),
        ((9, 9), (5, 5), 1),
        ((9, 9), None, 1),
    ],
)
def test_a_jpeg_never_shrinks_below_twice_what_is_asked(size, at_least, shrink):
    assert reduction(size, at_least) == shrink
