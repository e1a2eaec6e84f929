"""A network that a pile has taught itself, beside hog: two views in one vector."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sortal.arrays import Images, Vectors
from sortal.embed.export import OUTPUT, exported
from sortal.embed.hog import LUMA, Hog
from sortal.embed.onnx import OnnxEncoder, Preprocess

if TYPE_CHECKING:
    from sortal.nets import Network

__all__ = ["Grey", "SelfTaught", "exported_in_grey"]

SIDE = 32
LENGTH = (
    5.0  # of the network's part: what hog's vary by on digits and hands, so that neither drowns the other
)
# The network scales each image to its own range itself.
WANT = Preprocess((SIDE, SIDE), crop=None, mean=(0.5,) * 3, std=(0.5,) * 3, layout="nchw", output=OUTPUT)


class SelfTaught(OnnxEncoder):
    """The network's vector, scaled to what hog's vary by, then hog's: two views, whose widths `spec` names.

    Of `spec` only what says how the network was trained is taken over.
    """

    batch = Hog.batch

    def __init__(self, path: Path, spec: dict[str, Any]) -> None:
        super().__init__(path, WANT)
        self.name = "self"
        training = spec.get("training")
        self._training = training if isinstance(training, dict) else {}

    @property
    def spec(self) -> dict[str, Any]:
        return {
            "kind": "self",
            "training": self._training,
            "beside": Hog.digest,
            "views": [self.dim - Hog.dim, Hog.dim],
        }

    def embed(self, images: Images) -> Vectors:
        return np.hstack([super().embed(images), Hog().embed(images)])


class Grey:
    """Levels of grey (0 to 255), 32 x 32, in a row: what a pile's network learns from."""

    name, digest = "grey", "grey/1"
    input = Hog.input
    dim = SIDE * SIDE
    batch = Hog.batch
    weights: Path | None = None
    spec: dict[str, Any] = {"kind": "grey"}  # noqa: RUF012 (never kept in a pile)

    def embed(self, images: Images) -> Vectors:
        grey: Vectors = (images @ LUMA).round().reshape(len(images), -1)
        return grey


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
