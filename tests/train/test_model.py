"""The folder gives back the same bits, refuses every other, and replaces an old one whole."""

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import threading
from dataclasses import replace

import numpy as np
import pytest
import safetensors.numpy

from sortal.errors import DataError, InputError
from sortal.train import load_model, manifest, model_folder, save_model, train_head
from sortal.train.card import plain, write_card

ENCODER = {"name": "hog", "digest": "0" * 64, "dim": 12}
INPUT = {"kind": "image", "size": [32, 32], "crop": None, "resample": "bilinear"}
FILES = ["CARD.md", "MANIFEST.sha256", "config.json", "encoder.onnx", "labels.json", "weights.safetensors"]


def head_of(names=("thumb | up", "d\u00e4umling <b> # x"), seed=0):
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


def config_of(folder):
    return json.loads((folder / "config.json").read_text())


def edit(folder, **changes):
    config = config_of(folder)
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
        ({"kind": "net"}, "does not describe"),
        ({"kind": "task"}, "Update Sortal"),
        ({"builder": {"name": "os.system", "arguments": {}}}, "os.system"),
        ({"builder": {"name": ["linear"], "arguments": {}}}, "Update Sortal"),
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


def test_a_model_folder_with_other_things_in_it_is_not_replaced(folder):
    (folder / "my photos").mkdir()
    (folder / "my photos" / "a.jpg").write_bytes(b"precious")
    with pytest.raises(InputError, match="also holds 'my photos'"):
        save(folder, head_of()[0])
    (folder / "my photos").rename(folder.parent / "my photos")
    (folder / "notes.txt").write_text("precious")
    with pytest.raises(InputError, match=r"also holds 'notes\.txt'"):
        save(folder, head_of()[0])
    (folder / "notes.txt").unlink()
    (folder / "CARD.md").unlink()
    (folder / "CARD.md").mkdir()
    with pytest.raises(InputError, match=r"also holds 'CARD\.md'"):
        save(folder, head_of()[0])
    (folder / "CARD.md").rmdir()  # a model's own file that is missing is no reason to keep the rest
    save(folder, head_of(("x", "y"))[0])
    assert load_model(folder).head.labels == ("x", "y")


@pytest.mark.parametrize("name", [".a.model.new", ".a.model.previous"])
def test_hidden_folders_of_others_stay(folder, name):
    other = folder.with_name(name)
    other.mkdir()
    (other / "a.jpg").write_bytes(b"precious")
    save(folder, head_of()[0])
    assert (other / "a.jpg").read_bytes() == b"precious"


@pytest.mark.parametrize("name", ["m" * 255, "\u00e4" * 127, "\u6a21" * 85])
def test_any_name_that_a_folder_can_have(tmp_path, name):
    for names in (("a", "b"), ("x", "y")):
        save(tmp_path / name, head_of(names)[0])
        assert load_model(tmp_path / name).head.labels == names
    assert sorted(os.listdir(tmp_path)) == sorted([name, "some.bin"])


def test_a_second_trainer_waits(folder):
    second = threading.Thread(target=save, args=(folder, head_of(("x", "y"))[0]))
    with model_folder._workplace(folder):
        second.start()
        second.join(0.3)  # a save takes a tenth of that
        assert second.is_alive()
        assert load_model(folder).head.labels == head_of()[0].labels
    second.join()
    assert load_model(folder).head.labels == ("x", "y")
    assert sorted(os.listdir(folder.parent)) == ["a.model", "some.bin"]


def test_two_trainers_and_a_reader_at_once(folder):
    heads = [head_of(names)[0] for names in (("a", "b"), ("x", "y"))]
    wrong = []

    def train(head):
        try:
            for _ in range(15):
                save_model(folder, head, encoder=ENCODER, input=INPUT, trained_on="photos/")
        except Exception as e:  # noqa: BLE001 - any
            wrong.append(e)

    trainers = [threading.Thread(target=train, args=(head,)) for head in heads]
    for trainer in trainers:
        trainer.start()
    while any(trainer.is_alive() for trainer in trainers):
        assert len(load_model(folder).head.labels) == 2
    assert not wrong
    assert sorted(os.listdir(folder.parent)) == ["a.model", "some.bin"]


def test_a_model_replaced_while_it_is_read_is_not_called_damaged(folder, monkeypatch):
    real, new = manifest._check_listing, head_of(("x", "y"))[0]

    def replaced(where, listed):
        monkeypatch.setattr(manifest, "_check_listing", real)
        save(folder, new)
        real(where, listed)

    monkeypatch.setattr(manifest, "_check_listing", replaced)
    assert load_model(folder).head.labels == ("x", "y")


