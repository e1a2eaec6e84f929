"""What the first bytes of a file say it is."""

from sortal.errors import Unreadable

__all__ = ["image_format", "kind_of_file", "refuse_other_than_image"]


def image_format(head: bytes) -> str | None:
    """Pillow's name of the image format that `head` begins, or None. These six are all that is decoded."""
    if head.startswith(b"RIFF"):
        return "WEBP" if head[8:12] == b"WEBP" else None
    return next((name for magic, name in _IMAGES if head.startswith(magic)), None)


def kind_of_file(head: bytes) -> str:
    """Words for a file that is no image we decode, as far as its first bytes tell."""
    for offset, magic, words in _OTHERS:
        if head[offset : offset + len(magic)] == magic:
            return words
    if head[4:8] == b"ftyp":
        return _FTYP.get(head[8:12], "a video (MP4 or QuickTime)")
    if b"\0" not in head and _is_text(head):
        start = head.lstrip().lower()
        if b"<svg" in start:
            return "an SVG drawing"
        return "a web page" if start.startswith((b"<!doctype html", b"<html")) else "text"
    return f"something unknown (it begins with {head[:8].hex(' ')})"


def refuse_other_than_image(head: bytes) -> None:
    """Raises Unreadable(kind="not an image") unless `head` begins an image that can be decoded."""
    if image_format(head) is None:
        what = kind_of_file(head)
        raise Unreadable("not an image", f"looks like {what}; read are JPEG, PNG, WebP, GIF, BMP and TIFF")


def _is_text(head: bytes) -> bool:
    controls = sum(byte < 32 and byte not in b"\t\n\r\f\x1b" for byte in head)
    if controls:
        return False
    try:
        head.decode()
    except UnicodeDecodeError as e:
        return e.end >= len(head) - 3 and e.start > 0  # only cut in the middle of a character
    return True


_IMAGES = [
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
]

_FTYP = {
    b"heic": "a HEIC photo",
    b"heix": "a HEIC photo",
    b"mif1": "a HEIF photo",
    b"avif": "an AVIF photo",
    b"crx ": "a camera's raw file (CR3)",
    b"M4A ": "a sound (M4A)",
}

_OTHERS = [
    (0, b"%PDF", "a PDF"),
    (0, b"%!PS", "PostScript"),
    (0, b"PK\x03\x04", "a zip archive (or an office document)"),
    (0, b"PK\x05\x06", "an empty zip archive"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"BZh", "a bzip2 archive"),
    (0, b"\xfd7zXZ\0", "an xz archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (0, b"Rar!", "a RAR archive"),
    (0, b"\x1a\x45\xdf\xa3", "a video (Matroska or WebM)"),
    (8, b"AVI ", "a video (AVI)"),
    (8, b"WAVE", "a sound (WAV)"),
    (0, b"ID3", "a sound (MP3)"),
    (0, b"fLaC", "a sound (FLAC)"),
    (0, b"OggS", "a sound (Ogg)"),
    (0, b"8BPS", "a Photoshop document"),
    (0, b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 image"),
    (0, b"\xff\x0a", "a JPEG XL image"),
    (0, b"\x00\x00\x00\x0cJXL ", "a JPEG XL image"),
    (0, b"\x00\x00\x01\x00", "an icon"),
    (0, b"\x93NUMPY", "a NumPy array"),
    (0, b"\x89HDF", "an HDF5 file"),
    (0, b"PAR1", "a Parquet file"),
    (0, b"SQLite format 3", "an SQLite database"),
    (0, b"\x7fELF", "a program"),
    (0, b"MZ", "a program"),
    (0, b"\x00\x05\x16\x07", "a macOS resource fork"),
    (0, b"\x00\x00\x00\x01Bud1", "a macOS folder's settings (.DS_Store)"),
]
