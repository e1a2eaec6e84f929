import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from sortal.embed import rebuild
from sortal.embed.recurrent_body import trained_encoder
from sortal.embed.sequence_options import SeriesPreprocess, TextPreprocess
from sortal.errors import DataError
from sortal.nets import SequenceClassifier


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SORTAL_CACHE", str(tmp_path / "cache"))


def embedded(net, steps):
    with torch.inference_mode():
        return net.eval().embed(torch.from_numpy(steps)[None])[0].numpy()


@pytest.mark.parametrize("cell", ["RNN", "GRU", "LSTM"])
@pytest.mark.parametrize(("layers", "bidirectional"), [(1, False), (1, True), (2, False), (3, True)])
def test_the_graph_gives_the_final_states_of_torch(cell, layers, bidirectional):
    net = SequenceClassifier(
        3, 4, hidden=5, layers=layers, cell=cell, bidirectional=bidirectional, dropout=0.5, seed=0
    )
    encoder = trained_encoder(net, SeriesPreprocess(channels=3))
    assert encoder.dim == 5 * (1 + bidirectional)
    series = [np.random.default_rng(n).normal(size=(3, n)) for n in (1, 2, 17)]
    expected = [embedded(net, one.T.astype(np.float32)) for one in series]
    np.testing.assert_allclose(encoder.embed(series), expected, atol=1e-5)  # states lie between -1 and 1


def test_symbols_are_looked_up_in_the_graph():
    net = SequenceClassifier(4 + 3, 2, hidden=6, bidirectional=True, symbol_width=5, seed=1)
    encoder = trained_encoder(net, TextPreprocess(letters="abc"))
    numbers = np.array([4, 6, 1, 5])
    np.testing.assert_allclose(encoder.embed(["acxb"])[0], embedded(net, numbers), atol=1e-5)
    again = rebuild(encoder.spec, encoder.weights)
    assert again.digest == encoder.digest
    np.testing.assert_array_equal(again.embed(["acxb"]), encoder.embed(["acxb"]))


def test_weights_that_are_not_finite_are_refused():
    net = SequenceClassifier(1, 2, hidden=3, seed=0)
    with torch.no_grad():
        net.rnn.weight_hh_l0[0, 0] = torch.nan
    with pytest.raises(DataError, match="not finite"):
        trained_encoder(net, SeriesPreprocess())
