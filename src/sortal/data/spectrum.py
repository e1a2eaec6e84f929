"""Log-mel: how loud each band of hearing is, every 10 ms."""

import functools

import numpy as np
from jaxtyping import Float32

__all__ = ["HOP_S", "log_mel", "mel_bands"]

WINDOW_S, HOP_S = 0.025, 0.010  # the field's common choice for speech
LOWEST_HZ = 20.0
FLOOR = 1e-10  # of power: -100 dB, under the noise of 16 bits
_BLOCK = 512  # frames transformed at once: 1 MB, which stays in cache


def log_mel(
    samples: Float32[np.ndarray, " n"], rate: int, mels: int = 64
) -> Float32[np.ndarray, "frames mels"]:
    """Natural logarithm of the power in `mels` bands, windows of 25 ms (Hann) every 10 ms.

    Frames lie wholly inside the sound, which is padded with zeros to one window where it is shorter.
    """
    from scipy.fft import rfft

    window, hop = round(WINDOW_S * rate), max(1, round(HOP_S * rate))
    samples = np.pad(samples, (0, max(0, window - len(samples))))
    size = 1 << (window - 1).bit_length()
    hann, bands = _hann(window), mel_bands(rate, size, mels)
    frames = np.lib.stride_tricks.sliding_window_view(samples, window)[::hop]
    found = np.empty((len(frames), mels), np.float32)
    for start in range(0, len(frames), _BLOCK):
        spectrum = rfft(frames[start : start + _BLOCK] * hann, size, axis=1)
        found[start : start + _BLOCK] = (spectrum.real**2 + spectrum.imag**2) @ bands
    logs: np.ndarray = np.log(np.maximum(found, np.float32(FLOOR), out=found), out=found)
    return logs


@functools.lru_cache(16)
def mel_bands(rate: int, size: int, mels: int) -> Float32[np.ndarray, "bins mels"]:
    """Triangles of height 1, evenly spaced in mel from 20 Hz to half the rate, for a transform of `size`.

    mel(f) = 2595 log10(1 + f / 700). Source: O'Shaughnessy 1987, "Speech Communication", p. 150; the
    triangles are those of the HTK Book, section 5.4.
    """
    top = 2595 * np.log10(1 + rate / 2 / 700)
    bottom = 2595 * np.log10(1 + LOWEST_HZ / 700)
    edges = 700 * (10 ** (np.linspace(bottom, top, mels + 2) / 2595) - 1)
    bins = np.arange(size // 2 + 1)[:, None] * (rate / size)
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    bands: np.ndarray = np.maximum(0, np.minimum(rising, falling)).astype(np.float32)
    bands.flags.writeable = False
    return bands


@functools.lru_cache(16)
def _hann(window: int) -> Float32[np.ndarray, " window"]:
    """The periodic one, which is the one for spectra."""
    found: np.ndarray = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)).astype(np.float32)
    return found
