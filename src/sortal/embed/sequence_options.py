"""How a network wants its sounds, time series or texts: one record for each kind.

`length` is the most steps that are read of an item; None takes all. Where the graph fixes their number, a
shorter item gets zeros at its end. `scale` "item" brings each item to mean 0 and deviation 1, each channel of
a series by itself; then `mean` is taken off and `std` divided by. `layout` says what stands behind the batch:
the graph's fixed axis tells it where one is. `output` None takes the first output that is a vector, or else
the first sequence, of which `pool` makes one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float32, Float64

from sortal.data import Input, Kind, SeriesInput, SoundInput, TextInput
from sortal.embed.options import (
    Rules,
    above_zero,
    checked_options,
    is_number,
    number,
    one_of,
    require,
    text_or_none,
    whole,
)

__all__ = [
    "SEQUENCE_OPTIONS",
    "SequencePreprocess",
    "SeriesPreprocess",
    "SoundPreprocess",
    "TextPreprocess",
    "sequence_options",
]

MOST_STEPS = 1 << 24
LEAST_DEVIATION = 1e-3  # below it an item is flat, and what is left of it noise

Layout = Literal["time-first", "time-last"]
Pool = Literal["mean", "max", "first", "last"]


@dataclass(frozen=True)
class SoundPreprocess:
    """One channel at `rate` Hz, as samples, or with `mels` as log-mel steps (`sortal.data.log_mel`).

    Logarithms below `floor` count as it: they say how a recording was cut, not what is heard.
    """

    kind: ClassVar[Kind] = "sound"
    rate: int = 16_000
    mels: int | None = None
    floor: float | None = None
    scale: Literal["item", "none"] = "none"
    mean: float = 0.0
    std: float = 1.0
    length: int | None = None
    layout: Layout | None = None
    pool: Pool = "mean"
    output: str | None = None

    @property
    def width(self) -> int | None:
        """Numbers a step; None where a step is one number."""
        return self.mels

    @property
    def input(self) -> Input:
        return SoundInput(self.rate, self.mels)

    def steps(self, sound: Float32[np.ndarray, "n ..."]) -> Float32[np.ndarray, "n ..."]:
        """As the network reads it, step by step."""
        if self.floor is not None:
            sound = np.maximum(sound, np.float32(self.floor))
        if self.scale == "item":
            sound = (sound - sound.mean()) / max(float(sound.std()), LEAST_DEVIATION)
        return np.asarray((sound - self.mean) / self.std, np.float32)

    def probe(self, n: int) -> Float32[np.ndarray, "n ..."]:
        """Noise in the form that `input` gives: n tenths of a second."""
        shape = (n * self.rate // 10,) if self.mels is None else (10 * n, self.mels)
        return np.random.default_rng(n).normal(0, 0.1, shape).astype(np.float32)


@dataclass(frozen=True)
class SeriesPreprocess:
    """So many channels; `mean` and `std` are one number, or one for each channel."""

    kind: ClassVar[Kind] = "series"
    channels: int | None = None
    scale: Literal["item", "none"] = "none"
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    length: int | None = None
    layout: Layout | None = None
    pool: Pool = "mean"
    output: str | None = None

    @property
    def width(self) -> int | None:
        return self.channels

    @property
    def input(self) -> Input:
        return SeriesInput(self.channels)

    def steps(self, series: Float64[np.ndarray, "channels n"]) -> Float32[np.ndarray, "n channels"]:
        if self.scale == "item":
            spread = np.maximum(series.std(axis=1, keepdims=True), LEAST_DEVIATION)
            series = (series - series.mean(axis=1, keepdims=True)) / spread
        return np.ascontiguousarray((series.T - np.array(self.mean)) / np.array(self.std), np.float32)

    def probe(self, n: int) -> Float64[np.ndarray, "channels n"]:
        return np.random.default_rng(n).normal(0, 1, (self.channels or 1, 10 * n))


@dataclass(frozen=True)
class TextPreprocess:
    """Numbers of tokens, by a tokenizer.json (`tokenizer`, a path), or of the characters in `letters`.

    Without either, the file that stands beside the network or in the folder above it. Where `length` is None,
    the tokenizer says how many tokens are read, or else 512.
    """

    kind: ClassVar[Kind] = "text"
    tokenizer: str | None = None
    letters: str | None = None
    length: int | None = None
    pool: Pool = "mean"
    output: str | None = None

    width: ClassVar[None] = None
    layout: ClassVar[None] = None

    @property
    def input(self) -> Input:
        return TextInput()


SequencePreprocess = SoundPreprocess | SeriesPreprocess | TextPreprocess
SEQUENCE_OPTIONS: Mapping[str, type[SequencePreprocess]] = {
    one.kind: one for one in (SoundPreprocess, SeriesPreprocess, TextPreprocess)
}


def sequence_options(kind: str, given: Any, *, where: str) -> SequencePreprocess:
    """Read a sidecar or options for a network of this kind. `InputError` names `where`, key and rule."""
    rules = {"sound": _SOUND, "series": _SERIES, "text": _TEXT}[kind]
    return checked_options(SEQUENCE_OPTIONS[kind], given, rules, where=where)


def _each(value: Any) -> tuple[float, ...]:
    numbers = tuple(value) if isinstance(value, list | tuple) else (value,)
    require(0 < len(numbers) <= 10_000 and all(map(is_number, numbers)))
    return tuple(map(float, numbers))


def _each_above_zero(value: Any) -> tuple[float, ...]:
    numbers = _each(value)
    require(min(numbers) > 0)
    return numbers


def _letters(value: Any) -> str | None:
    require(value is None or (isinstance(value, str) and 0 < len(value) <= 200_000))
    require(value is None or len(set(value)) == len(value))
    return None if value is None else str(value)


def _path(value: Any) -> str | None:
    require(value is None or (isinstance(value, str) and bool(value) and "\0" not in value))
    return None if value is None else str(value)


_ALL: Rules = {
    "length": (f"a whole number from 1 to {MOST_STEPS:,}", whole(1, MOST_STEPS, or_none=True)),
    "layout": ("time-first or time-last", one_of("time-first", "time-last", None)),
    "pool": ("mean, max, first or last", one_of("mean", "max", "first", "last")),
    "output": ("the name of an output", text_or_none),
    "scale": ("item or none", lambda value: one_of("item", "none")("none" if value is None else value)),
}
_SOUND: Rules = {
    **_ALL,
    "rate": ("a whole number from 1,000 to 768,000 (Hz)", whole(1_000, 768_000)),
    "mels": ("a whole number from 1 to 512", whole(1, 512, or_none=True)),
    "floor": ("a number", lambda value: None if value is None else number(value)),
    "mean": ("a number", number),
    "std": ("a number above 0", above_zero),
}
_SERIES: Rules = {
    **_ALL,
    "channels": ("a whole number from 1 to 10,000", whole(1, 10_000, or_none=True)),
    "mean": ("one number, or one for each channel", _each),
    "std": ("one number above 0, or one for each channel", _each_above_zero),
}
_TEXT: Rules = {
    **_ALL,
    "tokenizer": ("the path of a tokenizer.json", _path),
    "letters": ("the characters that are known, each once", _letters),
}
