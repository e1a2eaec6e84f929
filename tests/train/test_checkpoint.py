"""Checkpoints: whole or not there, and a killed run ends with the bits of one that was never killed.

SORTAL_KILLS sets how many times the run is killed (4 here; more for a night).
"""

import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import safetensors.torch
import torch

from sortal.errors import DataError, StoreError
from sortal.train.checkpoint import PARTS, newest_checkpoint, save_checkpoint

from .tiny import long_run

KILLS = int(os.environ.get("SORTAL_KILLS", "4"))
NOTHING = {name: {} for name in PARTS}


def test_a_checkpoint_comes_back_as_it_was(tmp_path):
    weight = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    parts = NOTHING | {"net": {"a": weight, "tied": weight, "turned": weight.T, "n": torch.tensor(7)}}
    save_checkpoint(tmp_path / "c", 12, parts, {"epoch": 3, "score": 0.1})
    found = newest_checkpoint(tmp_path / "c")
    assert (found.step, found.state) == (12, {"epoch": 3, "score": 0.1})
    assert all(torch.equal(found.parts["net"][name], value) for name, value in parts["net"].items())


def test_only_the_newest_stays(tmp_path):
    for step in (1, 20, 300):
        save_checkpoint(tmp_path, step, NOTHING, {})
    assert [path.name for path in tmp_path.iterdir()] == ["00000300"]
    assert newest_checkpoint(tmp_path).step == 300
    assert newest_checkpoint(tmp_path / "none") is None


def test_what_a_kill_left_is_no_checkpoint(tmp_path):
    save_checkpoint(tmp_path, 5, NOTHING, {})
    shutil.copytree(tmp_path / "00000005", tmp_path / "new.part")
    (tmp_path / "new.part" / "state.json").write_text("{")
    assert newest_checkpoint(tmp_path).step == 5
    save_checkpoint(tmp_path, 6, NOTHING, {})
    assert [path.name for path in tmp_path.iterdir()] == ["00000006"]


@pytest.mark.parametrize("name", ["net.safetensors", "state.json", "MANIFEST.sha256"])
@pytest.mark.parametrize("damage", ["flip", "cut", "gone"])
def test_damage_is_named_and_never_trained_on(tmp_path, name, damage):
    save_checkpoint(tmp_path, 5, NOTHING | {"net": {"a": torch.ones(9)}}, {"epoch": 1})
    path = tmp_path / "00000005" / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(data if damage == "flip" else data[:-3])
    with pytest.raises(DataError, match="00000005"):
        newest_checkpoint(tmp_path)


def test_a_disk_that_refuses_is_said_and_the_one_before_stays(tmp_path, monkeypatch):
    save_checkpoint(tmp_path, 5, NOTHING, {})

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StoreError, match="step 6 cannot be written: No space left on device"):
        save_checkpoint(tmp_path, 6, NOTHING, {})
    assert newest_checkpoint(tmp_path).step == 5


def child(folder):
    root = Path(__file__).parents[2]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.train.tiny", folder], stdout=subprocess.PIPE, text=True, cwd=root
    )


@pytest.mark.slow
def test_kill_at_any_step_ends_with_the_same_bits(tmp_path):
    """One run that is killed again and again, against one in this process that is not."""
    long_run(tmp_path / "whole")
    delays, folder, kills = random.Random(os.environ.get("SORTAL_KILLS")), tmp_path / "killed", 0
    while True:
        process = child(folder)
        assert process.stdout.readline() == "ready\n"
        time.sleep(delays.uniform(0, 0.6))
        if kills < KILLS:
            process.kill()
        kills += 1
        said, _ = process.communicate()
        if said == "done\n":
            break
    wanted = safetensors.torch.load_file(tmp_path / "whole" / "weights.safetensors")
    found = safetensors.torch.load_file(folder / "weights.safetensors")
    assert wanted.keys() == found.keys()
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)
    one, other = (newest_checkpoint(path / "checkpoints") for path in (tmp_path / "whole", folder))
    assert one.step == other.step
    for part in PARTS:
        assert all(torch.equal(value, other.parts[part][name]) for name, value in one.parts[part].items())
    for before, after in zip(one.state["curve"], other.state["curve"]):
        seconds = {"cpu_s", "wall_s"}
        assert {k: v for k, v in before.items() if k not in seconds} == {
            k: v for k, v in after.items() if k not in seconds
        }
