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
from sortal.diagnose.chart import Chart, drawing
from sortal.diagnose.time.lags import lags_of

torch.manual_seed(0)
GRU = nn.GRU(2, 6)
X = torch.randn(9, 3, 2)
LAGS = lags_of(GRU, lambda: GRU(X)[0][-1].square().sum())
NONE = Profile(1.0, (), ())
SAMPLES = [Sample(50 * (i + 1), i, NONE, {"rnn": np.exp(-np.arange(9.0))[None, : 9 - i]}) for i in range(3)]
NET = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1))
DRAW = {
    "depth": lambda: plots.depth_profile({"net": layer_profile(NET, lambda: NET(X).sum())}),
    "influence": lambda: plots.influence_by_lag(LAGS),
    "spectra": lambda: plots.spectra(spectrum(GRU)),
    "gates": lambda: plots.gates_over_time(gates(GRU, X)),
    "by lag": lambda: plots.gradient_by_lag(SAMPLES, "rnn"),
    "by step": lambda: plots.lag_by_step(SAMPLES, "rnn"),
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


def test_a_chart_tells_each_value_and_leaves_out_what_has_no_place():
    chart = Chart("c<", (("a<b", (1.0, 0.0, 1e-3, math.inf)),), ("w", "x", "y<", "z"), "across", "up")
    made = drawing(chart).inside
    assert made.count("<circle") == 2
    assert "<title>a&lt;b, y&lt;: 0.001</title>" in made
    assert "nan" not in drawing(Chart("none", (("a", (0.0,)),), ("w",), "across", "up")).inside
    flat = drawing(Chart("flat", (("a", (1.0, 1.0)),), ("w", "x"), "across", "up")).inside
    assert flat.count("<circle") == 2
