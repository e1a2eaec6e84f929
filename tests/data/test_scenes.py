"""Scenes: the grammar, the layouts, the pixels."""

import numpy as np

from sortal.data import LabelledImages
from sortal.data.scenes import DIGIT_NAMES, caption, draw_scene, layouts


def test_the_grammar():
    assert " ".join(caption((4, 7), ("three", "seven"))) == "a three left of a seven"
    assert " ".join(caption((1, 13), ("eight", "one"))) == "an eight above a one"
    assert " ".join(caption((0, 5), ("two", "two"))) == "a two above and left of a two"
    assert " ".join(caption((2, 4, 5), ("two", "six", "one"))) == (
        "a two above and right of a six , left of a one"
    )
    assert caption((4,), ("zero",)) == ("a", "zero")


def test_a_caption_says_one_thing_only():
    """Exact match asks for one answer: things and places follow from the cells."""
    learned, tested = layouts()
    assert len(learned) + len(tested) == 16 + 120 + 560
    assert not set(learned) & set(tested)
    assert min(map(len, tested)) == 2
    # Nothing in a tested layout is new but the whole: its cells, and each of its kinds of place, were
    # learned.
    names = ("one",) * 3

    def places(layout):
        return " ".join(caption(layout, names[: len(layout)]))

    assert {places(layout) for layout in tested} <= {places(layout) for layout in learned}
    assert {cell for layout in tested for cell in layout} <= {cell for layout in learned for cell in layout}


def test_images_lie_in_their_cells():
    images = LabelledImages(np.full((10, 28, 28, 1), 200, np.uint8), np.arange(10), DIGIT_NAMES)
    scene = draw_scene(np.random.default_rng(0), images, DIGIT_NAMES, (0, 15), 96)
    assert scene.pixels.shape == (96, 96, 1)
    assert scene.pixels[12, 12] == scene.pixels[84, 84] == 200
    assert scene.pixels[84, 12] == scene.pixels[48, 52] == 0
    assert scene.caption[2:6] == ("above", "and", "left", "of")
    again = draw_scene(np.random.default_rng(0), images, DIGIT_NAMES, (0, 15), 96)
    assert (scene.pixels == again.pixels).all()
