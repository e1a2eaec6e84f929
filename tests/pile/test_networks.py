"""Piles embedded by networks by name: fetched once, kept in the pile, taken by auto only from the cache."""

import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

import sortal
from sortal.errors import DataError, FetchError, MissingExtra
from sortal.fetch import cache_folder
from sortal.published import PUBLISHED

from ..embed.networks import put_into_cache, serve
from .digits import write_digits
from .test_journey import Told


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("SORTAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("sortal.embed.network._no_gpu", lambda: "no GPU is seen")


@pytest.fixture
def photos(tmp_path):
    """40 pieces of two photographs in colour."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for n, photo in enumerate(load_sample_images().images):
        for i in range(20):
            piece = photo[15 * i : 15 * i + 60, 20 * i : 20 * i + 60]
            Image.fromarray(piece).save(folder / f"{n}{i:02}.png")
    return folder


def organize(source, **wishes):
    told = Told()
    with sortal.organize(source, progress=told, **wishes) as pile:
        return pile.encoder, np.array(pile.vectors), told.lines


def test_auto_without_a_cached_network_takes_hog_and_says_the_one_command(photos, tmp_path):
    encoder, _, lines = organize(photos, k=2)
    assert encoder.name == "hog"
    command = f"sortal organize {tmp_path / 'photos.sortal'} --encoder resnet18 (fetches 46.8 MB once)"
    assert [line for line in lines if "photographs" in line] == [
        f"these look like photographs: hog sees shape only, a network sees more: {command}"
    ]
    assert not cache_folder().exists()


def test_auto_takes_a_cached_network_for_photographs_and_keeps_what_a_pile_has(photos, monkeypatch, tmp_path):
    before, _, _ = organize(photos, into=tmp_path / "before.sortal", k=2)
    put_into_cache("resnet18", monkeypatch, tmp_path / "cache")
    encoder, vectors, lines = organize(photos, k=2)
    assert (encoder.name, vectors.shape) == ("resnet18", (40, 3))
    assert lines[0] == (
        "encoder resnet18: 3 numbers an item; auto takes it for photographs: its weights are in the cache; "
        "on the CPU by onnxruntime: no GPU is seen"
    )
    assert before.name == "hog"
    Image.new("RGB", (50, 50), "red").save(photos / "more.png")
    kept, _, lines = organize(tmp_path / "before.sortal")
    assert (kept.name, lines[0].endswith("the pile has its vectors")) == ("hog", True)
    command = "--encoder resnet18 (its weights are in the cache)"
    assert [line.endswith(command) for line in lines if "photographs" in line] == [True]
    shutil.rmtree(tmp_path / "cache")
    kept, vectors, lines = organize(tmp_path / "photos.sortal")
    assert (kept.name, len(vectors)) == ("resnet18", 41)


def test_auto_takes_hog_for_glyphs_whatever_is_cached(monkeypatch, tmp_path):
    put_into_cache("resnet18", monkeypatch, tmp_path / "cache")
    encoder, _, lines = organize(write_digits(tmp_path / "digits", 0, 20), k=2)
    assert encoder.name == "hog"
    assert not [line for line in lines if "photographs" in line]


def test_auto_says_that_a_cached_network_cannot_be_used(photos, monkeypatch, tmp_path):
    published = put_into_cache("resnet18", monkeypatch, tmp_path / "cache")
    for graph in (tmp_path / "cache").glob("*.onnx"):
        graph.unlink()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    encoder, _, lines = organize(photos, into=tmp_path / "a.sortal", k=2)
    assert encoder.name == "hog"
    assert lines[0].startswith("resnet18 is in the cache and cannot be used: a network as encoder needs")
    (tmp_path / "cache" / published.file).write_bytes(b"another")
    encoder, _, lines = organize(photos, into=tmp_path / "b.sortal", k=2)
    assert encoder.name == "hog"
    assert "SHA-256 must be" in lines[0]


def test_what_cannot_be_had_makes_no_pile(photos, monkeypatch, tmp_path):
    monkeypatch.setattr("sortal.fetch.sleep", lambda seconds: None)
    published = put_into_cache("resnet18", monkeypatch, tmp_path / "cache")  # its address answers nothing
    (tmp_path / "cache" / published.file).write_bytes(b"another")
    with pytest.raises(DataError, match="SHA-256 must be"):
        organize(photos, encoder="resnet18")
    shutil.rmtree(tmp_path / "cache")
    with pytest.raises(FetchError, match=r"By hand: fetch http://127.0.0.1:1/resnet18-.*, and put it at "):
        organize(photos, encoder="resnet18")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="pip install"):
        organize(photos, encoder="resnet50")
    assert not (tmp_path / "photos.sortal").exists()


@pytest.mark.slow
def test_a_network_by_name_from_the_server_to_a_model(photos, monkeypatch, tmp_path):
    nets = pytest.importorskip("sortal.nets")
    server = serve("resnet20", nets.resnet20(seed=1), monkeypatch, tmp_path)
    encoder, vectors, lines = organize(photos, encoder="resnet20", k=2)
    server.shutdown()
    assert lines[0].startswith("resnet20: 1.1 MB from 127.0.0.1")
    assert lines[2].endswith("as asked; on the CPU by onnxruntime: no GPU is seen")
    assert (encoder.name, encoder.dim, vectors.shape) == ("resnet20", 64, (40, 64))
    assert encoder.spec["weights"]["sha256"].startswith(PUBLISHED["resnet20"].sha256)
    assert os.listdir(tmp_path / "photos.sortal" / "models") == [f"{encoder.digest}.onnx"]

    shutil.rmtree(tmp_path / "cache")  # from here on the pile's own copy, and no torch
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    moved = tmp_path / "elsewhere" / "moved.sortal"
    moved.parent.mkdir()
    (tmp_path / "photos.sortal").rename(moved)
    Image.new("RGB", (50, 50), "red").save(photos / "more.png")
    again, more, _ = organize(moved, encoder="resnet20")
    assert (again, len(more)) == (encoder, 41)
    assert organize(moved)[2][-1] == "nothing changed: the groups stay as they are"

    with sortal.open(moved) as pile:
        pile.name(0, "one")
        pile.name(1, "other")
        pile.train(tmp_path / "two.model")
    shutil.rmtree(moved)
    model = sortal.load(tmp_path / "two.model")
    assert json.loads(json.dumps(model.encoder.spec)) == encoder.spec
    assert len(model.predict(photos).predictions) == 41
