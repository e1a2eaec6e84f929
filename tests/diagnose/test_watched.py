"""A run that is watched: what is kept of it, what is said at its end."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from sortal.diagnose.samples import kept_samples, write_samples
from sortal.diagnose.watched import Watched
from sortal.errors import DataError, InputError
from sortal.tasks import Classify
from sortal.train.loop import train
from sortal.train.plan import Plan
from tests.train.tiny import Carry, Pieces, Recurrent, batches, tiny

PLAN = Plan(epochs=3, peak_lr=0.05, clip_norm=0.5)


def watched(folder, net=None, every=3, **options):
    with Watched(folder, every) as seen:
        done = train(
            net or tiny(),
            Classify(),
            batches(),
            PLAN,
            device="cpu",
            folder=folder,
            watchers=[seen],
            **options,
        )
    return seen, done


def same(a, b):
    """Samples to the six digits that are kept; NaN is NaN."""
    for one, other in zip(a, b, strict=True):
        assert (one.step, one.epoch) == (other.step, other.epoch)
        rows = zip(
            (*one.profile.layers, *one.profile.activations),
            (*other.profile.layers, *other.profile.activations),
        )
        for left, right in rows:
            for key, value in vars(left).items():
                kept = getattr(right, key)
                close = pytest.approx(kept, rel=1e-5, nan_ok=True) if isinstance(value, float) else kept
                assert value == close, key
        for name, reach in one.reach.items():
            assert np.allclose(reach.gradient, other.reach[name].gradient, rtol=1e-5)
            assert (reach.kind, reach.first_bad) == (other.reach[name].kind, other.reach[name].first_bad)


def test_samples_lie_beside_the_run_and_come_back(tmp_path):
    seen, _ = watched(tmp_path / "run")
    found = kept_samples(tmp_path / "run")
    assert [sample.step for sample in found] == [3, 6, 9]
    same(seen.samples, found)
    assert math.isnan(found[-1].profile.layers[0].update_ratio) == math.isnan(
        seen.samples[-1].profile.layers[0].update_ratio
    )


def test_recurrent_layers_come_back_too(tmp_path):
    torch.manual_seed(0)
    with Watched(None, 2) as seen:
        train(Recurrent(), Carry(), Pieces(), Plan(epochs=1, peak_lr=0.01), device="cpu", watchers=[seen])
    odd = replace(seen.samples[0].reach["rnn"], gradient=np.array([[math.inf, 0.0, math.nan]]), first_bad=2)
    samples = [*seen.samples, replace(seen.samples[0], step=99, reach={"rnn": odd})]
    write_samples(tmp_path, samples)
    found = kept_samples(tmp_path)
    same(samples[:-1], found[:-1])
    assert np.array_equal(found[-1].reach["rnn"].gradient, odd.gradient, equal_nan=True)
    said = seen.verdict()
    assert any(
        line.startswith("rnn at the end: ") and "of a state's influence is left" in line for line in said
    )


def test_a_run_that_goes_on_keeps_what_was_seen(tmp_path):
    def stop(moment):
        return "enough" if moment.step == 7 else None

    with Watched(tmp_path / "run", 3) as first:
        train(
            tiny(), Classify(), batches(), PLAN, device="cpu", folder=tmp_path / "run", checkpoint_s=0,
            watchers=[first, stop],
        )  # fmt: skip
    assert [one.step for one in kept_samples(tmp_path / "run")] == [3, 6]
    seen, _ = watched(tmp_path / "run")
    assert [one.step for one in seen.samples] == [3, 6, 9]
    same(seen.samples, kept_samples(tmp_path / "run"))


def test_what_is_said_at_the_end(tmp_path):
    net = tiny()
    seen, _ = watched(None, net)
    before, modes = {k: v.clone() for k, v in net.state_dict().items()}, [m.training for m in net.modules()]
    history, depth, clipping = seen.verdict()
    assert history == "depth, every 3 steps: healthy at 3 of 3 samples."
    assert depth.startswith("depth at the end: healthy; the gradient at conv is ")
    assert clipping.startswith("Clipping at 0.5 ")
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert modes == [m.training for m in net.modules()]
    assert "fewer than 101 steps" in watched(None, every=100)[0].verdict()[0]


def test_a_run_that_dies_is_stopped_and_told(tmp_path):
    net = tiny()
    with torch.no_grad():
        net.bn.bias.fill_(-100)
    seen, done = watched(tmp_path / "run", net)
    assert "the gradient has died" in done.stopped
    assert "dead at 2 of 2 samples, first at step 3: 100% of units" in seen.verdict()[0]


@pytest.mark.parametrize(
    "text",
    [
        '[{"step": 1, "epoch": 0, "loss": 1, "activations": [], "layers": [{"name": 1}], "reach": []}]',
        "{", "{}", "[1]", '[{"step": 1}]', "null", '[{"step": "x", "epoch": 0, "loss": 1, "layers": []}]',
    ],
)  # fmt: skip
def test_files_that_are_damaged_are_refused_before_training(tmp_path, text):
    (tmp_path / "microscope.json").write_text(text)
    with pytest.raises(DataError, match=r"microscope\.json must hold a run's samples"):
        Watched(tmp_path)


def test_nothing_is_kept_where_there_is_no_folder_or_no_sample(tmp_path):
    watched(tmp_path / "run", every=500)
    assert not (tmp_path / "run" / "microscope.json").exists()
    assert kept_samples(tmp_path / "nowhere") == ()
    with pytest.raises(InputError, match="at least 2"):
        Watched(None, 1)


def test_the_file_is_plain_json(tmp_path):
    watched(tmp_path / "run")
    (first, *_) = json.loads((tmp_path / "run" / "microscope.json").read_text(), parse_constant=pytest.fail)
    assert first["layers"][0]["name"] == "conv"
