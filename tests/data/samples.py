"""Image files that the tests make."""

import io

import numpy as np
from PIL import Image


def photo(width: int = 61, height: int = 43, seed: int = 0) -> Image.Image:
    """Smooth colours with some grain, so that neither JPEG nor resizing has it easy."""
    y, x = np.mgrid[:height, :width]
    noise = np.random.default_rng(seed).integers(0, 30, (height, width, 3))
    waves = np.stack([np.sin(x / 7 + y / 11), np.cos(x / 5), np.sin(y / 9)], axis=-1)
    return Image.fromarray((110 + 100 * waves + noise).clip(0, 255).astype(np.uint8))


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def one_of_each() -> dict[str, bytes]:
    """Valid files of every format and of most kinds of pixels."""
    rgb, sixteen = photo(), Image.fromarray(np.arange(0, 60_000, 20, dtype=np.uint16).reshape(50, 60))
    return {
        "jpeg": encoded(rgb, "JPEG"),
        "jpeg progressive": encoded(rgb, "JPEG", progressive=True, exif=exif(6)),
        "jpeg grey": encoded(rgb.convert("L"), "JPEG"),
        "jpeg cmyk": encoded(rgb.convert("CMYK"), "JPEG"),
        "png": encoded(rgb, "PNG"),
        "png palette": encoded(rgb.quantize(17), "PNG", transparency=3),
        "png alpha": encoded(rgb.convert("RGBA"), "PNG", exif=exif(8)),
        "png 16": encoded(sixteen, "PNG"),
        "webp": encoded(rgb, "WEBP"),
        "webp lossless": encoded(rgb.convert("RGBA"), "WEBP", lossless=True, exif=exif(3)),
        "gif": encoded(rgb, "GIF", save_all=True, append_images=[photo(seed=1)]),
        "bmp": encoded(rgb, "BMP"),
        "bmp 1": encoded(rgb.convert("1"), "BMP"),
        "tiff": encoded(rgb, "TIFF"),
        "tiff lzw": encoded(rgb, "TIFF", compression="tiff_lzw"),
        "tiff jpeg": encoded(rgb, "TIFF", compression="jpeg"),
        "tiff 16": encoded(sixteen, "TIFF", compression="tiff_deflate"),
        "tiff float": encoded(
            Image.fromarray(np.linspace(0, 1, 900, dtype=np.float32).reshape(30, 30)), "TIFF"
        ),
        "tiff lab": encoded(rgb.convert("YCbCr"), "TIFF"),
    }


def exif(orientation: int) -> bytes:
    block = Image.Exif()
    block[0x0112] = orientation
    return block.tobytes()
