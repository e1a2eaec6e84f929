"""The folder gives back the same bits, refuses every other, and replaces an old one whole."""

import contextlib
import hashlib
import json
import os
import shutil
import subprocess

import numpy as np
import pytest
import safetensors.numpy

from sortal.errors import DataError, InputError
from sortal.train import load_model, model, save_model, train_head
from sortal.train.card import plain

ENCODER = {"name": "hog", "digest": "0" * 64, "dim": 12}
INPUT = {"kind": "image", "size": [32, 32], "crop": None, "resample": "bilinear"}
FILES = ["CARD.md", "MANIFEST.sha256", "config.json", "encoder.onnx", "labels.json", "weights.safetensors"]


def head_of(names=("thumb | up", "d\u00e4umling <b>\n# x"), seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(40, 12)).astype(np.float32) + np.repeat([[0.0], [3.0]], 20, axis=0).astype(
        np.float32
    )
    return train_head(x, [names[0]] * 20 + [names[1]] * 20), x


def save(folder, head):
    extra = folder.parent / "some.bin"
    extra.write_bytes(b"\x08\x07onnx" * 99)
    return save_model(
        folder, head, encoder=ENCODER, input=INPUT, trained_on="photos/", n_named_by_group=7,
        extra_files={"encoder.onnx": extra},
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    return save(tmp_path / "a.model", head_of()[0])


def reseal(folder):
    """The manifest made anew, as somebody would who wants us to read the rest."""
    names = sorted(p.name for p in folder.iterdir() if p.name != "MANIFEST.sha256")
    lines = [f"{hashlib.sha256((folder / n).read_bytes()).hexdigest()}  {n}\n" for n in names]
    (folder / "MANIFEST.sha256").write_text("".join(lines))


def edit(folder, **changes):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))
    reseal(folder)


def test_round_trip_is_bit_equal(folder):
    head, x = head_of()
    loaded = load_model(folder)
    assert loaded.head.report == head.report
    assert loaded.head.labels == head.labels
    assert (loaded.encoder, loaded.input) == (ENCODER, INPUT)
    for one, two in zip(vars(head.classify(x)).values(), vars(loaded.head.classify(x)).values()):
        assert one.tobytes() == two.tobytes()
    assert sorted(os.listdir(folder)) == FILES
    assert sorted(os.listdir(folder.parent)) == ["a.model", "some.bin"]


@pytest.mark.skipif(not shutil.which("sha256sum"), reason="no sha256sum here")
def test_manifest_works_by_hand(folder):
    subprocess.run(
        ["sha256sum", "--strict", "-c", "MANIFEST.sha256"], cwd=folder, check=True, capture_output=True
    )


@pytest.mark.parametrize("name", FILES)
def test_one_changed_byte_is_refused(folder, name):
    rng = np.random.default_rng(len(name))
    data = (folder / name).read_bytes()
    for at in [0, len(data) - 1, *rng.integers(0, len(data), 20)]:
        changed = bytearray(data)
        changed[at] ^= 1 << int(rng.integers(8))
        (folder / name).write_bytes(changed)
        with pytest.raises(DataError, match=name) as caught:
            load_model(folder)
        assert "\n" not in str(caught.value)
    (folder / name).write_bytes(data[:-1])
    with pytest.raises(DataError, match=name):
        load_model(folder)
    (folder / name).write_bytes(data)
    load_model(folder)


def test_missing_unlisted_and_linked_files_are_refused(folder, tmp_path):
    (folder / "more.py").write_text("x")
    with pytest.raises(DataError, match=r"more\.py"):
        load_model(folder)
    (folder / "more.py").unlink()
    (folder / "CARD.md").rename(tmp_path / "card")
    with pytest.raises(DataError, match=r"CARD\.md is listed .* but missing"):
        load_model(folder)
    (folder / "CARD.md").symlink_to(tmp_path / "card")
    with pytest.raises(DataError, match="regular file"):
        load_model(folder)


