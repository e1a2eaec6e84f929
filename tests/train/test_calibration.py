"""Confidences and intervals against their formulas, written out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax

from sortal.train.calibration import calibrate, expected_calibration_error, fit_temperature
from sortal.train.report import wilson_interval


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_wilson_interval_is_the_formula(n, share):
    k = round(share * n)
    z, p = 1.959963984540054, k / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    # 1e-9: rounding only; SciPy sets the ends to 0 and 1 exactly.
    assert wilson_interval(k, n) == pytest.approx((middle - half, middle + half), abs=1e-9)


def sharp_logits(factor, n=4000, k=5, seed=0):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, k)) * 2
    labels = (log_softmax(logits, axis=1) + rng.gumbel(size=(n, k))).argmax(axis=1)
    return logits * factor, labels


@pytest.mark.parametrize("factor", [0.2, 1.0, 7.0])
def test_temperature_is_found(factor):
    logits, labels = sharp_logits(factor)
    # 4,000 items give the temperature to a few percent.
    assert fit_temperature(logits, labels) == pytest.approx(factor, rel=0.1)
    assert calibrate(logits, labels).ece[1] < 0.04  # 1 / sqrt(4000) is .016


@given(st.integers(0, 50), st.integers(2, 40))
def test_temperature_is_positive_and_changes_no_answer(seed, n):
    rng = np.random.default_rng(seed)
    logits, labels = rng.normal(size=(n, 3)) * 5, rng.integers(0, 3, n)
    temperature = fit_temperature(logits, labels)
    assert 0 < temperature < np.inf
    assert ((logits / temperature).argmax(axis=1) == logits.argmax(axis=1)).all()


def test_calibration_error_by_hand():
    # Two items at confidence 0.75, one right: |0.75 - 0.5|.
    logits = np.log(np.array([[0.75, 0.25], [0.75, 0.25]]))
    assert expected_calibration_error(logits, np.array([0, 1])) == pytest.approx(0.25)
    assert expected_calibration_error(logits * 1e3, np.array([0, 0])) == pytest.approx(0.0)
