"""Named images as arrays: decoded once, numbered by name, whatever holds them."""

import gzip
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sortal.data import load_labelled, load_mnist, read_idx
from sortal.errors import DataError, InputError

from .samples import encoded, photo


@pytest.fixture
def folder(tmp_path):
    """Two parts, two names, PNGs whose pixels are known."""
    for part in ("train", "test"):
        for name in ("cat", "dog"):
            at = tmp_path / "set" / part / name
            at.mkdir(parents=True)
            for i in range(3 if part == "train" else 2):
                photo(8, 6, seed=10 * i + len(part) + (name == "dog")).save(at / f"{i}.png")
    return tmp_path / "set"


def zipped(folder):
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*.png")):
            archive.write(file, Path("wrapped", file.relative_to(folder)))
    return path


def test_a_folder_and_a_zip_of_it_hold_the_same(folder):
    one, other = load_labelled(folder, part="train"), load_labelled(zipped(folder), part="train")
    assert one.names == other.names == ("cat", "dog")
    assert one.labels.tolist() == other.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert one.pixels.dtype == np.uint8
    assert one.pixels.shape == (6, 6, 8, 3)
    np.testing.assert_array_equal(one.pixels, other.pixels)
    files = sorted((folder / "train").rglob("*.png"))
    for pixels, path in zip(one.pixels, files):
        np.testing.assert_array_equal(pixels, np.asarray(Image.open(path)))


def test_without_a_part_everything_is_taken(folder):
    assert np.bincount(load_labelled(folder).labels).tolist() == [5, 5]


def test_other_sizes_are_squeezed_into_the_one_asked_for(folder):
    photo(31, 7).save(folder / "train" / "cat" / "wide.png")
    assert load_labelled(folder, part="train", size=(5, 4)).pixels.shape == (7, 5, 4, 3)
    assert load_labelled(folder, part="train").pixels.shape == (7, 6, 8, 3)


def test_what_cannot_be_read_is_told_and_left_out(folder):
    (folder / "train" / "cat" / "0.png").write_bytes(encoded(photo(8, 6), "PNG")[:60])
    (folder / "train" / "cat" / "1.png").write_bytes(b"")
    found = load_labelled(folder, part="train")
    assert found.labels.tolist() == [0, 1, 1, 1]
    assert sorted((os.path.basename(one.path), one.kind) for one in found.refused) == [
        ("0.png", "truncated"),
        ("1.png", "empty"),
    ]


def test_images_without_a_name_are_refused(folder):
    photo(8, 6).save(folder / "loose.png")
    with pytest.raises(InputError, match=r"every image needs a name to learn from; 1 of 11 in .* have none"):
        load_labelled(folder)


def test_a_part_that_is_not_there_is_named(folder):
    with pytest.raises(InputError, match="must hold images below a folder 'valid'"):
        load_labelled(folder, part="valid")


def idx(array):
    return bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4) for n in array.shape) + array.tobytes()


def test_mnist_plain_or_gzipped(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 4, 3), dtype=np.uint8)
    labels = np.array([3, 0, 2, 2, 1], np.uint8)
    for part, take in (("train", slice(0, 3)), ("t10k", slice(3, 5))):
        with gzip.open(tmp_path / f"{part}-images-idx3-ubyte.gz", "wb") as file:
            file.write(idx(pixels[take]))
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(idx(labels[take]))
    learn, test = load_mnist(tmp_path)
    np.testing.assert_array_equal(learn.pixels[..., 0], pixels[:3])
    assert (learn.labels.tolist(), test.labels.tolist()) == ([3, 0, 2], [2, 1])
    assert learn.pixels.shape == (3, 4, 3, 1)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "IDX file of bytes"),
        (b"\x89PNG\r\n\x1a\n", "IDX file of bytes"),
        (idx(np.zeros((2, 2), np.uint8))[:-1], "must hold 2 x 2 bytes, as its header says; not 3"),
        (gzip.compress(idx(np.zeros((2, 2), np.uint8)), mtime=0)[:-6], "cannot be read"),
        (bytes([0, 0, 13, 1, 0, 0, 0, 0]), "IDX file of bytes"),
    ],
)
def test_what_is_no_idx_file_is_said(tmp_path, data, said):
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(DataError, match=said):
        read_idx(tmp_path / "x")
    with pytest.raises(InputError, match="there is no such file"):
        read_idx(tmp_path / "y")
