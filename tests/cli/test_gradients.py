"""sortal gradients"""

import json

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


def test_refusals(sortal):
    assert "or a network of sortal.nets such as resnet20" in sortal("gradients", "resnet21").error()
    assert "--steps" in sortal("gradients", "plain20", "--steps", "-1").error(2)
