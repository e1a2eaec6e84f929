"""Losses, shares right, written answers and drawn texts, against what they are by definition."""

import itertools
import math

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from sortal import nets
from sortal.errors import InputError
from sortal.tasks import (
    Adding,
    Copying,
    LanguageModel,
    SequenceClassify,
    Tag,
    Write,
    beam_search,
    bits,
    greedy,
    sample,
)
from sortal.tasks.write import shifted

IDS = torch.tensor([[5, 6, 7, 8], [4, 7, 0, 0], [6, 6, 6, 0]])
LENGTHS = torch.tensor([4, 2, 3])
TARGETS = torch.tensor([[4, 5, 3], [3, 0, 0], [6, 3, 0]])


@pytest.fixture
def translator():
    return nets.Translator(12, 9, hidden=6, width=4, seed=3).eval()


def test_many_to_one_asks_with_lengths_and_without():
    net = nets.SequenceClassifier(12, 3, hidden=6, symbol_width=4, seed=0)
    labels = torch.tensor([0, 1, 2])
    batch = {"inputs": IDS, "lengths": LENGTHS, "labels": labels}
    wanted = cross_entropy(net(IDS, LENGTHS), labels)
    torch.testing.assert_close(SequenceClassify().loss(net, batch).loss, wanted)
    del batch["lengths"]
    torch.testing.assert_close(SequenceClassify().judge(net, batch).loss, cross_entropy(net(IDS), labels))


def test_tags_that_pad_are_asked_of_nobody():
    class Scores(nn.Module):
        def forward(self, words, spellings, lengths):
            return scores

    scores = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(0))
    tags = torch.tensor([[4, 2, 1], [3, 0, 0]])
    answer = Tag().loss(Scores(), {"words": tags, "spellings": tags, "lengths": tags, "tags": tags})
    asked = tags != 0
    assert answer.n == 4
    torch.testing.assert_close(answer.loss, cross_entropy(scores[asked], tags[asked]))
    assert int(answer.right) == int((scores[asked].argmax(1) == tags[asked]).sum())
    nothing = torch.zeros(1, 2, dtype=torch.long)
    scores = scores[:1, :2]
    empty = Tag().loss(
        Scores(), {"words": nothing, "spellings": nothing, "lengths": nothing, "tags": nothing}
    )
    assert (empty.n, float(empty.loss)) == (0, 0.0)


def test_writing_is_judged_by_whole_answers(translator):
    batch = {"inputs": IDS, "lengths": LENGTHS, "targets": TARGETS}
    answer = Write("translate").loss(translator, batch)
    log_p = translator(IDS, LENGTHS, shifted(TARGETS)).log_softmax(2)
    whole = log_p.gather(2, TARGETS[..., None])[..., 0].masked_fill(TARGETS == 0, 0).sum(1)
    torch.testing.assert_close(answer.loss, -whole.mean())
    assert answer.n == 3
    assert shifted(TARGETS).tolist() == [[2, 4, 5], [2, 3, 0], [2, 6, 3]]


@pytest.mark.parametrize("seed", range(4))
def test_counting_right_answers_is_counting_what_greedy_writing_writes(seed):
    """The claim of `Write`, on answers of which some are what the network itself writes."""
    net = nets.Translator(12, 7, hidden=8, width=4, seed=seed).eval()
    written = greedy(net, net.read(IDS, LENGTHS), 6)
    answers = [[*one, 3] if i % 2 else [*one[:-1], 4, 3] for i, one in enumerate(written)]
    targets = nn.utils.rnn.pad_sequence([torch.tensor(one) for one in answers], batch_first=True)
    said = Write("translate").judge(net, {"inputs": IDS, "lengths": LENGTHS, "targets": targets})
    again = greedy(net, net.read(IDS, LENGTHS), 7)
    assert int(said.right) == sum([*one, 3] == answer for one, answer in zip(again, answers))


def test_greedy_is_the_likeliest_symbol_after_the_likeliest(translator):
    state = translator.read(IDS, LENGTHS)
    found = greedy(translator, state, 5)
    for i, text in enumerate(found):
        written = [2]
        for symbol in text:
            one = {name: value[i : i + 1] for name, value in state.items()}
            assert int(translator.write(one, torch.tensor([written]))[0][0, -1].argmax()) == symbol
            written.append(symbol)
        assert 3 not in text
        assert len(text) <= 5


def test_a_beam_as_wide_as_all_answers_finds_the_best(translator):
    state = {name: value[:1] for name, value in translator.read(IDS, LENGTHS).items()}
    longest = 3

    def log_p(text):
        scores = translator.write(state, torch.tensor([[2, *text[:-1]]]))[0].log_softmax(2)[0]
        return scores[range(len(text)), list(text)].sum().item()

    others = [symbol for symbol in range(9) if symbol != 3]
    ended = [
        (*head, 3) for n in range(longest) for head in itertools.product(others, repeat=n)
    ]  # all answers of up to 3 symbols, the end among them
    best = max(ended, key=lambda text: log_p(text) / len(text))
    ((found, total),) = beam_search(translator, state, longest, width=9**3)
    assert (*found, 3) == best
    assert total == pytest.approx(log_p(best), abs=1e-5)


