"""Spoken digits as the Free Spoken Digit Dataset has them: `{digit}_{speaker}_{take}.wav`, 8 kHz, 16 bits."""

import io
import os
import re
import wave
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int

from sortal.data.shown import shown
from sortal.errors import DataError, InputError

__all__ = ["RATE", "SpokenDigits", "load_spoken_digits"]

RATE = 8_000
_NAME = re.compile(r"(\d)_([a-z]+)_(\d+)\.wav$")


@dataclass(frozen=True)
class SpokenDigits:
    """Waves in -1 to 1. The official test split is take 0 to 4."""

    waves: tuple[np.ndarray, ...]
    labels: Int[np.ndarray, " n"]
    speakers: tuple[str, ...]
    takes: Int[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.waves)


def load_spoken_digits(location: str | os.PathLike[str]) -> SpokenDigits:
    """The clips of a folder or a zip, sorted by digit, speaker and take."""
    clips = sorted((match[1], match[2], int(match[3]), data) for match, data in _clips(Path(location)))
    if not clips:
        raise InputError(f"{shown(str(location))} must hold clips called 7_theo_12.wav; it holds none.")
    return SpokenDigits(
        waves=tuple(_wave(data, f"{digit}_{speaker}_{take}.wav") for digit, speaker, take, data in clips),
        labels=np.array([int(clip[0]) for clip in clips], np.int64),
        speakers=tuple(clip[1] for clip in clips),
        takes=np.array([clip[2] for clip in clips], np.int64),
    )


def _clips(location: Path) -> Iterator[tuple[re.Match[str], bytes]]:
    if location.is_dir():
        for path in location.rglob("*.wav"):
            if match := _NAME.search(path.name):
                yield match, path.read_bytes()
        return
    try:
        with zipfile.ZipFile(location) as archive:
            for name in archive.namelist():
                if match := _NAME.search(name):
                    yield match, archive.read(name)
    except FileNotFoundError as e:
        raise InputError(f"{shown(str(location))} must be a folder or zip of clips; there is none.") from e
    except (OSError, zipfile.BadZipFile) as e:
        raise DataError(f"{shown(str(location))} must be a folder or zip of clips; {e}.") from e


def _wave(data: bytes, name: str) -> np.ndarray:
    """The standard library reads this one kind of file, so that no other is needed."""
    try:
        with wave.open(io.BytesIO(data)) as file:
            kind = file.getframerate(), file.getnchannels(), file.getsampwidth()
            samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    except (wave.Error, EOFError, ValueError) as e:
        raise DataError(f"{name} must be a WAV file; {str(e) or 'it ends too early'}.") from e
    if kind != (RATE, 1, 2) or not len(samples):
        raise DataError(
            f"{name} must have 8,000 Hz, 1 channel, 2 bytes and a sample; got {kind}, {len(samples)}."
        )
    return samples.astype(np.float32) / 2**15
