"""Networks of sequences: what pads changes nothing, weights come from the seed, a window has no memory."""

import pytest
import torch

from sortal import nets
from sortal.errors import InputError
from sortal.nets.glancing_writer import GlancingWriter
from sortal.nets.writer import Writer

IDS = torch.tensor([[5, 6, 7, 8, 9], [4, 7, 5, 0, 0]])
LENGTHS = torch.tensor([5, 3])


def classifier(seed=0, **options):
    return nets.SequenceClassifier(12, 3, hidden=6, symbol_width=4, seed=seed, **options)


BUILT = {
    "classifier": classifier,
    "cnn": lambda seed=0: nets.MelCNN(3, width=2, seed=seed),
    "tagger": lambda seed=0: nets.Tagger(
        12, 9, 5, hidden=6, word_width=4, letter_width=3, letter_hidden=3, seed=seed
    ),
    "translator": lambda seed=0: nets.Translator(12, 9, hidden=6, width=4, seed=seed),
    "captioner": lambda seed=0: nets.Captioner(9, size=16, width=4, hidden=6, seed=seed),
    "symbols": lambda seed=0: nets.SymbolModel(12, hidden=6, width=4, seed=seed),
    "window": lambda seed=0: nets.WindowNetwork(12, 3, hidden=6, seed=seed),
}


