"""What the kinds make of their data: splits, scenes, sentences, and the same bits after a stop."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from sortal.data.vocabulary import Vocabulary
from sortal.errors import DataError, InputError
from sortal.tasks import LanguageModel
from sortal.train.loop import train
from sortal.train.plan import Plan
from sortal.train.sequence import captioning, recipes, spoken, stand_ins, surnames
from sortal.train.sequence.commands import translated
from sortal.train.sequence.memory import MemoryBatches
from sortal.train.sequence.prepared import made
from sortal.train.sequence.run import open_run, run_sequence
from sortal.train.sequence.tagging import columns_of, tagged
from sortal.train.sequence_batches import TextBatches


def test_no_spelling_is_tested_that_was_learned():
    whole = stand_ins.surnames()
    learned, tested = surnames.split(whole)
    assert sorted([*learned, *tested]) == list(range(len(whole)))
    assert not {whole.names[i] for i in learned} & {whole.names[i] for i in tested}
    assert 0.15 < len(tested) / len(whole) < 0.25


def test_macro_is_the_mean_of_the_names_shares():
    found = surnames.by_name(np.array([0, 0, 0, 1, 0]), np.array([0, 0, 0, 1, 1]), ("a", "b", "none"))
    assert found.numbers == {"right": 0.8, "macro": 0.75}
    assert found.lines[-1] == "1 of b called a"


def test_a_speaker_can_be_left_out():
    recipe = recipes.smoke(recipes.RECIPES["fsdd"]())
    official = spoken.prepare(recipe, None)
    assert "takes 0 to 4 of each speaker" in official.facts[0]
    alone = spoken.prepare(replace(recipe, options={"leave_out": "low"}, n_test=None), None)
    assert "100 to test (all of low)" in alone.facts[0]
    with pytest.raises(InputError, match="leave_out must be one of high, low; got 'theo'"):
        spoken.prepare(replace(recipe, options={"leave_out": "theo"}), None)


def test_loudness_and_digital_silence_say_nothing():
    wave = np.random.default_rng(0).normal(0, 0.1, 4_000).astype(np.float32)
    steps = spoken.steps_of(wave)
    assert steps.shape[1] == 40
    np.testing.assert_allclose(spoken.steps_of(wave * 3), steps, atol=1e-4)  # float32 logarithms of about 3
    assert np.isfinite(spoken.steps_of(np.zeros(1, np.float32))).all()


def test_blur_leaves_what_pads_and_hides_some():
    batch = {"inputs": torch.ones(3, 20, 40), "lengths": torch.tensor([20, 20, 5])}
    found = spoken.Blur(noise=0.0)(batch, torch.Generator().manual_seed(1))["inputs"]
    assert not found[2, 5:].any()
    assert 0 < (found == 0).float().mean() < 0.6
    assert set(found.unique().tolist()) == {0, 1}


def test_adding_and_copying_are_as_they_say():
    (batch,) = MemoryBatches("adding", 30, 50, 1, 0).epoch(0)
    marked = (batch["inputs"][..., 0] * batch["inputs"][..., 1]).sum(1)
    torch.testing.assert_close(marked, batch["targets"])
    assert (batch["inputs"][:, :15, 1].sum(1) == 1).all()
    assert (batch["inputs"][:, 15:, 1].sum(1) == 1).all()
    (batch,) = MemoryBatches("copying", 7, 4, 1, 0).epoch(0)
    assert torch.equal(batch["inputs"][:, :10], batch["targets"])
    assert (batch["inputs"][:, 16] == 9).all()
    assert (batch["inputs"][:, 10:16] == 8).all()
    assert (batch["inputs"][:, 17:] == 8).all()
    with pytest.raises(InputError, match="length must be at least 2 steps; got 1"):
        MemoryBatches("adding", 1, 4, 1, 0)


def test_spellings_are_cut_and_words_lowered():
    symbols = {
        "words": Vocabulary(("the",)), "letters": Vocabulary(("T", "e", "h")), "tags": Vocabulary(("DET",))
    }  # fmt: skip
    found = columns_of(("The", "h" * 99), ("DET", "NEW"), symbols)
    assert found["words"].tolist() == [4, 1]
    assert found["spellings"].shape == (2, 24)
    assert found["spellings"][0, :4].tolist() == [4, 6, 5, 0]
    assert found["tags"].tolist() == [4, 1]  # a tag that was never learned is never right


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for name in ("pos", "scan", "captions"):
        run_sequence(recipes.smoke(recipes.RECIPES[name]()), None, folder=folder / name, device="cpu")
    return folder


def test_a_finished_run_is_used(runs):
    kept = open_run(runs / "pos", "tagging")
    assert len(tagged(kept.net, ("the", "baker", "sees"), kept.symbols)) == 3
    with pytest.raises(InputError, match="a sentence must have a word"):
        tagged(kept.net, (), kept.symbols)
    kept = open_run(runs / "scan", "commands")
    for beam in (1, 3):
        said, n_unknown = translated(kept.net, ("jump", "sideways"), kept.symbols, beam)
        assert n_unknown == 1
        assert set(said) <= {*kept.symbols["actions"].symbols, "?"}
    with pytest.raises(InputError, match="a command must have a word"):
        translated(kept.net, (), kept.symbols)


def test_captions_of_image_files(runs, tmp_path):
    kept = open_run(runs / "captions", "captions")
    Image.new("RGB", (50, 40)).save(tmp_path / "a.png")
    (words,) = captioning.caption_files(kept.net, [str(tmp_path / "a.png")], kept.symbols["words"], 2)
    assert len(words) <= 40
    (tmp_path / "b.png").write_text("no image")
    with pytest.raises(InputError, match=r"b.png must be an image"):
        captioning.caption_files(kept.net, [str(tmp_path / "b.png")], kept.symbols["words"])


def test_a_folder_with_captions_is_learned_from(tmp_path):
    chance = np.random.default_rng(0)
    for i in range(20):
        Image.fromarray(chance.integers(0, 255, (30, 40, 3)).astype(np.uint8)).save(tmp_path / f"{i}.jpg")
    lines = [f"{i}.jpg,A {'red' if i % 2 else 'blue'} thing." for i in range(22)]  # two are not there
    (tmp_path / "captions.txt").write_text("\n".join(["image,caption", *lines]))
    recipe = recipes.smoke(recipes.RECIPES["captions-folder"]())
    recipe = replace(recipe, net={"width": 8, "hidden": 8})
    found = run_sequence(recipe, tmp_path, folder=tmp_path / "run", device="cpu")
    assert set(found.numbers) >= {"exact", "bleu"}
    again = run_sequence(recipe, tmp_path, folder=tmp_path / "run", device="cpu")
    assert again.numbers == found.numbers  # taken up again: the settings are told alike
    (tmp_path / "3.jpg").write_text("no image")
    with pytest.raises(DataError, match=r"3.jpg must be an image"):
        run_sequence(recipe, tmp_path, device="cpu")


def test_bleu_is_100_for_what_was_asked_for():
    pytest.importorskip("sacrebleu")
    right = [[("a", "three", "left", "of", "a", "seven")], [("an", "eight"), ("one", "eight")]]
    assert captioning.bleu([right[0][0], right[1][1]], right) == pytest.approx(100)
    assert captioning.bleu([("seven",), ("eight",)], right) < 10


def test_a_language_model_that_was_stopped_ends_with_the_same_bits(tmp_path):
    symbols = Vocabulary.of([stand_ins.text()[:3_000]])
    text = symbols.numbers(stand_ins.text()[:3_000])
    plan = Plan(epochs=3, optimizer="adamw", peak_lr=3e-3, nesterov=False, warmup_epochs=0.5, clip_norm=1.0)

    def run(folder=None, stop_at=None):
        net = made("SymbolModel", {"symbols": len(symbols), "hidden": 12, "width": 8}, 0)
        batches, valid = TextBatches(text[:2_500], 4, 20), TextBatches(text[2_500:], 2, 20, shuffled=False)

        def stop(moment):
            if moment.step == stop_at:
                raise KeyboardInterrupt

        options = {"device": "cpu", "folder": folder, "watchers": [stop], "checkpoint_s": 0}
        train(net, LanguageModel(), batches, plan, valid=valid, **options)
        return net.state_dict()

    whole = run()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, stop_at=47)  # in the middle of an epoch of 31 pieces, with a state carried on
    assert json.loads(next(tmp_path.glob("checkpoints/*/state.json")).read_text())["batch"] > 0
    again = run(tmp_path)
    assert all(torch.equal(whole[name], again[name]) for name in whole)
