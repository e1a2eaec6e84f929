"""Pictures of filters, maps and evidence, and the page that holds them."""

import io

import numpy as np
import pytest
from PIL import Image

from sortal.diagnose.pictures import colored, filter_sheet, map_sheet, overlay, png, shown_maps
from sortal.page import Picture, Section, Table, page

RANDOM = np.random.default_rng(0)


def test_filters_zero_is_grey_and_the_largest_weight_is_full():
    filters = np.zeros((3, 3, 2, 2))
    filters[1, 0, 0, 0], filters[2, :, 1, 1] = 0.2, -5
    sheet = filter_sheet(filters, edge=2)
    assert (sheet[:2, :2] == 128).all()
    assert sheet[0, 5].tolist() == [255, 128, 128]
    assert sheet[1, 11].tolist() == [0, 0, 0]


@pytest.mark.parametrize(("shape", "tiles"), [((5, 1, 3, 3), 5), ((2, 4, 3, 3), 8), ((200, 3, 11, 11), 96)])
def test_as_many_tiles_as_there_are_filters_or_channels(shape, tiles):
    sheet = filter_sheet(RANDOM.normal(size=shape), edge=shape[-1])
    side = shape[-1] + 3
    rows, columns = (sheet.shape[0] + 3) // side, (sheet.shape[1] + 3) // side
    assert rows * columns >= tiles > (rows - 1) * columns


def test_maps_that_differ_most_are_shown_in_their_own_order():
    maps = np.stack([np.full((4, 6), 9.0), RANDOM.normal(size=(4, 6)), 5 * RANDOM.normal(size=(4, 6))])
    assert shown_maps(maps, 2).tolist() == [1, 2]
    assert map_sheet(maps, most=2, edge=12).shape == (8, 2 * 12 + 3, 3)
    assert map_sheet(RANDOM.normal(size=(1, 300, 200)), edge=64).shape == (64, 43, 3)


def test_colours_run_from_black_to_light():
    found = colored(np.array([[0.0, 1.0, 2.0]]))
    assert found[0, 0].tolist() == [0, 0, 4]
    assert found[0, 2].tolist() == [252, 255, 164]
    assert (colored(np.zeros((2, 2))) == [0, 0, 4]).all()


def test_evidence_lies_over_the_image_where_it_is():
    image = np.full((8, 8, 3), 100, np.uint8)
    where = np.zeros((2, 2))
    where[0, 1] = 3.0
    over = overlay(image, where, edge=8).astype(int)
    assert abs(over[7, 0] - 100).max() <= 1  # nothing there: as it was, for it is grey
    assert over[0, 7].sum() > over[7, 0].sum() + 100
    assert (overlay(image, None, edge=8) == image).all()
    assert (overlay(image, np.zeros((2, 2)), edge=8) == overlay(image, where * 0, edge=8)).all()


def test_a_picture_is_a_png():
    assert Image.open(io.BytesIO(png(np.zeros((4, 5, 1), np.uint8)))).mode == "L"
    assert Image.open(io.BytesIO(png(np.zeros((4, 5, 3), np.uint8)))).size == (5, 4)


def test_text_of_strangers_stays_text():
    bad = "<script>alert('@TITLE@')</script>"
    made = page(
        bad,
        [bad],
        [Section(bad, (bad,), (Picture("x", b"\x89PNG", bad),), Table((bad,), ((bad,),)))],
        [(bad, bad)],
    )
    assert "<script" not in made
    assert made.count("&lt;script&gt;alert(&#x27;@TITLE@&#x27;)") == 11
    assert "style-src 'sha256-" in made
