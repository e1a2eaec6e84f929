"""sortal transfer, and sortal train --net"""

import json
import shutil
import signal
import time

import pytest

from tests.one_thread import one_thread  # noqa: F401 (a fixture)
from tests.pile.digits import write_digits

from .conftest import start

pytest.importorskip("torch")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """digits/NAME/*.png, a pile of them with names, and weights of a ResNet-20 that knows 10 classes."""
    import sortal as library
    from sortal import nets
    from sortal.train.network_model import network_bytes

    folder = tmp_path_factory.mktemp("data")
    write_digits(folder / "digits", 0, 150)
    library.organize(folder / "digits", k=10, names_from="folders").close()
    for name in ("resnet20", "resnet32"):
        (folder / f"{name}.safetensors").write_bytes(network_bytes(nets.builder(name)(10, seed=1)))
    return folder


ASKED = ("--net", "resnet20", "--epochs", "1", "--size", "8", "--seeds", "2", "--per-class", "4,all")


def test_a_folder_side_by_side(sortal, data, tmp_path):
    asked = ("transfer", data / "digits", "--weights", data / "resnet20.safetensors", *ASKED)
    ran = sortal(*asked, "--own-data", data / "digits", "--json")
    assert ran.code == 0
    record = ran.json("transfer")
    assert [(one["way"], one["per_class"]) for one in record["scores"]][3:] == [
        ("frozen", None), ("fine-tuned", None), ("scratch", None),
    ]  # fmt: skip
    assert record["own_data"]["n"] == 150
    assert "device: cpu (" in ran.err
    assert "they look like glyphs" in ran.err
    assert (tmp_path / "digits.transfer" / "cells" / "frozen-4-1.json").exists()
    again = sortal(*asked, "--html", "page.html")
    assert "frozen body, new head (P1)  4" in again.out
    assert "own data (P0)" not in again.out
    assert record["verdict"][0] in again.out
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")


def test_a_pile_with_names(sortal, data, tmp_path):
    weights = data / "resnet20.safetensors"
    more = ("--seeds", "1", "--batch-size", "16", "--peak-lr", "0.01", "--json")
    ran = sortal("transfer", data / "digits.sortal", "--weights", weights, *ASKED, *more)
    settings = json.loads((tmp_path / "digits.transfer" / "settings.json").read_text())
    assert (settings["course"]["batch_size"], settings["course"]["peak_lr"]) == (16, 0.01)
    assert ran.json("transfer")["n_learn"] + ran.json("transfer")["n_test"] == 150


def test_what_cannot_be_done_is_said_in_one_line(sortal, data, tmp_path):
    def said(folder=data / "digits", weights=data / "resnet20.safetensors", *more):
        return sortal("transfer", folder, "--weights", weights, *ASKED, *more).error()

    assert "too many: layer1.3" in said(weights=data / "resnet32.safetensors")
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes((data / "resnet20.safetensors").read_bytes()[:50_000])
    assert "must be whole" in said(weights=broken)
    assert "no such file" in said(weights=tmp_path / "none.th").lower()
    shutil.copytree(data / "digits" / "3", tmp_path / "one" / "3")
    assert "at least two names" in said(tmp_path / "one")
    (tmp_path / "one" / "4").mkdir()
    shutil.copy(next((data / "digits" / "4").iterdir()), tmp_path / "one" / "4")
    assert "'4' has one" in said(tmp_path / "one")
    assert "own data must hold the 10 names" in said(
        data / "digits", data / "resnet20.safetensors", "--own-data", tmp_path / "one"
    )
    shutil.copy(next((data / "digits" / "4").iterdir()), tmp_path / "one" / "4.png")
    assert "every image needs a name" in said(tmp_path / "one")
    usage = sortal("transfer", data / "digits", "--weights", "w", *ASKED, "--per-class", "few").error(2)
    assert "--per-class wants numbers" in usage


def test_the_least_size_is_said(sortal, data):
    from sortal import nets
    from sortal.train.network_model import network_bytes

    weights = data / "vgg.safetensors"
    weights.write_bytes(network_bytes(nets.lenet5(10, seed=0)))
    asked = ("--net", "lenet5", "--weights", weights, "--epochs", "1", "--size", "8")
    assert "images must be" in sortal("transfer", data / "digits", *asked).error()


@pytest.mark.slow
def test_ctrl_c_leaves_what_is_finished_and_ends_with_130(data, tmp_path):
    asked = (
        "--weights",
        data / "resnet20.safetensors",
        "--net",
        "resnet20",
        "--epochs",
        "2000",
        "--size",
        "8",
    )
    process = start("transfer", data / "digits", *map(str, asked), cwd=tmp_path, env={"OMP_NUM_THREADS": "1"})
    cells = tmp_path / "digits.transfer" / "training"
    for _ in range(1_200):
        if cells.exists() and any(cells.iterdir()):
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert b"the same command goes on from there" in err
    assert (tmp_path / "digits.transfer" / "cells" / "frozen-5-0.json").exists()


def test_train_says_what_belongs_to_a_network(sortal, data):
    head = ("train", data / "digits.sortal", "--into", "m")
    for option in (("--how", "frozen"), ("--epochs", "10"), ("--batch-size", "4"), ("--device", "cpu")):
        assert f"{option[0]} belongs to a network: name it with --net" in sortal(*head, *option).error(2)
    asked = (*head, "--net", "resnet20")
    assert "give weights" in sortal(*asked, "--how", "fine-tune").error()
    assert "a network must be one of" in sortal(*asked[:-1], "resnet19").error()
