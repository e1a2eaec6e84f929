"""The studies on few images: their arithmetic, their verdicts in words, the files they leave."""

import csv
import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from sortal.diagnose import degradation, filter_sizes, plots, regularisation, study_data
from sortal.diagnose.degradation import Degradation, DepthRun
from sortal.diagnose.filter_sizes import FILTERS, SEVERAL, FilterNet, equal_costs
from sortal.diagnose.regularisation import WAYS, GapRun, Regularisation
from sortal.diagnose.study_data import beyond_guessing, guess_error, mean_and_half_width
from sortal.diagnose.study_folder import study_record, write_study
from sortal.errors import InputError
from sortal.nets.arithmetic import count
from sortal.train.plan import Plan


@pytest.fixture(scope="module")
def digits():
    return study_data(None, 60)


def depth_run(residual, depth, wrong, gradients=(1.0, 1.0, 1.0)):
    return DepthRun(depth, residual, 0, 1, (0.9, wrong), 0.5, ("a", "b", "c"), gradients, gradients, 1.0)


def found_degradation(*runs):
    return Degradation("digits", 1_000, 500, 0.9, Plan(epochs=2), 64, runs, "cpu")


# ---- degradation


def test_degradation_runs_and_is_the_same_again(digits):
    asked = {"depths": (14, 8), "epochs": 2, "device": "cpu"}
    found = degradation(digits, **asked)
    assert [run.name for run in found.runs] == ["plain8", "plain14", "resnet8", "resnet14"]
    assert found.runs[0].parameters == found.runs[2].parameters
    assert len(found.runs[0].train_error) == 2
    assert len(found.runs[1].layers) == len(found.runs[1].first_gradients) == 14
    again = degradation(digits, **asked)
    assert [replace(run, cpu_s=0) for run in again.runs] == [replace(run, cpu_s=0) for run in found.runs]


def test_the_verdict_says_what_the_runs_say():
    worse = found_degradation(
        depth_run(False, 20, 0.01), depth_run(False, 56, 0.5),
        depth_run(True, 20, 0.01), depth_run(True, 56, 0.01),
    )  # fmt: skip
    assert worse.degrades
    assert worse.verdict[0].startswith("Plain networks get worse from 20 to 56 layers")
    assert worse.verdict[1].startswith("Residual networks do not change beyond chance")
    assert "This is the degradation" in worse.verdict[2]
    assert "keeps it from vanishing" in worse.verdict[3]
    assert "shortcuts take away 100% of it" in worse.verdict[2]
    assert worse.verdict[2].endswith("One seed does not rule out chance.")
    same = found_degradation(
        depth_run(False, 20, 0.02, (1e-6, 1.0, 1.0)), depth_run(False, 56, 0.01, (1e-6, 1.0, 1.0)),
        depth_run(True, 20, 0.3), depth_run(True, 56, 0.01),
    )  # fmt: skip
    assert not same.degrades
    assert "does not show the degradation" in same.verdict[2]
    assert same.verdict[1].startswith("Residual networks get better")
    assert "vanishes on its way down" in same.verdict[3]


def test_of_networks_that_guess_the_verdict_says_nothing():
    """Two epochs on 200 images of CIFAR-10 in 10 names were called the degradation of He et al."""
    found = found_degradation(
        depth_run(False, 8, 0.855), depth_run(False, 14, 0.91),
        depth_run(True, 8, 0.865), depth_run(True, 14, 0.885),
    )  # fmt: skip
    assert not found.degrades
    assert "wrong on 90.0% of the images they learn from" in found.verdict[2]
    assert "nothing can be said of depth" in found.verdict[2]
    runs = (depth_run(r, d, 0.3 + 0.15 * (d == 14 and not r)) for r in (False, True) for d in (8, 14))
    two_names = replace(found, runs=tuple(runs), guess_error=0.5)
    assert not two_names.degrades
    assert replace(two_names, guess_error=0.9).degrades


