"""Surnames, CoNLL-U, SCAN, captions: the forms, and what is said where a file has another."""

import gzip
import json

import pytest

from sortal.data.captioned import load_captions, words_of
from sortal.data.commands import read_commands
from sortal.data.conllu import read_conllu
from sortal.data.lines import plain_or_gzipped, read_text
from sortal.data.surnames import load_surnames
from sortal.errors import DataError, InputError

CONLLU = """# text = Don't go.
1-2\tDon't\t_\t_\t_\t_\t_\t_\t_\t_
1\tDo\tdo\tAUX\tVBP\t_\t3\taux\t_\t_
2\tn't\tnot\tPART\tRB\t_\t3\tadvmod\t_\t_
3\tgo\tgo\tVERB\tVB\t_\t0\troot\t_\t_
3.1\tthere\t_\tADV\t_\t_\t_\t_\t_\t_

1\t.\t.\tPUNCT\t.\t_\t0\troot\t_\t_
"""


def test_text_plain_zipped_marked_and_broken(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfna\xc3\xafve")
    assert read_text(tmp_path / "a.txt") == "naïve"
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(b"b"))
    assert read_text(plain_or_gzipped(tmp_path / "b.txt")) == "b"
    (tmp_path / "c.txt").write_bytes(b"one\ntwo \xff")
    with pytest.raises(DataError, match=r"c.txt line 2 must be UTF-8; byte 0xff is not"):
        read_text(tmp_path / "c.txt")
    (tmp_path / "d.txt").write_bytes(gzip.compress(b"cut short" * 99)[:20])
    with pytest.raises(DataError, match=r"d.txt must be a text file; it cannot be read"):
        read_text(tmp_path / "d.txt")
    with pytest.raises(InputError, match="there is no such file"):
        read_text(tmp_path / "nowhere")


def test_surnames_once_a_language(tmp_path):
    (tmp_path / "Scottish.txt").write_text("Ross\nRoss\n\nBell\n")
    (tmp_path / "English.txt").write_text("Bell\n")
    found = load_surnames(tmp_path)
    assert found.languages == ("English", "Scottish")
    assert list(zip(found.names, found.labels.tolist())) == [("Bell", 0), ("Ross", 1), ("Bell", 1)]
    assert (found.n_repeated, found.n_empty) == (1, 1)
    with pytest.raises(InputError, match=r"must hold files such as Italian.txt"):
        load_surnames(tmp_path / "nowhere")


def test_conllu_words_are_those_of_the_text(tmp_path):
    path = tmp_path / "a.conllu"
    path.write_text(CONLLU)
    first, second = read_conllu(path)
    assert (first.words, first.tags) == (("Do", "n't", "go"), ("AUX", "PART", "VERB"))
    assert second.words == (".",)  # the last sentence needs no blank line behind it
    path.write_text(CONLLU + "4\tthree cells\n")
    with pytest.raises(DataError, match=r"a.conllu line 9 must have CoNLL-U's ten columns"):
        read_conllu(path)
    path.write_text("# nothing\n\n")
    with pytest.raises(DataError, match="holds none"):
        read_conllu(path)


def test_commands(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("IN: jump twice OUT: I_JUMP I_JUMP\n")
    (one,) = read_commands(path)
    assert (one.words, one.actions) == (("jump", "twice"), ("I_JUMP", "I_JUMP"))
    path.write_text("IN: jump OUT: I_JUMP\njump\n")
    with pytest.raises(DataError, match=r"a.txt line 2 must read IN: words OUT: actions; got 'jump'"):
        read_commands(path)


TEXTS = ((7, "A dog."), (7, "Dog"), (9, "x"))
COCO = {
    "images": [{"id": 7, "file_name": "a.jpg"}, {"id": 9, "file_name": "b.jpg"}],
    "annotations": [{"image_id": image, "caption": text} for image, text in TEXTS],
}
FORMS = {
    "captions.txt": 'image,caption\na.jpg,"A dog."\na.jpg,Dog\nb.jpg,x\n',
    "Flickr8k.token.txt": "a.jpg#0\tA dog.\na.jpg#1\tDog\nb.jpg#0\tx\n",
    "captions_val.json": json.dumps(COCO),
}


@pytest.mark.parametrize("name", FORMS)
def test_captions_as_they_are_published(tmp_path, name):
    (tmp_path / "Images").mkdir()
    (tmp_path / "Images" / "a.jpg").touch()
    (tmp_path / name).write_text(FORMS[name])
    with pytest.raises(InputError, match=r"must name images .* 1 of 2 are not there: b.jpg"):
        load_captions(tmp_path)
    found = load_captions(tmp_path, skip_missing=True)
    assert [path.name for path in found.images] == ["a.jpg"]
    assert found.captions == (("A dog.", "Dog"),)
    assert found.missing == ("b.jpg",)


def test_caption_files_that_are_none(tmp_path):
    with pytest.raises(InputError, match=r"must hold one caption file .* it holds none"):
        load_captions(tmp_path)
    (tmp_path / "captions.txt").write_text("image,caption\nonly one cell\n")
    with pytest.raises(DataError, match=r"captions.txt line 2 must read image,caption"):
        load_captions(tmp_path)
    (tmp_path / "captions_a.json").write_text("[]")
    with pytest.raises(InputError, match=r"it holds captions.txt, captions_a.json"):
        load_captions(tmp_path)
    (tmp_path / "captions.txt").unlink()
    with pytest.raises(DataError, match="must be COCO's caption file; TypeError"):
        load_captions(tmp_path)
    (tmp_path / "captions_a.json").write_text(json.dumps(COCO))
    with pytest.raises(InputError, match="2 of 2 are not there"):
        load_captions(tmp_path, skip_missing=True)  # none is left


def test_words_of_a_caption():
    assert words_of("A dog's ball, thrown.") == ("a", "dog", "'s", "ball", ",", "thrown", ".")
