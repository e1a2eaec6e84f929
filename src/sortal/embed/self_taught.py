"""A network that a pile has taught itself; one for shapes beside hog, two views in one vector."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sortal.arrays import Images, Vectors
from sortal.embed.export import OUTPUT, exported
from sortal.embed.hog import LUMA, Hog
from sortal.embed.onnx import OnnxEncoder, Preprocess

if TYPE_CHECKING:
    from sortal.nets import Network

__all__ = ["WANT", "Levels", "SelfTaught", "exported_in_grey"]

SIDE = 32
LENGTH = (
    5.0  # of the network's part: what hog's vary by on digits and hands, so that neither drowns the other
)
# The network for shapes scales each image to its own range itself.
WANT = Preprocess((SIDE, SIDE), crop=None, mean=(0.5,) * 3, std=(0.5,) * 3, layout="nchw", output=OUTPUT)


class SelfTaught(OnnxEncoder):
    """What a network made of a pile's shapes or photographs: for shapes with hog's numbers behind its own.

    Those are scaled to what hog's vary by, and `spec` names the widths of both. Of a given `spec` only
    whether hog stands beside and how the network was trained is taken over.
    """

    batch = Hog.batch

    def __init__(self, path: Path, spec: dict[str, Any]) -> None:
        self._hog = Hog() if spec.get("beside") == Hog.digest else None
        super().__init__(path, WANT)
        self.name = "self" if self._hog else "self-photos"
        training = spec.get("training")
        self._training = training if isinstance(training, dict) else {}

    @property
    def spec(self) -> dict[str, Any]:
        spec = {"kind": "self", "training": self._training}
        if self._hog:
            spec |= {"beside": Hog.digest, "views": [self.dim - Hog.dim, Hog.dim]}
        return spec

    def embed(self, images: Images) -> Vectors:
        own = super().embed(images)
        return np.hstack([own, self._hog.embed(images)]) if self._hog else own


class Levels:
    """Levels (0 to 255) of 32 x 32 pixels in a row, grey or in colour: what a pile's network learns from."""

    name, digest = "levels", "levels/1"
    input = Hog.input
    batch = Hog.batch
    weights: Path | None = None
    spec: dict[str, Any] = {"kind": "levels"}  # noqa: RUF012 (never kept in a pile)

    def __init__(self, channels: int) -> None:
        self.shape = (SIDE, SIDE, channels)
        self.dim = SIDE * SIDE * channels

    def embed(self, images: Images) -> Vectors:
        levels: Vectors = images.astype(np.float32) if self.shape[2] == 3 else (images @ LUMA).round()
        return levels.reshape(len(images), -1)


def exported_in_grey(net: "Network", path: Path) -> Path:
    """`net`, which takes grey images, as a graph that takes colour ones and sees them as hog does."""
    from torch import Tensor, nn, tensor
    from torch.nn.functional import normalize

    class InGrey(nn.Module):
        in_channels = 3
        luma: Tensor

        def __init__(self) -> None:
            super().__init__()
            self.net = net
            self.register_buffer("luma", tensor(LUMA)[:, None, None])

        def embed(self, images: Tensor) -> Tensor:
            grey = (images * self.luma).sum(1, keepdim=True)
            return normalize(self.net.embed(grey)) * LENGTH

    return exported(InGrey().eval(), path, WANT)  # type: ignore[arg-type]  # all that is asked of a Network
