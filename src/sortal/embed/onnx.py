"""Any ONNX file as an encoder, run by onnxruntime on the CPU."""

import hashlib
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from sortal.arrays import Images, Vectors
from sortal.data import ImageInput, shown
from sortal.embed.graph import open_graph, output_name, read_graph
from sortal.embed.options import (
    Rules,
    above_zero,
    checked_options,
    first_line,
    is_number,
    one_of,
    read_sidecar,
    require,
    sidecar_path,
    text_or_none,
)
from sortal.errors import DataError, InputError
from sortal.kernels import n_threads

__all__ = ["OnnxEncoder", "Preprocess"]

BATCH = 32  # on two cores MobileNetV2 gains nothing beyond it, and 32 x 150 kB stays in the caches' reach


@dataclass(frozen=True)
class Preprocess:
    """How a network wants its images: `x = (level * range / 255 - mean) / std`, channel by channel.

    The defaults are torchvision's for ImageNet. `size` None takes the graph's own; `crop` is the share of the
    short side that is kept, None squeezes the whole image; `output` None takes the first output that is a
    vector, or else the first map, averaged over its positions.
    """

    size: tuple[int, int] | None = None
    crop: float | None = 0.875
    resample: Literal["bilinear", "bicubic"] = "bilinear"
    range: float = 1.0
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    channels: Literal["rgb", "bgr"] = "rgb"
    layout: Literal["nchw", "nhwc"] | None = None
    output: str | None = None

    @classmethod
    def from_json(cls, given: Any, *, where: str) -> "Preprocess":
        """Read a sidecar or options. `InputError` names `where`, the key and its rule."""
        return checked_options(cls, given, _RULES, where=where)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def _size(value: Any) -> tuple[int, int] | None:
    if value is None:
        return None
    height, width = value if isinstance(value, list | tuple) else (value, value)
    require(all(is_number(edge) and edge == int(edge) and 1 <= edge <= 4096 for edge in (height, width)))
    return int(height), int(width)


def _three(value: Any) -> tuple[float, float, float]:
    red, green, blue = value if isinstance(value, list | tuple) else (value, value, value)
    require(all(is_number(one) for one in (red, green, blue)))
    return float(red), float(green), float(blue)


def _three_above_zero(value: Any) -> tuple[float, float, float]:
    three = _three(value)
    require(min(three) > 0)
    return three


def _share(value: Any) -> float | None:
    require(value is None or (is_number(value) and 0 < value <= 1))
    return None if value is None else float(value)


_RULES: Rules = {
    "size": ("one edge or [height, width], between 1 and 4096", _size),
    "crop": ("between 0 and 1, or null to squeeze the whole image", _share),
    "resample": ("bilinear or bicubic", one_of("bilinear", "bicubic")),
    "range": ("a number above 0: 1 for levels in 0..1, 255 for levels in 0..255", above_zero),
    "mean": ("one number or three", _three),
    "std": ("one number or three, above 0", _three_above_zero),
    "channels": ("rgb or bgr", one_of("rgb", "bgr")),
    "layout": ("nchw or nhwc", one_of("nchw", "nhwc", None)),
    "output": ("the name of an output", text_or_none),
}


