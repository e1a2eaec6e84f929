"""What `organize` and `Pile` are asked for, checked before anything is read or written."""

import json
import os
import re
from collections.abc import Mapping
from numbers import Integral
from pathlib import Path
from typing import Any, TypeGuard, cast

from sortal import embed
from sortal.classifier import encoder_of
from sortal.data import KINDS, Kind, NamesFrom, Reading, Source, detected_kind, open_source, shown
from sortal.embed import Encoder, FittedWish, NetworkWish, Preprocess
from sortal.errors import InputError
from sortal.runs import encoder_of_run, is_run
from sortal.store import Store, is_pile
from sortal.teaching import NAMES as SELF
from sortal.teaching import SelfWish
from sortal.train.encoder_folder import load_folder
from sortal.update import Grouper

__all__ = [
    "check_is_of",
    "check_seed",
    "checked_grouper",
    "chosen_encoder",
    "given_source",
    "is_whole",
    "place_of",
    "read_method",
    "settled_reading",
]


def place_of(source: str | os.PathLike[str], into: str | os.PathLike[str] | None) -> tuple[Path, Path | None]:
    """Where the pile is, and what to read into it: None for what it knows already."""
    if "" in (os.fspath(source), into):
        raise InputError("source and into must be paths; got an empty one.")
    plain = Path(os.path.abspath(source))
    if is_pile(plain):
        if into is not None and os.path.abspath(into) != str(plain):
            raise InputError(f"{shown(str(plain))} is a pile and is grouped in place; leave out into.")
        return Path(source), None
    if into is not None:
        return Path(into), plain
    name = plain.name if os.path.isdir(plain) else plain.stem
    if not name:
        raise InputError(f"{shown(str(plain))} has no name that a pile beside it could have: give into.")
    return plain.with_name(f"{name}.sortal"), plain


def settled_reading(
    pile: Path, location: Path | None, kind: str | None, read: Mapping[str, Any] | None
) -> Reading:
    """How the pile's files are read: as it was kept, or for a new pile as asked or detected."""
    if is_pile(pile):
        with Store.open(pile) as store:
            kept, begun = store.reading(), bool(store.sources())
        if begun:
            _check_same(pile, kept, kind, read or {})
            return kept
    if location is None:
        return Reading.checked(kind or "image", read)
    kind = kind or detected_kind(location)
    # A single file of text is one of lines: it would make a pile of one item.
    lines = (
        {"by": "line"} if kind == "text" and os.path.isfile(location) and location.suffix != ".zip" else {}
    )
    return Reading.checked(kind, lines | dict(read or {}))


def _check_same(pile: Path, kept: Reading, kind: str | None, read: Mapping[str, Any]) -> None:
    asked = Reading.checked(kind or kept.kind, read)
    had = kept.as_json()
    if asked.kind != kept.kind or any(had.get(key) != value for key, value in read.items()):
        raise InputError(
            f"{shown(str(pile))} is read as {kept}, which stays; got {asked}: say into to make another pile."
        )


def given_source(
    source: str | os.PathLike[str], location: Path | None, names_from: str | None, reading: Reading
) -> Source | None:
    if names_from not in (None, "folders"):
        raise InputError(f"names_from must be 'folders' or None; got {names_from!r}.")
    if location is not None:
        return open_source(location, cast(NamesFrom, names_from), reading)
    if names_from is not None:
        raise InputError(
            f"names_from belongs to a folder, zip or list; {shown(os.fspath(source))} is a pile."
        )
    return None


def chosen_encoder(
    encoder: str | os.PathLike[str],
    preprocess: Preprocess | Mapping[str, Any] | None,
    seed: int | None,
    kind: Kind = "image",
) -> Encoder | NetworkWish | FittedWish | SelfWish | None:
    """What is named; a network's weights are not touched yet. None for "auto"."""
    chosen = _named_encoder(encoder, preprocess, seed, kind)
    takes = kind
    if chosen is not None:
        takes = "image" if isinstance(chosen, NetworkWish | SelfWish) else chosen.input.kind
    if takes != kind:
        raise InputError(
            f"the encoder must take {KINDS[kind]}, which the pile holds; {shown(os.fspath(encoder))} takes "
            f"{KINDS[takes]}: {embed.without_weights(kind)} takes {KINDS[kind]}."
        )
    return chosen


