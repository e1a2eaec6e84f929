import io

import numpy as np
import pytest
from PIL import Image

from sortal.data import ImageInput, prepare, thumbnail
from sortal.errors import InputError
from tests.data.samples import photo


@pytest.mark.parametrize("resample", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(24, 24), (7, 31), (43, 61), (100, 90), (1, 1)])
def test_resizing_is_torchs_uint8_path(resample, size):
    torch = pytest.importorskip("torch")
    image = photo()
    planes = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]
    expected = torch.nn.functional.interpolate(
        planes, size, mode=resample, antialias=True, align_corners=False
    )
    ours = prepare(image, ImageInput(size, resample=resample))
    difference = np.abs(ours.astype(int) - expected[0].permute(1, 2, 0).numpy().astype(int))
    assert difference.max() <= 1  # fixed-point weights are rounded to different widths


@pytest.mark.parametrize(
    ("image_size", "size", "crop", "whole", "kept"),
    [
        ((240, 192), (24, 24), 0.75, (40, 32), (8, 4, 32, 28)),
        ((192, 240), (24, 24), 0.75, (32, 40), (4, 8, 28, 32)),
        ((128, 96), (8, 16), 1.0, (16, 12), (0, 2, 16, 10)),
        ((240, 192), (16, 8), 0.5, (40, 32), (16, 8, 24, 24)),
    ],
)
def test_a_crop_is_the_centre_of_the_whole_image_resized(image_size, size, crop, whole, kept):
    """As torchvision's Resize, then CenterCrop: pixels beside the region count at its edge."""
    image = photo(*image_size)
    expected = np.asarray(image.resize(whole, Image.Resampling.BILINEAR).crop(kept))
    assert np.array_equal(prepare(image, ImageInput(size, crop)), expected)


def test_without_a_crop_the_whole_image_is_squeezed():
    image = Image.new("RGB", (90, 10), "white")
    image.paste("black", (0, 0, 45, 10))
    pixels = prepare(image, ImageInput((4, 4)))
    assert pixels[:, 0].max() < 60
    assert pixels[:, 3].min() > 200
    assert (pixels.dtype, pixels.shape) == (np.uint8, (4, 4, 3))


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (2, 3)])
@pytest.mark.parametrize("crop", [None, 0.001, 0.875, 1.0])
def test_extreme_shapes_come_out_right(size, crop):
    pixels = prepare(Image.new("RGB", size, (7, 8, 9)), ImageInput((5, 9), crop))
    assert pixels.shape == (5, 9, 3)
    assert (pixels == [7, 8, 9]).all()


def test_an_input_says_how_far_to_decode():
    want = ImageInput((224, 200), 0.875, "bicubic")
    assert want.as_json() == {"size": [224, 200], "crop": 0.875, "resample": "bicubic"}
    assert want.at_least == (229, 256)
    assert ImageInput((32, 16)).at_least == (16, 32)


@pytest.mark.parametrize(
    "fields",
    [
        {"size": (0, 5)},
        {"size": (5, 100_000)},
        {"size": (5,)},
        {"size": 5},
        {"size": (5.0, 5)},
        {"size": (True, 5)},
        {"size": (5, 5), "crop": 0.0},
        {"size": (5, 5), "crop": 1.5},
        {"size": (5, 5), "crop": float("nan")},
        {"size": (5, 5), "crop": "1"},
        {"size": (5, 5), "resample": "nearest"},
    ],
)
def test_absurd_inputs_are_refused(fields):
    with pytest.raises(InputError, match=r"must .*got"):
        ImageInput(**fields)


@pytest.mark.parametrize(
    ("size", "expected"), [((300, 200), (96, 64)), ((5, 7), (5, 7)), ((9000, 3), (96, 1))]
)
def test_thumbnails_are_small_jpegs_of_the_same_shape(size, expected):
    with Image.open(io.BytesIO(thumbnail(photo(*size)))) as small:
        assert (small.format, small.size) == ("JPEG", expected)
    with pytest.raises(InputError, match="edge"):
        thumbnail(photo(), 0)
