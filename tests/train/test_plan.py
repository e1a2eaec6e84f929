"""Plans that contradict themselves are refused; the rate is a function of the step."""

import math
from dataclasses import replace

import pytest

from sortal.errors import InputError
from sortal.train.plan import Plan
from sortal.train.schedule import learning_rate


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("epochs", 0, "a whole number from 1"),
        ("optimizer", "adam", '"sgd" or "adamw"'),
        ("peak_lr", 0, "above 0"),
        ("peak_lr", math.nan, "above 0"),
        ("warmup_epochs", 11, "from 0 to epochs"),
        ("clip_norm", 0, "None or above 0"),
        ("ema", 1.0, "None or in"),
        ("patience", 0, "None or a whole number"),
        ("seed", -1, "a whole number from 0"),
        ("steps_at", (0.5, 1.5), "shares"),
    ],
)
def test_a_broken_rule_is_named(name, value, rule):
    with pytest.raises(InputError, match=f"{name} must be .*{rule}.*; got"):
        replace(Plan(), **{name: value})


def test_a_plan_comes_back_from_json_and_an_unknown_key_fails():
    plan = Plan(schedule="step", steps_at=(0.3, 0.6), clip_norm=1.0)
    assert Plan.from_json(plan.as_json()) == plan
    with pytest.raises(InputError, match="no 'lr'"):
        Plan.from_json(plan.as_json() | {"lr": 1})


def test_cosine_climbs_then_falls_to_its_end():
    plan = Plan(epochs=10, peak_lr=0.4, warmup_epochs=2, final_lr=0.1)
    rates = [learning_rate(plan, step, 5) for step in range(51)]
    assert rates[0] == pytest.approx(0.04)  # the first of ten steps of warm-up, not 0
    assert rates[9] == rates[10] == max(rates) == 0.4
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[30] == pytest.approx(0.4 * 0.55)  # half way down: between 0.1 and 1
    assert rates[50] == pytest.approx(0.04)


def test_steps_divide_by_ten():
    plan = Plan(epochs=10, peak_lr=1.0, schedule="step", steps_at=(0.5, 0.75))
    rates = [learning_rate(plan, step, 4) for step in range(40)]
    assert rates == pytest.approx([1.0] * 20 + [0.1] * 10 + [0.01] * 10)
