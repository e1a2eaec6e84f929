"""A network with all that it has learned elsewhere, and how that wants its pixels. Needs the extra `nets`."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from sortal import nets
from sortal.data import shown
from sortal.errors import InputError
from sortal.nets import Network
from sortal.nets.checkpoint import read_checkpoint
from sortal.progress import Progress
from sortal.published import IMAGENET, PUBLISHED, published
from sortal.train.model import load_model
from sortal.train.network_model import load_network
from sortal.train.normalize import Normalize

__all__ = ["loaded", "normalize_of", "outline", "sizes_of", "usual_normalize"]

MNIST = Normalize((0.1307,), (0.3081,))


def loaded(net: str, weights: str | os.PathLike[str], progress: Progress) -> Network:
    """The network with all of its weights, its head too, for as many classes and channels as they know.

    `weights`: a file, a published name, or a model folder that `sortal train --net` made.
    """
    build, name = nets.builder(net), os.fspath(weights)
    if os.path.isdir(name):
        model = load_model(name)
        if model.config["kind"] == "net" and model.config["builder"]["name"] != net:
            raise InputError(f"{shown(name)} holds a {model.config['builder']['name']}; got net {net!r}.")
        return load_network(model)
    if not os.path.isfile(name) and not {os.sep, "/", "."} & {*name}:
        body = build(published(name).num_classes, seed=0)
        nets.weights.load(body, name, progress=progress)
        return body.eval()
    n_classes, in_channels = sizes_of(read_checkpoint(name), outline(net))
    body = build(n_classes, in_channels, seed=0)
    nets.weights.load(body, Path(name), progress=progress)
    return body.eval()


def sizes_of(held: Mapping[str, Tensor], plain: Network) -> tuple[int, int]:
    """How many classes and channels the weights `held` of a network like `plain` know; else its own."""
    stem = next((key for key, layer in plain.named_modules() if isinstance(layer, nn.Conv2d)), "")
    head, first = held.get(f"{plain.head_name}.weight"), held.get(f"{stem}.weight")
    return (
        plain.num_classes if head is None or not head.ndim else len(head),
        plain.in_channels if first is None or first.ndim != 4 else first.shape[1],
    )


def outline(net: str) -> Network:
    """Without content: VGG-16 would take half a gigabyte to say its size."""
    with torch.device("meta"):
        return nets.builder(net)()


def normalize_of(
    net: str, in_channels: int, weights: str | os.PathLike[str], progress: Progress
) -> Normalize:
    """How these weights want their pixels.

    As their model folder, the settings of the run beside them or their publisher says; else a guess, which
    is said: as published weights of the same network, as MNIST's in grey, as ImageNet's in colour.
    """
    if os.path.isdir(weights):
        wanted = load_model(weights).encoder["spec"]["preprocess"]
        return Normalize(tuple(wanted["mean"]), tuple(wanted["std"]))
    name = os.path.basename(os.fspath(weights))
    found = _of_the_run(Path(weights).with_name("plan.json")) if os.path.isfile(weights) else None
    if found is not None and len(found.mean) == in_channels:
        return found
    for one in PUBLISHED.values():
        if name in (one.name, one.file):
            return Normalize(one.mean, one.std)
    like = next((one for one in PUBLISHED.values() if one.network == net and in_channels == 3), None)
    guess = like.name if like else "MNIST's" if in_channels == 1 else "ImageNet's"
    progress.say(f"nothing says how {shown(name)} wants its pixels: as {guess}, then")
    return Normalize(like.mean, like.std) if like else usual_normalize(in_channels)


def usual_normalize(in_channels: int) -> Normalize:
    """MNIST's figures for grey images, ImageNet's for others."""
    return MNIST if in_channels == 1 else Normalize(*IMAGENET)


def _of_the_run(plan: Path) -> Normalize | None:
    """The weights of a run folder lie beside its settings."""
    if not plan.is_file():
        return None
    try:
        held = json.loads(plan.read_bytes())["batches"]["normalize"]
        return Normalize(tuple(map(float, held["mean"])), tuple(map(float, held["std"])))
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise InputError(f"{plan} must be the settings of a run; {e!r}. Move the weights elsewhere.") from e
