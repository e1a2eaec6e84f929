"""Recipes of sequences: frozen, light, and each runs on what stands in for its data."""

import json
import subprocess
import sys
from dataclasses import FrozenInstanceError

import pytest

from sortal.errors import DataError, InputError
from sortal.train.sequence import recipes
from sortal.train.sequence.recipes import RECIPES, SequenceRecipe
from sortal.train.sequence.run import evaluate, open_run, run_sequence


class Ear:
    def __init__(self):
        self.lines = []
        self.say = self.lines.append

    def start(self, *said):
        pass

    advance = start


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_frozen_and_goes_through_json(name):
    recipe = RECIPES[name]()
    assert recipe.name == name
    assert SequenceRecipe.from_json(recipe.as_json()) == recipe
    with pytest.raises(FrozenInstanceError):
        recipe.goal = 0
    assert recipes.smoke(recipe).goal is None
    assert recipes.within(recipe, 1).plan.warmup_epochs <= 0.2


def test_a_goal_is_a_bound_of_its_figure():
    assert RECIPES["fsdd"]().reached(0.99)
    assert not RECIPES["fsdd"]().reached(0.98)
    assert RECIPES["adding"]().reached(5e-4)
    assert not RECIPES["shakespeare"]().reached(1.7)
    assert RECIPES["scan-length"]().reached(0.2) is None


def test_recipes_need_no_torch():
    code = "import sortal.train.sequence.recipes, sys; print('torch' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in RECIPES if name != "captions-folder"])
def test_smoke(name, tmp_path):
    ear = Ear()
    recipe = recipes.smoke(RECIPES[name]())
    found = run_sequence(recipe, None, folder=tmp_path, device="cpu", progress=ear)
    assert len(found.trained.curve) == 2
    assert found.reached is None
    assert recipe.figure in found.numbers
    assert 0 <= found.clipped <= 1
    assert 0 <= found.clipped_away < 1
    assert any(line.startswith("device: cpu") for line in ear.lines)
    assert evaluate(tmp_path, None, "cpu").numbers == found.numbers
    assert open_run(tmp_path).recipe == recipe


def test_small_networks_learn_what_stands_in():
    """Names by their ending and words by their place: both are there to be found in seconds."""
    found = run_sequence(recipes.smoke(RECIPES["names"]()), None, device="cpu")
    assert found.numbers["macro"] > 0.9
    found = run_sequence(recipes.smoke(RECIPES["pos"]()), None, device="cpu")
    assert found.numbers["right"] > 0.4  # always saying the commonest of five gives 2 / 7


def test_unknown_symbols_are_counted_and_said():
    ear = Ear()
    run_sequence(recipes.smoke(RECIPES["names"]()), None, device="cpu", progress=ear)
    assert any("letters of the test are not in the vocabulary: read as unknown" in line for line in ear.lines)
    assert any(line.startswith("padding: ") for line in ear.lines)


def test_data_that_is_not_there_is_said(tmp_path):
    with pytest.raises(InputError, match="names needs its data"):
        run_sequence(RECIPES["names"](), None)
    with pytest.raises(InputError, match="is not there"):
        run_sequence(RECIPES["names"](), tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"must hold files such as Italian.txt"):
        run_sequence(RECIPES["names"](), tmp_path)
    with pytest.raises(InputError, match="kind must be one of surnames"):
        run_sequence(SequenceRecipe("x", "os", RECIPES["names"]().plan, 8), tmp_path)


def test_runs_that_are_none_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"must be a finished run .* it has no sequence.json"):
        open_run(tmp_path)
    run_sequence(recipes.smoke(RECIPES["copying"]()), None, folder=tmp_path, device="cpu")
    with pytest.raises(InputError, match="must be a run of the kind tagging; it is one of memory"):
        open_run(tmp_path, "tagging")


def test_a_strangers_sizes_take_no_memory(tmp_path):
    run_sequence(recipes.smoke(RECIPES["names"]()), None, folder=tmp_path, device="cpu")
    text = (tmp_path / "sequence.json").read_text()
    for name, size in (("hidden", 1_000_000), ("layers", 10**9)):  # 24 TB; an hour of building
        record = json.loads(text)
        record["options"][name] = size
        (tmp_path / "sequence.json").write_text(json.dumps(record))
        with pytest.raises(DataError, match="do not fit"):
            open_run(tmp_path)
    (tmp_path / "sequence.json").write_text(text)
    net = open_run(tmp_path).net
    assert not any(tensor.is_meta for tensor in net.state_dict().values())
