"""A recurrent network from the named sounds, series or texts of a pile, beside a head on its vectors."""

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sortal.arrays import Labels, Mask, Vectors
from sortal.data.vocabulary import Vocabulary
from sortal.embed import OnnxSequence
from sortal.embed.recurrent_body import trained_encoder
from sortal.embed.sequence_options import (
    SequencePreprocess,
    SeriesPreprocess,
    SoundPreprocess,
    TextPreprocess,
)
from sortal.errors import InputError
from sortal.learning import HELD_OUT, Start
from sortal.nets.sequence_classifier import SequenceClassifier
from sortal.progress import Progress
from sortal.tasks import Batch, SequenceClassify
from sortal.train import Head, save_model
from sortal.train.beside import Beside, beside
from sortal.train.curve import epoch_line
from sortal.train.device import choose_device
from sortal.train.head import judged_head, train_head
from sortal.train.labels import balancing_weights, check_labels
from sortal.train.loop import train
from sortal.train.model_folder import check_target
from sortal.train.plan import Plan
from sortal.train.sequence.prepared import counted_unknown
from sortal.train.sequence.recipes import ADAM
from sortal.train.sequence.spoken import N_MELS, QUIETEST, Blur
from sortal.train.sequence_batches import SequenceBatches
from sortal.train.split import held_out_mask

__all__ = ["CELLS", "NamedSequences", "learn_sequences", "wanted"]

CELLS = {"gru": "GRU", "lstm": "LSTM", "rnn": "RNN"}
EPOCHS = 40
# Steps of one item: what is behind them is not read. A batch of 32 keeps some 400 MB for the way back.
MOST_STEPS = {"sound": 1_000, "series": 1_000, "text": 400}
LEAST_TIMES = 2  # a character that stands once in all that is learned from teaches nothing
SYMBOL_WIDTH = 32
Alter = Callable[[Batch, torch.Generator], Batch]


@dataclass(frozen=True)
class NamedSequences:
    """Items with the number of their name, and their vectors in the pile; `of` names what made those.

    Items numbered len(names) are "none of these" and come last.
    """

    items: list[Any]
    labels: Labels
    names: tuple[str, ...]
    vectors: Vectors
    of: str

    def take(self, rows: np.ndarray) -> "NamedSequences":
        rows = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
        items = [self.items[row] for row in rows]
        return NamedSequences(items, self.labels[rows], self.names, self.vectors[rows], self.of)


def wanted(kind: str) -> SequencePreprocess:
    """How items of this kind are read for learning; what depends on them (`_fitted`) is not settled yet."""
    if kind == "sound":
        return SoundPreprocess(mels=N_MELS, floor=QUIETEST, scale="item", length=MOST_STEPS["sound"])
    if kind == "series":
        return SeriesPreprocess(length=MOST_STEPS["series"])
    return TextPreprocess(length=MOST_STEPS["text"])


def learn_sequences(
    given: NamedSequences,
    start: Start,
    into: str | os.PathLike[str],
    *,
    seed: int,
    read: dict[str, Any],
    trained_on: str,
    n_named_by_group: int,
    progress: Progress,
) -> Head:
    """Train a network on four fifths of `given`, judge it by the others, and save it as a model folder.

    A plain head on the pile's vectors learns from the same items and is judged by the same: card and page say
    which is the better choice. A run that was stopped goes on from INTO.training, which is gone at the end.
    `read` is how the pile's files become items.
    """
    check_start(start)
    check_target(Path(os.path.abspath(into)))
    named = given.labels < len(given.names)
    check_labels(given.labels[named], given.names, held_out=True)
    held = held_out_mask(given.labels, HELD_OUT, seed)
    want = _fitted(wanted(read["kind"]), given.take(~held).items)
    for line in _facts(want, given.items, given.take(held).items):
        progress.say(line)
    run = Path(f"{os.path.abspath(into)}.training")
    net = _trained(given.take(~held), want, start, seed, run, progress)
    encoder = trained_encoder(net, want)
    encoder.name = start.net
    head, compared = _judged(net, encoder, given, held, seed)
    encoder.trained = {"beside": compared.as_json()}
    _save(into, head, encoder, compared, start, read, trained_on, n_named_by_group)
    shutil.rmtree(run, ignore_errors=True)
    return head


def check_start(start: Start) -> None:
    """`InputError` before anything is read."""
    if start.net not in CELLS:
        raise InputError(
            f"net must be one of {', '.join(CELLS)} for sounds, series and texts; got {start.net!r}."
        )
    if start.weights is not None or start.how not in ("auto", "scratch"):
        raise InputError(f"{start.net} learns from nothing here: leave out weights and how.")
    if type(start.epochs) is not int or start.epochs < 1:
        raise InputError(f"epochs must be a whole number from 1; got {start.epochs!r}.")


