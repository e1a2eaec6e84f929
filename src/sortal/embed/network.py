"""A network by name as an encoder: weights fetched or given, the graph run by onnxruntime, or torch on a GPU.

resnet50             its published weights, fetched once
resnet20=mine.th     the same network with the weights of a file
"""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sortal.arrays import Vectors
from sortal.data import shown
from sortal.embed.export import (
    OUTPUT,
    TOLERANCE,
    check_exporter,
    difference,
    exported,
    standing,
    torch_vectors,
)
from sortal.embed.onnx import OnnxEncoder, Preprocess
from sortal.errors import InputError
from sortal.fetch import cache_folder, cached, fetched
from sortal.progress import Progress
from sortal.published import PUBLISHED, Published
from sortal.whole import sha256_of

if TYPE_CHECKING:
    from sortal.nets import Network

__all__ = ["NetworkEncoder", "NetworkWish", "network_wish", "pretrained", "recommended"]

# What `auto` takes: the first that is in the cache, from about ResNet-18's cost upwards without a GPU.
# torchvision's second recipe comes last: it gains on ImageNet and loses as frozen vectors elsewhere.
# Source: Kornblith et al. 2021, "Why do better loss functions lead to less transferable features?".
ON_CPU = ("resnet18", "resnet34", "resnet50", "resnet50-v2")
ON_GPU = ("resnet50", "resnet101", "resnet152", "resnet34", "resnet18", "resnet50-v2")
GPU, GPU_BATCH = "cuda", 128


@dataclass(frozen=True)
class NetworkWish:
    """A network and where its weights are to come from; nothing has been fetched or read yet."""

    published: Published  # with `file`, the published ones of the same network: they say how it wants images
    file: Path | None
    preprocess: Preprocess

    @property
    def name(self) -> str:
        if self.file is None:
            return self.published.name
        return f"{self.published.network}={shown(self.file.name)}"

    def is_of(self, spec: dict[str, Any]) -> bool:
        """Whether an encoder with this spec has these weights and sees images alike."""
        if spec.get("kind") != "network" or spec.get("network") != self.published.network:
            return False
        sha256 = str(spec.get("weights", {}).get("sha256"))
        same = sha256.startswith(self.published.sha256) if self.file is None else sha256 == self._own_sha256()
        return (
            same and Preprocess.from_json(spec["preprocess"], where="the stored encoder") == self.preprocess
        )

    def made(self, progress: Progress) -> "NetworkEncoder":
        """The encoder: weights fetched if need be, the graph written once, both kept in the cache.

        Killed at any moment, the next call goes on. Raises what `fetched`, `nets.weights.load` and `exported`
        raise; `MissingExtra` before anything is fetched.
        """
        if self.file is None and cached(self.published) is None:
            check_exporter()
        source = self.file if self.file is not None else fetched(self.published, progress)
        digest = self._own_sha256() if self.file is not None else sha256_of(source)
        spec = {
            "kind": "network",
            "network": self.published.network,
            "weights": self._provenance(digest),
            "preprocess": self.preprocess.as_json(),
        }
        assert self.preprocess.size is not None
        height, width = self.preprocess.size
        path = cache_folder() / f"{self.published.network}-{digest[:16]}-{height}x{width}.onnx"
        if not standing(path):
            check_exporter()
            net = loaded(self.published, source, progress)
            net.check_size(height, width)
            progress.say(f"{self.name}: written as ONNX for onnxruntime, once; some seconds")
            exported(net, path, self.preprocess)
        return NetworkEncoder(path, spec, self.name, (self.published, source))

    def _provenance(self, digest: str) -> dict[str, Any]:
        if self.file is not None:
            return {"file": shown(self.file.name), "sha256": digest}
        one = self.published
        return {"name": one.name, "publisher": one.publisher, "url": one.url, "sha256": digest}

    def _own_sha256(self) -> str:
        assert self.file is not None
        try:
            return sha256_of(self.file)
        except OSError as e:
            raise InputError(
                f"weights must be a file that can be read; {shown(str(self.file))}: {e.strerror}."
            ) from e


