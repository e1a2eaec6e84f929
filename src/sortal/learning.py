"""A network from the named images of a pile: frozen, fine-tuned or from scratch, as a model folder."""

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sortal import nets
from sortal.arrays import Mask, Vectors
from sortal.data import LabelledImages, shown
from sortal.diagnose.samples import SAMPLES
from sortal.diagnose.watched import Watched
from sortal.embed import OnnxEncoder, Preprocess
from sortal.embed.choose import look_like_photographs
from sortal.embed.export import check_exporter, exported
from sortal.errors import InputError
from sortal.nets import Network
from sortal.progress import Progress
from sortal.train import Augment, Head, Normalize, save_model, usual_augment
from sortal.train.curve import epoch_line
from sortal.train.device import Device, choose_device
from sortal.train.head import judged_head
from sortal.train.labels import balancing_weights, check_labels
from sortal.train.loop import Trained
from sortal.train.model_folder import check_target
from sortal.train.network_model import NETWORK_FILE, network_bytes
from sortal.train.pretrained import loaded, normalize_of, outline
from sortal.train.split import held_out_mask
from sortal.train.transfer import transfer
from sortal.train.ways import (
    Course,
    body_vectors,
    check_images,
    fine_tune,
    fit_head,
    from_scratch,
    weights_digest,
)

__all__ = ["HOW", "Start", "augment_of", "learn"]

KINDS = ("auto", "photographs", "glyphs")
HOW = ("auto", "frozen", "fine-tune", "scratch")
HELD_OUT = 0.2
_WAY = {"frozen": "frozen", "fine-tuned": "fine-tune", "scratch": "scratch"}


@dataclass(frozen=True)
class Start:
    """What is asked of `learn`: a network by name, weights to start from, the way, the budget.

    `watch` looks at its gradients every so many steps: they go into the model folder, what they say to
    progress.
    """

    net: str
    weights: str | os.PathLike[str] | None = None
    how: str = "auto"
    epochs: int = 10
    kind: str = "auto"
    device: str = "auto"
    batch_size: int = 32
    peak_lr: float | None = None
    watch: int | None = None

    def checked(self) -> "Start":
        """`InputError` before anything is read."""
        nets.builder(self.net)
        check_exporter()
        if self.how not in HOW:
            raise InputError(f"how must be one of {', '.join(HOW)}; got {self.how!r}.")
        if self.weights is None and self.how in ("frozen", "fine-tune"):
            raise InputError(
                f"how {self.how!r} starts from what a network has learned elsewhere: give weights."
            )
        if type(self.epochs) is not int or self.epochs < 1:
            raise InputError(f"epochs must be a whole number from 1; got {self.epochs!r}.")
        if self.kind not in KINDS:
            raise InputError(f"kind must be one of {', '.join(KINDS)}; got {self.kind!r}.")
        if self.watch is not None and (type(self.watch) is not int or self.watch < 2):
            raise InputError(f"watch must be a whole number of steps from 2, or None; got {self.watch!r}.")
        return self

    def edge(self) -> int:
        """Of the images that the network was made for."""
        return int(outline(self.net).train_size)


def learn(
    images: LabelledImages,
    n_names: int,
    start: Start,
    into: str | os.PathLike[str],
    *,
    seed: int,
    trained_on: str,
    n_named_by_group: int,
    progress: Progress,
) -> Head:
    """Train a network on four fifths of `images`, judge it by the others, and save it as a model folder.

    Names from number `n_names` on are "none of these": a further answer that names nothing. A run that was
    stopped goes on from INTO.training, which is gone at the end. The head's confidences and its rule for what
    is new are set on held-out vectors of the network itself.
    """
    check_target(Path(os.path.abspath(into)))
    where = choose_device(start.device)
    progress.say(f"device: {where}")
    named = images.labels < n_names
    check_labels(images.labels[named], images.names[:n_names], held_out=True)
    held = held_out_mask(images.labels, HELD_OUT, seed)
    run = Path(f"{os.path.abspath(into)}.training")
    said = balancing_weights(images.labels[~held], images.names)[1]
    if said and (start.how != "auto" or start.weights is None):  # else `transfer` says it
        progress.say(said)
    net, training, left = _network(images.take(~held), start, where, seed, run, progress)
    with tempfile.TemporaryDirectory(prefix="sortal-") as work:
        encoder = _encoder(net, Path(work), images.pixels.shape[1:3], training["normalize"])
        encoder.name = start.net
        head = _judged(net, encoder, images, n_names, held, seed)
        weights = Path(work) / NETWORK_FILE
        weights.write_bytes(network_bytes(net))
        assert encoder.weights is not None
        extra = {"encoder.onnx": encoder.weights, NETWORK_FILE: weights, **left}
        save_model(
            into, head,
            encoder={
                "name": encoder.name, "digest": encoder.digest, "dim": encoder.dim, "spec": encoder.spec,
            },
            input={"kind": "image", **encoder.input.as_json()},
            trained_on=trained_on, n_named_by_group=n_named_by_group, extra_files=extra,
            network={
                "name": start.net, "arguments": {"num_classes": net.num_classes, "in_channels": 3},
                "training": {key: value for key, value in training.items() if key != "normalize"},
            },
        )  # fmt: skip
    shutil.rmtree(run, ignore_errors=True)
    return head


