"""Texts as numbers of tokens: by a tokenizer.json, which travels inside the ONNX file, or by characters.

A pile and a model keep one file for an encoder, under its hash. So a tokenizer is added to its network as an
entry of ONNX's metadata: a field of protobuf that stands behind the others is read as one of them.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from jaxtyping import Int64

from sortal.data import shown
from sortal.data.vocabulary import Vocabulary
from sortal.embed.options import first_line
from sortal.errors import DataError, InputError, MissingExtra

__all__ = ["ENTRY", "Letters", "Tokens", "Wordpieces", "read_tokenizer", "with_tokenizer"]

Found = TypeVar("Found")

ENTRY = "sortal.tokenizer"
MOST_BYTES = 1 << 26  # of a tokenizer.json; those of 250,000 tokens in a hundred languages take 17 MB
MOST_TOKENS = 512  # where nobody says otherwise: what BERT and its kin have positions for


class Tokens(Protocol):
    """What turns a text into numbers. `top` is the largest there is, `padding` what fills up."""

    top: int
    padding: int

    def numbers(self, text: str) -> Int64[np.ndarray, " n"]: ...


class Letters:
    """A character a step; one that is not among `letters` is unknown."""

    padding = 0

    def __init__(self, letters: str) -> None:
        self._known = Vocabulary(tuple(letters))
        self.top = len(self._known) - 1

    def numbers(self, text: str) -> Int64[np.ndarray, " n"]:
        return self._known.numbers(text)


class Wordpieces:
    """The tokens of a tokenizer.json, by Hugging Face's `tokenizers`. Needs the extra `sentences`.

    `DataError` where `content` is none, whatever its parser does with it.
    """

    def __init__(self, content: str, most: int | None, where: str) -> None:
        self._tokenizer, self._where = _parsed(content, where), where
        said = self._tokenizer.truncation
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(most or (said["max_length"] if said else MOST_TOKENS))
        ids = self._tokenizer.get_vocab(with_added_tokens=True)
        self.top = max(ids.values(), default=0)
        self.padding = next((ids[one] for one in ("[PAD]", "<pad>") if one in ids), 0)

    def numbers(self, text: str) -> Int64[np.ndarray, " n"]:
        rule = f"{self._where}: the tokenizer must take the text"
        return np.array(_told(lambda: self._tokenizer.encode(text).ids, rule), np.int64)


def _told(work: Callable[[], Found], rule: str) -> Found:
    """`work()`, or a DataError: on some files and texts Rust code panics, which is no Exception."""
    try:
        return work()
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as e:
        raise DataError(f"{rule}; {first_line(e)}.") from e


def _parsed(content: str, where: str) -> Any:
    try:
        from tokenizers import Tokenizer
    except ImportError as e:
        raise MissingExtra("A tokenizer.json", "sentences") from e
    return _told(lambda: Tokenizer.from_str(content), f"{where}: the tokenizer must be a tokenizer.json")


def read_tokenizer(path: Path) -> str:
    """The text of a tokenizer.json. `InputError` where it is not there, `DataError` where it is no text."""
    name = shown(str(path))
    if path.exists() and not path.is_file():  # a pipe would wait for a writer
        raise InputError(f"tokenizer must be a tokenizer.json; {name} is no file.")
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as e:
        raise InputError(f"tokenizer must be a tokenizer.json; {name}: {e.strerror}.") from e
    if len(content) > MOST_BYTES:
        raise DataError(f"{name}: a tokenizer must have at most {MOST_BYTES >> 20} MiB; this one has more.")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as e:
        raise DataError(f"{name}: the tokenizer must be UTF-8; byte {e.start + 1:,} is not.") from e


def with_tokenizer(network: bytes, tokenizer: str) -> bytes:
    """The ONNX file `network` with one more entry in its metadata."""
    entry = _field(1, ENTRY.encode()) + _field(2, tokenizer.encode())
    return network + _field(14, entry)  # ModelProto.metadata_props, of StringStringEntryProto


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(n: int) -> bytes:
    found = bytearray()
    while n > 127:
        found.append(n & 127 | 128)
        n >>= 7
    return bytes([*found, n])