def _named_encoder(
    encoder: str | os.PathLike[str],
    preprocess: Preprocess | Mapping[str, Any] | None,
    seed: int | None,
    kind: Kind,
) -> Encoder | NetworkWish | FittedWish | SelfWish | None:
    if encoder in SELF and preprocess is None:
        return SelfWish(str(encoder), seed)
    if encoder != "auto":
        wish = os.fspath(encoder)
        if os.path.isdir(wish):
            return _of_model(wish, preprocess)
        return (
            embed.fitted_wish(wish)
            or embed.network_wish(wish, preprocess)
            or embed.named(wish, preprocess, kind)
        )
    if preprocess is not None:
        raise InputError("preprocess belongs to an ONNX file; encoder is 'auto'. Name the file as encoder.")
    return None


def _of_model(folder: str, preprocess: object) -> Encoder:
    """What makes the vectors of a model or run: of a trained network its own body, of an encoder itself."""
    if preprocess is not None:
        raise InputError(f"preprocess belongs to an ONNX file; {shown(folder)} has its own. Leave it out.")
    if is_run(folder):
        return encoder_of_run(folder)
    encoder = encoder_of(load_folder(folder))
    if encoder.weights is not None:
        encoder.name = shown(os.path.basename(os.path.abspath(folder)))
    return encoder


def check_is_of(store: Store, source: Source) -> None:
    """Photos and photos.zip would share a pile that neither was named for."""
    known = [row.location for row in store.sources()]
    if known and source.location not in known:
        raise InputError(
            f"{shown(str(store.path))} is the pile of {shown(known[0])}: say into to add "
            f"{shown(source.location)} to it, or to make another pile."
        )


def checked_grouper(k: int | str | None, method: str | None, seed: int | None) -> Grouper:
    if not (k is None or k in ("auto", "suggest") or (is_whole(k) and k >= 1)):
        raise InputError(f"k must be a whole number of at least 1, 'auto' or 'suggest'; got {k!r}.")
    if seed is not None:
        check_seed(seed)
    return Grouper(
        k if k is None or isinstance(k, str) else int(k),
        None if method is None else read_method(method),
        None if seed is None else int(seed),
    )


def read_method(text: str) -> tuple[str, dict[str, Any]]:
    """A way to group with its parameters: "dbscan", "dbscan(eps=0.5)", "sklearn.cluster.HDBSCAN(...)".

    Values are JSON: numbers, true, false, null, text in double quotes (a single word needs none), lists.
    Whether the method knows them is for the method to say.
    """
    form = re.fullmatch(r"([\w.]+)(?:\((.*)\))?", text.strip(), re.DOTALL)
    if form is None:
        raise InputError(f"method must be written NAME or NAME(key=value, ...); got {text[:60]!r}.")
    params: dict[str, Any] = {}
    rest = (form[2] or "").strip()
    while rest:
        key = re.match(r"([A-Za-z_]\w*)\s*=\s*", rest)
        if key is None:
            raise InputError(
                f"parameters of a method must be key=value, with commas between; got {rest[:60]!r}."
            )
        params[key[1]], rest = _value(rest[key.end() :])
        if rest and not rest.startswith(","):
            raise InputError(f"parameters of a method must have commas between; got {rest[:60]!r}.")
        rest = rest[1:].strip()
    return form[1], params


def _value(text: str) -> tuple[Any, str]:
    """The JSON value or single word that `text` starts with, and what follows."""
    try:
        value, end = json.JSONDecoder().raw_decode(text)
        json.dumps(value, allow_nan=False)  # Python's reader takes NaN, and 1e999 as infinity
    except ValueError:
        value, end = None, 0
    follows = text[end:].strip()
    if end and (not follows or follows[0] == ","):
        if isinstance(value, dict):
            raise InputError(
                "a parameter must be a number, true, false, null, text or a list; got an object."
            )
        return value, follows
    word = re.match(r"[^\s,()\[\]{}\"=]+(?=\s*(,|$))", text)
    if word is None:
        raise InputError(f"a parameter's value must be JSON or a single word; got {text[:60]!r}.")
    return word[0], text[word.end() :].strip()


def check_seed(seed: int) -> None:
    if not (is_whole(seed) and 0 <= seed < 2**32):
        raise InputError(f"seed must be a whole number from 0 to 2**32 - 1; got {seed!r}.")


def is_whole(number: object) -> TypeGuard[int]:
    """Also NumPy's integers, as a loop over np.arange gives them."""
    return isinstance(number, Integral) and not isinstance(number, bool)