def _network(
    images: LabelledImages, start: Start, where: Device, seed: int, run: Path, progress: Progress
) -> tuple[Network, dict[str, Any], dict[str, Path]]:
    """Trained; how: way, epochs, weights it started from, normalisation; files that its run has left."""
    augment = Augment()
    if start.how != "frozen":
        augment = augment_of(images, start.kind, images.pixels.shape[1], progress)
    body, way = None, "scratch"
    if start.weights is None or start.how == "scratch":
        normalize = Normalize.of(images.pixels)
    else:
        body, way = _in_colour(loaded(start.net, start.weights, progress)), start.how
        normalize = normalize_of(start.net, 3, start.weights, progress)
    course = Course(start.epochs, normalize, augment, start.batch_size, start.peak_lr)
    # A run that was stopped goes on with the weights it started from, never with those of another file.
    start_from = "" if body is None else f"-{weights_digest(body)[:16]}"
    if body is not None and way == "auto":
        way = _advised(images, body, start, course, where, run / f"ways{start_from}", progress)
    made = {
        "how": way, "epochs": start.epochs if way != "frozen" else 0,
        "weights": None if way == "scratch" else shown(Path(start.weights or "").name),
        "normalize": normalize,
    }  # fmt: skip
    folder = run / f"{way}{start_from}"
    loop: Mapping[str, Any] = {
        "device": where, "folder": folder, "progress": progress,
        "on_epoch": lambda epoch: progress.say(epoch_line(epoch, start.epochs)),
    }  # fmt: skip
    if body is None or way == "scratch":
        net = nets.builder(start.net)(len(images.names), in_channels=3, seed=seed)
        check_images(images, net)
        _watched(partial(from_scratch, net, images, course, seed, **loop), start, folder, progress)
        return net.cpu().eval(), made, _left(folder)
    check_images(images, body)
    progress.say("a new head, on the vectors of the body as it is")
    fit_head(body, body_vectors(body, images, normalize, where), images.labels, seed)
    if way == "frozen":
        if start.watch:
            progress.say("no gradient to watch: of a frozen network only the head is fitted, in one piece")
        return body.cpu().eval(), made, {}
    _watched(partial(fine_tune, body, images, course, seed, **loop), start, folder, progress)
    return body.cpu().eval(), made, _left(folder)


def _watched(run: Callable[..., Trained], start: Start, folder: Path, progress: Progress) -> None:
    """Carry out `run`; watched where that is asked, with what was seen said at the end."""
    if start.watch is None:
        run()
        return
    with Watched(folder, start.watch) as seen:
        done = run(watchers=[seen])
    for line in (done.stopped, *seen.verdict()):
        progress.say(line)


def _left(folder: Path) -> dict[str, Path]:
    return {name: folder / name for name in ("curve.csv", SAMPLES) if (folder / name).exists()}


def _in_colour(body: Network) -> Network:
    if body.in_channels != 3:
        raise InputError(
            f"weights must be of a network that sees 3 channels, as a pile's images have; these see "
            f"{body.in_channels}. Leave them out, or take others."
        )
    return body


def _advised(
    images: LabelledImages,
    body: Network,
    start: Start,
    course: Course,
    where: Device,
    run: Path,
    progress: Progress,
) -> str:
    """The way that a transfer within the images to learn from advises, one training of each."""
    progress.say("which way suits these images: one training of each on four fifths, judged by the others")
    build = nets.builder(start.net)
    found = transfer(
        images, body, lambda seed: build(len(images.names), in_channels=3, seed=seed), course,
        seeds=1, held_out=HELD_OUT, device=where, folder=run, progress=progress,
    )  # fmt: skip
    for line in found.verdict[:3]:
        progress.say(line)
    return _WAY[found.advice]


def _encoder(net: Network, work: Path, size: tuple[int, int], normalize: Normalize) -> OnnxEncoder:
    """The body as a graph for onnxruntime, which is what predicts."""
    mean, std = (tuple(np.broadcast_to(values, 3).tolist()) for values in (normalize.mean, normalize.std))
    want = Preprocess(size=size, crop=None, mean=mean, std=std, layout="nchw", output="vectors")
    return OnnxEncoder(exported(net, work / "encoder.onnx", want), want)


def _judged(
    net: Network, encoder: OnnxEncoder, images: LabelledImages, n_names: int, held: Mask, seed: int
) -> Head:
    vectors = _vectors(encoder, images.pixels)
    order = np.argsort(images.labels >= n_names, kind="stable")  # "none of these" last
    learned, test = order[~held[order]], order[held[order]]
    weights, bias = (part.detach().numpy() for part in net.head.parameters())
    y = images.labels
    return judged_head(
        images.names[:n_names], (weights, bias), (vectors[learned], y[learned]), (vectors[test], y[test]),
        held_out=HELD_OUT, seed=seed,
    )  # fmt: skip


def _vectors(encoder: OnnxEncoder, pixels: np.ndarray) -> Vectors:
    starts = range(0, len(pixels), encoder.batch)
    return np.concatenate([encoder.embed(pixels[i : i + encoder.batch]) for i in starts])


def augment_of(images: LabelledImages, kind: str, edge: int, progress: Progress) -> Augment:
    """What is right for the kind; by colour where nobody says: what is grey may be writing."""
    colourful = look_like_photographs(images.pixels[:: 1 + len(images) // 200])
    if kind == "auto":
        kind = "photographs" if colourful else "glyphs"
        does = "shifted, mirrored" if colourful else "shifted, turned, zoomed, never mirrored"
        progress.say(f"they look like {kind}: {does} in training (--kind says otherwise)")
    return usual_augment(kind, edge)
