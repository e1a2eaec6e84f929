"""An image file's bytes become RGB pixels, upright. Nothing but Unreadable ever comes out of a bad one."""

import io
import logging
import warnings

from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from sortal.data.colors import as_rgb
from sortal.data.exif import orientation_of, upright
from sortal.data.jpeg import decode_plain_jpeg, read_jpeg_header, reduction
from sortal.data.shown import shown
from sortal.data.signature import image_format, refuse_other_than_image
from sortal.errors import Unreadable

__all__ = ["PIXEL_LIMIT", "decode_image"]

# Pillow's own limit for an error (twice its MAX_IMAGE_PIXELS), held here because that one is a global which
# anybody may change.
PIXEL_LIMIT = 178_956_970

# Pillow warns of odd metadata that we never use; the verdict on a file is ours. `catch_warnings` swaps a
# global and so is not safe beside other threads, which is why the filter is set once and for Pillow alone.
# What libtiff itself writes to stderr about a damaged TIFF is C's own and cannot be silenced from here.
warnings.filterwarnings("ignore", module=r"PIL\.")
logging.getLogger("PIL").addHandler(logging.NullHandler())  # else its errors go to stderr unasked


def decode_image(data: bytes, at_least: tuple[int, int] | None = None) -> Image.Image:
    """The first image in `data` as RGB, turned upright as its EXIF says.

    JPEG, PNG, WebP, GIF (first frame), BMP, TIFF (first page); no other decoder can be reached.
    `at_least=(width, height)`, counted upright, lets a JPEG decode at a half, a quarter or an eighth, never
    under twice that size on either axis. `colors.as_rgb` says what becomes of grey, 16 bits and alpha.
    Colour profiles are not applied. Safe in threads; Pillow lets go of the GIL while it decodes.

    Raises Unreadable with the kind "not an image", "too large" (more than `PIXEL_LIMIT` pixels, checked
    before decoding), "truncated" or "broken".
    """
    refuse_other_than_image(data[:64])
    form = image_format(data[:64])
    assert form is not None
    try:
        return _decode_jpeg(data, at_least) if form == "JPEG" else _decode_other(data, form)
    except Unreadable:
        raise
    except Exception as e:  # Pillow's parsers raise whatever a stranger's bytes provoke
        raise _verdict(e, form, data) from e


def _decode_jpeg(data: bytes, at_least: tuple[int, int] | None) -> Image.Image:
    header = read_jpeg_header(data)
    if header is not None:
        _check_size(header.width, header.height)
        shrink = reduction((header.width, header.height), _turned(at_least, header.orientation))
        if (image := decode_plain_jpeg(data, header, shrink)) is not None:
            return as_rgb(upright(image, header.orientation))
    image = JpegImagePlugin.JpegImageFile(io.BytesIO(data))
    _check_size(*image.size)
    orientation = header.orientation if header else orientation_of(image.info.get("exif", b""))
    shrink = reduction(image.size, _turned(at_least, orientation))
    if shrink > 1:
        image.draft(None, (image.width // shrink, image.height // shrink))
    image.load()
    return as_rgb(upright(image, orientation))


def _turned(at_least: tuple[int, int] | None, orientation: int) -> tuple[int, int] | None:
    """`at_least` for the image as it is stored, lying on its side from orientation 5 on."""
    return (at_least[1], at_least[0]) if at_least and orientation >= 5 else at_least


def _decode_other(data: bytes, form: str) -> Image.Image:
    # The plug-in itself, not `Image.open`: no other format is tried, and no global limit is asked.
    image: ImageFile.ImageFile = _PLUGINS[form](io.BytesIO(data))
    _check_size(*image.size)
    image.load()  # a TIFF turns itself upright here
    orientation = 1 if form == "TIFF" else orientation_of(image.info.get("exif", b""))
    return as_rgb(upright(image, orientation))


def _check_size(width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise Unreadable("broken", f"its header claims {width} x {height} pixels")
    if width * height > PIXEL_LIMIT:
        raise Unreadable(
            "too large", f"{width} x {height} pixels; at most {PIXEL_LIMIT:,} are decoded (make it smaller)"
        )


def _verdict(error: Exception, form: str, data: bytes) -> Unreadable:
    """One line and a kind for whatever Pillow raised."""
    said = shown(str(error)) or type(error).__name__
    if isinstance(error, Image.DecompressionBombError | MemoryError):
        return Unreadable("too large", f"{form} with more pixels than can be decoded: {said}")
    if isinstance(error, EOFError) or "truncat" in said.lower() or _ends_early(data, form):
        return Unreadable("truncated", f"{form} that breaks off early: {said}")
    return Unreadable("broken", f"{form} that cannot be decoded: {said}")


def _ends_early(data: bytes, form: str) -> bool:
    """Whether a file's own words say that its end is missing, for where Pillow does not say why it failed."""
    if form == "WEBP":
        return int.from_bytes(data[4:8], "little") + 8 > len(data)
    if form == "PNG":
        return b"IEND" not in data[-64:]
    if form == "JPEG":
        return b"\xff\xd9" not in data
    if form == "GIF":
        return not data.endswith(b";")
    if form == "TIFF":  # its first directory often stands at the end
        return int.from_bytes(data[4:8], "little" if data[:1] == b"I" else "big") + 2 > len(data)
    return form == "BMP" and int.from_bytes(data[2:6], "little") > len(data)


_PLUGINS: dict[str, type[ImageFile.ImageFile]] = {
    "PNG": PngImagePlugin.PngImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
}
