"""An encoder made again from what a pile or a model remembers of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sortal.embed.encoder import Encoder
from sortal.embed.hog import Hog
from sortal.embed.mel import Mel
from sortal.embed.minirocket import MiniRocket
from sortal.embed.network import NetworkEncoder
from sortal.embed.onnx import OnnxEncoder, Preprocess
from sortal.embed.onnx_sequence import OnnxSequence
from sortal.embed.pixels import Pixels
from sortal.embed.self_taught import SelfTaught
from sortal.embed.sequence_options import SEQUENCE_OPTIONS, sequence_options
from sortal.embed.tfidf import Tfidf
from sortal.errors import DataError

__all__ = ["rebuild"]


def rebuild(spec: dict[str, Any], weights: Path | None) -> Encoder:
    """The encoder that `spec` describes. `weights` says where its file lies now, if it has one.

    The kinds are a fixed list: a spec may come from a stranger's model and names no code.
    """
    kind = str(spec.get("kind"))
    if kind in _WITHOUT_FILE:
        return _WITHOUT_FILE[kind]()
    if kind in _FROM_FILE and weights is not None:
        return _FROM_FILE[kind](weights, spec)
    raise DataError(
        "the encoder must be one of hog, pixels, mel, or tfidf, minirocket, onnx, network or self with its "
        f"file; got {kind[:40]!r}: it was made by a newer Sortal, or the description is damaged."
    )


def _onnx(weights: Path, spec: dict[str, Any]) -> Encoder:
    takes = spec.get("takes", "image")
    if takes in SEQUENCE_OPTIONS:
        given, trained = spec.get("preprocess", {}), spec.get("trained")
        wanted = sequence_options(takes, given, where="the stored encoder")
        return OnnxSequence(weights, wanted, trained if isinstance(trained, dict) else None)
    preprocess = Preprocess.from_json(spec.get("preprocess", {}), where="the stored encoder")
    return OnnxEncoder(weights, preprocess)


def _minirocket(weights: Path, spec: dict[str, Any]) -> Encoder:
    return MiniRocket(weights, int(spec.get("channels", 0)), int(spec.get("length", 0)))


_WITHOUT_FILE: dict[str, Callable[[], Encoder]] = {"hog": Hog, "pixels": Pixels, "mel": Mel}
_FROM_FILE: dict[str, Callable[[Path, dict[str, Any]], Encoder]] = {
    "tfidf": lambda weights, spec: Tfidf(weights, str(spec.get("way"))),
    "minirocket": _minirocket,
    "onnx": _onnx,
    "network": NetworkEncoder,
    "self": SelfTaught,
}
