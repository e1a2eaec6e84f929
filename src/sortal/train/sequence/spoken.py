"""Which digit is spoken, from the log-mel picture of a clip, step by step or as a picture."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from sortal.data.spectrum import log_mel
from sortal.data.spoken_digits import RATE, load_spoken_digits
from sortal.errors import InputError
from sortal.tasks import Batch, SequenceClassify
from sortal.train.device import Device
from sortal.train.sequence import stand_ins
from sortal.train.sequence.prepared import Figures, Prepared, folder_of, padded
from sortal.train.sequence.recipes import SequenceRecipe
from sortal.train.sequence.surnames import answers, by_name
from sortal.train.sequence_batches import SequenceBatches

__all__ = ["Blur", "prepare", "steps_of"]

DIGITS = tuple("0123456789")
N_MELS = 40
QUIETEST = -14.0  # below it clips differ by how they were cut, some in digital silence
TEST_TAKES = 5  # of each speaker and digit, the first ones: the official split


@dataclass(frozen=True)
class Blur:
    """Other clips of the same words: pitch moved by up to `shift` bands, some bands and some steps hidden.

    Source: Park et al. 2019, SpecAugment, arXiv:1904.08779; the shift stands for other throats.
    """

    shift: int = 2
    bands: int = 8
    steps: int = 8
    noise: float = 0.1

    def __call__(self, batch: Batch, chance: torch.Generator) -> Batch:
        inputs = batch["inputs"]
        n, n_steps, n_bands = inputs.shape
        here = (torch.arange(n_steps) < batch["lengths"][:, None])[..., None]

        def drawn(most: int) -> torch.Tensor:
            return torch.randint(most, (n, 1), generator=chance)

        moved = torch.arange(n_bands) + drawn(2 * self.shift + 1) - self.shift
        columns = moved.clamp(0, n_bands - 1)[:, None].expand(-1, n_steps, -1)
        inputs = inputs.gather(2, columns) + self.noise * torch.randn(inputs.shape, generator=chance)
        hidden = _stretch(n_bands, drawn(n_bands), drawn(self.bands + 1))[:, None]
        hidden = hidden | _stretch(n_steps, drawn(n_steps), drawn(self.steps + 1))[..., None]
        return batch | {"inputs": inputs.masked_fill(hidden | ~here, 0)}


def prepare(recipe: SequenceRecipe, data: Path | None) -> Prepared:
    """The official split, or with the option `leave_out` all clips of one speaker as the test."""
    clips = load_spoken_digits(_clips_of(data)) if data else stand_ins.spoken_digits()
    speaker = recipe.options.get("leave_out")
    if speaker is not None and speaker not in clips.speakers:
        raise InputError(
            f"leave_out must be one of {', '.join(sorted(set(clips.speakers)))}; got {speaker!r}."
        )
    tested = clips.takes < TEST_TAKES if speaker is None else np.array(clips.speakers) == speaker
    order = np.random.default_rng(0).permutation(len(clips))
    learned, test_rows = order[~tested[order]][: recipe.n_train], order[tested[order]][: recipe.n_test]

    def batches(rows: np.ndarray, *, shuffled: bool) -> SequenceBatches:
        columns = {"inputs": [steps_of(clips.waves[i]) for i in rows], "labels": list(clips.labels[rows])}
        alter = Blur() if shuffled else None
        return SequenceBatches(
            columns, recipe.batch_size, shuffled=shuffled, seed=recipe.plan.seed, alter=alter
        )

    learn, test = batches(learned, shuffled=True), batches(test_rows, shuffled=False)
    network = recipe.options.get("network", "SequenceClassifier")
    inputs = {"inputs": N_MELS} if network == "SequenceClassifier" else {}
    who = f"all of {speaker}" if speaker else f"takes 0 to {TEST_TAKES - 1} of each speaker"
    facts = (f"{len(learned):,} clips to learn from, {len(test_rows):,} to test ({who})", padded(learn))

    def judge(net: nn.Module, device: Device) -> Figures:
        return by_name(*answers(net, test, device), DIGITS)

    return Prepared(
        network=network, options={**inputs, "answers": 10, **recipe.net}, task=SequenceClassify(),
        learn=learn, judge=judge, facts=facts,
    )  # fmt: skip


def steps_of(wave: np.ndarray) -> np.ndarray:
    """The log-mel steps of a clip, of mean 0 and deviation 1, so that loudness says nothing."""
    mel = np.maximum(log_mel(wave, RATE, N_MELS), QUIETEST)
    return np.asarray((mel - mel.mean()) / max(float(mel.std()), 1e-3))


def _clips_of(data: Path) -> Path:
    folder = folder_of(data, "fsdd")
    return folder_of(folder, "recordings.zip") if folder.is_dir() else folder


def _stretch(n: int, begin: torch.Tensor, width: torch.Tensor) -> torch.Tensor:
    at = torch.arange(n)
    return (at >= begin) & (at < begin + width)
