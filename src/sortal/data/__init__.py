"""Files in, items out: where images come from, how they are decoded, and why one cannot be."""

from sortal.data.idx import read_idx
from sortal.data.images import PIXEL_LIMIT, decode_image
from sortal.data.labelled import LabelledImages, load_labelled, load_mnist
from sortal.data.prepare import ImageInput, prepare, thumbnail
from sortal.data.shown import printable, shown
from sortal.data.source import READ_LIMIT, TRANSIENT_KINDS, Found, NamesFrom, Refused, Source, Stamp
from sortal.data.sources import files_source, open_source

__all__ = [
    "PIXEL_LIMIT",
    "READ_LIMIT",
    "TRANSIENT_KINDS",
    "Found",
    "ImageInput",
    "LabelledImages",
    "NamesFrom",
    "Refused",
    "Source",
    "Stamp",
    "decode_image",
    "files_source",
    "load_labelled",
    "load_mnist",
    "open_source",
    "prepare",
    "printable",
    "read_idx",
    "shown",
    "thumbnail",
]
