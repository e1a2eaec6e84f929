"""A pile's items as images: those that can be read now and are what they were."""

import shutil

import numpy as np
import pytest
from PIL import Image

import sortal
from sortal.errors import InputError

from .digits import write_digits


@pytest.fixture
def named(tmp_path):
    """Sixty digits and their pile, named after their folders."""
    write_digits(tmp_path / "digits", 0, 60)
    with sortal.organize(tmp_path / "digits", k=3, names_from="folders") as pile:
        yield tmp_path / "digits", pile


def test_items_with_a_name_in_the_order_of_the_pile(named):
    folder, pile = named
    pile.unname(items=[0, 1])
    images = pile.named_images((8, 8))
    assert images.pixels.shape == (58, 8, 8, 3)
    assert images.names == tuple("0123456789")
    kept = [path for path, name in zip(pile.paths, pile.names) if name is not None]
    assert [images.names[i] for i in images.labels] == [path.split("/")[-2] for path in kept]
    assert (images.pixels[5] == np.asarray(Image.open(kept[5]).convert("RGB"))).all()
    assert not images.refused
    assert folder.is_dir()


def test_what_has_gone_or_changed_is_refused_by_itself(named):
    folder, pile = named
    gone, changed = pile.paths[0], pile.paths[-1]
    (folder / gone).unlink()
    Image.new("L", (8, 8)).save(changed)
    images = pile.named_images((8, 8))
    assert len(images) == 58
    assert {one.path for one in images.refused} == {gone, changed}
    assert any("has changed since" in one.reason for one in images.refused)


def test_a_name_without_images_is_said(named):
    folder, pile = named
    shutil.rmtree(folder / "4")
    with pytest.raises(InputError, match="'4' has none: bring its files back"):
        pile.named_images((8, 8))
    for name in list("012356789"):
        shutil.rmtree(folder / name)
    with pytest.raises(InputError, match="must be there to learn from pixels"):
        pile.named_images((8, 8))


def test_no_name_at_all(tmp_path):
    write_digits(tmp_path / "digits", 0, 12)
    with sortal.organize(tmp_path / "digits", k=2) as pile, pytest.raises(InputError, match="has a name"):
        pile.named_images((8, 8))
