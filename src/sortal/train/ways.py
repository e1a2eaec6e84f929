"""Three ways from named images to a network: frozen body, fine-tuned, from scratch. Needs extra `nets`."""

import contextlib
import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sortal.arrays import Labels, Vectors
from sortal.data import LabelledImages
from sortal.errors import InputError
from sortal.nets import Network
from sortal.progress import Progress
from sortal.tasks import Classify
from sortal.train.augment import Augment
from sortal.train.batches import ImageBatches
from sortal.train.curve import Epoch
from sortal.train.device import Device
from sortal.train.head import fit_linear
from sortal.train.labels import balancing_weights
from sortal.train.loop import Trained, Watcher, train
from sortal.train.normalize import Normalize
from sortal.train.plan import Plan
from sortal.train.trouble import SMALLER

__all__ = [
    "Course", "body_vectors", "check_images", "fine_tune", "fit_head", "from_scratch", "says",
    "weights_digest",
]  # fmt: skip

# Images: more gain nothing on a CPU, and 224 x 224 of them take 60 MB; fewer where a GPU has no room.
JUDGED_AT_ONCE = (100, 16, 2)


@dataclass(frozen=True)
class Course:
    """What all ways share: the budget in epochs, and how images reach the network.

    `peak_lr` is by default what suits the way; see `Plan`.
    """

    epochs: int
    normalize: Normalize
    augment: Augment = Augment()  # noqa: RUF009 (frozen)
    batch_size: int = 32
    peak_lr: float | None = None

    def fine_tuning(self, seed: int) -> Plan:
        """The head goes first, on frozen vectors; then all, the body by steps a third as long.

        Source: Kumar et al. 2022, "Fine-tuning can distort pretrained features", on why the head goes first.
        """
        return Plan(
            epochs=self.epochs, peak_lr=self.peak_lr or 0.02, body_lr=1 / 3,
            warmup_epochs=0.1 * self.epochs, clip_norm=5.0, seed=seed,
        )  # fmt: skip

    def scratch(self, net: nn.Module, seed: int) -> Plan:
        """Without normalisation inside the network, long steps diverge."""
        normed = any(isinstance(part, nn.BatchNorm2d) for part in net.modules())
        return Plan(
            epochs=self.epochs, peak_lr=self.peak_lr or (0.05 if normed else 0.01),
            warmup_epochs=0.1 * self.epochs, clip_norm=5.0, seed=seed,
        )  # fmt: skip


def check_images(images: LabelledImages, net: Network) -> None:
    """`InputError` where they are too small for the network or have other channels, with what it takes."""
    _, height, width, channels = images.pixels.shape
    net.check(torch.zeros(1, channels, height, width))


def weights_digest(net: nn.Module) -> str:
    """SHA-256 of all weights and statistics, with their names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(net.state_dict().items()):
        digest.update(name.encode() + np.ascontiguousarray(tensor.cpu().numpy()).tobytes())
    return digest.hexdigest()


def body_vectors(net: Network, images: LabelledImages, normalize: Normalize, device: Device) -> Vectors:
    """What the head sees of each image, n x d; the network as in use."""
    return _outputs(net, net.embed, images, normalize, device)


def says(net: Network, images: LabelledImages, normalize: Normalize, device: Device) -> Labels:
    """The number of the name that the network gives each image."""
    return np.asarray(_outputs(net, net, images, normalize, device).argmax(axis=1), dtype=np.int64)


def fit_head(net: Network, vectors: Vectors, labels: Labels, seed: int) -> None:
    """Give `net` a new head for labels 0 to k - 1, fitted to the vectors of its body."""
    weights, bias = fit_linear(vectors, labels, seed)
    net.replace_head(len(weights), seed=seed)
    head = net.head
    assert isinstance(head, nn.Linear)
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(weights))
        head.bias.copy_(torch.from_numpy(bias))


def fine_tune(net: Network, images: LabelledImages, course: Course, seed: int, **loop: Any) -> Trained:
    """Train all of `net`, whose head has been fitted already. `loop`: options of `loop.train`."""
    return _trained(net, images, course, course.fine_tuning(seed), **loop)


def from_scratch(net: Network, images: LabelledImages, course: Course, seed: int, **loop: Any) -> Trained:
    """Train all of `net`, which knows nothing."""
    return _trained(net, images, course, course.scratch(net, seed), **loop)


def _trained(
    net: Network,
    images: LabelledImages,
    course: Course,
    plan: Plan,
    *,
    device: Device,
    folder: str | os.PathLike[str] | None = None,
    watchers: Sequence[Watcher] = (),
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    progress: Progress,
) -> Trained:
    batches = ImageBatches(
        images, course.batch_size, course.normalize, augment=course.augment, seed=plan.seed,
        device=device.device,
    )  # fmt: skip
    task = Classify(weights=balancing_weights(images.labels, images.names)[0])
    return train(
        net, task, batches, plan, device=device, folder=folder, watchers=watchers, on_epoch=on_epoch,
        progress=progress,
    )  # fmt: skip


def _outputs(
    net: Network,
    what: Callable[[Tensor], Tensor],
    images: LabelledImages,
    normalize: Normalize,
    device: Device,
) -> np.ndarray:
    net.to(device.device).eval()
    for size in JUDGED_AT_ONCE:
        batches = ImageBatches(images, size, normalize, shuffled=False, device=device.device)
        with contextlib.suppress(torch.OutOfMemoryError), torch.inference_mode():
            found = [what(batch["inputs"].to(device.device)).float().cpu() for batch in batches.epoch(0)]
            break
    else:
        raise InputError(
            f"{device.device}'s memory must hold the network and two images, and does not: {SMALLER}"
        )
    outputs = torch.cat(found).numpy()
    if not np.isfinite(outputs).all():
        raise InputError("the network gives NaN or infinity for some images; look at its weights.")
    return outputs
