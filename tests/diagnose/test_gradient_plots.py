"""Pictures of the microscope: labelled axes, the same bytes each time; charts that tell their values."""

import io
import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from sortal.diagnose import Profile, Sample, gates, layer_profile, spectrum
from sortal.diagnose import gradient_plots as plots
from sortal.diagnose.chart import Chart, Points, ValueMap, drawing, map_drawing, points_drawing
from sortal.diagnose.time.lags import Reach, lags_of

torch.manual_seed(0)
GRU = nn.GRU(2, 6)
X = torch.randn(9, 3, 2)
LAGS = lags_of(GRU, lambda: GRU(X)[0][-1].square().sum())
NET = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1))
PROFILE = layer_profile(NET, lambda: NET(X).sum())


def sample(step, epoch, gradient, profile=PROFILE):
    return Sample(step, epoch, profile, {"rnn": Reach("rnn", "gru", gradient, 0.0, None)})


# One shorter each time; the last with a 0, which no logarithm takes.
ROWS = [np.exp(-np.arange(9.0))[None, : 9 - i] * (1 - (i == 2) * np.eye(9)[3, : 9 - i]) for i in range(3)]
SAMPLES = [sample(50 * (i + 1), i, row) for i, row in enumerate(ROWS)]
DRAW = {
    "depth": lambda: plots.depth_profile({"net": PROFILE}),
    "influence": lambda: plots.influence_by_lag(LAGS),
    "spectra": lambda: plots.spectra(spectrum(GRU)),
    "powers": lambda: plots.powers(spectrum(GRU)),
    "gates": lambda: plots.gates_over_time(gates(GRU, X)),
    "by lag": lambda: plots.gradient_by_lag(plots.by_epoch(SAMPLES, "rnn")),
    "by step": lambda: plots.lag_by_step(SAMPLES, "rnn"),
    "layers": lambda: plots.layer_by_step(SAMPLES),
}


@pytest.mark.parametrize("name", DRAW)
def test_each_is_a_png_and_an_svg_the_same_again(name):
    first, second = DRAW[name](), DRAW[name]()
    assert first == second
    assert Image.open(io.BytesIO(first.png)).size == (616, 396)
    assert b"<svg" in first.svg


@pytest.mark.parametrize("name", DRAW)
def test_axes_are_labelled_with_units(name, monkeypatch):
    kept = []
    monkeypatch.setattr(plots, "_drawn", kept.append)
    DRAW[name]()
    (figure,) = kept
    assert figure.axes[0].get_xlabel()
    assert figure.axes[0].get_ylabel()
    for axes in figure.axes[1:]:  # the colours' own
        assert axes.get_ylabel()


def test_every_matrix_of_many_is_drawn(monkeypatch):
    kept = []
    monkeypatch.setattr(plots, "_drawn", kept.append)
    plots.spectra(spectrum(nn.LSTM(1, 2, 2, bidirectional=True)))
    assert len(kept[0].axes[0].get_legend().get_texts()) == 16


def test_curves_by_epoch_are_the_last_of_each():
    again = sample(180, 2, 7 * ROWS[0])
    found = plots.by_epoch([*SAMPLES, again, Sample(200, 3, PROFILE, {})], "rnn")
    assert list(found) == ["epoch 1", "epoch 2", "epoch 3"]
    assert np.array_equal(found["epoch 3"], 7 * ROWS[0][0, ::-1])


def test_a_chart_tells_each_value_and_leaves_out_what_has_no_place():
    chart = Chart("c<", (("a<b", (1.0, 0.0, 1e-3, math.inf)),), ("w", "x", "y<", "z"), "across", "up")
    made = drawing(chart).inside
    assert made.count("<circle") == 2
    assert "<title>a&lt;b, y&lt;: 0.001</title>" in made
    assert "nan" not in drawing(Chart("none", (("a", (0.0,)),), ("w",), "across", "up")).inside
    flat = drawing(Chart("flat", (("a", (1.0, 1.0)),), ("w", "x"), "across", "up")).inside
    assert flat.count("<circle") == 2
    level = drawing(Chart("level", (("a", (0.0, 0.5)),), ("w", "x"), "across", "up", log=False)).inside
    assert "<title>a, w: 0</title>" in level


def test_a_long_chart_stays_small_and_keeps_its_ends():
    lines = tuple((f"epoch {i}", tuple(np.linspace(1, 2, 5_000))) for i in range(40))
    made = drawing(Chart("long", lines, tuple(map(str, range(5_000))), "across", "up", ordered=True)).inside
    assert len(made) < 150_000
    for end in ("epoch 0, 0: 1<", "epoch 39, 4999: 2<"):
        assert end in made


def test_points_tell_their_modulus():
    made = points_drawing(Points("c", (("W<", np.array([3 + 4j, np.nan])),))).inside
    assert made.count("<title>") == 1
    assert "W&lt;: 3+4i, modulus 5" in made
    assert "<circle" in points_drawing(Points("none", ())).inside


def test_a_map_tells_its_cells_and_leaves_out_what_is_nothing():
    grid = plots.log_grid([np.array([1.0, 0.0]), np.array([0.01]), np.array([math.inf, 100.0])])
    assert np.array_equal(grid, [[0, np.nan], [-2, np.nan], [np.nan, 2]], equal_nan=True)
    made = map_drawing(ValueMap("c", grid, ("lag 0", "lag 1"), (50, 100, 150), "of")).inside
    assert made.count("<title>") == 3
    assert "<title>lag 1, step 150: 100</title>" in made
    empty = map_drawing(ValueMap("c", np.full((1, 1), np.nan), ("a",), (1,), "of")).inside
    assert "<title>" not in empty
    large = map_drawing(ValueMap("c", np.zeros((999, 999)), ("a",) * 999, tuple(range(999)), "of")).inside
    assert large.count("<title>") <= 48**2


def test_what_is_pointed_at_is_painted():
    """The page's own style must leave circles that tell a value their colour: nothing answers unpainted."""
    from sortal.page import page

    assert "circle:not(.told)" in page("t", [], [], [])
    chart = drawing(Chart("c", (("a", (1.0,)),), ("w",), "across", "up")).inside
    assert chart.count('<circle class="told"') == chart.count("<circle")


def test_a_profile_without_layers_is_drawn():
    assert plots.layer_by_step([Sample(1, 0, Profile(1.0, PROFILE.layers, ()), {})]).png