@pytest.mark.parametrize(
    "line", ["{0}  ../some.bin\n", "{0}  /etc/passwd\n", "{0} *CARD.md\n", "{0}  CARD.md\n", "x\n"]
)
def test_manifest_lines_that_break_the_form_are_refused(folder, line):
    with (folder / "MANIFEST.sha256").open("a") as file:
        file.write(line.format("0" * 64))
    with pytest.raises(DataError, match=r"MANIFEST\.sha256 must hold"):
        load_model(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "format 2.*update Sortal"),
        ({"format": "1"}, "format '1'"),
        ({"kind": "oracle"}, "oracle"),
        ({"kind": "net"}, "Update Sortal"),
        ({"builder": {"name": "os.system", "arguments": {}}}, "os.system"),
        ({"builder": {"name": ["linear"], "arguments": {}}}, "does not describe"),
        ({"builder": {"name": "linear", "arguments": {"dim": 10**12}}}, "does not describe"),
        ({"labels": ["a", "b"]}, "same labels"),
        ({"report": {}}, "does not describe"),
        ({"encoder": {"dim": 3}}, "agree"),
        ({"builder": None}, "does not describe"),
    ],
)
def test_a_sealed_lie_is_refused(folder, changes, message):
    edit(folder, **changes)
    with pytest.raises(DataError, match=message) as caught:
        load_model(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["[" * 100_000, "NaN", '{"format": 1e999}', "[]", "\x00", '"\\ud800"'])
def test_sealed_json_of_another_kind_is_refused(folder, text):
    (folder / "config.json").write_text(text)
    reseal(folder)
    with pytest.raises(DataError, match=r"config\.json"):
        load_model(folder)


def test_tensors_of_another_shape_or_not_finite_are_refused(folder):
    path = folder / "weights.safetensors"
    tensors = safetensors.numpy.load(path.read_bytes())
    for changed in (
        tensors | {"bias": np.array([0, np.nan], np.float32)},
        tensors | {"bias": np.zeros(3, np.float32)},
        tensors | {"bias": np.zeros(2, np.float64)},
        tensors | {"more": np.zeros(2, np.float32)},
    ):
        path.write_bytes(safetensors.numpy.save(changed))
        reseal(folder)
        with pytest.raises(DataError, match=r"weights\.safetensors"):
            load_model(folder)


def test_an_older_model_is_replaced_and_nothing_else_is(folder, tmp_path):
    save(folder, head_of(("x", "y"))[0])
    assert load_model(folder).head.labels == ("x", "y")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"precious")
    for taken in (tmp_path / "photos", tmp_path / "photos" / "a.jpg"):
        with pytest.raises(InputError, match="something else"):
            save(taken, head_of()[0])
    assert (tmp_path / "photos" / "a.jpg").read_bytes() == b"precious"


@pytest.mark.parametrize("step", range(12))
def test_killed_at_any_rename_leaves_old_or_new(folder, monkeypatch, step):
    """Every rename, removal and fsync of a save is a moment to die."""
    calls = iter(range(100))

    class Killed(BaseException):
        pass

    def dying(real):
        def call(*args, **kwargs):
            if next(calls) == step:
                raise Killed
            return real(*args, **kwargs)

        return call

    with monkeypatch.context() as m:
        m.setattr(model.Path, "rename", dying(model.Path.rename))
        m.setattr(model, "_fsync", dying(model._fsync))
        with contextlib.suppress(Killed):
            save(folder, head_of(("x", "y"))[0])
    labels = load_model(folder).head.labels
    assert labels in {head_of()[0].labels, ("x", "y")}
    save(folder, head_of(("p", "q"))[0])
    assert load_model(folder).head.labels == ("p", "q")
    assert sorted(os.listdir(folder.parent)) == ["a.model", "some.bin"]


def test_bad_arguments_are_named(tmp_path):
    head, _ = head_of()
    with pytest.raises(InputError, match="dim of the head, 12"):
        save_model(tmp_path / "m", head, encoder={"dim": 5}, input=INPUT, trained_on="x")
    for name in ("../x", "config.json", "MANIFEST.sha256", ".hidden", "a/b", ""):
        with pytest.raises(InputError, match="plain names"):
            save_model(
                tmp_path / "m",
                head,
                encoder=ENCODER,
                input=INPUT,
                trained_on="x",
                extra_files={name: tmp_path},
            )
    with pytest.raises(InputError, match="not a folder"):
        load_model(tmp_path / "nothing")
    with pytest.raises(DataError, match="this one does not"):
        load_model(tmp_path)
    assert os.listdir(tmp_path) == []


def test_card_is_plain_text(folder):
    card = (folder / "CARD.md").read_text()
    assert "thumb \\| up" in card
    assert "\\<b\\> \\# x" in card
    assert "7 of 40 names were given to whole groups" in card
    assert "95 % interval" in card
    assert plain("a" * 500) == "a" * 79 + "\u2026"
