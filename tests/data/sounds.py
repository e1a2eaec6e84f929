"""Sound files that the tests make, without the extra that reads them."""

import struct

import numpy as np

from sortal.data.sound import wav


def tone(hz=440.0, seconds=0.3, rate=8_000, level=0.5):
    return (level * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def tone_wav(hz=440.0, seconds=0.3, rate=8_000):
    return wav(tone(hz, seconds, rate), rate)


def patched_wav(**header):
    """A tone whose header says something else: channels, rate, data (bytes promised)."""
    data = bytearray(tone_wav())
    for key, value in header.items():
        offset, form = {"channels": (22, "<H"), "rate": (24, "<I"), "data": (40, "<I")}[key]
        struct.pack_into(form, data, offset, value)
    return bytes(data)


def write_tones(folder, kinds=(300, 900, 2_000), each=12):
    """folder/HZ/07.wav: tones of three pitches that swell or fade, each with some noise of its own."""
    rng = np.random.default_rng(0)
    for kind, hz in enumerate(kinds):
        for i in range(each):
            path = folder / str(hz) / f"{i:02}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            x = tone(hz * (1 + 0.01 * i), 0.3 + 0.01 * i)
            course = np.linspace(0.1, 1, len(x)) if kind % 2 else np.linspace(1, 0.1, len(x))
            noise = rng.normal(0, 0.003, len(x))
            path.write_bytes(wav((course * x + noise).astype(np.float32), 8_000))
    return folder
