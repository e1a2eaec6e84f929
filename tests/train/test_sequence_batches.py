"""Batches of sequences: every item once an epoch, little padding, the order from seed and epoch alone."""

import numpy as np
import pytest
import torch

from sortal.errors import InputError
from sortal.train.sequence_batches import SequenceBatches, TextBatches


def columns(n=203, seed=0):
    chance = np.random.default_rng(seed)
    lengths = chance.integers(1, 40, n)
    return {
        "inputs": [np.full(length, i + 1) for i, length in enumerate(lengths)],
        "labels": list(np.arange(n)),
        "targets": [np.full(length + i % 3, i + 1) for i, length in enumerate(lengths)],
    }


def test_every_item_once_an_epoch_and_padded_with_0():
    batches = SequenceBatches(columns(), 16)
    found = []
    for batch in batches.epoch(0):
        assert len(batch["labels"]) in (15, 16)  # sizes differ by one at most
        for row, label, length in zip(batch["inputs"], batch["labels"], batch["lengths"]):
            assert row[:length].tolist() == [int(label) + 1] * int(length)
            assert not row[length:].any()
            found.append(int(label))
        assert batch["inputs"].shape[1] == batch["lengths"].max()
    assert sorted(found) == list(range(203))
    assert len(list(batches.epoch(0))) == len(batches) == 13


def test_the_order_is_that_of_seed_and_epoch():
    def labels(batches, number, start=0):
        return [batch["labels"].tolist() for batch in batches.epoch(number, start)]

    first, again, other = (SequenceBatches(columns(), 16, seed=seed) for seed in (1, 1, 2))
    assert labels(first, 3) == labels(again, 3)
    assert labels(first, 3) != labels(first, 4)
    assert labels(first, 3) != labels(other, 3)
    assert labels(first, 3, start=5) == labels(first, 3)[5:]
    judged = SequenceBatches(columns(), 16, shuffled=False)
    assert labels(judged, 0) == labels(judged, 7)
    assert first.as_json() == again.as_json() != other.as_json()


def test_padding_is_what_it_says_and_little():
    batches = SequenceBatches(columns(2_000), 32)
    said = batches.padding()
    empty = total = 0
    for batch in batches.epoch(0):
        empty += int((batch["targets"] == 0).sum())
        total += batch["targets"].numel()
    assert said["targets"] == pytest.approx(empty / total)
    assert said["targets"] < 0.05
    unsorted = [batches._lengths["targets"][rows] for rows in np.array_split(np.arange(2_000), len(batches))]
    assert 1 - batches._lengths["targets"].sum() / sum(len(part) * part.max() for part in unsorted) > 0.3


def test_what_is_altered_comes_again_with_the_epoch():
    def noise(batch, chance):
        return batch | {"noise": torch.rand(2, generator=chance)}

    batches = SequenceBatches(columns(40), 8, alter=noise)
    first, again = (torch.stack([batch["noise"] for batch in batches.epoch(1)]) for _ in range(2))
    assert torch.equal(first, again)
    assert len(first.unique()) == 10
    rest = [batch["noise"] for batch in batches.epoch(1, 3)]
    assert torch.equal(torch.stack(rest), first[3:])
    judged = SequenceBatches(columns(40), 8, alter=noise, shuffled=False)
    assert "noise" not in next(judged.epoch(0))


def test_steps_may_be_vectors_and_tables():
    batches = SequenceBatches({"inputs": [np.ones((2, 3), np.float32), np.ones((4, 5), np.float32)]}, 2)
    (batch,) = batches.epoch(0)
    assert batch["inputs"].shape == (2, 4, 5)
    assert batch["inputs"].sum() == 6 + 20


@pytest.mark.parametrize(
    ("lengths", "said"),
    [
        ([3, 0, 2, 0], "inputs must have a step in every sequence; 2 of 4 are empty, the first is number 1"),
        ([3, 60], "inputs must have at most 50 steps in a sequence.*; number 1 has 60. Cut it into pieces"),
        ([], "batches need a size and a sequence; got 2 and 0 sequences"),
    ],
)
def test_sequences_that_cannot_be_learned_from_are_named(lengths, said):
    with pytest.raises(InputError, match=said):
        SequenceBatches({"inputs": [np.ones(n) for n in lengths]}, 2, max_steps=50)


def test_a_text_is_read_once_in_rows():
    text = np.arange(100)
    batches = TextBatches(text, 3, 10, shuffled=False)
    seen = list(batches.epoch(0))
    assert len(seen) == len(batches) == 3
    whole = torch.cat([batch["inputs"] for batch in seen], 1)
    assert whole.tolist() == [list(range(i * 33, i * 33 + 30)) for i in range(3)]
    assert all(torch.equal(batch["targets"], batch["inputs"] + 1) for batch in seen)
    assert [batch["first"].tolist() for batch in seen] == [[True] * 3, [False] * 3, [False] * 3]
    late = TextBatches(text, 3, 10, seed=1)
    begins = {int(next(late.epoch(number))["inputs"][0, 0]) for number in range(30)}
    assert begins == set(range(10))
    assert max(int(batch["targets"].max()) for number in range(30) for batch in late.epoch(number)) <= 99
    rest = list(late.epoch(2, 1))
    assert torch.equal(rest[0]["inputs"], list(late.epoch(2))[1]["inputs"])


def test_a_text_that_is_too_short():
    with pytest.raises(InputError, match="at least 31 symbols for 3 streams in pieces of 10; it has 30"):
        TextBatches(np.arange(30), 3, 10, shuffled=False)
