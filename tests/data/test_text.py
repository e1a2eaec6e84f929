"""Text in any encoding, and what is no text, with its place."""

import gzip
import json

import pytest

from sortal.data.text import (
    LONGEST,
    decode_text,
    refuse_other_than_text,
    text_pieces,
    unpacked,
)
from sortal.errors import Unreadable

GREEK = "Η γλώσσα είναι ένα σύστημα επικοινωνίας που χρησιμοποιούν οι άνθρωποι μεταξύ τους. " * 3  # noqa: RUF001


def pieces(name, data, column=None):
    found, _ = text_pieces(name, data if isinstance(data, bytes) else data.encode(), column)
    return list(found)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_marks_and_utf8(encoding):
    text, said = decode_text(GREEK.encode(encoding))
    assert text == GREEK
    assert said == encoding


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_without_its_mark(encoding):
    said = "Grüße aus München\nund aus Köln"
    assert decode_text(said.encode(encoding)) == (said, encoding)
    assert [text for _, text, _ in pieces("a.txt", said.encode(encoding))] == said.split("\n")


def test_an_old_encoding_is_detected_and_said():
    pytest.importorskip("charset_normalizer", reason="needs the extra text")
    text, said = decode_text(GREEK.encode("cp1253"))
    assert text == GREEK
    assert said in ("cp1253", "iso8859_7")  # alike in these letters


@pytest.mark.parametrize(
    ("data", "kind", "words"),
    [
        (b"ab\0cd", "not a text", "character 3 is NUL"),
        (b"\xe9\0\xff", "not a text", "byte 2 is NUL"),
        (b"a\0b\0\0\0", "not a text", "character 2 is NUL"),  # more than every other byte
        (b" \n\t", "empty", "white space"),
        (b"x" * (LONGEST + 1), "too long", "1,000,001 characters"),
    ],
)
def test_what_is_no_text_says_why(data, kind, words):
    with pytest.raises(Unreadable) as caught:
        decode_text(data)
    assert caught.value.kind == kind
    assert words in str(caught.value)


def test_lines_keep_their_numbers():
    assert pieces("a.txt", "one\n\n  three\u2028still \r\nfour") == [
        ("1", "one", None),
        ("3", "three\u2028still", None),
        ("4", "four", None),
    ]


def test_a_bad_line_costs_that_line():
    found = pieces("a.txt", "good\nba\0d\n" + "x" * 50_000_000 + "\nalso good")
    assert [text if isinstance(text, str) else text.kind for _, text, _ in found] == [
        "good",
        "not a text",
        "too long",
        "also good",
    ]


def test_records():
    lines = [json.dumps({"text": "a", "name": "n"}), '{"text": "\\ud800"}', "[1]", "{", '{"text": 3}', '"b"']
    found = pieces("a.jsonl", "\n".join(lines))
    assert found[0] == ("1", "a", "n")
    assert [text.kind for _, text, _ in found[1:5]] == ["lone surrogate", "broken", "broken", "no column"]
    assert "U+D800" in str(found[1][1])
    assert "line 4 is no JSON" in str(found[3][1])
    assert "its keys: text (int)" in str(found[4][1])
    assert found[5] == ("6", "b", None)
    assert pieces("a.jsonl", '{"said": "x"}', "said") == [("1", "x", None)]


def test_cells():
    assert pieces("a.csv", 'id,text,name\n1,"a, b",x\n2,c,\n') == [("2", "a, b", "x"), ("3", "c", None)]
    assert pieces("a.tsv", "id\tsaid\n1\thello\n", "said") == [("2", "hello", None)]


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("a,text\n1,x\n1,x,y\n", "rows differ", "line 3 has 3 cells, the header 2"),
        ("a,b\n1,2\n", "no column", "there are a, b: say which (column=NAME)"),
    ],
)
def test_a_table_that_cannot_be_trusted_is_refused(text, kind, words):
    with pytest.raises(Unreadable) as caught:
        pieces("a.csv", text)
    assert caught.value.kind == kind
    assert words in str(caught.value)


def test_sentences():
    block = "1-2\tdon't\t_\n1\tdo\t_\n2\tn't\t_\n2.1\tghost\t_\n3\tgo\t_\n"
    assert pieces("a.conllu", "# text = Do not go.\n" + block + "\n" + block) == [
        ("1", "Do not go.", None),
        ("2", "don't go", None),
    ]


def test_gzip():
    assert unpacked(gzip.compress(b"abc")) == b"abc"
    assert unpacked(b"abc") == b"abc"
    with pytest.raises(Unreadable, match="the gzip is damaged"):
        unpacked(gzip.compress(b"abc")[:-4])
    flipped = bytearray(gzip.compress(b"hello world " * 1000))
    flipped[20] ^= 0xFF
    flipped[25] ^= 0xFF
    with pytest.raises(Unreadable, match="the gzip is damaged"):
        unpacked(bytes(flipped))


def test_heads():
    for head in (b"hello", b"\xff\xfeh\0", b"\x1f\x8b\x08", b"\xcf\xf0\xe8\xe2", b"BMW is a car"):
        refuse_other_than_text(head)
    for head in (b"\x89PNG\r\n\x1a\n", b"%PDF-1.4", b"RIFF\0\0\0\0WAVE", b"PK\x03\x04"):
        with pytest.raises(Unreadable):
            refuse_other_than_text(head)
