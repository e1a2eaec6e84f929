"""The rule that tells photographs from glyphs: most images are in colour."""

import gzip
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits, load_sample_images

from sortal.data import open_source
from sortal.embed import shows_photographs

DATA = Path(os.environ.get("SORTAL_DATA", Path(__file__).parents[3] / "shared" / "data"))


def real(name):
    if not (DATA / name).exists():
        pytest.skip(f"{DATA / name} is not here; SORTAL_DATA says where real data lies")
    return DATA / name


def written(folder, images):
    for i, image in enumerate(images):
        Image.fromarray(np.asarray(image, np.uint8)).save(folder / f"{i:03}.png")
    return open_source(folder)


def test_digits_are_none_and_photographs_are(tmp_path):
    (tmp_path / "digits").mkdir()
    assert not shows_photographs(written(tmp_path / "digits", load_digits().images[:40] * 16))
    (tmp_path / "photos").mkdir()
    crops = [photo[i : i + 100, i : i + 100] for photo in load_sample_images().images for i in (0, 150, 300)]
    assert shows_photographs(written(tmp_path / "photos", crops))


def test_a_few_in_colour_among_many_and_files_that_are_no_images(tmp_path):
    photo = load_sample_images().images[0]
    source = written(tmp_path, [photo[:50, :50]] * 2 + [photo[:50, :50].mean(axis=2)] * 10)
    (tmp_path / "notes.txt").write_text("no image")
    assert not shows_photographs(source)
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "notes.txt").write_text("no image")
    assert not shows_photographs(open_source(tmp_path / "none"))


def test_mnist_is_none(tmp_path):
    with gzip.open(real("mnist/t10k-images-idx3-ubyte.gz")) as file:
        levels = np.frombuffer(file.read(16 + 200 * 784), np.uint8, offset=16).reshape(200, 28, 28)
    assert not shows_photographs(written(tmp_path, levels))


def test_hands_on_paper_are_photographs():
    assert shows_photographs(open_source(real("photos/sign-digits.zip")))


def test_cifar_is_photographs(tmp_path):
    with zipfile.ZipFile(real("cifar10-jpeg.zip")) as archive:
        names = [name for name in archive.namelist() if "/test/" in name and name.endswith(".jpg")]
        archive.extractall(tmp_path, names[::250])
    assert shows_photographs(open_source(tmp_path))
