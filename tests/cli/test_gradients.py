"""sortal gradients"""

import json
import os

import pytest

pytest.importorskip("torch")
from tests.one_thread import one_thread  # noqa: F401 (a fixture)


def test_a_network_by_name(sortal, tmp_path):
    ran = sortal("gradients", "plain20", "--steps", "2", "--batches", "2", "--into", "seen")
    assert "depth" in ran.out
    assert "healthy" in ran.out
    assert ran.out.endswith("wrote seen/index.html\n")
    page = (tmp_path / "seen" / "index.html").read_text()
    assert "<title>as it is, layer1.0.conv1: " in page  # a point of the chart
    assert "<script" not in page
    for name in ("depth.png", "depth.svg"):
        assert (tmp_path / "seen" / name).stat().st_size > 1_000


def test_json_and_shortcuts(sortal, tmp_path):
    record = sortal("gradients", "resnet20", "--steps", "0", "--batches", "1", "--json").json("gradients")
    assert record["healthy"]
    assert record["trials"] == []
    assert record["decay_without_shortcuts"] is not None
    assert len(record["coherence"]) == 6  # pairs of equal shape, two in each of three stages
    assert {
        **json.loads((tmp_path / "gradients" / "gradients.json").read_text()),
        "page": record["page"],
    } == record


def test_a_recurrent_run_and_its_cures(sortal, tmp_path):
    sortal("sequence", "train", "adding-rnn", "--smoke", "--into", "run")
    record = sortal("gradients", "run", "--steps", "3", "--json").json("gradients")
    assert record["lags"][0]["cell"] == "tanh"
    assert len(record["verdicts"]) == 2
    assert (tmp_path / "gradients" / "influence.svg").exists()
    assert (tmp_path / "gradients" / "spectrum-0.png").exists()


def test_a_run_of_images(sortal):
    sortal("recipe", "resnet20-cifar10", "--smoke", "--into", "run")
    record = sortal("gradients", "run", "--steps", "2", "--batches", "1", "--json")
    assert "must have the network's 10 names and 3 channels" in record.error()


def test_a_run_that_was_watched(sortal, tmp_path):
    ran = sortal("sequence", "train", "adding-rnn", "--smoke", "--into", "run", "--watch", "2")
    assert "depth, every 2 steps: healthy at 3 of 3 samples." in ran.err
    assert "rnn at the end: " in ran.err
    assert "Clipping at 1 acted in " in ran.err
    record = sortal("gradients", "run", "--steps", "0", "--json").json("gradients")
    assert [one["step"] for one in record["watched"]] == [2, 4, 6]
    assert len(record["lags"][0]["gradient"][0]) == 20
    page = (tmp_path / "gradients" / "index.html").read_text()
    assert "<title>epoch 2, lag 3: " in page
    assert "<title>head, step 4: " in page
    for name in ("gradient-by-lag-0.png", "lag-by-step-0.svg", "layer-by-step.png", "powers-0.svg"):
        assert (tmp_path / "gradients" / name).exists()
    (tmp_path / "run" / "microscope.json").write_text("{")
    assert "Remove it, or train again" in sortal("gradients", "run").error()


def test_a_run_of_images_is_watched(sortal, tmp_path):
    ran = sortal("recipe", "lenet5-mnist", "--smoke", "--into", "run", "--watch", "4")
    assert "depth, every 4 steps: " in ran.err
    record = sortal("gradients", "run", "--steps", "0", "--json").json("gradients")
    assert record["watched"][0]["step"] == 4
    assert (tmp_path / "gradients" / "layer-by-step.png").exists()


@pytest.mark.parametrize(
    ("name", "text", "rule"),
    [
        ("plan.json", "{}", "plan.json must be the settings of a run: KeyError 'net'"),
        ("plan.json", "[1", "plan.json must be the settings of a run: JSONDecodeError"),
        (
            "plan.json",
            '{"net": "LeNet", "plan": {"peak_lr": 1}}',
            "it has no weights.safetensors",
        ),
        ("sequence.json", "[1]", "it has no weights.safetensors"),
        ("config.json", "{}", "a model folder holds MANIFEST.sha256, this one does not"),
    ],
)
def test_folders_that_are_no_run(sortal, tmp_path, name, text, rule):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).write_text(text)
    assert rule in sortal("gradients", "run").error()


def test_refusals(sortal):
    assert "'--watch'" in sortal("recipe", "lenet5-mnist", "--smoke", "--watch", "1").error(2)
    assert "--watch belongs to a network" in sortal("train", "p", "--into", "m", "--watch", "50").error(2)
    assert "or a network of sortal.nets such as resnet20" in sortal("gradients", "resnet21").error()
    assert not os.path.exists("gradients")  # no folder for what was refused
    assert "--steps" in sortal("gradients", "plain20", "--steps", "-1").error(2)
