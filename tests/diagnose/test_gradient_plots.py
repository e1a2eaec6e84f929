"""Pictures of the microscope: labelled axes, the same bytes each time; charts that tell their values."""

import io
import math
import re

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
GRU, RNN, WIDE = nn.GRU(2, 6), nn.RNN(1, 8), nn.LSTM(2, 3, 3, bidirectional=True)
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
    "one spectrum": lambda: plots.spectra(spectrum(RNN)),
    "many spectra": lambda: plots.spectra(spectrum(WIDE)),
    "many gates": lambda: plots.gates_over_time(gates(WIDE, X)),
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
    assert figure.axes[0].get_ylabel()
    if len(figure.axes) > 2:  # panels: the names stand at the edges
        assert all(axes.get_xlabel() for axes in figure.axes[-2:])
        return
    assert figure.axes[0].get_xlabel()
    for axes in figure.axes[1:]:  # the colours' own
        assert axes.get_ylabel()


def test_every_matrix_of_many_is_drawn(monkeypatch):
    kept = []
    monkeypatch.setattr(plots, "_drawn", kept.append)
    plots.spectra(spectrum(nn.LSTM(1, 2, 2, bidirectional=True)))
    assert [text.get_text() for text in kept[0].legends[0].get_texts()] == list("ifgo")
    drawn = [axes for axes in kept[0].axes if axes.lines]
    assert [len(axes.lines) for axes in drawn] == [4 + 1] * 4  # and the circle
    assert drawn[3].get_title() == "weight_hh_l1_reverse"


@pytest.mark.parametrize("name", DRAW)
def test_nothing_said_lies_outside_the_picture(name, monkeypatch):
    """The spectrum of one matrix had its legend and an axis's name cut off."""
    kept = []
    monkeypatch.setattr(plots, "_drawn", kept.append)
    DRAW[name]()
    (figure,) = kept
    figure.savefig(io.BytesIO(), format="png")
    width, height = figure.canvas.get_width_height()
    legends = [*figure.legends, *(axes.get_legend() for axes in figure.axes)]
    said = [one for legend in legends if legend for one in legend.get_texts()]
    said += [label for axes in figure.axes for label in (axes.xaxis.label, axes.yaxis.label)]
    for one in said:
        box = one.get_window_extent()
        assert box.x0 >= 0, one
        assert box.y0 >= 0, one
        assert box.x1 <= width, one
        assert box.y1 <= height, one


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


def test_lines_and_sets_are_told_apart_in_grey():
    """Eight gates had five dashes and five colours, both from the start again; dots hid the dashes."""
    lines = tuple((f"line {i}", tuple(np.linspace(1, 2, 30))) for i in range(8))
    made = drawing(Chart("many", lines, tuple(map(str, range(30))), "across", "up")).inside
    looks = re.findall(r'<polyline points="[^"]*" stroke="([^"]*)" stroke-dasharray="([^"]*)"', made)
    assert len(looks) == 16  # with the key's
    assert len(set(looks)) == 8
    assert made.count('fill-opacity="0"') == 8 * 30
    sets = tuple((f"W{i}", np.array([1j * i])) for i in range(6))
    points = points_drawing(Points("c", sets)).inside
    assert points.count("<polygon") == 10  # two of each, one in the key; the first set is of circles
    assert points.count('class="told"') == 2


def test_points_tell_their_modulus():
    made = points_drawing(Points("c", (("W<", np.array([3 + 4j, np.nan])),))).inside
    assert made.count("<title>") == 2  # the key's too
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
