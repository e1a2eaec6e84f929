"""Texts on the command line: a network of others, one's own, and what --json says of them."""

import json

import pytest

from ..embed.test_onnx_sequence import looked_up
from ..pile.test_recurrent_learning import write_words


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SORTAL_CACHE", str(tmp_path / "cache"))


def test_keywords_of_groups_stand_in_json(sortal, tmp_path):
    lines = [f"the {word} sings number {i}" for i in range(8) for word in ("robin", "kettle")]
    (tmp_path / "a.txt").write_text("\n".join(lines))
    assert sortal("organize", "a.txt", "-k", "2").code == 0
    groups = sortal("show", "a.sortal", "--json").json("show")["groups"]
    assert {group["keywords"][0] for group in groups} == {"robin", "kettle"}


def test_options_given_one_by_one_all_count(sortal, tmp_path):
    (tmp_path / "a.csv").write_text("name,said\n" + "".join(f"{i},the cat {i}\n" for i in range(9)))
    asked = ("organize", "a.csv", "--kind", "text", "--read", "by=line", "--read", "column=said", "-k", "1")
    ran = sortal(*asked)
    assert ran.code == 0, ran
    assert "9 items in 1 group" in ran.out


def test_items_are_named_by_what_show_calls_them(sortal, tmp_path, monkeypatch):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts/a.txt").write_text("one cat\ntwo dogs\n")
    assert sortal("organize", "texts/a.txt", "-k", "1", "--into", "a.sortal").code == 0
    assert "typical  a.txt#1  one cat" in sortal("show", "a.sortal").out
    assert "1 item" in sortal("name", "a.sortal", "cats", "--item", "a.txt#1").out
    assert "whole or as show writes it" in sortal("name", "a.sortal", "x", "--item", "b.txt#1").error()


def test_options_of_an_onnx_file_are_those_of_the_kind(sortal, tmp_path):
    (tmp_path / "net.onnx").write_bytes(looked_up())
    write_words(tmp_path / "words.csv")
    wish = ("organize", "words.csv", "-k", "2", "--encoder", "net.onnx")
    assert "needs its tokenizer" in sortal(*wish).error()
    assert "unknown key 'size'; the keys are tokenizer" in sortal(*wish, "--preprocess", "size=8").error()
    assert "letters must be" in sortal(*wish, "--preprocess", "letters=aa").error()
    ran = sortal(*wish, "--preprocess", "letters=aio,pool=max")
    assert ran.code == 0, ran
    assert "encoder net.onnx: 3 numbers an item; as asked" in ran.err


def test_a_gru_is_trained_beside_a_plain_head(sortal, tmp_path):
    pytest.importorskip("torch")
    write_words(tmp_path / "words.csv", 8)
    assert sortal("organize", "words.csv", "-k", "2").code == 0
    wish = ("train", "words.sortal", "--into", "m.model", "--net", "gru", "--epochs", "2", "--device", "cpu")
    ran = sortal(*wish)
    assert ran.code == 0, ran
    assert "a linear head on tfidf's vectors names" in ran.out
    record = sortal(*wish, "--json").json("train")
    assert (record["beside"]["net"], record["beside"]["encoder"]) == ("gru", "tfidf")
    assert sortal("train", "words.sortal", "--into", "h.model", "--json").json("train")["beside"] is None
    assert sortal("organize", "words.sortal", "--encoder", "m.model", "-k", "2").code == 0
    shown = sortal("show", "words.sortal", "--json").json("show")
    assert shown["encoder"]["name"] == "m.model"
    assert json.dumps(shown)
