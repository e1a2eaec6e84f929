"""What the verdict says of shares right that are known beforehand."""

from dataclasses import replace

import numpy as np
import pytest

from sortal.data import LabelledImages
from sortal.train.cost import Cost, Meter
from sortal.train.transfer_report import Cell, summed_up

N = 400


def images(n=N):
    labels = np.arange(n) % 2
    return LabelledImages(np.zeros((n, 1, 1, 3), np.uint8), labels, ("a", "b"))


def cells(shares, cost=(1.0, 60.0, 60.0), sizes=(10, 50, None)):
    """`shares[way]` right at each size; what is wrong lies elsewhere for each way and seed."""
    found = []
    for i, size in enumerate(sizes):
        for seed in range(2):
            for w, way in enumerate(("frozen", "fine-tuned", "scratch")):
                wrong = round(N * (1 - shares[way][i]))
                predicted = images().labels.copy()
                predicted[np.random.default_rng([i, seed, w]).permutation(N)[:wrong]] ^= 1
                learned = 2 * (size or 200)
                spent = Cost(cost[w], cost[w], 100)
                right = 1 - wrong / N
                found.append(Cell(way, size, seed, learned, right, spent, tuple(predicted.tolist())))
    return found


def told(shares, **options):
    return summed_up(cells(shares, **options), images(), images(), None, 10, "cpu")


def test_the_best_way_is_advised_and_what_more_names_bring():
    found = told({"frozen": (0.5, 0.6, 0.7), "fine-tuned": (0.6, 0.8, 0.95), "scratch": (0.5, 0.5, 0.6)})
    assert found.advice == "fine-tuned"
    assert found.verdict[0].startswith("Fine-tune the network: 95.0% of the test images named right (")
    assert "Against frozen body, new head (P1): +25.0 points" in found.verdict[1]
    assert "at 60.0 times its CPU-seconds" in found.verdict[1]
    assert "from about 200 to 400 of each: 5.0% wrong would become about 3." in found.verdict[3]
    assert found.verdict[4].startswith("So 400 more names are the price of 1.")


def test_what_costs_half_and_is_not_surely_worse_is_advised():
    shares = {"frozen": (0.9, 0.93, 0.935), "fine-tuned": (0.9, 0.93, 0.94), "scratch": (0.5, 0.6, 0.7)}
    found = told(shares)
    assert found.advice == "frozen"
    assert "which may be none, at 2% of its CPU-seconds" in found.verdict[1]
    assert found.verdict[-1] == "Naming more would hardly pay; another network may."
    assert told(shares, cost=(50.0, 60.0, 60.0)).advice == "fine-tuned"


def test_a_body_that_is_worth_nothing_is_called_so():
    found = told({"frozen": (0.5, 0.5, 0.5), "fine-tuned": (0.6, 0.7, 0.8), "scratch": (0.6, 0.7, 0.85)})
    assert found.advice == "scratch"
    assert any("shows no sure gain over starting from nothing" in line for line in found.verdict)


def test_one_size_and_no_mistakes_say_nothing_of_more_names():
    one = told({"frozen": (0.9,), "fine-tuned": (0.9,), "scratch": (0.9,)}, sizes=(None,))
    assert "not known from one size" in one.verdict[-1]
    done = told({"frozen": (0.9, 0.99, 1), "fine-tuned": (0.9, 0.99, 1), "scratch": (0.9, 0.99, 1)})
    assert "hardly bring anything" in done.verdict[-1]


def test_what_differs_is_redrawn_together():
    shares = dict.fromkeys(("frozen", "fine-tuned", "scratch"), (0.8, 0.8, 0.8))
    same = [
        Cell(way, None, seed, 400, 0.8, Cost(1, 1, 1), cells(shares)[0].predicted)
        for seed in range(2)
        for way in shares
    ]
    gaps = summed_up(same, images(), images(), None, 1, "cpu").differences
    assert [gap.interval for gap in gaps] == [(0, 0)] * 3


def test_the_meter_sees_cpu_and_memory():
    meter = Meter()
    before = meter.cost()
    peak = int(before.peak_mb) + 200  # of the process: what other tests have taken counts
    held = np.ones(peak * 1_000_000, np.uint8)
    held.sum()
    cost = meter.cost()
    assert 0 < cost.cpu_s < 60
    assert cost.peak_mb > before.peak_mb + 100
    assert (cost + before).peak_mb == cost.peak_mb
    assert cost.share(0.5).cpu_s == pytest.approx(cost.cpu_s / 2)


def test_ten_images_all_right_do_not_prove_100_percent():
    """Redrawn, ten right answers are always ten right answers."""
    answers = tuple(images(10).labels.tolist())
    made = [
        Cell(way, None, seed, 10, 1.0, Cost(1, 1, 1), answers)
        for way in ("frozen", "fine-tuned", "scratch")
        for seed in range(2)
    ]
    made += [replace(cell, size=4) for cell in made]
    found = summed_up(made, images(10), images(10), None, 1, "cpu")
    assert found.scores[0].interval == pytest.approx((0.722, 1.0), abs=1e-3)  # Wilson, 10 of 10
    assert "too few to say" in found.verdict[-1]
