"""What an item looks like on a page: an image small, a sound as its spectrogram, a series as its lines."""

import io

import numpy as np
from PIL import Image, ImageDraw

from sortal.data.images import decode_image
from sortal.data.kinds import Kind
from sortal.data.prepare import thumbnail
from sortal.data.series import decode_series
from sortal.data.sound import decode_sound, resampled, wav
from sortal.data.spectrum import log_mel
from sortal.data.text import decode_text

__all__ = ["excerpt", "picture", "playback"]

_RANGE = 80 / 10 * np.log(10)  # dB shown of a spectrogram, as natural logarithm of power
# Okabe and Ito 2008; channels beyond the eighth begin anew.
_LINES = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a8a2b", "#882255"]
_LONGEST_PLAYED_S = 5.0
_RATE_PLAYED = 16_000


def picture(kind: Kind, content: bytes, edge: int = 96) -> bytes | None:
    """A JPEG whose longer side has at most `edge` pixels; None for text, which shows itself (`excerpt`).

    Raises Unreadable.
    """
    if kind == "image":
        return thumbnail(decode_image(content, (edge, edge)), edge)
    if kind == "sound":
        return _jpeg(_spectrogram(content, edge))
    if kind == "series":
        return _jpeg(_sparkline(decode_series(content), edge))
    return None


def excerpt(content: bytes, most: int = 160) -> str:
    """The beginning of a text, white space folded. Raises Unreadable."""
    words = " ".join(decode_text(content)[0][: 20 * most].split())
    return words if len(words) <= most else words[: most - 1] + "…"


def playback(content: bytes) -> bytes:
    """The first 5 s as a WAV of 16 kHz at most: small enough to stand in a page. Raises Unreadable."""
    sound = decode_sound(content)
    rate = min(sound.rate, _RATE_PLAYED)
    samples = resampled(sound.mono[: int(_LONGEST_PLAYED_S * sound.rate)], sound.rate, rate)
    return wav(samples, rate)


def _spectrogram(content: bytes, edge: int) -> Image.Image:
    """Time to the right, low bands below, 80 dB from paper to ink."""
    sound = decode_sound(content)
    logs = log_mel(sound.mono, sound.rate)
    levels = 255 * np.clip((logs.max() - logs) / _RANGE, 0, 1)
    image = Image.fromarray(levels.T[::-1].round().astype(np.uint8))
    return image.resize((edge, edge), Image.Resampling.BOX)


def _sparkline(values: np.ndarray, edge: int) -> Image.Image:
    """One line for each channel, all on one scale; drawn twice as large, then halved, to be smooth."""
    big = 2 * edge
    image = Image.new("RGB", (big, big), "white")
    draw = ImageDraw.Draw(image)
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    room = big - 12
    x = 6 + room * np.arange(values.shape[1]) / max(1, values.shape[1] - 1)
    for channel, line in enumerate(values[: len(_LINES)]):
        y = 6 + room * (high - line) / ((high - low) or 1.0)
        draw.line(list(zip(x.tolist(), y.tolist())), fill=_LINES[channel], width=3)
    return image.resize((edge, edge), Image.Resampling.BOX)


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()
