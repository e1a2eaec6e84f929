"""Sound: what is heard comes out, and what cannot be is one reason."""

import io

import numpy as np
import pytest

from sortal.data.sound import SoundInput, decode_sound, refuse_other_than_sound, sound_pieces, wav
from sortal.errors import InputError, Unreadable

from .sounds import patched_wav, tone, tone_wav

soundfile = pytest.importorskip("soundfile", reason="needs the extra sound")
pytest.importorskip("soxr", reason="needs the extra sound")


@pytest.mark.parametrize(
    ("form", "subtype"), [("WAV", "PCM_24"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("MP3", None)]
)
def test_every_format_gives_its_samples(form, subtype):
    out = io.BytesIO()
    soundfile.write(out, np.stack([tone(), tone(880)], axis=1), 8_000, format=form, subtype=subtype)
    sound = decode_sound(out.getvalue())
    assert sound.rate == 8_000
    assert sound.samples.shape[1] == 2
    both = (tone() + tone(880)) / 2
    lossless = form in ("WAV", "FLAC")
    # 16 bits round to 1.5e-5; MP3 also pads its ends, so its length alone is near.
    assert abs(len(sound.mono) - len(both)) <= (0 if lossless else 3_000)
    if lossless:
        assert np.abs(sound.mono - both).max() < 4e-5


@pytest.mark.parametrize(
    ("data", "kind", "words"),
    [
        (patched_wav(data=10_000_000), "truncated", "promises 10,000,000 bytes"),
        (patched_wav(rate=0), "broken", "0 Hz"),
        (patched_wav(rate=50), "broken", "50 Hz"),
        (patched_wav(channels=0), "broken", "0 channels"),
        (wav(np.ones(1, np.float32), 8_000), "too short", "1 sample of"),
        (wav(np.zeros(0, np.float32), 8_000), "too short", "0 samples"),
        (wav(np.zeros(8_000, np.float32), 8_000), "silent", "nothing is to be heard"),
        (wav(np.full(8_000, 0.3, np.float32), 8_000), "silent", "nothing is to be heard"),
        (tone_wav()[:30], "truncated", "without its samples"),
        (b"RIFF" + b"\0" * 60, "not a sound", "read are WAV"),
        (b"fLaC" + b"\xff" * 200, "broken", "cannot be decoded"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 60, "not a sound", "a PNG image"),
    ],
)
def test_what_cannot_be_heard_says_why(data, kind, words):
    with pytest.raises(Unreadable) as caught:
        decode_sound(data)
    assert caught.value.kind == kind
    assert words in str(caught.value)
    assert str(caught.value).isprintable()


def test_an_mp3_that_breaks_off_is_no_short_sound():
    out = io.BytesIO()
    soundfile.write(out, tone(seconds=3.0), 8_000, format="MP3")
    whole = out.getvalue()
    assert len(decode_sound(whole).samples) >= 24_000
    with pytest.raises(Unreadable, match=r"promises 24,\d+ samples; \d+,\d+ are there") as caught:
        decode_sound(whole[: len(whole) // 2])
    assert caught.value.kind == "truncated"


def test_the_same_broken_sound_has_the_same_reason():
    reasons = set()
    for _ in range(2):
        with pytest.raises(Unreadable) as caught:
            decode_sound(b"ID3" + b"\x07" * 200)
        reasons.add(str(caught.value))
    assert len(reasons) == 1
    assert "0x" not in reasons.pop()


def test_nan_is_refused_with_its_place():
    samples = tone()
    samples[17] = np.nan
    out = io.BytesIO()
    soundfile.write(out, samples, 8_000, format="WAV", subtype="FLOAT")
    with pytest.raises(Unreadable, match="sample 17 is NaN"):
        decode_sound(out.getvalue())


def test_a_length_left_open_is_read_to_the_end():
    assert len(decode_sound(patched_wav(data=0xFFFFFFFF)).samples) == 2_400


def test_resampling_keeps_the_tone():
    heard = SoundInput(rate=16_000).read(tone_wav(440, 1.0))
    want = tone(440, 1.0, 16_000)
    # 16 bits and the filter's ripple; its ends ring.
    assert np.abs(heard - want)[500:-500].max() < 1e-3
    assert len(heard) == 16_000


def test_long_sounds_are_refused_with_the_way_out():
    with pytest.raises(Unreadable, match="cut=silence"):
        SoundInput().read(tone_wav(440, 301.0, 1_000))


def test_cut_at_silences():
    pause = np.zeros(4_000, np.float32)
    data = wav(np.concatenate([pause, tone(seconds=0.5), pause, tone(880, 0.25), pause]), 8_000)
    pieces = dict(sound_pieces(data, "silence", None))
    assert list(pieces) == ["0.45s", "1.45s"]
    assert [len(decode_sound(piece).samples) for piece in pieces.values()] == [4_800, 2_800]


def test_cut_at_a_length_passes_over_a_short_end():
    pieces = [where for where, _ in sound_pieces(tone_wav(seconds=1.05), 0.25, None)]
    assert pieces == ["0.00s", "0.25s", "0.50s", "0.75s"]


def test_channels_apart():
    out = io.BytesIO()
    soundfile.write(out, np.stack([tone(), tone(880)], axis=1), 8_000, format="WAV")
    (one, first), (two, second) = sound_pieces(out.getvalue(), None, "each")
    assert (one, two) == ("channel1", "channel2")
    assert np.abs(decode_sound(first).mono - tone()).max() < 5e-5
    assert np.abs(decode_sound(second).mono - tone(880)).max() < 5e-5


def test_the_same_samples_give_the_same_bytes():
    assert tone_wav() == tone_wav()


def test_heads():
    for head in (b"RIFF\0\0\0\0WAVE", b"fLaC", b"OggS", b"ID3\x04", b"\xff\xfb\x90"):
        refuse_other_than_sound(head)
    for head in (b"RIFF\0\0\0\0AVI ", b"hello", b"\xff\xd8\xff\xe0", b""):
        with pytest.raises(Unreadable):
            refuse_other_than_sound(head)


def test_a_rate_must_make_sense():
    with pytest.raises(InputError, match="rate must be"):
        SoundInput(rate=0)