def _fitted(want: SequencePreprocess, items: Sequence[Any]) -> SequencePreprocess:
    """With what is taken from the items that are learned from: channels and their spread, letters."""
    if isinstance(want, SeriesPreprocess):
        widths = sorted({len(one) for one in items})
        if len(widths) > 1:
            raise InputError(f"series must have one number of channels to learn from; these have {widths}.")
        steps = np.concatenate([one.T[: want.length] for one in items])
        spread = np.where(steps.std(axis=0) > 0, steps.std(axis=0), 1.0)
        mean = tuple(map(float, steps.mean(axis=0)))
        return replace(want, channels=steps.shape[1], mean=mean, std=tuple(map(float, spread)))
    if isinstance(want, TextPreprocess):
        letters = "".join(Vocabulary.of((text[: want.length] for text in items), LEAST_TIMES).symbols)
        if not letters:
            raise InputError("texts must share characters to learn from; none stands there twice.")
        return replace(want, letters=letters)
    return want


def _facts(want: SequencePreprocess, items: Sequence[Any], held: Sequence[Any]) -> list[str]:
    """What is not read of them."""
    n_steps = [one.shape[1] if want.kind == "series" else len(one) for one in items]
    cut = sum(n > (want.length or n) for n in n_steps)
    said = []
    if cut:
        said.append(f"{cut:,} of {len(items):,} items are longer than {want.length:,} steps: read that far")
    if isinstance(want, TextPreprocess):
        texts = [text[: want.length] for text in held]
        said.append(counted_unknown(Vocabulary(tuple(want.letters or "")), texts, "letters"))
    return said


def _steps(want: SequencePreprocess, items: Sequence[Any]) -> list[np.ndarray]:
    """What the encoder will read of each item."""
    if isinstance(want, TextPreprocess):
        known = Vocabulary(tuple(want.letters or ""))
        return [known.numbers(text[: want.length]) for text in items]
    return [want.steps(one)[: want.length] for one in items]


def _trained(
    learned: NamedSequences, want: SequencePreprocess, start: Start, seed: int, run: Path, progress: Progress
) -> SequenceClassifier:
    where = choose_device(start.device)
    progress.say(f"device: {where}")
    n_answers = int(learned.labels.max()) + 1
    weights, said = balancing_weights(learned.labels, (*learned.names, "none of these")[:n_answers])
    if said:
        progress.say(said)
    alter: Alter | None = Blur() if want.kind == "sound" else None
    columns = {"inputs": _steps(want, learned.items), "labels": list(learned.labels)}
    batches = SequenceBatches(columns, start.batch_size, seed=seed, alter=alter)
    plan = _plan(start, seed)
    text = isinstance(want, TextPreprocess)
    net = SequenceClassifier(
        len(want.letters or "") + 4 if isinstance(want, TextPreprocess) else want.width or 1, n_answers,
        hidden=96, layers=1 if text else 2, cell=CELLS[start.net], bidirectional=True, dropout=0.3,
        symbol_width=SYMBOL_WIDTH if text else None, seed=seed,
    )  # fmt: skip
    train(
        net, SequenceClassify(weights=weights), batches, plan, device=where, folder=run, progress=progress,
        on_epoch=lambda epoch: progress.say(epoch_line(epoch, plan.epochs)),
    )  # fmt: skip
    return net.cpu().eval()


def _plan(start: Start, seed: int) -> Plan:
    warm = min(2.0, start.epochs / 4)
    lr = 3e-3 if start.peak_lr is None else start.peak_lr
    return replace(ADAM, epochs=start.epochs, peak_lr=lr, warmup_epochs=warm, seed=seed)


def _judged(
    net: SequenceClassifier, encoder: OnnxSequence, given: NamedSequences, held: Mask, seed: int
) -> tuple[Head, Beside]:
    """Its head, and how it stands beside the one on the pile's vectors, which learns from the same items."""
    blocks = range(0, len(given.items), encoder.batch)
    vectors = np.concatenate([encoder.embed(given.items[i : i + encoder.batch]) for i in blocks])
    linear = tuple(part.detach().numpy() for part in net.head.parameters())
    y, named = given.labels, given.labels < len(given.names)
    head = judged_head(
        given.names, (linear[0], linear[1]), (vectors[~held], y[~held]), (vectors[held], y[held]),
        held_out=HELD_OUT, seed=seed,
    )  # fmt: skip
    plain = train_head(
        given.vectors[named], [given.names[i] for i in y[named]], none_vectors=given.vectors[~named],
        held_out=HELD_OUT, seed=seed,
    )  # fmt: skip
    rows = held & named
    right, plain_right = (
        one.classify(rows_of[rows]).name_index == y[rows]
        for one, rows_of in ((head, vectors), (plain, given.vectors))
    )
    return head, beside(encoder.name, right, given.of, plain_right)


def _save(
    into: str | os.PathLike[str], head: Head, encoder: OnnxSequence, compared: Beside, start: Start,
    read: dict[str, Any], trained_on: str, n_named_by_group: int,
) -> None:  # fmt: skip
    assert encoder.weights is not None
    made = {"how": "scratch", "epochs": start.epochs, "weights": None, "beside": compared.as_json()}
    save_model(
        into, head,
        encoder={"name": encoder.name, "digest": encoder.digest, "dim": encoder.dim, "spec": encoder.spec},
        input={"kind": encoder.input.kind, **encoder.input.as_json(), "read": read},
        trained_on=trained_on, n_named_by_group=n_named_by_group,
        extra_files={"encoder.onnx": encoder.weights},
        network={"name": start.net, "arguments": {"answers": len(head.weights)}, "training": made},
    )  # fmt: skip
