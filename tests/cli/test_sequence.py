"""sortal sequence"""

import pytest

pytest.importorskip("torch")
from tests.one_thread import one_thread  # noqa: F401 (a fixture)


def test_the_names_are_those_of_the_library():
    from sortal.cli.sequence import NAMES
    from sortal.train.sequence.recipes import RECIPES

    assert tuple(RECIPES) == NAMES


def test_a_run_is_trained_judged_and_taken_up_again(sortal):
    ran = sortal("sequence", "train", "names", "--smoke", "--into", "run")
    assert ran.code == 0, ran
    assert "letters of the test are not in the vocabulary" in ran.err
    assert "epoch 2 of 2, loss " in ran.err
    assert "of steps clipped, " in ran.out.splitlines()[-2]
    assert "of all length cut away" in ran.out.splitlines()[-2]
    assert "macro: " in ran.out
    record = sortal("sequence", "train", "names", "--smoke", "--into", "run", "--json").json("sequence")
    assert len(record["trained"]["curve"]) == 2
    figures = sortal("sequence", "evaluate", "run", "--json").json("sequence-evaluate")
    assert figures["numbers"] == record["numbers"]
    assert "macro: " in sortal("sequence", "evaluate", "run").out
    said = sortal("sequence", "train", "names", "--smoke", "--into", "run", "--seed", "1").error()
    assert "holds a run with other settings" in said


@pytest.mark.slow
def test_runs_write_tag_and_translate(sortal):
    for name in ("shakespeare", "pos", "scan"):
        assert sortal("sequence", "train", name, "--smoke", "--into", name).code == 0
    text = sortal("sequence", "sample", "shakespeare", "--start", "The", "--length", "30", "--top-k", "5").out
    assert text.startswith("The")
    assert len(text) == 3 + 30 + 1
    assert (
        text
        == sortal("sequence", "sample", "shakespeare", "--start", "The", "--length", "30", "--top-k", "5").out
    )
    assert "'é' is none of them" in sortal("sequence", "sample", "shakespeare", "--start", "é").error()
    tagged = sortal("sequence", "tag", "pos", "the baker flies")
    assert [word.split("/")[0] for word in tagged.out.split()] == ["the", "baker", "flies"]
    assert "1 of 3 words are not in the vocabulary" in tagged.err
    record = sortal("sequence", "tag", "pos", "the baker flies", "--json").json("sequence-tag")
    assert record["sentences"][0]["unknown"] == 1
    assert len(record["sentences"][0]["tags"]) == 3
    again = ("sequence", "sample", "shakespeare", "--start", "The", "--length", "30", "--top-k", "5")
    assert sortal(*again, "--json").json("sequence-sample") == {"text": text[:-1]}
    ran = sortal("sequence", "translate", "scan", "jump twice", "--beam", "3")
    assert ran.code == 0
    wish = ("sequence", "translate", "scan", "jump twice", "--beam", "3", "--json")
    assert " ".join(sortal(*wish).json("sequence-translate")["answers"][0]["actions"]) == ran.out.strip()
    assert "must be a run of the kind commands; it is one of tagging" in (
        sortal("sequence", "translate", "pos", "jump").error()
    )
    assert "a command must have a word" in sortal("sequence", "translate", "scan", "").error()


@pytest.mark.slow
def test_captions_as_json(sortal, tmp_path):
    from PIL import Image

    assert sortal("sequence", "train", "captions", "--smoke", "--into", "c").code == 0
    Image.new("L", (64, 64)).save(tmp_path / "a.png")
    record = sortal("sequence", "caption", "c", "a.png", "--json").json("sequence-caption")
    assert record["captions"][0]["image"] == "a.png"
    said = sortal("sequence", "caption", "c", "none.png").error()
    assert "none.png must be an image; No such file or directory." in said


def test_what_is_refused(sortal):
    assert "--data is needed" in sortal("sequence", "train", "names").error(2)
    assert "--leave-out belongs to fsdd" in sortal("sequence", "train", "pos", "--leave-out", "theo").error(2)
    assert "is not there" in sortal("sequence", "train", "names", "--data", "nowhere").error()
    assert "must be a finished run" in sortal("sequence", "sample", ".").error()
