"""Other people's weights into a network, every name and shape checked before the first number moves.

from sortal import nets
from sortal.nets import weights
net = nets.resnet50()
weights.load(net, "resnet50")            # fetched once from its publisher, hash checked
weights.load(net, "my/checkpoint.pth")   # torchvision, timm, akamaster, safetensors
"""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from sortal.errors import DataError, InputError
from sortal.fetch import cache_folder, cached, fetched
from sortal.nets.builders import BUILDERS
from sortal.nets.checkpoint import read_checkpoint, written_by
from sortal.nets.network import Network
from sortal.progress import Progress
from sortal.published import PUBLISHED, Published, published

__all__ = ["PUBLISHED", "Loaded", "Published", "cache_folder", "cached", "fetched", "load", "published"]

AUXILIARY = re.compile(r"aux\d\.")
# timm's VGG keeps its hidden layers as convolutions.
TIMM = (
    (re.compile(r"^pre_logits\.fc1\."), "classifier.0."),
    (re.compile(r"^pre_logits\.fc2\."), "classifier.3."),
    (re.compile(r"^head\.fc\."), "classifier.6."),
)


@dataclass(frozen=True)
class Loaded:
    """Where the weights came from, the names that were left out, whether the head is still the net's own."""

    path: Path
    published: Published | None
    dropped: tuple[str, ...]
    own_head: bool


def load(
    net: nn.Module,
    source: str | os.PathLike[str],
    *,
    replace_head: bool = False,
    progress: Progress | None = None,
) -> Loaded:
    """Put the weights of a file, or of a published name, into `net`; all of them or none.

    A file comes before a name. Auxiliary heads that the net does not have are dropped with a line; with
    `replace_head` a head of another size is left out, and the net keeps its own. `DataError` lists any other
    name that is missing or too many, and any other shape. `fetched` says what fetching can raise.
    """
    progress = progress or Progress()
    name = None if Path(source).exists() or _is_path(source) else published(os.fspath(source))
    own = net.state_dict()
    if name is not None:
        _check_network(name, own)
    path = Path(source) if name is None else fetched(name, progress)
    found = read_checkpoint(path, most_bytes=_most_bytes(own.values()))
    _check_writer(net, path)
    if any(key.startswith("pre_logits.") for key in found):
        found = {_as_torchvision(key): value for key, value in found.items()}
    left_out = (
        *_extra_heads(found, own, path, progress),
        *_other_head(net, found, path, replace_head, progress),
    )
    found = {key: value for key, value in found.items() if key not in left_out}
    wanted = {key: value for key, value in own.items() if key not in left_out}
    _check_names(found, wanted, path)
    _check_values(found, wanted, path)
    with torch.no_grad():
        for key, value in found.items():
            wanted[key].copy_(value.reshape(wanted[key].shape))
    return Loaded(path, name, left_out, any(key in own for key in left_out))


def _is_path(source: str | os.PathLike[str]) -> bool:
    """Whether it cannot be a name: a path object, or with a folder or an ending in it."""
    return not isinstance(source, str) or "/" in source or os.sep in source or "." in source


def _check_network(name: Published, own: Mapping[str, Tensor]) -> None:
    """Before half a gigabyte is fetched for nothing."""
    with torch.device("meta"):
        theirs = BUILDERS[name.network]().state_dict()
    if set(theirs) != {key for key in own if not AUXILIARY.match(key)}:
        raise InputError(
            f"the weights {name.name!r} belong to nets.{name.network}(); this network has other parts."
        )


def _check_writer(net: nn.Module, path: Path) -> None:
    """Weights of ResNet-20 fit plain20, name by name, and give nonsense there; only the file can tell."""
    writer, kinds = written_by(path), [kind.__name__ for kind in type(net).__mro__]
    if writer is not None and writer not in kinds:
        raise DataError(f"{path}: the weights must be of a {kinds[0]}; they are of a {writer[:60]}.")


def _most_bytes(own: Iterable[Tensor]) -> int:
    """Weights in double precision with Adam's two moments, an average, and 16 MB for the rest."""
    return 8 * sum(value.numel() * 4 for value in own) + (1 << 24)


def _as_torchvision(key: str) -> str:
    for pattern, name in TIMM:
        key = pattern.sub(name, key)
    return key


def _extra_heads(
    found: Mapping[str, Tensor], own: Mapping[str, Tensor], path: Path, progress: Progress
) -> list[str]:
    """The names in auxiliary heads that the net does not have."""
    extra = [key for key in found if AUXILIARY.match(key) and key not in own]
    if extra:
        progress.say(f"{path.name}: its auxiliary heads are left out; this network has none.")
    return extra


def _other_head(
    net: nn.Module, found: Mapping[str, Tensor], path: Path, replace: bool, progress: Progress
) -> tuple[str, ...]:
    """The names in the heads, where the file's differ from the net's in the number of classes alone."""
    own = net.state_dict()
    heads = tuple(f"{name}." for name in net.heads()) if isinstance(net, Network) else ()
    keys = tuple(key for key in own if key.startswith(heads) and key in found)
    if not keys or any(not found[key].ndim for key in keys):
        return ()
    sized = all(found[key].shape[1:].numel() == own[key].shape[1:].numel() for key in keys)
    if not sized or all(len(found[key]) == len(own[key]) for key in keys):
        return ()
    theirs, ours = len(found[keys[0]]), len(own[keys[0]])
    if not replace:
        raise DataError(
            f"{path}: its head knows {theirs} classes, this network's {ours}. "
            "To take all but the head: replace_head=True."
        )
    progress.say(f"{path.name}: its head for {theirs} classes is left out.")
    return keys


def _check_names(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], path: Path) -> None:
    # A counter of steps that files from before torch 0.4.1 do not have, and that nothing here reads.
    missing = [key for key in wanted if key not in found and not key.endswith(".num_batches_tracked")]
    extra = [key for key in found if key not in wanted]
    if missing or extra:
        raise DataError(
            f"{path}: the weights must have this network's names; {_listed('missing', missing)}, "
            f"{_listed('too many', extra)}. They belong to another network."
        )


def _listed(what: str, keys: Sequence[str]) -> str:
    if not keys:
        return f"none {what}"
    more = f" and {len(keys) - 8} more" if len(keys) > 8 else ""
    return f"{len(keys)} {what}: {', '.join(key[:80] for key in keys[:8])}{more}"


def _check_values(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], path: Path) -> None:
    for key, value in found.items():
        want = wanted[key]
        if value.shape != want.shape and not _same_as_convolution(value, want):
            raise DataError(
                f"{path}: {key} must have the shape {tuple(want.shape)}; it has {tuple(value.shape)}. "
                "The weights belong to another network."
            )
        if value.is_floating_point() != want.is_floating_point():
            raise DataError(f"{path}: {key} must be {want.dtype}; it is {value.dtype}.")
        if not torch.isfinite(value).all():
            raise DataError(f"{path}: {key} holds NaN or infinity; the training that wrote it went wrong.")


def _same_as_convolution(value: Tensor, want: Tensor) -> bool:
    """A linear layer kept as a convolution over the whole map, or the other way round."""
    axes = {value.ndim, want.ndim}
    return axes == {2, 4} and len(value) == len(want) and value.numel() == want.numel()
