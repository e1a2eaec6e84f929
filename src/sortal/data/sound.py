"""A sound file's bytes become samples. Nothing but Unreadable comes out of a bad one."""

import functools
import io
import struct
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float32

from sortal.data.kinds import Kind
from sortal.data.shown import shown
from sortal.data.spectrum import log_mel
from sortal.errors import InputError, MissingExtra, Unreadable

__all__ = [
    "LONGEST_S",
    "Sound",
    "SoundInput",
    "decode_sound",
    "refuse_other_than_sound",
    "sound_pieces",
    "wav",
]

LONGEST_S = 300.0  # of one item: 64 of them at 16 kHz are 1.2 GB, which is what a batch may cost
MOST_SAMPLES = 1 << 29  # of one file, all channels: 2 GiB as float32, eight hours of mono at 16 kHz
RATES = (1_000, 768_000)  # Hz
QUIET = 1e-5  # -100 dB: below the last bit of 16
SHORTEST_S = 0.01
LEAST_MISSED_S = 0.2  # of an MP3, to be called cut
_BLOCK = 1 << 20

# Rates repeat in a pile; what is heard of a pause is relative to the recording's own level.
PAUSE_DB, PAUSE_S, PIECE_S = 35.0, 0.2, 0.1


@dataclass(frozen=True)
class Sound:
    """samples: float32, n x channels, in -1..1."""

    samples: Float32[np.ndarray, "n channels"]
    rate: int

    @property
    def mono(self) -> Float32[np.ndarray, " n"]:
        mixed: np.ndarray = self.samples.mean(axis=1, dtype=np.float32)
        return mixed


@dataclass(frozen=True)
class SoundInput:
    """How an encoder wants its sounds: one channel at `rate` Hz; with `mels` as log-mel, frames x mels."""

    rate: int = 16_000
    mels: int | None = None
    kind: ClassVar[Kind] = "sound"

    def __post_init__(self) -> None:
        if not RATES[0] <= self.rate <= RATES[1]:
            raise InputError(f"rate must be {RATES[0]:,} to {RATES[1]:,} Hz; got {self.rate!r}.")

    def read(self, content: bytes) -> Float32[np.ndarray, "..."]:
        sound = decode_sound(content)
        seconds = len(sound.samples) / sound.rate
        if seconds > LONGEST_S:
            raise Unreadable(
                "too long",
                f"{seconds:,.0f} s of sound; at most {LONGEST_S:.0f} s are one item: cut it (cut=silence)",
            )
        samples = resampled(sound.mono, sound.rate, self.rate)
        return samples if self.mels is None else log_mel(samples, self.rate, self.mels)

    def stack(self, items: Sequence[Any]) -> list[Any]:
        return list(items)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def refuse_other_than_sound(head: bytes) -> None:
    """Raises Unreadable(kind="not a sound") unless `head` begins a WAV, FLAC, Ogg or MP3."""
    if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
        return
    if head.startswith((b"fLaC", b"OggS", b"ID3")):
        return
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0 and head[1] & 0x06:  # an MPEG frame
        return
    from sortal.data.signature import image_format, kind_of_file

    what = f"a {known} image" if (known := image_format(head)) else kind_of_file(head)
    raise Unreadable("not a sound", f"looks like {what}; read are WAV, FLAC, Ogg and MP3")


def decode_sound(data: bytes) -> Sound:
    """All samples of `data`. Needs the extra `sound`.

    Raises Unreadable with the kind "not a sound", "truncated" (the header promises more than is there),
    "too large", "too short" (under 10 ms), "silent" or "broken".
    """
    refuse_other_than_sound(data[:64])
    _check_wav(data)
    samples, rate = _samples(data)
    if not RATES[0] <= rate <= RATES[1]:
        raise Unreadable("broken", f"its header claims {rate:,} Hz; read are {RATES[0]:,} to {RATES[1]:,}")
    if len(samples) < SHORTEST_S * rate:
        n = len(samples)
        raise Unreadable(
            "too short", f"{n:,} sample{'' if n == 1 else 's'} of sound; a sound has at least 10 ms"
        )
    if not np.isfinite(samples).all():
        raise Unreadable(
            "broken", f"sample {int(np.argmin(np.isfinite(samples).all(axis=1)))} is NaN or infinite"
        )
    if (samples.max(axis=0) - samples.min(axis=0)).max() < QUIET:
        raise Unreadable("silent", "all samples are alike: nothing is to be heard")
    return Sound(samples, rate)


def _samples(data: bytes) -> tuple[np.ndarray, int]:
    soundfile = _soundfile()
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            samples, rate, promised, form = _read(file), int(file.samplerate), file.frames, file.format
    except (soundfile.SoundFileError, RuntimeError, ValueError, TypeError) as e:
        # Before its own words, str(e) has the address of our buffer, another one in every run.
        reason = shown(getattr(e, "error_string", str(e)))
        raise Unreadable("broken", f"a sound that cannot be decoded: {reason}") from e
    # An MP3 that breaks off ends without an error. The first frame's count is right but for padding.
    if form == "MP3" and len(samples) < promised - LEAST_MISSED_S * rate:
        raise Unreadable("truncated", f"its header promises {promised:,} samples; {len(samples):,} are there")
    return samples, rate


