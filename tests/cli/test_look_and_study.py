"""sortal look, sortal study"""

import os

import pytest
from PIL import Image

pytest.importorskip("torch")
from tests.one_thread import one_thread  # noqa: F401 (a fixture)


@pytest.fixture
def photo(tmp_path):
    Image.linear_gradient("L").resize((40, 30)).convert("RGB").save(tmp_path / "photo.png")
    return "photo.png"


def test_look_leaves_a_page_and_pictures(sortal, photo, tmp_path):
    ran = sortal("look", "resnet20", photo, "--out", "seen")
    assert ran.out.endswith("wrote seen/index.html\n")
    assert {path.name for path in (tmp_path / "seen").iterdir()} >= {
        "index.html",
        "filters.png",
        "maps-4.png",
    }
    record = sortal("look", "resnet20", photo, "--out", "one.html", "--class", "3", "--json").json("look")
    assert [one["number"] for one in record["classes"]] == [3]
    assert record["layers"][-1] == {"name": "layer3", "shape": [64, 8, 8], "sees": 81}
    page = (tmp_path / "one.html").read_text()
    assert "drawn, not learned" in page
    assert 'src="data:image/png' in page


def test_look_takes_classes_and_channels_from_the_weights(sortal, photo, tmp_path):
    import safetensors.torch

    from sortal import nets

    net = nets.resnet20(num_classes=4, in_channels=1, seed=1)
    safetensors.torch.save_file(net.state_dict(), tmp_path / "weights.safetensors")
    (tmp_path / "plan.json").write_text('{"batches": {"normalize": {"mean": [0.25], "std": [0.5]}}}')
    ran = sortal("look", "resnet20", photo, "--weights", "weights.safetensors", "--out", "grey.html")
    assert ran.code == 0, ran
    page = (tmp_path / "grey.html").read_text()
    assert "mean (0.25,), deviation (0.5,)" in page
    assert "It says class" in page


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (("resnet21", "photo.png"), "resnet20"),
        (("resnet20", "nowhere.png"), "image must be a file that can be read"),
        (("resnet20", "empty.png"), "image must be a picture that can be read; empty.png: "),
        (("resnet20", "photo.png", "--class", "10"), "from 0 to 9; got 10"),
        (("resnet20", "photo.png", "--layer", "layer9"), "it has no 'layer9'"),
        (("resnet20", "photo.png", "--weights", "photo.png"), "weights must be"),
    ],
)
def test_look_refuses(sortal, photo, arguments, rule):
    open("empty.png", "wb").close()
    assert rule in sortal("look", *arguments, "--out", "x.html").error()


@pytest.mark.parametrize("name", ["degradation", "regularisation", "filters", "window"])
def test_a_smoke_study(sortal, name, tmp_path):
    ran = sortal("study", name, "--smoke", "--into", "s", "--json")
    assert ran.code == 0, ran
    record = ran.json(f"study-{name}")
    assert record["page"] == "s/index.html"
    assert (tmp_path / "s" / "runs.csv").exists()
    assert "to learn from" in ran.err


def test_study_refuses(sortal):
    assert "belongs to degradation" in sortal("study", "filters", "--depths", "8,14").error(2)
    assert "--depths must be numbers" in sortal("study", "degradation", "--depths", "8;14").error()
    assert "6 n + 2" in sortal("study", "degradation", "--depths", "8,15").error()
    assert "must be a folder" in sortal("study", "filters", "--data", "nowhere").error()
    assert os.listdir() == []  # no folder for a study that was refused
    open("taken", "w").close()
    for into in ("taken", "taken/below"):
        ran = sortal("study", "filters", "--into", into)
        assert f"{into} cannot be made: taken is no folder" in ran.error()


def test_the_names_are_offered_in_the_help(sortal):
    assert "degradation|regularisation|filters|window" in sortal("study", "--help").out
