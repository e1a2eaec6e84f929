"""The study of windows: what it measures, and its verdict."""

import pytest

from sortal import nets
from sortal.diagnose.window import FARTHEST, reach, window_study
from sortal.errors import InputError
from sortal.train.sequence.stand_ins import text


@pytest.mark.parametrize("window", [1, 2, 5])
def test_the_reach_of_a_window_is_its_length_less_one(window):
    assert reach(nets.WindowNetwork(9, window, hidden=8, seed=0), 9) == window - 1


def test_a_state_reaches_on():
    assert reach(nets.SymbolModel(9, hidden=16, seed=0), 9, farthest=12) == 12
    forgets = nets.SymbolModel(9, hidden=16, seed=0)
    forgets.rnn.clamp(z=0.0, r=0.0)  # nothing of the past comes through
    assert reach(forgets, 9) == 0


@pytest.mark.slow
def test_a_study_says_what_was_found():
    found = window_study(text()[:8_000], "a text", windows=(1, 4), epochs=1, seeds=2)
    assert found.networks == ["window 1", "window 4", "RNN", "GRU"]
    one, four = found.of("window 1")[0], found.of("window 4")[0]
    assert four.first_weights - one.first_weights == 3 * found.n_symbols * 128  # a table a position
    assert [found.of(name)[0].reach for name in found.networks[:2]] == [0, 3]
    assert found.of("GRU")[0].reach == FARTHEST
    assert found.verdict[1].startswith("No memory: a symbol further back than the window changed no answer.")
    assert len(found.verdict) == 4


def test_windows_are_at_least_one_symbol():
    with pytest.raises(InputError, match=r"windows and seeds must be at least 1; got \(0,\) and 3"):
        window_study("text", "a text", windows=(0,))
