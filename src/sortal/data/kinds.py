"""Kinds of data: how the files of a pile are read, and what an encoder of each kind is given."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Protocol

from sortal.data.shown import shown
from sortal.errors import InputError

__all__ = ["KINDS", "Input", "Kind", "Reading", "kind_of_path", "main_kind"]

Kind = Literal["image", "sound", "series", "text"]

# In the plural, as messages call the items.
KINDS: dict[str, str] = {"image": "images", "sound": "sounds", "series": "time series", "text": "texts"}

_ENDINGS: dict[Kind, tuple[str, ...]] = {
    "image": (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"),
    "sound": (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3"),
    "series": (".ts", ".npy"),
    "text": (".txt", ".md", ".rst", ".tsv", ".jsonl", ".conllu", ".html", ".xml"),
}
_OPTIONS = {"image": (), "sound": ("cut", "channels"), "series": ("missing",), "text": ("by", "column")}
_MAIN_SHARE = 0.9


class Input(Protocol):
    """How an encoder wants its items. `ImageInput` and its siblings are the four there are."""

    @property
    def kind(self) -> Kind: ...

    def read(self, content: bytes) -> Any:
        """One item, decoded and prepared. Raises Unreadable; may be called from any thread."""

    def stack(self, items: Sequence[Any]) -> Any:
        """Several of them as `Encoder.embed` takes them."""

    def as_json(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Reading:
    """The kind of a pile and how its files become items; None leaves an option at its default.

    cut: sound, "silence" or seconds: long recordings in pieces. channels: sound, "each" makes every channel
    an item, else they are averaged. missing: series, "linear" fills missing values in, else such a series is
    refused. by: text, "line" or "file". column: text, the column of a CSV or key of a JSONL that holds it.
    """

    kind: Kind = "image"
    cut: str | float | None = None
    channels: str | None = None
    missing: str | None = None
    by: str | None = None
    column: str | None = None

    @classmethod
    def checked(cls, kind: str, options: Mapping[str, Any] | None = None) -> "Reading":
        """Raises InputError for a kind or option that is not there, or a value against its rule."""
        if kind not in KINDS:
            raise InputError(f"kind must be one of {', '.join(KINDS)}; got {shown(str(kind))!r}.")
        for key, value in (options or {}).items():
            if key not in _OPTIONS[kind]:
                known = ", ".join(_OPTIONS[kind]) or "none"
                raise InputError(f"read: the options of {kind} are {known}; got {shown(str(key))!r}.")
            rule, holds = _RULES[key]
            if not holds(value):
                raise InputError(f"read: {key} must be {rule}; got {shown(str(value))!r}.")
        return cls(kind, **dict(options or {}))  # type: ignore[arg-type]  # one of KINDS

    @classmethod
    def from_json(cls, given: dict[str, Any]) -> "Reading":
        return cls.checked(given["kind"], {key: value for key, value in given.items() if key != "kind"})

    def as_json(self) -> dict[str, Any]:
        return {key: value for key, value in asdict(self).items() if value is not None}

    def __str__(self) -> str:
        options = (f.name for f in fields(self)[1:] if getattr(self, f.name) is not None)
        said = ", ".join(f"{name}={getattr(self, name)}" for name in options)
        return f"{self.kind}, {said}" if said else self.kind


def _is_cut(value: object) -> bool:
    if isinstance(value, str | bool):
        return value == "silence"
    return isinstance(value, int | float) and 0.1 <= value <= 300


_RULES: dict[str, tuple[str, Any]] = {
    "cut": ('"silence" or seconds from 0.1 to 300', _is_cut),
    "channels": ('"each" or "mono"', lambda value: value in ("each", "mono")),
    "missing": ('"linear" or "refuse"', lambda value: value in ("linear", "refuse")),
    "by": ('"line" or "file"', lambda value: value in ("line", "file")),
    "column": ("the name of a column", lambda value: isinstance(value, str) and 0 < len(value) <= 200),
}


def kind_of_path(path: str) -> Kind | None:
    """What the ending says; None where it says nothing, as `.csv`, `.parquet` and no ending do."""
    low = path.lower().removesuffix(".gz")
    return next((kind for kind, endings in _ENDINGS.items() if low.endswith(endings)), None)


def main_kind(paths: Iterable[str], location: str) -> Kind:
    """The kind of a folder or zip with these files; images where no ending says anything.

    InputError where no kind has nine in ten of the files that have one. Text and tables beside more images or
    sounds are taken for their companions (README, labels).
    """
    counts = Counter(kind for path in paths if (kind := kind_of_path(path)) is not None)
    if not counts:
        return "image"
    media = counts["image"] + counts["sound"]
    if media > counts["text"] + counts["series"]:
        del counts["text"], counts["series"]
    kind, most = counts.most_common(1)[0]
    if most < _MAIN_SHARE * counts.total():
        found = ", ".join(f"{n:,} {KINDS[one]}" for one, n in counts.most_common())
        raise InputError(
            f"a pile holds one kind of data; {shown(location)} holds {found}: say which is wanted "
            f"(--kind {kind}) and make a pile of each (--into)."
        )
    return kind
