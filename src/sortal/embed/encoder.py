"""What an encoder is, and how one is made again from what the pile or a model remembers of it."""

from pathlib import Path
from typing import Any, Protocol

from sortal.arrays import Vectors
from sortal.data import Input
from sortal.errors import DataError

__all__ = ["Encoder", "rebuild"]


class Encoder(Protocol):
    """Turns prepared items into vectors.

    The same items give the same bits; rows do not depend on their neighbours in the batch.
    """

    name: str  # as a person would call it
    digest: str  # SHA-256 of the weights, or name and version where there are none
    dim: int  # numbers in a vector
    batch: int  # items to hand over at once

    @property
    def input(self) -> Input:
        """How it wants its items prepared, and of which kind they are."""
        ...

    @property
    def spec(self) -> dict[str, Any]:
        """All that `rebuild` needs, as JSON; part of what tells two encoders apart."""
        ...

    @property
    def weights(self) -> Path | None:
        """The file that holds the weights, or None where there are none."""
        ...

    def embed(self, items: Any, /) -> Vectors:
        """b items, stacked by `input` -> b x dim, float32."""
        ...


def rebuild(spec: dict[str, Any], weights: Path | None) -> Encoder:
    """The encoder that `spec` describes. `weights` says where its file lies now, if it has one.

    The kinds are a fixed list: a spec may come from a stranger's model and names no code.
    """
    from sortal.embed.hog import Hog
    from sortal.embed.mel import Mel
    from sortal.embed.network import NetworkEncoder
    from sortal.embed.onnx import OnnxEncoder, Preprocess
    from sortal.embed.pixels import Pixels
    from sortal.embed.self_taught import SelfTaught

    kind = spec.get("kind")
    if kind == "hog":
        return Hog()
    if kind == "pixels":
        return Pixels()
    if kind == "mel":
        return Mel()
    if kind == "onnx" and weights is not None:
        return OnnxEncoder(
            weights, Preprocess.from_json(spec.get("preprocess", {}), where="the stored encoder")
        )
    if kind == "network" and weights is not None:
        return NetworkEncoder(weights, spec)
    if kind == "self" and weights is not None:
        return SelfTaught(weights, spec)
    raise DataError(
        "the encoder must be one of hog, pixels, mel, onnx, network or self (with its file); "
        f"got {str(kind)[:40]!r}: it was made by a newer Sortal, or the description is damaged."
    )
