"""Which language a surname is of. Judged by the mean over languages: half of all names are Russian."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from sortal.data.surnames import Surnames, load_surnames
from sortal.data.vocabulary import Vocabulary
from sortal.tasks import SequenceClassify
from sortal.train.device import Device
from sortal.train.labels import balancing_weights
from sortal.train.sequence import stand_ins
from sortal.train.sequence.prepared import Figures, Prepared, counted_unknown, folder_of, padded
from sortal.train.sequence.recipes import SequenceRecipe
from sortal.train.sequence_batches import SequenceBatches
from sortal.train.split import held_out_mask

__all__ = ["answers", "by_name", "prepare", "split"]


def prepare(recipe: SequenceRecipe, data: Path | None) -> Prepared:
    whole = load_surnames(folder_of(data, "names")) if data else stand_ins.surnames()
    learned, tested = split(whole)
    learned, tested = learned[: recipe.n_train], tested[: recipe.n_test]
    letters = Vocabulary.of(whole.names[i] for i in learned)

    def batches(rows: np.ndarray, *, shuffled: bool) -> SequenceBatches:
        columns = {
            "inputs": [letters.numbers(whole.names[i]) for i in rows],
            "labels": list(whole.labels[rows]),
        }
        return SequenceBatches(columns, recipe.batch_size, shuffled=shuffled, seed=recipe.plan.seed)

    learn, test = batches(learned, shuffled=True), batches(tested, shuffled=False)
    weights, said = balancing_weights(whole.labels[learned], whole.languages)
    texts = [whole.names[i] for i in tested]
    facts = (
        f"{len(learned):,} names to learn from, {len(tested):,} to test, of {len(whole.languages)} "
        "languages; "
        f"{whole.n_repeated:,} lines repeated a name",
        padded(learn),
        counted_unknown(letters, texts, "letters"),
        said or "languages are even",
    )

    def judge(net: nn.Module, device: Device) -> Figures:
        said, wanted = answers(net, test, device)
        return by_name(said, wanted, whole.languages)

    return Prepared(
        network="SequenceClassifier",
        options={"inputs": len(letters), "answers": len(whole.languages), **recipe.net},
        task=SequenceClassify(weights=weights), learn=learn, judge=judge, facts=facts,
        symbols={"letters": letters, "answers": Vocabulary(whole.languages)},
    )  # fmt: skip


def split(whole: Surnames) -> tuple[np.ndarray, np.ndarray]:
    """Rows to learn from and a fifth to test, each in random order. No spelling stands on both sides.

    A spelling of two languages goes where its first one is drawn to.
    """
    first = {name: i for i, name in reversed(list(enumerate(whole.names)))}
    distinct = np.array(sorted(first.values()))
    held = dict(zip((whole.names[i] for i in distinct), held_out_mask(whole.labels[distinct], 0.2, 0)))
    tested = np.array([held[name] for name in whole.names])
    order = np.random.default_rng(0).permutation(len(whole))
    return order[~tested[order]], order[tested[order]]


@torch.inference_mode()
def answers(net: nn.Module, batches: SequenceBatches, device: Device) -> tuple[np.ndarray, np.ndarray]:
    """What the network says of each item, and what it should have, in the order of the batches."""
    net.eval()
    said, wanted = [], []
    for batch in batches.epoch(0):
        placed = {name: value.to(device.device) for name, value in batch.items()}
        said.append(net(placed["inputs"], placed["lengths"]).argmax(1).cpu().numpy())
        wanted.append(batch["labels"].numpy())
    return np.concatenate(said), np.concatenate(wanted)


def by_name(said: np.ndarray, wanted: np.ndarray, names: tuple[str, ...]) -> Figures:
    """Shares right, over all and as a mean over names; what is taken for what."""
    k = len(names)
    table = np.bincount(wanted * k + said, minlength=k * k).reshape(k, k)
    asked = table.sum(1)
    recall = table.diagonal() / np.maximum(asked, 1)
    numbers = {"right": float((said == wanted).mean()), "macro": float(recall[asked > 0].mean())}
    lines = [f"{recall[i]:6.1%} of {asked[i]:>5,}  {names[i]}" for i in range(k) if asked[i]]
    wrong = table - np.diag(table.diagonal())
    for cell in np.argsort(-wrong, axis=None, kind="stable")[:10]:
        true, called = divmod(int(cell), k)
        if wrong[true, called]:
            lines.append(f"{wrong[true, called]:,} of {names[true]} called {names[called]}")
    return Figures(numbers, tuple(lines))