def _read(file: Any) -> np.ndarray:
    """Block by block: a header's number of frames is a stranger's word, and no room is made on it."""
    blocks, total = [], 0
    while len(block := file.read(max(1, _BLOCK // file.channels), dtype="float32", always_2d=True)):
        total += block.size
        if total > MOST_SAMPLES:
            raise Unreadable("too large", f"more than {MOST_SAMPLES:,} samples; split the file")
        blocks.append(block)
    return np.concatenate(blocks) if blocks else np.empty((0, file.channels), np.float32)


def _check_wav(data: bytes) -> None:
    """libsndfile reads what is there and says nothing where a WAV's header promises more."""
    if not data.startswith(b"RIFF"):
        return
    at = 12
    while at + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, at)
        there = len(data) - at - 8
        if name == b"fmt " and there >= 8:
            channels, rate = struct.unpack_from("<2xHI", data, at + 8)
            if not (channels and rate):
                raise Unreadable("broken", f"its header claims {channels} channels at {rate} Hz")
        if name == b"data":
            # Programs that write to a pipe leave the size open: 0 or all ones.
            if size > there and size < 0x7FFFFFFF:
                raise Unreadable(
                    "truncated", f"its header promises {size:,} bytes of sound; {there:,} are there"
                )
            return
        at += 8 + size + size % 2
    raise Unreadable("truncated", "a WAV without its samples")


def resampled(samples: Float32[np.ndarray, " n"], rate: int, wanted: int) -> Float32[np.ndarray, " m"]:
    """By soxr at its "HQ" quality: flat to 0.95 of the lower band, images below -120 dB."""
    if rate == wanted:
        return samples
    try:
        import soxr
    except ImportError as e:
        raise MissingExtra("Resampling sound", "sound") from e
    found: np.ndarray = soxr.resample(samples, rate, wanted, quality="HQ")
    return found


def sound_pieces(data: bytes, cut: str | float | None, channels: str | None) -> Iterator[tuple[str, bytes]]:
    """The parts of a recording as WAVs of 16 bits, and where they stand: "12.34s", "channel1-0.00s"."""
    sound = decode_sound(data)
    lanes = sound.samples.T if channels == "each" else [sound.mono]
    for lane, samples in enumerate(lanes):
        for start, stop in _cuts(samples, sound.rate, cut):
            where = [f"channel{lane + 1}"] if channels == "each" else []
            where += [f"{start / sound.rate:.2f}s"] if cut is not None else []
            yield "-".join(where), wav(samples[start:stop], sound.rate)


def _cuts(samples: np.ndarray, rate: int, cut: str | float | None) -> list[tuple[int, int]]:
    if cut is None:
        return [(0, len(samples))]
    if cut == "silence":
        return _between_pauses(samples, rate)
    step = max(1, round(float(cut) * rate))
    pieces = [(start, min(start + step, len(samples))) for start in range(0, len(samples), step)]
    # A last piece under half the length is too little to compare.
    return pieces[:-1] if len(pieces) > 1 and pieces[-1][1] - pieces[-1][0] < step / 2 else pieces


def _between_pauses(samples: np.ndarray, rate: int) -> list[tuple[int, int]]:
    """Stretches louder than 35 dB under the loudest 10 ms, pauses under 0.2 s and a rim of 50 ms included."""
    hop = max(1, rate // 100)
    n = len(samples) // hop
    power = np.square(samples[: n * hop], dtype=np.float64).reshape(n, hop).mean(axis=1)
    loud = np.flatnonzero(power > power.max() * 10 ** (-PAUSE_DB / 10))
    breaks = np.flatnonzero(np.diff(loud) > PAUSE_S * 100)
    starts, stops = loud[np.r_[0, breaks + 1]], loud[np.r_[breaks, len(loud) - 1]] + 1
    rim, longest = 5, int(LONGEST_S * rate)
    pieces = []
    for start, stop in zip(np.maximum(starts - rim, 0) * hop, np.minimum(stops + rim, n) * hop):
        if stop - start >= PIECE_S * rate:
            pieces += [(at, min(at + longest, stop)) for at in range(start, stop, longest)]
    return [(int(start), int(stop)) for start, stop in pieces]


def wav(samples: Float32[np.ndarray, " n"], rate: int) -> bytes:
    """One channel as a WAV of 16 bits: the same samples give the same bytes, and every page plays it."""
    levels = np.clip(np.rint(samples * 32768), -32768, 32767).astype("<i2").tobytes()
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16)
    body: bytes = b"WAVE" + form + struct.pack("<4sI", b"data", len(levels)) + levels
    return struct.pack("<4sI", b"RIFF", len(body)) + body


@functools.cache
def _soundfile() -> Any:
    try:
        import soundfile
    except (ImportError, OSError) as e:  # OSError: no libsndfile for this system
        raise MissingExtra("Reading sound", "sound") from e
    return soundfile