class OnnxEncoder:
    """A network from an ONNX file, with the preprocessing it was trained with.

    Without `preprocess` the sidecar `FILE.onnx.json` is read; without that, torchvision's ImageNet
    preprocessing is taken and `assumed` says so. The file must hold its weights itself (no external data).
    Raises `DataError` where the file is broken or does not turn images into one vector each.
    """

    batch = BATCH

    def __init__(self, path: str | os.PathLike[str], preprocess: Preprocess | None = None) -> None:
        self.weights: Path = Path(path)
        self.name = shown(self.weights.name)
        content = read_graph(self.weights)
        self.digest = hashlib.sha256(content).hexdigest()
        self.assumed = False
        if preprocess is None:
            beside = read_sidecar(self.weights)
            self.assumed = beside is None
            where = shown(str(sidecar_path(self.weights)))
            preprocess = None if beside is None else Preprocess.from_json(beside, where=where)
        self._session = open_graph(content, self.weights, n_threads())
        self._resolve(Preprocess.from_json((preprocess or Preprocess()).as_json(), where="preprocess"))

    @property
    def spec(self) -> dict[str, Any]:
        return {"kind": "onnx", "preprocess": self.preprocess.as_json()}

    def embed(self, images: Images) -> Vectors:
        batch = self.normalised(images)
        pieces = [batch] if self._fixed_batch is None else np.split(batch, len(batch))
        return np.concatenate([self._run(piece) for piece in pieces])

    def _run(self, batch: np.ndarray) -> Vectors:
        try:
            given = self._session.run([self.preprocess.output], {self._input.name: batch})[0]
            found: Vectors = np.ascontiguousarray(given, dtype=np.float32)
        except Exception as e:
            raise DataError(
                f"{self.name}: the network must run on {len(batch)} images of {self.input.size}; "
                f"it failed: {first_line(e)}"
            ) from e
        if found.ndim == 4:
            found = found.mean(axis=(2, 3) if self.preprocess.layout == "nchw" else (1, 2))
        if found.ndim != 2 or len(found) != len(batch) or not found.shape[1]:
            raise DataError(
                f"{self.name}: output {self.preprocess.output!r} must give one vector per image; "
                f"it gave shape {found.shape} for {len(batch)} images. Name another with output=NAME."
            )
        return found

    def normalised(self, images: Images) -> np.ndarray:
        """uint8 (b, h, w, 3) -> the float32 batch of the network's own layout, in one pass."""
        want = self.preprocess
        mean, std = np.array(want.mean, np.float32), np.array(want.std, np.float32)
        scale, shift = (np.float32(want.range / 255) / std), -mean / std
        if want.channels == "bgr":
            images = images[..., ::-1]
        if want.layout == "nchw":
            images, scale, shift = images.transpose(0, 3, 1, 2), scale[:, None, None], shift[:, None, None]
        batch: np.ndarray = np.multiply(images, scale, dtype=np.float32, order="C")
        batch += shift
        return batch

    def _resolve(self, wish: Preprocess) -> None:
        """Settle layout, size and output against the graph, then prove them on grey images."""
        self._input = _only_image_input(self._session, self.name)
        shape = self._input.shape
        layout = wish.layout or ("nhwc" if shape[3] == 3 and shape[1] != 3 else "nchw")
        edges = shape[2:4] if layout == "nchw" else shape[1:3]
        size = wish.size or _graph_size(edges, self.name)
        self._fixed_batch = shape[0] if isinstance(shape[0], int) else None
        if self._fixed_batch not in (None, 1):
            raise DataError(
                f"{self.name}: the batch must be free or 1; the graph fixes it at {shape[0]}. "
                "Export it with a dynamic batch."
            )
        self.preprocess = replace(
            wish, layout=layout, size=size, output=output_name(self._session, wish.output, (2, 4), self.name)
        )
        self.input = ImageInput(size=size, crop=wish.crop, resample=wish.resample)
        self.dim = self._prove()

    def _prove(self) -> int:
        grey = np.full((3, *self.input.size, 3), 128, np.uint8)
        self.embed(grey[:1])  # a graph with a constant of n rows runs on n images alone
        vectors = self.embed(grey)
        if not np.isfinite(vectors).all():
            raise DataError(
                f"{self.name}: output {self.preprocess.output!r} gave NaN or infinity for a plain grey image."
            )
        return int(vectors.shape[1])


def _only_image_input(session: Any, name: str) -> Any:
    inputs = session.get_inputs()
    if len(inputs) == 1 and len(inputs[0].shape) == 4 and inputs[0].type == "tensor(float)":
        return inputs[0]
    found = ", ".join(f"{i.name} {i.type} {i.shape}" for i in inputs)[:200]
    raise DataError(f"{name}: the network must take one float32 batch of images (4 axes); it takes {found}.")


def _graph_size(edges: list[Any], name: str) -> tuple[int, int]:
    if all(isinstance(edge, int) and edge > 0 for edge in edges):
        return (edges[0], edges[1])
    raise InputError(f"{name}: the graph leaves the image size open; say it with size=224 or in the sidecar.")
