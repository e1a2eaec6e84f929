"""Real data where it lies at hand: the counts that its publishers tell."""

import os
from pathlib import Path

import pytest

from sortal.data.commands import read_commands
from sortal.data.conllu import read_conllu
from sortal.data.lines import plain_or_gzipped, read_text
from sortal.data.spoken_digits import load_spoken_digits
from sortal.data.surnames import load_surnames

DATA = Path(os.environ.get("SORTAL_DATA", Path(__file__).parents[3] / "shared" / "data"))


def at(name):
    path = plain_or_gzipped(DATA / name)
    if not path.exists():
        pytest.skip(f"{path} is not here; SORTAL_DATA says where real data lies")
    return path


def test_english_web_treebank():
    sentences = read_conllu(at("text/en_ewt-ud-train.conllu"))
    assert (len(sentences), sum(len(one.words) for one in sentences)) == (12_544, 204_577)
    assert len({tag for one in sentences for tag in one.tags}) == 17


def test_scan():
    counts = [len(read_commands(at(f"scan/{split}.txt"))) for split in ("simple-train", "simple-test")]
    assert counts == [16_728, 4_182]
    longest = [
        max(len(one.actions) for one in read_commands(at(f"scan/length-{s}.txt"))) for s in ("train", "test")
    ]
    assert longest == [22, 48]


def test_spoken_digits():
    clips = load_spoken_digits(at("fsdd/recordings.zip"))
    assert len(clips) == 3_000
    assert len(set(clips.speakers)) == 6
    assert (clips.takes < 5).sum() == 300


def test_names_and_shakespeare():
    found = load_surnames(at("names"))
    assert (len(found.languages), len(found) + found.n_repeated) == (18, 20_050)
    assert len(read_text(at("text/tinyshakespeare.txt"))) == 1_115_394
