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
from jaxtyping import Float32, Int

from sortal.data.shown import shown
from sortal.errors import DataError, InputError

__all__ = ["SpokenDigits", "load_spoken_digits", "log_mel"]

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


def log_mel(samples: np.ndarray, n_mels: int = 40) -> Float32[np.ndarray, "t m"]:
    """Loudness by pitch: log energy in `n_mels` bands, every 10 ms in windows of 32 ms, of an 8 kHz wave.

    Bands are triangles at equal steps of 2595 log10(1 + f / 700) (O'Shaughnessy 1987), 0 to 4 kHz. A wave
    shorter than one window is filled with silence.
    """
    window, hop = 256, 80
    padded = np.pad(samples, (0, max(0, window - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop]
    power = np.abs(np.fft.rfft(frames * np.hanning(window), axis=1)) ** 2
    return np.asarray(np.log(power @ _bands(n_mels, window).T + 1e-6), np.float32)


def _bands(n_mels: int, window: int) -> np.ndarray:
    edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + RATE / 2 / 700), n_mels + 2) / 2595) - 1)
    bins = np.arange(window // 2 + 1) * RATE / window
    low, peak, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    return np.clip(np.minimum((bins - low) / (peak - low), (high - bins) / (high - peak)), 0, None)


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
