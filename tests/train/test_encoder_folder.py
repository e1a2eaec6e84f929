"""The folder of an encoder: given back as it was, and refused where anything is wrong."""

import json

import pytest

from sortal.errors import DataError, InputError
from sortal.train import load_model, manifest, save_model
from sortal.train.encoder_folder import load_encoder, load_folder, save_encoder

from .test_model import ENCODER, INPUT, head_of, reseal

OURS = ENCODER | {"spec": {"kind": "self", "views": [128, 1024]}}


@pytest.fixture
def folder(tmp_path):
    graph = tmp_path / "graph"
    graph.write_bytes(b"\x08\x07onnx")
    return save_encoder(tmp_path / "a.model", encoder=OURS, card="# It", extra_files={"encoder.onnx": graph})


def test_what_was_saved_comes_back(folder):
    found = load_encoder(folder)
    assert (found.folder, found.encoder) == (folder, OURS)
    assert sorted(path.name for path in folder.iterdir()) == [
        "CARD.md", "MANIFEST.sha256", "config.json", "encoder.onnx",
    ]  # fmt: skip


def test_it_is_no_model_and_says_what_it_is_for(folder):
    with pytest.raises(DataError, match=r"holds an encoder, which knows no names: group a pile with it"):
        load_model(folder)


def test_either_kind_is_told_by_what_the_folder_says(folder, tmp_path):
    model = save_model(tmp_path / "b.model", head_of()[0], encoder=ENCODER, input=INPUT, trained_on="photos/")
    assert load_folder(folder).encoder == OURS
    assert load_folder(model).encoder == ENCODER
    save_model(folder, head_of()[0], encoder=ENCODER, input=INPUT, trained_on="photos/")  # takes its place
    assert load_folder(folder).encoder == ENCODER


def test_damage_is_noticed(folder):
    (folder / "encoder.onnx").write_bytes(b"\x08\x07Onnx")
    with pytest.raises(DataError, match=f"encoder.onnx does not match {manifest.MANIFEST}"):
        load_encoder(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "must be of format 1 and kind encoder; got"),
        ({"encoder": {"name": "self"}}, "does not describe an encoder: 'digest'"),
        ({"encoder": 3}, "does not describe an encoder"),
        ({"encoder": OURS | {"spec": 7}}, "does not describe an encoder"),
    ],
)
def test_a_config_that_is_none_is_refused(folder, changes, message):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))
    reseal(folder)
    with pytest.raises(DataError, match=message):
        load_encoder(folder)


def test_no_folder(tmp_path):
    with pytest.raises(InputError, match="is not a folder"):
        load_encoder(tmp_path / "none")