def test_the_other_studies_say_where_nothing_was_learned(studies):
    """Figures of networks that guess were compared as if they meant something."""
    _, gaps, filters = studies
    low = replace(gaps, runs=tuple(replace(run, test_error=0.2) for run in gaps.runs), guess_error=0.9)
    assert low.learned(20)
    some = replace(low, runs=tuple(replace(r, test_error=0.89 if r.n_train < 40 else 0.2) for r in low.runs))
    assert "With 20 images nothing was learned: 89.0% wrong at best, 90.0% for who" in some.verdict[1]
    assert "does best" in some.verdict[2]
    none = replace(low, runs=tuple(replace(run, test_error=0.89) for run in low.runs))
    assert none.verdict[0].startswith("Even with 40 images nothing was learned")
    (only,) = replace(filters, guess_error=0.0).verdict
    assert only.startswith("No network does better than always saying the commonest name")


def test_networks_that_went_to_pieces_are_counted(studies):
    """One of five on 100 images of CIFAR-10 stayed at guessing, and its way's mean said nothing of it."""
    gaps = replace(studies[1], guess_error=0.9)
    whole = tuple(replace(run, train_error=0.0) for run in gaps.runs)
    one = replace(gaps, runs=(replace(whole[0], train_error=0.9), *whole[1:]))
    assert any("were given: 1 of 1 with nothing on 20 images." in sentence for sentence in one.verdict)
    assert len(replace(gaps, runs=whole).verdict) == len(one.verdict) - 1


def test_guessing_is_saying_the_commonest_name(digits):
    labels = np.repeat([0, 1, 2], [6, 3, 1])
    assert guess_error(replace(digits.test.take(np.arange(10)), labels=labels)) == pytest.approx(0.4)
    assert beyond_guessing(0.3, 0.4, 1_000)
    assert not beyond_guessing(0.38, 0.4, 1_000)


@pytest.mark.parametrize("depths", [(20,), (20, 21), (2, 20)])
def test_depths_of_no_such_network_are_refused(digits, depths):
    with pytest.raises(InputError, match="depths must"):
        degradation(digits, depths=depths)


# ---- regularisation


def test_regularisation(digits):
    found = regularisation(digits, sizes=(20, 60), epochs=1, seeds=2, device="cpu")
    assert len(found.runs) == 2 * 4 * 2
    assert {run.way for run in found.runs} == set(WAYS)
    assert found.steps == 2
    none = [run for run in found.runs if (run.way, run.n_train) == ("none", 20)]
    assert found.mean("gap", "none", 20)[0] == pytest.approx(np.mean([run.gap for run in none]))
    assert found.gained("none", 20)[0] == 0
    assert all(check.errors_apart < 4 for check in found.linear)
    assert "exactly" in found.verdict[-1]
    with pytest.raises(InputError, match="the 60 images"):
        regularisation(digits, sizes=(20, 61))


# ---- filters


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (1, 28, 28)])
def test_costs_are_equal_by_the_arithmetic(shape):
    costs = equal_costs(shape, 10)
    macs = []
    for cost in costs:
        found = count(FilterNet(shape[0], 10, cost.widths, FILTERS[cost.filters]), shape)
        assert (found.macs, found.parameters) == (cost.macs, cost.parameters)
        macs.append(found.macs)
    assert max(macs) / min(macs) < 1.02
    sees = {cost.filters: cost.receptive_field for cost in costs}
    assert sees[SEVERAL] == sees["5x5"] > sees["3x3"]


def test_filter_sizes(digits):
    found = filter_sizes(digits, epochs=1, seeds=2, device="cpu")
    assert found.apart < 0.02
    assert len(found.runs) == 6
    learned = replace(found, guess_error=1.0)  # one epoch on 60 images is next to guessing
    assert len(learned.verdict) == 3
    assert SEVERAL in learned.verdict[1]


# ---- what they share


