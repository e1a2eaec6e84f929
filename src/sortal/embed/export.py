"""A network of sortal.nets as an ONNX file: its `embed`, batch free, verified against torch on the spot."""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sortal.embed.onnx import OnnxEncoder, Preprocess
from sortal.errors import DataError, MissingExtra, StoreError
from sortal.fetch import alone
from sortal.whole import sha256_of

if TYPE_CHECKING:
    from sortal.nets import Network

__all__ = ["check_exporter", "difference", "exported", "standing"]

# Of the largest number in the vectors; float32 gives 3e-7 on ResNet-18, 1e-6 on ResNet-152.
TOLERANCE = 1e-4
OUTPUT = "vectors"


def check_exporter() -> None:
    """`MissingExtra` where torch or its exporter is absent: before anything is fetched for them."""
    from importlib.util import find_spec

    if find_spec("torch") is None or find_spec("onnxscript") is None:
        raise MissingExtra("a network as encoder", "nets")


def exported(net: "Network", path: Path, want: Preprocess) -> Path:
    """Write `net.embed` for images of `want.size` to `path`, whole and verified, beside a record of its hash.

    What a killed export left is written over by the next. `DataError` where onnxruntime's vectors differ from
    torch's by more than 1e-4 of the largest number. `StoreError` where the disk refuses.
    """
    part = path.with_name(path.name + ".part")
    try:
        with alone(path):
            if standing(path):  # another process was faster
                return path
            _record(path).unlink(missing_ok=True)
            _write(net, part, want)
            _verify(net, part, want)
            digest = sha256_of(part)
            with part.open("rb+") as file:
                os.fsync(file.fileno())
            part.replace(path)
            _record(path).write_text(f"{digest}  {path.name}\n", "ascii")
    except OSError as e:
        raise StoreError(
            f"{path}: the network cannot be written: {e.strerror or e}; free space there, or name another "
            "folder with SORTAL_CACHE."
        ) from e
    return path


def standing(path: Path) -> bool:
    """Whether an export is there, finished and undamaged."""
    try:
        return _record(path).read_text("ascii", "replace").split()[:1] == [sha256_of(path)]
    except FileNotFoundError:
        return False


def difference(net: "Network", encoder: OnnxEncoder, device: str = "cpu") -> float:
    """How far torch's vectors on `device` are from `encoder`'s, as a share of the largest number in them."""
    images = np.random.default_rng(0).integers(0, 256, (3, *encoder.input.size, 3), np.uint8)
    theirs = encoder.embed(images)
    ours = torch_vectors(net, encoder.normalised(images), device)
    return float(np.abs(ours - theirs).max() / max(float(np.abs(ours).max()), 1e-30))


def torch_vectors(net: "Network", batch: np.ndarray, device: str) -> Any:
    """`net.embed` in full float32: TF32, cuDNN's default on GPUs, would leave three digits."""
    import torch

    exact = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
    with torch.inference_mode(), exact:
        return net.embed(torch.from_numpy(batch).to(device)).float().cpu().numpy()


def _verify(net: "Network", part: Path, want: Preprocess) -> None:
    found = difference(net, OnnxEncoder(part, want))
    if not found <= TOLERANCE:  # also NaN
        raise DataError(
            f"the exported network must give torch's vectors; they differ by {found:.1e} of the largest, "
            f"{TOLERANCE:.0e} are allowed. Please report it, with the versions that `sortal doctor` lists."
        )


def _write(net: "Network", part: Path, want: Preprocess) -> None:
    import torch
    from torch import nn

    class Embed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = self.net.embed(images)
            return found

    assert want.size is not None
    example = torch.zeros(2, net.in_channels, *want.size)
    with _quiet(), torch.inference_mode():
        program = torch.onnx.export(
            Embed().eval(),
            (example,),
            dynamo=True,
            verbose=False,
            input_names=["images"],
            output_names=[OUTPUT],
            dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
        )
        assert program is not None
        _forget_where_it_was_made(program.model)
        program.save(part, external_data=False)


def _forget_where_it_was_made(model: Any) -> None:
    """Lines of source and their folders, noted at each node by the exporter: other bytes on every machine."""
    for node in model.graph.all_nodes():
        node.metadata_props.clear()
        for value in node.outputs:
            value.metadata_props.clear()
    for value in (*model.graph.inputs, *model.graph.initializers.values()):
        value.metadata_props.clear()
    model.graph.metadata_props.clear()
    model.metadata_props.clear()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's lines on torchvision's absence and on what torch itself will rename."""
    log = logging.getLogger("torch.onnx")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(before)


def _record(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")
