"""Files in, items out: where images come from, how they are decoded, and why one cannot be."""

from sortal.data.idx import read_idx
from sortal.data.images import PIXEL_LIMIT, decode_image
from sortal.data.kinds import KINDS, Input, Kind, Reading
from sortal.data.labelled import LabelledImages, load_labelled, load_mnist
from sortal.data.picture import excerpt, picture, playback
from sortal.data.pieces import PiecesSource
from sortal.data.prepare import ImageInput, prepare, thumbnail
from sortal.data.series import SeriesInput, as_npy, decode_series
from sortal.data.shown import printable, shown
from sortal.data.sound import Sound, SoundInput, decode_sound, resampled
from sortal.data.source import READ_LIMIT, TRANSIENT_KINDS, Found, NamesFrom, Refused, Source, Stamp
from sortal.data.sources import detected_kind, files_source, open_source
from sortal.data.spectrum import log_mel
from sortal.data.text import TextInput, decode_text

__all__ = [
    "KINDS",
    "PIXEL_LIMIT",
    "READ_LIMIT",
    "TRANSIENT_KINDS",
    "Found",
    "ImageInput",
    "Input",
    "Kind",
    "LabelledImages",
    "NamesFrom",
    "PiecesSource",
    "Reading",
    "Refused",
    "SeriesInput",
    "Sound",
    "SoundInput",
    "Source",
    "Stamp",
    "TextInput",
    "as_npy",
    "decode_image",
    "decode_series",
    "decode_sound",
    "decode_text",
    "detected_kind",
    "excerpt",
    "files_source",
    "load_labelled",
    "load_mnist",
    "log_mel",
    "open_source",
    "picture",
    "playback",
    "prepare",
    "printable",
    "read_idx",
    "resampled",
    "shown",
    "thumbnail",
]