@pytest.mark.parametrize("name", BUILT)
def test_a_seed_gives_the_weights_and_leaves_torchs_generator(name):
    before = torch.get_rng_state()
    first, second, other = (BUILT[name](seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


@pytest.mark.parametrize("cell", ["RNN", "GRU", "LSTM"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_what_pads_a_classified_sequence_changes_nothing(cell, bidirectional):
    net = classifier(cell=cell, bidirectional=bidirectional).eval()
    together = net(IDS, LENGTHS)
    alone = net(IDS[1:, :3], LENGTHS[1:])
    torch.testing.assert_close(together[1:], alone, rtol=0, atol=1e-6)  # float32
    dirty = IDS.clone()
    dirty[1, 3:] = 11
    assert torch.equal(net(dirty, LENGTHS), together)


def test_a_sequence_of_length_0_is_answered_from_the_first_state():
    net = classifier().eval()
    found = net(IDS, torch.tensor([5, 0]))
    torch.testing.assert_close(found[1], net.head.bias)


def test_vectors_in():
    net = nets.SequenceClassifier(28, 10, hidden=8, layers=2, dropout=0.1, seed=0)
    assert net(torch.zeros(2, 7, 28)).shape == (2, 10)
    assert sum(p.numel() for p in net.rnn.parameters()) == 3 * 8 * (28 + 8 + 2) + 3 * 8 * (8 + 8 + 2)


def test_what_pads_a_clip_changes_nothing():
    net = BUILT["cnn"]().eval()
    clip = torch.randn(1, 16, 40, generator=torch.Generator().manual_seed(0))
    for n in (16, 13, 1):
        batch = torch.cat([clip[:, :n], torch.zeros(1, 8, 40)], 1)
        alone = net.embed(clip[:, :n])
        torch.testing.assert_close(net.embed(batch, torch.tensor([n])), alone, rtol=0, atol=1e-6)  # float32


def test_a_word_is_read_alike_wherever_it_stands():
    net = BUILT["tagger"]().eval()
    spellings = torch.tensor([[[4, 5, 0], [6, 0, 0], [4, 5, 0]], [[4, 5, 0], [0, 0, 0], [0, 0, 0]]])
    found = net.spelled(spellings)
    assert torch.equal(found[0, 0], found[0, 2])
    assert torch.equal(found[0, 0], found[1, 0])
    short = net.spelled(spellings[1:, :1, :2])
    torch.testing.assert_close(short[0, 0], found[0, 0], rtol=0, atol=1e-6)
    words = torch.tensor([[5, 6, 7], [8, 0, 0]])
    scores = net(words, spellings, torch.tensor([3, 1]))
    torch.testing.assert_close(net(words[1:, :1], spellings[1:, :1], torch.tensor([1]))[0, 0], scores[1, 0])


def test_a_tagger_forgets_words_only_while_it_learns():
    net = nets.Tagger(12, 9, 5, hidden=6, dropout=0.0, forget=0.999, seed=0)
    spellings, words = torch.full((1, 4, 2), 4), torch.tensor([[5, 6, 7, 0]])
    unknown = net.eval()(torch.tensor([[1, 1, 1, 0]]), spellings)
    assert not torch.equal(net(words, spellings), unknown)
    torch.manual_seed(0)
    assert torch.equal(net.train()(words, spellings), unknown)


@pytest.mark.parametrize("attention", [True, False])
def test_writing_at_once_and_symbol_by_symbol_agree(attention):
    net = nets.Translator(12, 9, hidden=6, width=4, attention=attention, seed=0).eval()
    written = torch.tensor([[2, 5, 6, 7], [2, 8, 4, 3]])
    whole = net(IDS, LENGTHS, written)
    state = net.read(IDS, LENGTHS)
    steps = []
    for t in range(4):
        scores, state = net.write(state, written[:, t : t + 1])
        steps.append(scores)
    torch.testing.assert_close(torch.cat(steps, 1), whole, rtol=0, atol=1e-6)
    alone = net(IDS[1:, :3], LENGTHS[1:], written[1:])
    torch.testing.assert_close(alone, whole[1:], rtol=0, atol=1e-6)  # nobody looks at what pads
    assert ("memory" in state) == attention


def test_attention_is_the_formula():
    writer = Writer(9, 6, 4, 5, 0.0).eval()
    memory, h = torch.randn(1, 3, 5), torch.randn(1, 6)
    here = torch.tensor([[True, True, False]])
    found, _ = writer({"h": h, "memory": memory, "here": here}, torch.tensor([[2, 7]]))
    fed = torch.zeros(1, 6)
    for step, symbol in enumerate([2, 7]):
        said = torch.cat([writer.symbols.weight[None, symbol], fed], 1)
        (h,), _ = nets.GRU.cell(said, (h,), *writer.rnn.all_weights[0])
        scores = torch.einsum("bd,dm,bnm->bn", h, writer.score.weight, memory)[:, :2]
        context = torch.einsum("bn,bnm->bm", scores.softmax(1), memory[:, :2])
        fed = torch.tanh(writer.mix(torch.cat([h, context], 1)))
        torch.testing.assert_close(found[:, step], writer.head(fed))


def test_where_nothing_is_there_nothing_is_looked_at():
    shares = Writer.weights(torch.randn(1, 6), torch.randn(1, 6, 3), torch.tensor([[True, False, True]]))
    assert shares[0, 0, 1] == 0
    torch.testing.assert_close(shares.sum(), torch.tensor(1.0))


def test_a_captioner_says_what_images_it_takes():
    net = BUILT["captioner"]()
    assert net(torch.zeros(2, 1, 16, 16), None, torch.tensor([[2, 4], [2, 5]])).shape == (2, 2, 9)
    with pytest.raises(InputError, match=r"shape \(batch, 1, 16, 16\); got \(2, 3, 16, 16\)"):
        net.read(torch.zeros(2, 3, 16, 16))
    with pytest.raises(InputError, match="size must be a multiple of 24, the size of a place; got 32"):
        nets.Captioner(9, size=32, cell=24)
    with pytest.raises(InputError, match="cell must be a multiple of 8"):
        nets.Captioner(9, size=30, cell=15)


def test_captions_at_once_and_word_by_word_agree():
    net = nets.Captioner(9, size=24, width=4, hidden=6, seed=0).eval()
    images, written = torch.rand(2, 1, 24, 24), torch.tensor([[2, 5, 6, 7], [2, 8, 4, 3]])
    state, steps = net.read(images), []
    for t in range(4):
        scores, state = net.write(state, written[:, t : t + 1])
        steps.append(scores)
    torch.testing.assert_close(torch.cat(steps, 1), net(images, None, written), rtol=0, atol=1e-6)
    torch.testing.assert_close(state["sum"].sum(1), torch.full((2,), 4.0))  # a share of 1 for each word
    assert all(len(one) == 2 for one in state.values())


def test_a_glance_is_the_formula():
    writer = GlancingWriter(9, 6, 4, 5, 2, 0.0).eval()
    memory, h = torch.randn(1, 4, 5), torch.randn(1, 6)
    found, state = writer(writer.begin(h, memory), torch.tensor([[2, 7]]))
    fed, shares, total, at = torch.zeros(1, 6), torch.zeros(4), torch.zeros(4), torch.zeros(2)
    where = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    for step, symbol in enumerate([2, 7]):
        said = torch.cat([writer.symbols.weight[None, symbol], fed], 1)
        (h,), _ = nets.GRU.cell(said, (h,), *writer.rnn.all_weights[0])
        last, summed = writer.been(h)[0]
        line = torch.cat([2 * where - 1, torch.ones(4, 1)], 1)  # sines of whole half turns are 0
        axes = writer.where.weight.reshape(2, 9, 6)
        cosines = (axes[:, 5:] * torch.tensor([-1.0, 1.0, -1.0, 1.0])[:, None]).sum((0, 1))
        placed = line @ torch.stack([*axes[:, 0], cosines]) @ h[0]
        scores = memory[0] @ writer.what.weight @ h[0] + placed + last * shares + summed * total
        shares = scores.softmax(0)
        total, before, at = total + shares, at, shares @ where
        moved = at - before
        context = shares @ memory[0]
        fed = torch.tanh(writer.mix(torch.cat([h[0], context, moved, moved.abs()])))[None]
        torch.testing.assert_close(found[0, step], writer.head(torch.cat([fed[0], context])))
    torch.testing.assert_close(state["at"][0], at)


def test_a_writer_hears_how_its_glance_moved_not_where_it_is():
    """What is seen, moved by a place, changes a word only through the score of places: here there is none."""
    writer = GlancingWriter(9, 6, 4, 5, 3, 0.0).eval()
    torch.nn.init.zeros_(writer.where.weight)
    torch.nn.init.zeros_(writer.mix.weight[:, -4:])
    memory = torch.randn(1, 9, 5)
    words = torch.tensor([[2, 7, 4]])
    first, _ = writer(writer.begin(torch.zeros(1, 6), memory), words)
    second, _ = writer(writer.begin(torch.zeros(1, 6), memory.roll(1, 1)), words)
    torch.testing.assert_close(first, second)


@pytest.mark.parametrize("name", ["symbols", "window"])
def test_a_text_in_pieces_is_a_text(name):
    net = BUILT[name]().eval()
    text = torch.arange(14).remainder(12)[None]
    whole, _ = net(text)
    pieces, state = [], None
    for low, high in ((0, 1), (1, 6), (6, 8), (8, 14)):
        scores, state = net(text[:, low:high], state)
        pieces.append(scores)
    torch.testing.assert_close(torch.cat(pieces, 1), whole, rtol=0, atol=1e-6)


def test_a_window_is_a_linear_layer_on_one_hot_vectors():
    net = BUILT["window"]()
    text = torch.tensor([[3, 7, 1]])
    one_hot = torch.nn.functional.one_hot(text[0], 12).float().flatten()
    h = torch.tanh(one_hot @ net.first.weight + net.bias)
    torch.testing.assert_close(net(text)[0][0, -1], net.head(h))
    assert net.first.weight.numel() == 3 * 12 * 6


def test_a_window_has_no_memory_and_a_state_has():
    far, near = torch.tensor([[1, 2, 3, 4, 5, 6]]), torch.tensor([[9, 9, 9, 4, 5, 6]])
    window, symbols = BUILT["window"](), BUILT["symbols"]()
    assert torch.equal(window(far)[0][:, -1], window(near)[0][:, -1])
    assert not torch.equal(symbols(far)[0][:, -1], symbols(near)[0][:, -1])
    with pytest.raises(InputError, match="window must be at least 1"):
        nets.WindowNetwork(12, 0)
