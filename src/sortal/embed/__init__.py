"""Items in, vectors out: encoders, and how one is run over a pile."""

from sortal.embed.choose import Outlook, named, outlook, shows_photographs, without_weights
from sortal.embed.encoder import Encoder
from sortal.embed.fitted_wish import FittedWish, fitted_wish
from sortal.embed.hog import Hog
from sortal.embed.kept import rebuild
from sortal.embed.mel import Mel
from sortal.embed.network import NetworkEncoder, NetworkWish, network_wish, pretrained, recommended
from sortal.embed.onnx import OnnxEncoder, Preprocess
from sortal.embed.onnx_sequence import OnnxSequence
from sortal.embed.pixels import Pixels
from sortal.embed.run import Plan, embed, plan, refuse, vectors_of

__all__ = [
    "Encoder",
    "FittedWish",
    "Hog",
    "Mel",
    "NetworkEncoder",
    "NetworkWish",
    "OnnxEncoder",
    "OnnxSequence",
    "Outlook",
    "Pixels",
    "Plan",
    "Preprocess",
    "embed",
    "fitted_wish",
    "named",
    "network_wish",
    "outlook",
    "plan",
    "pretrained",
    "rebuild",
    "recommended",
    "refuse",
    "shows_photographs",
    "vectors_of",
    "without_weights",
]