@pytest.mark.parametrize("step", range(20))
def test_killed_at_any_rename_leaves_old_or_new(folder, monkeypatch, step):
    """Every rename, removal and fsync of a save is a moment to die; the dead do nothing more."""
    calls = iter(range(100))

    class Killed(BaseException):
        pass

    def dying(real):
        def call(*args, **kwargs):
            if next(calls) >= step:
                raise Killed
            return real(*args, **kwargs)

        return call

    with monkeypatch.context() as m:
        m.setattr(model_folder.Path, "rename", dying(model_folder.Path.rename))
        m.setattr(model_folder, "_fsync", dying(model_folder._fsync))
        m.setattr(model_folder.shutil, "rmtree", dying(shutil.rmtree))
        with contextlib.suppress(Killed):
            save(folder, head_of(("x", "y"))[0])
    labels = load_model(folder).head.labels
    assert labels in {head_of()[0].labels, ("x", "y")}
    save(folder, head_of(("p", "q"))[0])
    assert load_model(folder).head.labels == ("p", "q")
    assert sorted(os.listdir(folder.parent)) == ["a.model", "some.bin"]


def test_files_that_no_model_has_are_refused_before_they_cost_memory_or_time(folder):
    config = (folder / "config.json").read_text()
    (folder / "config.json").write_text(config + " " * (9 << 20))
    reseal(folder)
    with pytest.raises(DataError, match=r"config\.json must be at most"):
        load_model(folder)
    (folder / "config.json").write_text(config)
    os.truncate(folder / "encoder.onnx", 5 << 30)  # sparse; not resealed, because it is not to be read
    with pytest.raises(DataError, match=r"holds at most 4294967296 bytes"):
        load_model(folder)


def test_no_model_is_written_that_could_not_be_read(tmp_path, monkeypatch):
    monkeypatch.setitem(model_folder.LIMITS, "labels.json", 10)
    with pytest.raises(InputError, match=r"labels\.json has at most 10 bytes"):
        save(tmp_path / "m", head_of()[0])
    monkeypatch.undo()
    monkeypatch.setattr(model_folder, "MAX_BYTES", 1000)
    with pytest.raises(InputError, match="at most 1000 bytes"):
        save(tmp_path / "m", head_of()[0])
    assert os.listdir(tmp_path) == ["some.bin"]


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c["report"].update(accuracy="<b>x"),
        lambda c: c["report"].update(accuracy=True),
        lambda c: c["report"].update(n_items=1.5),
        lambda c: c["report"].update(interval=[0.1]),
        lambda c: c["report"].update(confusion=[[0, 0, "1"]]),
        lambda c: c["report"]["names"][0].update(name=[1]),
        lambda c: c["report"]["novelty"].update(known=None),
        lambda c: c["report"]["calibration"].update(ece={"a": 1}),
        lambda c: c["builder"]["arguments"].update(temperature=1e-300),
        lambda c: c["builder"]["arguments"].update(temperature=1e4),
        lambda c: c["builder"]["arguments"].update(n_bank=2_049),
        lambda c: c["builder"]["arguments"].update(n_axes=129),
    ],
)
def test_values_that_no_training_gives_are_refused(folder, change):
    config = config_of(folder)
    change(config)
    edit(folder, **config)
    with pytest.raises(DataError, match="does not describe a model: ValueError") as caught:
        load_model(folder)
    assert "\n" not in str(caught.value)


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


@pytest.mark.parametrize("label", ["a\x1b[2J", "two\nlines", "x" * 201, " a", ""])
def test_labels_that_are_no_names_are_refused(folder, label):
    labels = [label, "b"]
    (folder / "labels.json").write_text(json.dumps(labels))
    edit(folder, labels=labels)
    with pytest.raises(DataError, match="does not describe a model") as caught:
        load_model(folder)
    assert str(caught.value).isprintable()


def test_card_is_plain_text(folder):
    card = (folder / "CARD.md").read_text()
    assert "thumb \\| up" in card
    assert "\\<b\\> \\# x" in card
    assert "7 of 40 names were given to whole groups" in card
    assert "95 % interval" in card
    assert "of the 8 held-out items are called like nothing shown" in card
    assert "expect up to 22% of further items" in card  # 2 of 9
    many = replace(head_of()[0].report, n_held_out=400)
    assert "expect up to" not in write_card(many, config_of(folder), "photos/", 0)
    assert plain("a" * 500) == "a" * 79 + "\u2026"