def network_wish(wish: str, preprocess: Preprocess | Mapping[str, Any] | None = None) -> NetworkWish | None:
    """The network that `wish` names, NAME or NAME=FILE; None where it names none.

    `InputError` where preprocessing is given for published weights, which have their own.
    """
    network, given, file = wish.partition("=")
    if not given:
        if wish not in PUBLISHED:
            return None
        if preprocess is not None:
            raise InputError(f"the published weights of {wish} have their own preprocessing; leave it out.")
        return NetworkWish(PUBLISHED[wish], None, _preprocess(PUBLISHED[wish]))
    published = next((one for one in PUBLISHED.values() if one.network == network), None)
    if published is None:
        return None
    if not os.path.isfile(file):
        raise InputError(
            f"{network}=FILE must name a file of weights; {shown(file)!r} is none. Check the path, or say "
            f"{network} alone for the published ones."
        )
    own = _preprocess(published)
    if isinstance(preprocess, Mapping):
        preprocess = Preprocess.from_json(preprocess, where="preprocess")
    if preprocess is not None:
        own = replace(preprocess, size=preprocess.size or own.size, layout="nchw", output=OUTPUT)
    return NetworkWish(published, Path(file), own)


def pretrained() -> NetworkWish | None:
    """What `auto` takes for photographs: the first of its networks whose weights are in the cache."""
    for name in _order():
        if cached(PUBLISHED[name]) is not None:
            return network_wish(name)
    return None


def recommended() -> Published:
    """The network to fetch for photographs on this machine."""
    return PUBLISHED[_order()[0]]


class NetworkEncoder(OnnxEncoder):
    """A network of sortal.nets from its exported graph; on a GPU by torch, where its checkpoint is at hand.

    `device` says where it runs, and why. A GPU's vectors differ from the graph's in the last digits, which is
    checked (1e-4 of the largest number) before the first image; the graph is what piles and models keep.
    """

    _net: "Network | None" = None

    def __init__(
        self,
        path: Path,
        spec: dict[str, Any],
        name: str | None = None,
        checkpoint: tuple[Published, Path] | None = None,
    ) -> None:
        super().__init__(path, Preprocess.from_json(spec.get("preprocess", {}), where="the stored encoder"))
        self.name = name or str(spec.get("network"))[:40]
        self._made_of = {key: spec.get(key) for key in ("kind", "network", "weights")}
        self._net, self.device = self._placed(checkpoint or _in_cache(spec))
        if self._net is not None:
            self.batch = GPU_BATCH

    @property
    def spec(self) -> dict[str, Any]:
        return self._made_of | {"preprocess": self.preprocess.as_json()}

    def _run(self, batch: np.ndarray) -> Vectors:
        if self._net is None:
            return super()._run(batch)
        found: Vectors = torch_vectors(self._net, batch, GPU)
        return found

    def _placed(self, checkpoint: tuple[Published, Path] | None) -> tuple["Network | None", str]:
        cpu = "on the CPU by onnxruntime: "
        missing = _no_gpu()
        if missing is not None:
            return None, cpu + missing
        if checkpoint is None:
            return None, cpu + "a GPU is there, its weights for torch are not"
        net = loaded(*checkpoint, Progress())
        found = difference(net.to(GPU), self, GPU)
        if not found <= TOLERANCE:
            return None, cpu + f"the GPU's vectors differ from it by {found:.1e} of the largest number"
        return net, f"on the GPU by torch, as the graph to {found:.0e}"


def loaded(published: Published, source: Path, progress: Progress) -> "Network":
    """The network of `published` with the weights of `source`, ready for inference; its head may be any."""
    import torch

    from sortal import nets

    with torch.device("meta"):
        net = nets.builder(published.network)(published.num_classes)
    net.to_empty(device="cpu")
    nets.weights.load(net, source, replace_head=True, progress=progress)
    return net.eval()


def _in_cache(spec: dict[str, Any]) -> tuple[Published, Path] | None:
    """The checkpoint that an encoder was made of, where it was fetched to; `_placed` proves it."""
    weights = spec.get("weights")
    name = weights.get("name") if isinstance(weights, dict) else None
    published = PUBLISHED.get(name) if isinstance(name, str) else None
    path = cached(published) if published is not None else None
    return (published, path) if published is not None and path is not None else None


def _preprocess(published: Published) -> Preprocess:
    return Preprocess(
        size=(published.size, published.size),
        crop=published.crop,
        mean=published.mean,
        std=published.std,
        layout="nchw",
        output=OUTPUT,
    )


def _order() -> tuple[str, ...]:
    return ON_CPU if _no_gpu() is not None else ON_GPU


def _no_gpu() -> str | None:
    """Why no GPU is used, or None. torch, seconds to load, is asked only where a driver is seen."""
    if shutil.which("nvidia-smi") is None:
        return "no GPU is seen"
    try:
        import torch
    except ImportError:
        return "torch is not installed"
    return None if torch.cuda.is_available() else "torch finds no CUDA device"
