"""scikit-learn's own tests of KMeans and DBSCAN, those of the installed version, against our classes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

# Both call `KMeans._init_centroids`, a private method that ours has not. What they ask is tested by
# `test_seeding.py`: weights count in draws, and a row of weight 0 is never drawn.
NOT_OURS = {"test_k_means": ["test_sample_weight_init", "test_sample_weight_zero"], "test_dbscan": []}


@pytest.mark.slow
@pytest.mark.parametrize("module", NOT_OURS)
def test_a_module_of_scikit_learn_passes(module):
    root = str(Path(__file__).parents[2])
    command = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "-p", "no:cacheprovider"]
    command += ["-p", "tests.cluster.in_place_of_scikit_learn", "--pyargs", f"sklearn.cluster.tests.{module}"]
    command += ["-k", " and ".join(f"not {name}" for name in NOT_OURS[module])]
    ran = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])},
        check=False,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-1000:]
    assert "passed" in ran.stdout
