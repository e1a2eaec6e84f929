"""Log-mel against its definition, said plainly."""

import numpy as np
import pytest

from sortal.data import log_mel
from sortal.data.spectrum import FLOOR, mel_bands


def by_definition(samples, rate, mels):
    window, hop = round(0.025 * rate), round(0.010 * rate)
    samples = np.pad(samples.astype(np.float64), (0, max(0, window - len(samples))))
    size = 1 << (window - 1).bit_length()
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    rows = []
    for start in range(0, len(samples) - window + 1, hop):
        power = np.abs(np.fft.rfft(samples[start : start + window] * hann, size)) ** 2
        rows.append(np.log(np.maximum(power @ mel_bands(rate, size, mels), FLOOR)))
    return np.array(rows)


@pytest.mark.parametrize(
    ("n", "rate", "mels"),
    [(1, 16_000, 64), (399, 16_000, 64), (400, 16_000, 3), (90_000, 16_000, 64), (5_001, 8_000, 23)],
)
def test_equals_its_definition(n, rate, mels):
    samples = np.random.default_rng(n).normal(size=n).astype(np.float32)
    found, want = log_mel(samples, rate, mels), by_definition(samples, rate, mels)
    assert found.shape == want.shape
    assert np.abs(found - want).max() < 2e-3  # float32 spectra; a band near zero loses most digits


def test_a_tone_stands_in_its_band():
    samples = np.sin(2 * np.pi * 1_000 * np.arange(16_000) / 16_000).astype(np.float32)
    loudest = log_mel(samples, 16_000).mean(axis=0).argmax()
    # 1,000 Hz is 1,000 mel; bands are 2,840 / 65 = 43 mel apart from 20 Hz = 31.7 mel on.
    assert loudest == round((1_000 - 31.7) / ((2_840 - 31.7) / 65)) - 1


def test_bands_cover_every_frequency_between_their_ends():
    bands = mel_bands(16_000, 512, 20)
    assert (bands[8:200].sum(axis=1) > 0.99).all()
