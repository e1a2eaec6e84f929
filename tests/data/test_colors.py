import numpy as np
import pytest
from PIL import Image

from sortal.data import decode_image
from sortal.data.colors import as_rgb
from tests.data.samples import encoded, photo


def grey(values) -> list[int]:
    """The row of grey levels that an image of one row becomes."""
    pixels = np.asarray(as_rgb(Image.fromarray(np.asarray([values]))))
    assert (pixels == pixels[..., :1]).all()
    return pixels[0, :, 0].tolist()


def test_sixteen_bits_are_scaled_never_clipped():
    assert grey(np.array([0, 257, 32_768, 65_535], np.uint16)) == [0, 1, 128, 255]
    assert grey(np.array([0, 4_096], np.uint16)) == [0, 16]


def test_twelve_and_eight_bits_in_a_sixteen_bit_box_fill_the_range():
    assert grey(np.array([0, 2_048, 4_095], np.uint16)) == [0, 128, 255]
    assert grey(np.array([0, 7, 255], np.uint16)) == [0, 7, 255]
    assert grey(np.array([0, 0], np.uint16)) == [0, 0]


def test_wide_and_negative_integers_are_stretched():
    assert grey(np.array([-1_000, 0, 1_000], np.int32)) == [0, 128, 255]
    assert grey(np.array([-(2**31), 2**31 - 1], np.int32)) == [0, 255]
    assert grey(np.array([0, 65_535], np.int32)) == [0, 255]


def test_floats():
    assert grey(np.array([0.0, 0.5, 0.25], np.float32)) == [0, 128, 64]  # the unit range is kept
    assert grey(np.array([-2.0, 0.0, 2.0], np.float32)) == [0, 128, 255]
    assert grey(np.array([0.0, 0.5, np.nan, np.inf, -np.inf], np.float32)) == [0, 128, 0, 255, 0]
    assert grey(np.array([3.0e38, -3.0e38, 0], np.float32)) == [
        255,
        0,
        128,
    ]  # their difference overflows float32
    assert grey(np.array([np.nan, np.nan], np.float32)) == [0, 0]
    assert grey(np.array([7.0, 7.0], np.float32)) == [0, 0]


def test_bands_of_a_tall_and_of_a_wide_image_are_all_stretched():
    for shape in [(3, 1_100_000), (1_100_000, 3)]:
        pixels = np.full(shape, 5.0, np.float32)
        pixels[0, 0] = 0
        assert (np.asarray(as_rgb(Image.fromarray(pixels)))[-1, -1] == 255).all()


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_sixteen_bit_files(form):
    ramp = np.linspace(0, 65_535, 200).astype(np.uint16).reshape(10, 20)
    pixels = np.asarray(decode_image(encoded(Image.fromarray(ramp), form)))
    assert np.array_equal(pixels[..., 0], np.rint(ramp / 257))


def test_big_endian_sixteen_bits():
    ramp = np.arange(0, 65_000, 650, dtype=">u2").reshape(10, 10)
    image = Image.frombytes("I;16B", (10, 10), ramp.tobytes())
    assert np.array_equal(np.asarray(as_rgb(image))[..., 1], np.rint(ramp / 257))


def glyph(color, alpha=255) -> Image.Image:
    """A sign on a transparent ground."""
    image = Image.new("RGBA", (20, 20), (0, 0, 0, 0))
    image.paste((*color, alpha), (5, 5, 15, 15))
    return image


def test_alpha_lies_over_white():
    pixels = np.asarray(as_rgb(glyph((200, 10, 10))))
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert pixels[9, 9].tolist() == [200, 10, 10]
    half = np.asarray(as_rgb(glyph((0, 0, 0), alpha=128)))
    assert half[9, 9].tolist() == [127, 127, 127]


@pytest.mark.parametrize("alpha", [255, 90])
def test_white_signs_on_nothing_do_not_vanish(alpha):
    pixels = np.asarray(as_rgb(glyph((255, 255, 250), alpha)))
    assert pixels[0, 0].tolist() == [0, 0, 0]
    assert np.ptp(pixels) >= 80
    as_grey = glyph((255, 255, 255)).convert("LA")
    assert np.asarray(as_rgb(as_grey))[0, 0].tolist() == [0, 0, 0]


def test_white_that_is_not_all_there_is_stays_over_white():
    image = glyph((255, 255, 255))
    image.paste((0, 0, 200, 255), (5, 5, 15, 6))
    assert np.asarray(as_rgb(image))[0, 0].tolist() == [255, 255, 255]
    assert np.asarray(as_rgb(Image.new("RGBA", (5, 5), (0, 0, 0, 0)))).min() == 255
    assert np.asarray(as_rgb(Image.new("RGBA", (5, 5), (255, 255, 255, 255)))).min() == 255


def test_palettes_with_and_without_transparency():
    image = Image.new("P", (4, 1))
    image.putpalette([10, 20, 30, 200, 100, 50, 0, 255, 0])
    image.putdata([0, 1, 2, 1])
    expected = [[10, 20, 30], [200, 100, 50], [0, 255, 0], [200, 100, 50]]
    for form in ["PNG", "GIF", "BMP", "TIFF"]:
        assert np.asarray(decode_image(encoded(image, form)))[0].tolist() == expected
    expected[2] = [255, 255, 255]
    for form, transparency in [("PNG", 2), ("GIF", 2), ("PNG", b"\xff\xff\x00")]:
        assert (
            np.asarray(decode_image(encoded(image, form, transparency=transparency)))[0].tolist() == expected
        )


def test_a_transparent_color_in_grey_and_color_png():
    rgb = Image.new("RGB", (2, 1), (9, 9, 9))
    rgb.putpixel((0, 0), (1, 2, 3))
    assert decode_image(encoded(rgb, "PNG", transparency=(1, 2, 3))).getpixel((0, 0)) == (255, 255, 255)
    assert decode_image(encoded(rgb.convert("L"), "PNG", transparency=9)).getpixel((1, 0)) == (255, 255, 255)


def test_one_bit_images():
    image = Image.new("1", (9, 3))
    image.putpixel((4, 1), 1)
    for form in ["PNG", "BMP", "TIFF"]:
        pixels = np.asarray(decode_image(encoded(image, form)))
        assert (pixels[1, 4].tolist(), int(pixels.sum())) == ([255, 255, 255], 765)


@pytest.mark.parametrize("form", ["JPEG", "TIFF"])
def test_cmyk_looks_like_what_was_put_in(form):
    """Pillow writes CMYK JPEGs inverted with Adobe's marker, TIFFs straight."""
    color = Image.new("RGB", (16, 16), (220, 40, 90))
    pixels = np.asarray(decode_image(encoded(color.convert("CMYK"), form)), int)
    # JPEG's loss; the conversion without a profile is exact
    assert np.abs(pixels - [220, 40, 90]).max() <= 4


@pytest.mark.parametrize("mode", ["LAB", "YCbCr", "HSV"])
def test_other_color_spaces(mode):
    from PIL import ImageCms

    image = photo()
    if mode == "LAB":
        profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        stored = ImageCms.profileToProfile(image, *profiles, outputMode="LAB")
    else:
        stored = image.convert(mode)
    back = decode_image(encoded(stored, "TIFF")) if mode != "HSV" else as_rgb(stored)
    # 8-bit Lab and HSV are coarse: up to about ten levels where colours are strong, little on average
    assert np.abs(np.asarray(back, int) - np.asarray(image, int)).mean() < 4