def test_an_interval_is_students():
    from scipy.stats import ttest_1samp

    values = [0.1, 0.4, 0.2]
    mean, half = mean_and_half_width(values)
    interval = ttest_1samp(values, 0).confidence_interval(0.95)
    assert (mean - half, mean + half) == pytest.approx((interval.low, interval.high))
    assert mean_and_half_width([0.3]) == (0.3, math.inf)


@pytest.fixture
def studies(digits):
    return (
        found_degradation(*(depth_run(r, d, 0.1) for r in (False, True) for d in (20, 56))),
        regularisation(digits, sizes=(20, 40), epochs=1, seeds=1, device="cpu"),
        filter_sizes(digits, epochs=1, seeds=1, device="cpu"),
    )


def test_nothing_drawn_lies_outside_its_picture(monkeypatch):
    """Shared axes that got their limit with the first panel cut off the second, which lay above."""
    monkeypatch.setattr(plots, "_png", lambda figure: figure)
    found = found_degradation(
        *(depth_run(r, d, 0.1 + 0.5 * r, (0.5, 0.5, 0.5)) for r in (False, True) for d in (20, 56))
    )
    steep = replace(
        found, runs=tuple(replace(r, train_error=(0.1 + 0.8 * r.residual, 0.1)) for r in found.runs)
    )
    runs = [GapRun(way, n, 0, 0.8, 0.8 + (n - 30) / 1_000, 1.0) for way in WAYS for n in (20, 60)]
    gaps = Regularisation("digits", 9, 0.9, found.plan, 32, 2, 0.1, 0.5, tuple(runs), (), "cpu")
    for figure in (plots.errors_by_epoch(steep), plots.gaps_by_size(gaps)):
        for axes in figure.axes:
            low, high = axes.get_ylim()
            drawn = np.concatenate([line.get_ydata() for line in axes.lines])
            assert low <= min(drawn.min(), 0)
            assert drawn.max() <= high


def test_files_of_a_study(studies, tmp_path):
    for study in studies:
        folder = tmp_path / type(study).__name__
        page = write_study(folder, study).read_text()
        assert not re.search(
            r"(?:src|href)=\"(?!data:)|<script|https?://", page
        )  # asks nothing, runs nothing
        assert "default-src 'none'" in page
        assert all(sentence.split("'")[0][:40] in page for sentence in study.verdict)
        words = re.sub(r"data:[^\"]*", "", page)  # a picture in base64 may hold any three letters
        assert "inf" not in words.replace("information", "")
        for picture in folder.glob("*.png"):
            assert Image.open(picture).width > 300
        rows = list(csv.DictReader((folder / "runs.csv").open()))
        assert len(rows) == len(study.runs)
        assert json.loads((folder / "study.json").read_text()) == json.loads(json.dumps(study_record(study)))


def test_data_of_a_folder_are_split_and_never_shared(tmp_path):
    random = np.random.default_rng(0)
    for name in ("dark", "light"):
        (tmp_path / "all" / name).mkdir(parents=True)
        for i in range(10):
            pixels = random.integers(0, 120, (9, 8, 3)) + 120 * (name == "light")
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "all" / name / f"{i}.png")
    found = study_data(tmp_path / "all")
    assert (len(found.learn), len(found.test), found.shape, found.n_names) == (16, 4, (3, 9, 8), 2)
    rows = {image.tobytes() for image in found.learn.pixels}
    assert not rows & {image.tobytes() for image in found.test.pixels}
    (tmp_path / "parts").mkdir()
    (tmp_path / "all").rename(tmp_path / "parts" / "train")
    (tmp_path / "parts" / "test").symlink_to(tmp_path / "parts" / "train")
    assert len(study_data(tmp_path / "parts", 6).learn) == 6
    with pytest.raises(InputError):
        study_data(tmp_path / "nowhere")


def test_images_too_small_are_refused(tmp_path):
    for name in ("dark", "light"):
        (tmp_path / name).mkdir()
        for i in range(2):
            Image.new("L", (7, 9)).save(tmp_path / name / f"{i}.png")
    with pytest.raises(InputError, match=r"at least 8 x 8 for a study.* are 9 x 7"):
        study_data(tmp_path)
