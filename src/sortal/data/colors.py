"""Whatever Pillow decoded becomes 8-bit RGB, as a person would expect to see it."""

import numpy as np
from PIL import Image

__all__ = ["as_rgb"]


def as_rgb(image: Image.Image) -> Image.Image:
    """`image` in mode RGB.

    - Alpha, and a transparent colour, lie over white; over black where all that is visible is nearly white,
      because white signs on a transparent ground would vanish.
    - Grey of more than 8 bits is scaled by what its largest value needs, never clipped: up to 255 it is
      8-bit data in a wider box, up to 4,095 12-bit, up to 65,535 16-bit (v / 257). Wider or negative
      integers are stretched from their least to their largest value.
    - Floats within 0 to 1 keep that range; others are stretched likewise. NaN is black.
    - CMYK is converted without a profile. Pillow takes every CMYK JPEG for inverted, as Adobe writes them
      and browsers read them.
    """
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_eight_bits(np.asarray(image))).convert("RGB")
    if image.mode in _ALPHA or "transparency" in image.info:
        return _flatten(image.convert("RGBA"))
    if image.mode == "LAB":
        return _from_lab(image)
    return image.convert("RGB")


_ALPHA = {"RGBA", "LA", "PA", "RGBa", "La"}
_SOLID = 128  # alpha from which a pixel counts as visible
_NEARLY_WHITE = 240
_THROUGHOUT = 0.99


def _flatten(image: Image.Image) -> Image.Image:
    alpha = image.getchannel("A")
    if alpha.getextrema()[0] == 255:
        return image.convert("RGB")
    ground = "black" if _is_nearly_white(image, alpha) else "white"
    flat = Image.new("RGB", image.size, ground)
    flat.paste(image.convert("RGB"), mask=alpha)
    return flat


def _is_nearly_white(image: Image.Image, alpha: Image.Image) -> bool:
    visible = alpha.point([255 * (a >= _SOLID) for a in range(256)])
    if visible.getextrema()[1] == 0:  # all of it is faint
        visible = alpha.point([255 * (a > 0) for a in range(256)])
    counts = image.convert("RGB").convert("L").histogram(visible)
    return sum(counts[_NEARLY_WHITE:]) > _THROUGHOUT * sum(counts) and sum(counts) > 0


def _eight_bits(values: np.ndarray) -> np.ndarray:
    """Integers or floats of any range as uint8."""
    if values.dtype.kind == "f":
        return _eight_bits_of_floats(values)
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65_535:
        return _stretch(values, low, high)
    full = next(limit for limit in (255, 4_095, 65_535) if high <= limit)
    table = np.rint(np.arange(65_536) * (255 / full)).clip(0, 255).astype(np.uint8)
    return np.take(table, values)


def _eight_bits_of_floats(values: np.ndarray) -> np.ndarray:
    finite = np.isfinite(values)
    if not finite.any():
        return np.zeros(values.shape, np.uint8)
    low = float(values.min(where=finite, initial=np.inf))
    high = float(values.max(where=finite, initial=-np.inf))
    return _stretch(values, 0, 1) if low >= 0 and high <= 1 else _stretch(values, low, high)


def _stretch(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """`low` becomes 0 and `high` 255; NaN becomes 0, infinities the ends."""
    stretched = np.zeros(values.shape, np.uint8)
    if high > low:
        band = max(1, 2**20 // values.shape[1])  # in bands, because float64 of a whole scan is gigabytes
        for top in range(0, len(values), band):
            rows = slice(top, top + band)
            # float64, because the difference of two float32 can overflow
            share = (values[rows].astype(np.float64) - low) / (float(high) - low)
            stretched[rows] = np.rint(np.nan_to_num(share).clip(0, 1) * 255)
    return stretched


def _from_lab(image: Image.Image) -> Image.Image:
    from PIL import ImageCms  # loads a colour library that hardly any pile needs

    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
    assert converted is not None  # None only for in-place conversion
    return converted
