"""What lies between a recipe and the loop: the same for every task."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from sortal.data.vocabulary import Vocabulary
from sortal.errors import InputError
from sortal.nets.captioner import Captioner
from sortal.nets.mel_cnn import MelCNN
from sortal.nets.sequence_classifier import SequenceClassifier
from sortal.nets.symbol_model import SymbolModel
from sortal.nets.tagger import Tagger
from sortal.nets.translator import Translator
from sortal.tasks import Task
from sortal.train.batches import Batches
from sortal.train.device import Device
from sortal.train.sequence_batches import SequenceBatches

__all__ = ["Figures", "Prepared", "counted_unknown", "folder_of", "made", "padded"]

NETWORKS: Mapping[str, Callable[..., nn.Module]] = {
    one.__name__: one for one in (Captioner, MelCNN, SequenceClassifier, SymbolModel, Tagger, Translator)
}


@dataclass(frozen=True)
class Figures:
    """What a trained network came to on the test set: numbers by name, and lines for people."""

    numbers: Mapping[str, float]
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class Prepared:
    """`network` and `options` make the network again, `symbols` its numbers into text: all that use needs."""

    network: str
    options: Mapping[str, Any]
    task: Task
    learn: Batches
    judge: Callable[[nn.Module, Device], Figures]
    valid: Batches | None = None
    symbols: Mapping[str, Vocabulary] = field(default_factory=dict)
    facts: tuple[str, ...] = ()


def made(network: str, options: Mapping[str, Any], seed: int | None = None) -> nn.Module:
    """The network of that name, of the few that there are."""
    if network not in NETWORKS:
        raise InputError(f"network must be one of {', '.join(NETWORKS)}; got {network!r}.")
    return NETWORKS[network](**options, seed=seed)


def folder_of(data: Path, name: str) -> Path:
    """`data/name` where that is there, else `data` itself."""
    return data / name if (data / name).exists() else data


def padded(batches: SequenceBatches) -> str:
    """A line on what padding costs."""
    shares = ", ".join(f"{share:.1%} of {name}" for name, share in batches.padding().items())
    return f"padding: {shares}"


def counted_unknown(vocabulary: Vocabulary, texts: list[Any], what: str) -> str:
    """A line on what a test asks that was not there to be learned."""
    n, total = vocabulary.n_unknown(texts), sum(map(len, texts))
    return f"{n:,} of {total:,} {what} of the test are not in the vocabulary: read as unknown"
