"""Parts of speech: a tag for each word, words that were never learned reported apart."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import nn

from sortal.data.conllu import Sentence, read_conllu
from sortal.data.lines import plain_or_gzipped
from sortal.data.vocabulary import Vocabulary
from sortal.errors import InputError
from sortal.tasks import Tag
from sortal.train.device import Device
from sortal.train.sequence import stand_ins
from sortal.train.sequence.prepared import Figures, Prepared, counted_unknown, folder_of, padded
from sortal.train.sequence.recipes import SequenceRecipe
from sortal.train.sequence_batches import SequenceBatches

__all__ = ["columns_of", "prepare", "tagged"]

LONGEST_SPELLING = 24  # letters that are read of a word: addresses of web pages have up to 473
LEAST = 2  # a word that was seen once teaches its number nothing: it is learned as unknown


def prepare(recipe: SequenceRecipe, data: Path | None) -> Prepared:
    parts = _parts(data)
    learned, valid, tested = (
        part[:limit] for part, limit in zip(parts, (recipe.n_train, recipe.n_test, recipe.n_test))
    )
    words = Vocabulary.of(([word.lower() for word in one.words] for one in learned), LEAST)
    symbols = {
        "words": words,
        "letters": Vocabulary.of(word for one in learned for word in one.words),
        "tags": Vocabulary.of(one.tags for one in learned),
    }

    def batches(sentences: list[Sentence], *, shuffled: bool) -> SequenceBatches:
        columns = [columns_of(one.words, one.tags, symbols) for one in sentences]
        by_name = {name: [one[name] for one in columns] for name in columns[0]}
        return SequenceBatches(by_name, recipe.batch_size, shuffled=shuffled, seed=recipe.plan.seed)

    learn, test = batches(learned, shuffled=True), batches(tested, shuffled=False)
    texts = [[word.lower() for word in one.words] for one in tested]
    facts = (
        f"{len(learned):,} sentences to learn from, {len(valid):,} to choose the epoch by, {len(tested):,} "
        "to test",
        f"{len(words):,} words that stood there {LEAST} times or more",
        counted_unknown(words, texts, "words"),
        padded(learn),
    )
    # In lower case, all words of the sentences that were learned from, however rare.
    seen = {word.lower() for one in learned for word in one.words}
    new = [np.array([word not in seen for word in text]) for text in texts]

    def judge(net: nn.Module, device: Device) -> Figures:
        return _figures(net, test, new, symbols["tags"], device)

    options = {name: len(one) for name, one in symbols.items()}
    return Prepared(
        network="Tagger", options={**options, **recipe.net}, task=Tag(), learn=learn,
        valid=batches(valid, shuffled=False), judge=judge, symbols=symbols, facts=facts,
    )  # fmt: skip


def columns_of(
    words: tuple[str, ...], tags: tuple[str, ...] | None, symbols: Mapping[str, Vocabulary]
) -> dict[str, np.ndarray]:
    """A sentence as numbers: words in lower case, spellings (T, letters) as they are, tags."""
    spellings = np.zeros((len(words), LONGEST_SPELLING), np.int64)
    for row, word in zip(spellings, words):
        letters = symbols["letters"].numbers(word[:LONGEST_SPELLING])
        row[: len(letters)] = letters
    columns = {"words": symbols["words"].numbers([word.lower() for word in words]), "spellings": spellings}
    return columns if tags is None else columns | {"tags": symbols["tags"].numbers(tags)}


@torch.inference_mode()
def tagged(net: nn.Module, words: tuple[str, ...], symbols: Mapping[str, Vocabulary]) -> list[str]:
    """A tag for each word of one sentence."""
    if not words:
        raise InputError("a sentence must have a word to tag; it is empty.")
    columns = columns_of(words, None, symbols)
    batch = {name: torch.from_numpy(one)[None] for name, one in columns.items()}
    scores = net.eval()(batch["words"], batch["spellings"])[0]
    return [symbols["tags"].symbols[i] for i in scores[:, 4:].argmax(1).tolist()]  # 0 to 3 are no tags


@torch.inference_mode()
def _figures(
    net: nn.Module, test: SequenceBatches, new: list[np.ndarray], tags: Vocabulary, device: Device
) -> Figures:
    net.eval()
    said, wanted, unseen = [], [], []
    for rows, batch in zip(test.rows(0), test.epoch(0)):
        placed = {name: value.to(device.device) for name, value in batch.items()}
        found = net(placed["words"], placed["spellings"], placed["lengths"]).argmax(2).cpu().numpy()
        for row, answer, right in zip(rows, found, batch["tags"].numpy()):
            n = len(new[row])
            said.append(answer[:n])
            wanted.append(right[:n])
            unseen.append(new[row])
    right, is_new = np.concatenate(said) == np.concatenate(wanted), np.concatenate(unseen)
    numbers = {"right": float(right.mean()), "new words": float(is_new.mean())}
    if is_new.any():
        numbers["right of new words"] = float(right[is_new].mean())
    lines = []
    for number, tag in enumerate(tags.symbols, 4):
        of_it = np.concatenate(wanted) == number
        if of_it.any():
            lines.append(f"{right[of_it].mean():6.1%} of {of_it.sum():>6,}  {tag}")
    return Figures(numbers, tuple(lines))


def _parts(data: Path | None) -> tuple[list[Sentence], list[Sentence], list[Sentence]]:
    if data is None:
        whole = stand_ins.sentences()
        return whole[:180], whole[180:240], whole[240:]
    folder = folder_of(data, "text")
    learn, valid, test = (
        read_conllu(plain_or_gzipped(folder / f"en_ewt-ud-{part}.conllu"))
        for part in ("train", "dev", "test")
    )
    return learn, valid, test
