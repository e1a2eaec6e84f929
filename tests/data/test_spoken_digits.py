"""Clips of spoken digits, and what is said of others."""

import io
import wave
import zipfile

import numpy as np
import pytest

from sortal.data.spoken_digits import RATE, load_spoken_digits
from sortal.errors import DataError, InputError


def wav(samples, rate=RATE, channels=1):
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.asarray(samples, "<i2").tobytes())
    return out.getvalue()


def test_clips_of_a_zip_and_of_a_folder(tmp_path):
    files = {"7_theo_12.wav": [0, 2**14, -(2**15)], "0_george_3.wav": [1], "notes.txt": None}
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name, samples in files.items():
            data = b"text" if samples is None else wav(samples)
            archive.writestr(f"recordings/{name}", data)
            (tmp_path / name).write_bytes(data)
    for location in (tmp_path / "a.zip", tmp_path):
        found = load_spoken_digits(location)
        assert (found.labels.tolist(), found.speakers, found.takes.tolist()) == (
            [0, 7],
            ("george", "theo"),
            [3, 12],
        )
        assert found.waves[1].tolist() == [0, 0.5, -1]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (
            wav([1], rate=16_000),
            r"7_theo_0.wav must have 8,000 Hz, 1 channel, 2 bytes .* got \(16000, 1, 2\)",
        ),
        (wav([1, 1], channels=2), r"got \(8000, 2, 2\), 2"),
        (wav([]), "got .*, 0"),
        (wav([1, 2])[:30], r"7_theo_0.wav must be a WAV file"),
        (b"", "must be a WAV file; it ends too early"),
    ],
)
def test_other_clips_are_refused(tmp_path, data, said):
    (tmp_path / "7_theo_0.wav").write_bytes(data)
    with pytest.raises(DataError, match=said):
        load_spoken_digits(tmp_path)


def test_no_clips(tmp_path):
    with pytest.raises(InputError, match=r"must hold clips called 7_theo_12.wav; it holds none"):
        load_spoken_digits(tmp_path)
    with pytest.raises(InputError, match="there is none"):
        load_spoken_digits(tmp_path / "nowhere.zip")
    (tmp_path / "a.zip").write_text("no zip")
    with pytest.raises(DataError, match="must be a folder or zip of clips"):
        load_spoken_digits(tmp_path / "a.zip")
