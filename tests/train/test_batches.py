"""Batches: every image once an epoch, the same whenever asked, none of them tiny."""

import numpy as np
import pytest
import torch

from sortal.data import LabelledImages
from sortal.errors import InputError
from sortal.train.augment import Augment
from sortal.train.batches import ImageBatches
from sortal.train.normalize import Normalize

AS_IT_IS = Normalize((0.0,), (1 / 255,))


def numbered(n):
    pixels = np.arange(n, dtype=np.uint8).reshape(n, 1, 1, 1).repeat(4, 1).repeat(4, 2)
    return LabelledImages(pixels, np.arange(n) % 3, ("a", "b", "c"))


def seen(batches):
    return [batch["inputs"][:, 0, 0, 0].tolist() for batch in batches]


@pytest.mark.parametrize(("n", "size"), [(1, 1), (10, 3), (129, 64), (7, 100)])
def test_every_image_once_in_batches_of_nearly_equal_size(n, size):
    batches = ImageBatches(numbered(n), size, AS_IT_IS)
    parts = seen(batches.epoch(0))
    assert len(parts) == len(batches) == -(-n // size)
    assert sorted(x for part in parts for x in part) == pytest.approx(range(n), abs=1e-4)  # 1 / 255 rounds
    assert max(map(len, parts)) <= size
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_an_epoch_begun_in_the_middle_is_its_rest():
    batches = ImageBatches(numbered(40), 8, AS_IT_IS, augment=Augment(shift=1, mirror=True, turn=9), seed=3)
    whole, rest = list(batches.epoch(2)), list(batches.epoch(2, 3))
    assert len(rest) == 2
    for old, new in zip(whole[3:], rest):
        assert torch.equal(old["inputs"], new["inputs"])
        assert torch.equal(old["labels"], new["labels"])


def test_order_depends_on_seed_and_epoch_alone():
    def order(seed, epoch):
        return seen(ImageBatches(numbered(40), 8, AS_IT_IS, seed=seed).epoch(epoch))

    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(0, 1)
    assert order(0, 0) != order(1, 0)


def test_unshuffled_images_come_as_they_are():
    batches = ImageBatches(numbered(10), 4, AS_IT_IS, shuffled=False, augment=Augment(color=0.9))
    assert [round(x) for part in seen(batches.epoch(5)) for x in part] == list(range(10))


def test_normalized_pixels_have_no_mean_and_deviation_1():
    pixels = np.random.default_rng(0).integers(0, 256, (50, 6, 5, 3), dtype=np.uint8)
    normalize = Normalize.of(pixels)
    out = normalize(torch.from_numpy(pixels.transpose(0, 3, 1, 2)))
    torch.testing.assert_close(out.mean((0, 2, 3)), torch.zeros(3), atol=1e-3, rtol=0)  # 4 digits are kept
    torch.testing.assert_close(out.std((0, 2, 3)), torch.ones(3), atol=1e-3, rtol=0)


def test_other_pixels_are_another_run():
    one, other = numbered(10), numbered(10)
    other.pixels[3] += 1
    described = [ImageBatches(images, 4, AS_IT_IS).as_json() for images in (one, one, other)]
    assert described[0] == described[1] != described[2]


def test_no_images_make_no_batches():
    with pytest.raises(InputError, match="0 images"):
        ImageBatches(numbered(3).take(np.zeros(0, int)), 4, AS_IT_IS)


def test_mean_and_deviation_of_the_channels_are_those_of_the_pixels():
    pixels = np.random.default_rng(0).integers(0, 256, (131, 5, 7, 3), np.uint8)
    pixels[..., 2] = 200
    found, levels = Normalize.of(pixels), pixels.reshape(-1, 3) / 255
    assert found.mean == pytest.approx(levels.mean(0), abs=6e-5)  # rounded to four digits
    assert found.std == pytest.approx([*levels.std(0)[:2], 1 / 255], abs=6e-5)
