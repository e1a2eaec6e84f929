"""A network, a task and images that train in milliseconds; run as a script, a run that tests can kill."""

import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from sortal.data import LabelledImages
from sortal.tasks import Answer, Classify, Task
from sortal.train.augment import Augment
from sortal.train.batches import ImageBatches
from sortal.train.loop import train
from sortal.train.normalize import Normalize
from sortal.train.plan import Plan

HALF = Normalize((0.5,), (0.3,))


class Tiny(nn.Module):
    """A convolution, batch norm, dropout and a head: everything that has a state of its own."""

    def __init__(self, n_names: int = 3) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)
        self.drop, self.head = nn.Dropout(0.2), nn.Linear(4, n_names)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.drop(torch.relu(self.bn(self.conv(images))).mean((2, 3))))


def tiny(seed: int = 0) -> Tiny:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Tiny()


def stripes(n: int = 60, seed: int = 0) -> LabelledImages:
    """Lying, standing and no stripes, with some noise."""
    random = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    pixels = random.integers(0, 60, (n, 8, 8, 1))
    pixels[labels == 0, ::2] += 150
    pixels[labels == 1, :, ::2] += 150
    return LabelledImages(pixels.astype(np.uint8), labels, ("lying", "standing", "none"))


def batches(n: int = 60, size: int = 16, seed: int = 0) -> ImageBatches:
    return ImageBatches(stripes(n, seed), size, HALF, augment=Augment(shift=1, color=0.1), seed=seed)


def held(n: int = 30) -> ImageBatches:
    return ImageBatches(stripes(n, 1), 16, HALF, shuffled=False)


class Carry(Task):
    """Next value of a long sequence, piece by piece; the state of the network goes from piece to piece."""

    def __init__(self) -> None:
        self.carried = torch.zeros(1, 2, 5)

    def loss(self, net: nn.Module, batch: dict[str, Tensor]) -> Answer:
        out, state = net.rnn(batch["inputs"], self.carried)  # type: ignore[operator, union-attr]
        self.carried = state.detach()
        error = (net.head(out) - batch["wanted"]).square()  # type: ignore[operator]
        return Answer(error.mean(), error.numel(), (error.detach() < 0.1).sum())

    judge = loss

    def score(self, loss: float, right: float) -> float:
        return -loss

    def as_json(self) -> dict[str, str]:
        return {"task": "carry"}

    def state(self) -> dict[str, Tensor]:
        return {"carried": self.carried}

    def restore(self, state: dict[str, Tensor]) -> None:
        self.carried = state["carried"]


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.head = nn.GRU(1, 5, batch_first=True), nn.Linear(5, 1)


class Pieces:
    """A sine in two rows, cut into pieces of unequal length."""

    cuts = (0, 7, 10, 30, 31, 45, 60)

    def __len__(self) -> int:
        return len(self.cuts) - 1

    def epoch(self, number: int, start: int = 0):
        wave = torch.sin(torch.arange(61.0) / 3).repeat(2, 1)[..., None]
        for low, high in list(zip(self.cuts, self.cuts[1:]))[start:]:
            yield {"inputs": wave[:, low:high], "wanted": wave[:, low + 1 : high + 1]}

    def as_json(self) -> dict[str, str]:
        return {"wave": "sine"}


PLAN = Plan(epochs=12, peak_lr=0.05, warmup_epochs=1, clip_norm=0.5, ema=0.9, seed=5)


def long_run(folder: Path) -> None:
    """What the tests kill: a checkpoint after every step."""
    torch.set_num_threads(1)
    net = tiny()
    task = Classify(label_smoothing=0.1)
    train(net, task, batches(120), PLAN, valid=held(), device="cpu", folder=folder, checkpoint_s=0)


if __name__ == "__main__":
    print("ready", flush=True)
    long_run(Path(sys.argv[1]))
    print("done", flush=True)
