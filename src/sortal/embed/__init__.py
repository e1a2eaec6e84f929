"""Items in, vectors out: encoders, and how one is run over a pile."""

from sortal.embed.choose import Outlook, named, outlook
from sortal.embed.encoder import Encoder, rebuild
from sortal.embed.hog import Hog
from sortal.embed.onnx import OnnxEncoder, Preprocess
from sortal.embed.pixels import Pixels
from sortal.embed.run import Plan, embed, plan, refuse, vectors_of

__all__ = [
    "Encoder",
    "Hog",
    "OnnxEncoder",
    "Outlook",
    "Pixels",
    "Plan",
    "Preprocess",
    "embed",
    "named",
    "outlook",
    "plan",
    "rebuild",
    "refuse",
    "vectors_of",
]
