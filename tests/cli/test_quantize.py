"""sortal quantize: the colours of one image."""

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def photo(tmp_path):
    x, y = np.meshgrid(np.arange(60), np.arange(40))
    pixels = np.stack([x * 4, y * 6, (x + y) * 2], axis=2).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return pixels


def test_quantize(sortal, photo, tmp_path):
    record = sortal("quantize", "photo.png", "--colors", "8", "--out", "small.png", "--json").json("quantize")
    small = np.asarray(Image.open(tmp_path / "small.png").convert("RGB")).astype(float)
    assert len(np.unique(small.reshape(-1, 3), axis=0)) == record["colors"] == 8
    assert record["bytes_after"] == (tmp_path / "small.png").stat().st_size
    assert record["bytes_before"] == (tmp_path / "photo.png").stat().st_size
    error = ((small - photo) ** 2).mean()
    assert record["psnr_db"] == pytest.approx(10 * np.log10(255**2 / error))
    more = sortal("quantize", "photo.png", "--colors", "64", "--json").json("quantize")
    assert more["out"] == "photo.64.png"
    assert more["psnr_db"] > record["psnr_db"] + 3


def test_few_colours_are_kept(sortal, tmp_path):
    Image.fromarray(np.zeros((3, 3, 3), np.uint8)).save(tmp_path / "black.png")
    record = sortal("quantize", "black.png", "--out", "b.png", "--json").json("quantize")
    assert (record["colors"], record["psnr_db"]) == (1, None)
    assert "every pixel kept" in sortal("quantize", "black.png", "--out", "b.png").out


def test_quantize_refuses(sortal, photo, tmp_path):
    before = (tmp_path / "photo.png").read_bytes()
    (tmp_path / "notes.txt").write_text("no image")
    assert (
        "--out must not be the image itself" in sortal("quantize", "photo.png", "--out", "photo.png").error()
    )
    assert "--out must be a .png" in sortal("quantize", "photo.png", "--out", "a.jpg").error()
    assert "notes.txt must be an image" in sortal("quantize", "notes.txt").error()
    assert "gone.jpg must be an image" in sortal("quantize", "gone.jpg").error()
    assert "nowhere must be a folder" in sortal("quantize", "photo.png", "--out", "nowhere/a.png").error()
    assert "257" in sortal("quantize", "photo.png", "--colors", "257").error(2)
    assert "sortal quantize photo.jpg --colors 16" in sortal("quantize", "--help").out
    assert (tmp_path / "photo.png").read_bytes() == before


def test_what_the_pixels_do_not_hold_is_said(sortal, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (9, 8, 4), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "clear.png")
    Image.fromarray(pixels[..., 0].astype(np.uint16) * 200).save(tmp_path / "wide.png")
    frames = [Image.fromarray(pixels[..., c]) for c in range(3)]
    frames[0].save(tmp_path / "moves.gif", save_all=True, append_images=frames[1:])
    Image.fromarray(pixels[..., :3]).save(tmp_path / "plain.png")
    for name, note in (
        ("clear.png", "transparency is laid on a ground"),
        ("wide.png", "more than 8 bits a pixel become 8"),
        ("moves.gif", "of 3 frames the first is taken"),
    ):
        assert note in sortal("quantize", name).err
    assert sortal("quantize", "plain.png").err == ""
    assert "must be an image; there is no such file" in sortal("quantize", ".").error()
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    assert "1 colour, every pixel kept" in sortal("quantize", "dot.png").out
