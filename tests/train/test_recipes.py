"""Recipes: frozen, whole, and they run."""

from dataclasses import FrozenInstanceError, replace

import pytest

from sortal.errors import InputError
from sortal.train import RECIPES, recipes
from sortal.train.run_recipe import run_recipe


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_frozen_and_called_as_it_is_asked_for(name):
    recipe = RECIPES[name]()
    assert recipe.name == name
    assert recipe == RECIPES[name]()
    assert recipe.goal is not None
    assert recipe.n_train is None
    assert recipe.data != "mnist" or not recipe.augment.mirror  # digits have one way round
    with pytest.raises(FrozenInstanceError):
        recipe.goal = 0


@pytest.mark.parametrize("epochs", [1, 4, 200])
def test_a_budget_leaves_room_after_the_warm_up(epochs):
    plan = recipes.within(RECIPES["resnet20-cifar10"](), epochs).plan
    assert plan.epochs == epochs
    assert plan.warmup_epochs == min(2, epochs / 5)


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_smoke(name, tmp_path):
    lines = []

    class Ear:
        say = staticmethod(lines.append)
        start = advance = staticmethod(lambda *said: None)

    found = run_recipe(recipes.smoke(RECIPES[name]()), None, folder=tmp_path, device="cpu", progress=Ear())
    assert len(found.trained.curve) == 2
    assert found.goal is None
    assert any(line.startswith("device: cpu (asked for; float32") for line in lines)
    assert (tmp_path / "curve.html").exists()


def test_lenet_learns_digits_in_seconds():
    recipe = recipes.smoke(RECIPES["lenet5-mnist"]())
    found = run_recipe(replace(recipe, hold_out=0.25), None, device="cpu")
    assert found.right > 0.6  # of ten names, after 2 x 12 steps
    assert (found.n_train, found.n_test) == (382, 256)  # a quarter of each name, rounded
    assert found.trained.curve[-1].valid_right > 0.6


def test_data_that_is_not_there_is_said(tmp_path):
    with pytest.raises(InputError, match="lenet5-mnist needs its data"):
        run_recipe(RECIPES["lenet5-mnist"](), None)
    with pytest.raises(InputError, match=r"train-images-idx3-ubyte.gz must be an IDX file; there is no such"):
        run_recipe(RECIPES["lenet5-mnist"](), tmp_path)
    with pytest.raises(InputError, match=r"cifar10-jpeg.zip or cifar10/; got .*nowhere"):
        run_recipe(RECIPES["resnet20-cifar10"](), tmp_path / "nowhere")
