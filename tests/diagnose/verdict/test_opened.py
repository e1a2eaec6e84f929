"""Runs of others, opened to be looked at."""

import json

import pytest
import torch
from safetensors.torch import save_file

from sortal import nets
from sortal.diagnose.verdict.opened import _inside, _sized, opened
from sortal.errors import DataError, InputError


def run_folder(folder, weights, **plan):
    folder.mkdir()
    save_file(weights, folder / "weights.safetensors")
    held = {
        "net": "SmallResNet",
        "plan": {"peak_lr": 0.1},
        "batches": {"normalize": {"mean": [0.5], "std": [0.25]}},
    }
    (folder / "plan.json").write_text(json.dumps(held | plan))
    return str(folder)


def test_a_run_is_told_by_its_weights(tmp_path):
    net = nets.resnet20(in_channels=1, seed=3)
    found = opened(run_folder(tmp_path / "run", net.state_dict()), None, n_batches=1)
    assert found.lr == 0.1
    assert all(torch.equal(value, net.state_dict()[key]) for key, value in found.net.state_dict().items())


def test_images_are_as_the_weights_want_them(tmp_path):
    """A run was looked at with the mean of other data, and MNIST's digits were enlarged for LeNet-5."""
    pytest.importorskip("sklearn")
    as_trained = opened(run_folder(tmp_path / "run", nets.resnet20(in_channels=1).state_dict()), None)
    fresh = opened("resnet20", None)
    assert as_trained.data == fresh.data == "scikit-learn's digits"
    (seen,), (drawn,) = (one.batches[0]["inputs"].unique()[:1] for one in (as_trained, fresh))
    assert float(seen) == -2.0  # black is (0 - .5) / .25
    assert float(drawn) != -2.0


def test_an_image_that_is_little_too_small_gets_a_frame():
    images = torch.ones(2, 1, 28, 28)
    framed = _sized({"inputs": images, "labels": torch.zeros(2)}, 32)["inputs"]
    assert torch.equal(framed, torch.nn.functional.pad(images, (2, 2, 2, 2)))
    assert torch.equal(_sized({"inputs": images}, 28)["inputs"], images)
    enlarged = _sized({"inputs": images[..., :8, :8]}, 32)["inputs"]
    assert torch.equal(enlarged, torch.ones(2, 1, 32, 32))


def test_the_recipes_folder_of_data_will_do(tmp_path):
    (tmp_path / "mnist").mkdir()
    assert _inside(tmp_path, 1) == tmp_path / "mnist"
    assert _inside(tmp_path, 3) == tmp_path


def test_a_strangers_run_takes_no_memory_that_it_only_claims(tmp_path):
    """Its plan told shapes, and a network of 10^9 classes was made before its weights were looked at."""
    net = nets.resnet20(in_channels=1, seed=3)
    shapes = {key: list(value.shape) for key, value in net.state_dict().items()}
    lie = {"shapes": shapes | {"linear.weight": [10**9, 64], "linear.bias": [10**9]}}
    found = opened(run_folder(tmp_path / "run", net.state_dict(), **lie), None, n_batches=1)
    assert found.net.num_classes == 10


@pytest.mark.parametrize("plan", ["[]", "{", '{"net": "x"}', '{"net": "x", "plan": {"peak_lr": "much"}}'])
def test_a_plan_that_is_none_is_one_line(tmp_path, plan):
    folder = run_folder(tmp_path / "run", {"a": torch.zeros(1)})
    (tmp_path / "run" / "plan.json").write_text(plan)
    with pytest.raises(DataError, match=r"plan.json must be the settings of a run"):
        opened(folder, None)


def test_weights_of_no_network_of_ours(tmp_path):
    with pytest.raises(InputError, match=r"must hold the weights of a network of sortal.nets"):
        opened(run_folder(tmp_path / "run", {"a": torch.zeros(1)}), None)
