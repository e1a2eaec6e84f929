"""Changes of images: right where they can be said exactly, and the same for the same generator."""

import math

import pytest
import torch

from sortal.errors import InputError
from sortal.train.augment import Augment, augment, usual_augment

# One image, one pixel, more columns than rows, one channel and three.
SHAPES = [(1, 1, 1, 1), (3, 3, 8, 8), (5, 1, 7, 13), (64, 3, 32, 32)]
EVERYTHING = Augment(
    shift=2, mirror=True, crop=0.7, turn=20, zoom=0.2, shear=0.2, elastic=1.0, color=0.3, gray=0.5, gamma=0.5,
    cutout=3,
)  # fmt: skip


def chance(seed=0):
    return torch.Generator().manual_seed(seed)


def images(shape):
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=chance(1))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("how", [Augment(shift=2), Augment(mirror=True), Augment(cutout=2), EVERYTHING])
def test_shape_and_range_stay_and_the_generator_decides(shape, how):
    before = images(shape)
    once, again = augment(before, how, chance()), augment(before, how, chance())
    assert once.shape == before.shape
    assert torch.equal(once, again)
    assert once.min() >= 0
    assert once.max() <= 255
    assert torch.equal(before, images(shape))  # nobody's images are written to


def test_nothing_asked_changes_nothing():
    before = images(SHAPES[1])
    assert augment(before, Augment(), chance()) is before


def test_a_shift_is_a_window_of_the_image_with_its_edges_repeated():
    before = images((50, 2, 6, 5))
    after = augment(before, Augment(shift=2), chance())
    assert after.dtype == torch.uint8
    moves = set()
    for old, new in zip(before, after):
        padded = torch.nn.functional.pad(old[None].float(), (2, 2, 2, 2), mode="replicate")[0].to(torch.uint8)
        fits = [
            (y, x) for y in range(5) for x in range(5) if torch.equal(padded[:, y : y + 6, x : x + 5], new)
        ]
        assert fits
        moves.add(fits[0])
    assert len(moves) > 15  # of 25


def test_mirrored_is_the_image_or_its_mirror_half_of_the_time():
    before = images((200, 1, 4, 6))
    after = augment(before, Augment(mirror=True), chance())
    swapped = [torch.equal(new, old.flip(-1)) for old, new in zip(before, after)]
    assert all(torch.equal(new, old) or swap for old, new, swap in zip(before, after, swapped))
    assert 70 < sum(swapped) < 130  # 4 deviations of a fair coin


def test_a_warp_by_nothing_is_the_image():
    before = images((4, 3, 9, 7))
    after = augment(before, Augment(turn=1e-9), chance())
    # grid_sample computes the places of pixels in float32.
    torch.testing.assert_close(after, before.float(), atol=0.1, rtol=0)


def test_a_turn_moves_no_pixel_further_than_its_angle():
    """A bright disc in the middle stays, a bright spot at the rim moves along it."""
    before = torch.zeros(64, 1, 33, 33)
    before[:, :, 16, 30] = 255
    after = augment(before, Augment(turn=90), chance())
    y, x = torch.meshgrid(torch.arange(33.0), torch.arange(33.0), indexing="ij")
    weight = after[:, 0] / after[:, 0].sum((1, 2), keepdim=True)
    radius = ((weight * (y - 16)).sum((1, 2)) ** 2 + (weight * (x - 16)).sum((1, 2)) ** 2).sqrt()
    torch.testing.assert_close(radius, torch.full((64,), 14.0), atol=0.35, rtol=0)  # bilinear: half a pixel


def test_cutout_blots_a_square_of_its_edge():
    before = images((100, 3, 16, 16))
    before[:, :, 0, 0] = 0
    changed = (augment(before, Augment(cutout=4), chance()) != before).any(1)
    rows, columns = changed.any(2).sum(1), changed.any(1).sum(1)
    assert rows.max() == columns.max() == 4  # fewer at the rim
    assert (rows >= 1).all()


def test_color_leaves_gray_gray():
    before = images((8, 1, 5, 5)).expand(8, 3, 5, 5)
    after = augment(before, Augment(color=0.4), chance())
    torch.testing.assert_close(after[:, 0], after[:, 2], atol=1e-3, rtol=0)
    assert not torch.equal(after, before.float())


def test_glyphs_are_not_mirrored_unless_asked():
    assert usual_augment("photographs", 32) == Augment(shift=4, mirror=True)
    assert not usual_augment("glyphs", 28).mirror
    with pytest.raises(InputError, match='"photographs" or "glyphs"; got \'sounds\''):
        usual_augment("sounds", 28)


@pytest.mark.parametrize(
    "wrong", [{"crop": 0}, {"zoom": 1}, {"color": -0.1}, {"shift": -1}, {"gamma": -1}, {"gray": 2}]
)
def test_impossible_changes_are_refused(wrong):
    with pytest.raises(InputError):
        Augment(**wrong)


def test_an_elastic_field_moves_by_its_deviation_and_moves_neighbours_alike():
    """Of an image whose levels are its columns' numbers the new levels say where they came from."""
    before = torch.arange(32.0).expand(200, 1, 32, 32)
    moved = (augment(before, Augment(elastic=1.5), chance()) - before)[:, 0, 4:-4, 4:-4]
    # Between five points the bicubic interpolation of a normal field has 0.6 to 1.2 of its deviation.
    assert 0.6 * 1.5 < float(moved.std()) < 1.2 * 1.5
    assert float((moved[:, :, 1:] - moved[:, :, :-1]).abs().mean()) < 0.3
    assert float(moved.mean().abs()) < 0.2


def test_gamma_keeps_black_white_and_the_order_of_levels():
    levels = torch.linspace(0, 255, 16).reshape(1, 1, 4, 4)
    after = augment(levels.expand(100, 1, 4, 4), Augment(gamma=0.5), chance()).flatten(1)
    assert torch.equal(after[:, 0], torch.zeros(100))
    torch.testing.assert_close(after[:, -1], torch.full((100,), 255.0))
    assert (after.diff(dim=1) > 0).all()
    powers = (after[:, 5] / 255).log() / (levels.flatten()[5] / 255).log()
    assert math.exp(-0.5) <= float(powers.min()) < 0.75
    assert 1.3 < float(powers.max()) <= math.exp(0.5)


def test_some_lose_their_colour_and_others_nothing():
    images = torch.rand(400, 3, 4, 4, generator=torch.Generator().manual_seed(0)) * 255
    changed = augment(images, Augment(gray=0.25), torch.Generator().manual_seed(1))
    grey = (changed == changed[:, :1]).flatten(1).all(1)
    assert 60 < grey.sum() < 140
    assert torch.equal(changed[~grey], images[~grey])
    assert torch.allclose(changed[grey][:, 0], images[grey].mean(1))