def test_a_beam_of_1_is_greedy(translator):
    state = translator.read(IDS, LENGTHS)
    assert [text for text, _ in beam_search(translator, state, 6, width=1)] == greedy(translator, state, 6)
    with pytest.raises(InputError, match="width must be at least 1; got 0"):
        beam_search(translator, state, 6, width=0)


class Count(nn.Module):
    """Says that after symbol s comes s + 1, surely; among symbols 4 to 8."""

    def __init__(self):
        super().__init__()
        self.none = nn.Parameter(torch.zeros(1))

    def forward(self, symbols, state=None):
        follows = (symbols - 4 + 1) % 5 + 4
        scores = 9.0 * nn.functional.one_hot(follows, 9)
        scores[..., :4] = 99.0  # what is no text would win
        return scores, torch.zeros(1)


def test_a_text_is_drawn_from_the_shares():
    assert sample(Count(), [4], 6, temperature=0) == [5, 6, 7, 8, 4, 5]
    assert sample(Count(), [4, 7], 2, temperature=0) == [8, 4]
    assert sample(Count(), [4], 50, temperature=100, top_k=1) == sample(Count(), [4], 50, temperature=0)
    assert sample(Count(), [4], 50, temperature=1e-40) == sample(Count(), [4], 50, temperature=0)
    hot = sample(Count(), [4], 200, temperature=100, seed=1)
    assert hot == sample(Count(), [4], 200, temperature=100, seed=1)
    assert set(hot) == {4, 5, 6, 7, 8}
    for wrong, rule in (
        ({"start": []}, "start must hold a symbol"),
        ({"temperature": -1}, "temperature must be 0 or more; got -1"),
        ({"top_k": 0}, "top_k must be at least 1; got 0"),
    ):
        asked = {"start": [4], "n": 1} | wrong
        with pytest.raises(InputError, match=rule):
            sample(Count(), **asked)


def test_bits():
    assert bits(math.log(8)) == pytest.approx(3)


@pytest.mark.parametrize("cell", ["GRU", "LSTM"])
def test_a_language_model_carries_its_state_and_no_gradient(cell):
    net, task = nets.SymbolModel(12, hidden=6, width=4, cell=cell, seed=0), LanguageModel()
    text = torch.randint(4, 12, (2, 9), generator=torch.Generator().manual_seed(0))

    def batch(low, high, first):
        return {
            "inputs": text[:, low:high],
            "targets": text[:, low + 1 : high + 1],
            "first": torch.tensor([first, first]),
        }

    whole = task.judge(net, batch(0, 8, True))
    parts = [task.loss(net, batch(0, 4, True))]
    kept = task.state()
    parts.append(task.loss(net, batch(4, 8, False)))
    torch.testing.assert_close((parts[0].loss + parts[1].loss) / 2, whole.loss)  # both have as many symbols
    parts[1].loss.backward()  # through its own piece alone: the first one's graph is not asked for
    fresh = LanguageModel()
    fresh.restore(kept)
    torch.testing.assert_close(fresh.judge(net, batch(4, 8, False)).loss, parts[1].loss)
    assert not torch.allclose(
        fresh.judge(net, batch(4, 8, True)).loss, parts[1].loss
    )  # forgets at a new text
    part = {name: value[:1] for name, value in batch(4, 8, False).items()}
    assert fresh.loss(net, part).n == 4  # as where a batch did not fit: from a new state
    assert LanguageModel().state() == {}
    fresh.restore({})
    assert fresh.carried is None


def test_memory_tasks_are_their_formulas():
    class Says(nn.Module):
        def forward(self, inputs):
            return answer

    answer = torch.tensor([[1.0], [1.5]])
    said = Adding().loss(Says(), {"inputs": answer, "targets": torch.tensor([1.02, 1.0])})
    assert float(said.loss) == pytest.approx((0.02**2 + 0.25) / 2)
    assert int(said.right) == 1
    answer = (torch.randn(2, 7, 10),)
    targets = torch.tensor([[1, 2, 3], [4, 5, 6]])
    said = Copying().loss(Says(), {"inputs": targets, "targets": targets})
    torch.testing.assert_close(said.loss, cross_entropy(answer[0][:, 4:].flatten(0, 1), targets.flatten()))
    assert said.n == 6


def test_scores_prefer_what_is_better():
    assert LanguageModel().score(1.0, 0.0) > LanguageModel().score(2.0, 0.9)
    assert Adding().score(1e-3, 0.0) > Copying().score(1e-2, 1.0)
    assert Tag().score(9.0, 0.9) > Tag().score(1.0, 0.8)
    assert Write("caption").score(9.0, 0.9) > Write("caption").score(1.0, 0.8)
