"""A few of the kills of `tests.pile.crash`; SORTAL_KILLS asks for more."""

import os

import pytest

from .crash import play


@pytest.mark.slow
def test_killed_at_any_moment_the_pile_opens_and_the_next_run_goes_on(tmp_path):
    kills = int(os.environ.get("SORTAL_KILLS", "8"))
    assert play(kills, seed=8, folder=tmp_path) >= kills
