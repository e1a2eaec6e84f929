"""sortal recipe"""

import pytest

pytest.importorskip("torch")
from tests.one_thread import one_thread  # noqa: F401 (a fixture)


def test_a_smoke_run_says_the_device_the_curve_and_the_outcome(sortal, tmp_path):
    ran = sortal("recipe", "lenet5-mnist", "--smoke", "--into", "run")
    assert ran.code == 0
    assert "device: cpu (" in ran.err
    assert "epoch 2 of 2, loss " in ran.err
    assert "of 256 test images right" in ran.out
    assert "goal" not in ran.out
    assert (tmp_path / "run" / "weights.safetensors").exists()
    record = sortal("recipe", "lenet5-mnist", "--smoke", "--into", "run", "--json").json("recipe")
    assert len(record["trained"]["curve"]) == 2  # the finished run, read again
    said = sortal("recipe", "lenet5-mnist", "--smoke", "--into", "run", "--seed", "1").error()
    assert "holds a run with other settings (plan.seed: 0, now 1)" in said


def test_data_is_needed_but_for_smoke(sortal):
    assert "--data is needed" in sortal("recipe", "lenet5-mnist").error(2)
    assert "no such file" in sortal("recipe", "lenet5-mnist", "--data", "nowhere").error()


def test_the_names_are_those_of_the_library():
    from sortal.cli.recipe import NAMES
    from sortal.train import RECIPES

    assert tuple(RECIPES) == NAMES
