"""The loop: it learns, it is watched, it stops where it should, and it says what went wrong."""

import csv
import json
import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from sortal import nets
from sortal.errors import DataError, Diverged, InputError
from sortal.progress import Progress
from sortal.tasks import Answer, Classify
from sortal.train.device import Device, choose_device
from sortal.train.loop import train
from sortal.train.optimizer import freeze_body, make_optimizer
from sortal.train.plan import Plan

from .tiny import PLAN, Carry, Pieces, Recurrent, batches, held, tiny


def weights(net):
    return {name: value.clone() for name, value in net.state_dict().items()}


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def run(plan=PLAN, *, net=None, **more):
    net = net or tiny()
    return net, train(net, Classify(), batches(), plan, device="cpu", **more)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_it_learns(optimizer):
    _, trained = run(replace(PLAN, optimizer=optimizer, ema=None, clip_norm=None), valid=held())
    assert trained.curve[-1].valid_right == 1
    assert trained.curve[-1].loss < trained.curve[0].loss
    assert trained.stopped == "all 12 epochs done"
    assert trained.steps == 12 * 4


def test_one_step_of_sgd_is_the_formula():
    """Nesterov's first step is lr (1 + momentum) gradient; only weights of more than one axis decay."""
    plan = Plan(epochs=1, peak_lr=0.1, weight_decay=0.5)
    net = tiny()
    net.drop.p = 0
    before, gradients = weights(net), {}

    def watcher(moment):
        if moment.step == 0:
            gradients.update({name: p.grad.clone() for name, p in moment.net.named_parameters()})
            return None
        gradients["after"] = weights(moment.net)
        return "seen"

    train(net, Classify(), batches(), plan, device="cpu", watchers=[watcher])
    for name, parameter in net.named_parameters():
        decay = 0.5 if parameter.ndim > 1 else 0.0
        wanted = before[name] - 0.1 * 1.9 * (gradients[name] + decay * before[name])
        torch.testing.assert_close(gradients["after"][name], wanted)


def test_same_seed_same_bits_and_torchs_generator_is_left_alone():
    torch.manual_seed(1)
    state = torch.get_rng_state()
    one, first = run()
    torch.rand(3)
    other, second = run()
    assert same(weights(one), weights(other))
    assert [e.loss for e in first.curve] == [e.loss for e in second.curve]
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state)
    another, _ = run(replace(PLAN, seed=6))
    assert not same(weights(one), weights(another))


def test_clipping_is_recorded():
    _, trained = run(replace(PLAN, clip_norm=1e-3))
    assert all(epoch.clipped == 1 for epoch in trained.curve)
    assert all(0.9 < epoch.clipped_away < 1 for epoch in trained.curve)
    _, free = run(replace(PLAN, clip_norm=1e6))
    assert all(epoch.clipped == epoch.clipped_away == 0 for epoch in free.curve)
    assert run(replace(PLAN, clip_norm=None))[1].curve[0].clipped is None


def test_patience_stops_and_the_best_weights_are_kept():
    plan = replace(PLAN, epochs=30, patience=3, peak_lr=0.05)
    net, trained = run(plan, valid=held())
    assert trained.stopped == "no better score for 3 epochs"
    assert len(trained.curve) == trained.best_epoch + 3
    shorter, _ = run(replace(plan, patience=None), valid=held(), watchers=[
        lambda moment: "enough" if moment.epoch == trained.best_epoch else None
    ])  # fmt: skip
    assert same(weights(net), weights(shorter))
    with pytest.raises(InputError, match="patience needs batches to judge by"):
        run(plan)


def test_the_average_is_what_is_kept():
    plan = replace(PLAN, epochs=2)
    plain, _ = run(replace(plan, ema=None))
    mean, _ = run(plan)
    assert not same(weights(plain), weights(mean))


def test_watchers_see_gradients_before_the_step_and_may_stop_it():
    seen = []

    def watcher(moment):
        assert all(p.grad is not None for p in moment.net.parameters())
        seen.append((moment.step, moment.epoch, moment.answer.loss.item()))
        return "gradient vanished" if moment.step == 6 else None

    _, trained = run(watchers=[watcher])
    assert trained.stopped == "stopped before step 6: gradient vanished"
    assert [step for step, *_ in seen] == list(range(7))
    assert trained.steps == 6
    assert [epoch.steps for epoch in trained.curve] == [4, 2]


def test_watchers_that_only_watch_change_nothing():
    assert same(weights(run()[0]), weights(run(watchers=[lambda moment: None])[0]))


def test_a_frozen_body_stands_still_with_its_statistics():
    net = tiny()
    freeze_body(net)
    before = weights(net)
    run(replace(PLAN, ema=None), net=net)
    moved = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {"head.weight", "head.bias"}


def test_the_body_goes_slower_where_asked():
    net = tiny()
    groups = make_optimizer(net, replace(PLAN, body_lr=0.1)).param_groups
    scales = {id(p): (g["scale"], g["weight_decay"] > 0) for g in groups for p in g["params"]}
    found = {name: scales[id(p)] for name, p in net.named_parameters()}
    assert found == {
        "conv.weight": (0.1, True), "conv.bias": (0.1, False), "bn.weight": (0.1, False),
        "bn.bias": (0.1, False), "head.weight": (1.0, True), "head.bias": (1.0, False),
    }  # fmt: skip
    for parameter in net.parameters():
        parameter.requires_grad_(False)
    with pytest.raises(InputError, match="all are frozen"):
        make_optimizer(net, PLAN)


def test_a_run_folder_tells_the_run(tmp_path):
    net, trained = run(folder=tmp_path / "run", valid=held())
    kept = safetensors.torch.load_file(tmp_path / "run" / "weights.safetensors")
    assert same(weights(net), kept)
    settings = json.loads((tmp_path / "run" / "plan.json").read_text())
    assert Plan.from_json(settings["plan"]) == PLAN
    assert settings["task"]["task"] == "classify"
    rows = list(csv.DictReader((tmp_path / "run" / "curve.csv").open()))
    assert [float(row["loss"]) for row in rows] == [epoch.loss for epoch in trained.curve]
    page = (tmp_path / "run" / "curve.html").read_text()
    assert page.count("<svg") == 3
    assert "://" not in page
    assert "src=" not in page


def test_a_finished_run_is_not_run_again_and_another_plan_is_refused(tmp_path):
    net, trained = run(folder=tmp_path)
    again, once_more = run(folder=tmp_path, watchers=[lambda moment: pytest.fail("a step was made")])
    assert same(weights(net), weights(again))
    assert once_more.curve == trained.curve
    with pytest.raises(InputError, match=r"other settings \(plan.peak_lr: 0.05, now 0.01\)"):
        run(replace(PLAN, peak_lr=0.01), folder=tmp_path)


def test_a_folder_that_holds_something_else_keeps_it(tmp_path):
    """sortal recipe --into thumbs.model wrote over the model's weights."""
    (tmp_path / "weights.safetensors").write_bytes(b"a model's")
    with pytest.raises(InputError, match=r"holds weights.safetensors of something else. Choose another"):
        run(folder=tmp_path)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"a model's"]


def test_a_run_that_a_watcher_stopped_goes_on_to_the_same_bits(tmp_path):
    whole, _ = run()
    for stop in (3, 4, 17):
        pause = [lambda moment, at=stop: "pause" if moment.step == at else None]
        run(folder=tmp_path, watchers=pause, checkpoint_s=0)
    resumed, trained = run(folder=tmp_path)
    assert same(weights(whole), weights(resumed))
    assert [epoch.steps for epoch in trained.curve] == [4] * 12


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_network_in_channels_last_resumes_to_the_same_bits(tmp_path, optimizer):
    plan = Plan(epochs=2, peak_lr=0.01, optimizer=optimizer, ema=0.9)

    def go(**more):
        net = nets.resnet20(3, 1, seed=0)
        train(net, Classify(), batches(24, 8), plan, device="cpu", checkpoint_s=0, **more)
        return weights(net)

    go(folder=tmp_path, watchers=[lambda moment: "pause" if moment.step == 4 else None])
    assert same(go(), go(folder=tmp_path))


def test_half_precision_as_on_a_gpu_learns_and_resumes_to_the_same_bits(tmp_path):
    half = Device(torch.device("cpu"), "asked for", torch.bfloat16, channels_last=True)
    seen = set()

    def go(watcher=lambda moment: None, **more):
        net = tiny()
        where = {"device": half, "watchers": [watcher]}
        return net, train(net, Classify(), batches(), PLAN, valid=held(), **where, **more)

    def look(moment):
        seen.update({moment.answer.loss.dtype, moment.net.conv.weight.grad.dtype})
        return "pause" if moment.step == 9 else None

    whole, trained = go()
    assert trained.curve[-1].valid_right == 1
    go(look, folder=tmp_path, checkpoint_s=0)
    assert seen == {torch.float32}  # outside of the products nothing is halved
    assert same(weights(whole), weights(go(folder=tmp_path)[0]))
    assert not same(weights(whole), weights(run(valid=held())[0]))


def test_a_plain_networks_run_and_weights_are_no_residual_ones(tmp_path):
    """Names and shapes are the same: loaded into the other, the weights give nonsense without a word."""
    plan = Plan(epochs=1, peak_lr=0.01)
    train(nets.plain20(3, 1, seed=0), Classify(), batches(8, 4), plan, device="cpu", folder=tmp_path)
    with pytest.raises(InputError, match="net: SmallPlainNet, now SmallResNet"):
        train(nets.resnet20(3, 1, seed=0), Classify(), batches(8, 4), plan, device="cpu", folder=tmp_path)
    nets.weights.load(nets.plain20(3, 1), tmp_path / "weights.safetensors")
    with pytest.raises(DataError, match="must be of a SmallResNet; they are of a SmallPlainNet"):
        nets.weights.load(nets.resnet20(3, 1), tmp_path / "weights.safetensors")


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_carried_state_and_unequal_pieces_resume_to_the_same_bits(tmp_path, optimizer):
    def go(folder=None, stop=None):
        torch.manual_seed(0)
        net = Recurrent()
        plan = Plan(epochs=3, peak_lr=0.01, optimizer=optimizer, clip_norm=1.0)
        watcher = [lambda moment: "pause" if moment.step == stop else None]
        return net, train(
            net, Carry(), Pieces(), plan, device="cpu", folder=folder, watchers=watcher, checkpoint_s=0
        )

    whole, trained = go()
    assert trained.curve[-1].loss < trained.curve[0].loss
    go(tmp_path, stop=8)
    assert same(weights(whole), weights(go(tmp_path)[0]))


def test_ctrl_c_makes_a_checkpoint_and_the_same_call_goes_on(tmp_path):
    whole, _ = run()

    def press(moment):
        if moment.step == 9:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt, match="stopped after step 10 of 48; the same command goes on"):
        run(folder=tmp_path, watchers=[press])
    plan = tmp_path / "plan.json"
    plan.write_text(plan.read_text().replace("1 thread)", "9 threads)"))
    told = Told()
    assert same(weights(whole), weights(run(folder=tmp_path, progress=told)[0]))
    assert told.lines[0].startswith("goes on after step 10; begun on cpu (asked for")
    assert "9 threads), so the last bits may differ" in told.lines[0]


class Told(Progress):
    def __init__(self):
        self.lines = []

    def say(self, line):
        self.lines.append(line)


def test_a_run_that_went_wrong_at_once_leaves_its_folder_to_a_better_plan(tmp_path):
    with pytest.raises(Diverged):
        train(tiny(), Spoilt(1, np.nan), batches(), PLAN, device="cpu", folder=tmp_path)
    plan = replace(PLAN, peak_lr=0.01, epochs=1)
    run(plan, folder=tmp_path)
    assert Plan.from_json(json.loads((tmp_path / "plan.json").read_text())["plan"]) == plan
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "plan.json").write_text('{"monday": "rest"}')
    with pytest.raises(InputError, match="choose another folder"):
        run(plan, folder=tmp_path / "mine")
    (tmp_path / "mine" / "plan.json").write_text("3")
    with pytest.raises(DataError, match="must be the settings of a run"):
        run(plan, folder=tmp_path / "mine")


class Spoilt(Classify):
    """From step `at` on the loss is multiplied by `factor`."""

    def __init__(self, at, factor):
        super().__init__()
        self.at, self.factor, self.step = at, factor, -1

    def loss(self, net, batch):
        self.step += 1
        answer = super().loss(net, batch)
        factor = self.factor if self.step >= self.at else 1.0
        return Answer(answer.loss * factor, answer.n, answer.right)


def test_nan_stops_with_the_step_and_the_last_good_weights(tmp_path):
    good, _ = run(replace(PLAN, ema=None), watchers=[lambda m: "enough" if m.epoch == 2 else None])
    net = tiny()
    with pytest.raises(Diverged, match="the loss of step 9 is nan; the one before was") as stopped:
        train(net, Spoilt(9, np.nan), batches(), replace(PLAN, ema=None), device="cpu", folder=tmp_path)
    assert stopped.value.step == 9
    assert same(weights(net), weights(good))
    for path in tmp_path.rglob("net.safetensors"):
        assert all(torch.isfinite(value).all() for value in safetensors.torch.load_file(path).values())


def test_the_likely_cause_of_nan_is_said():
    class Dirty:
        def __init__(self):
            self.clean = batches()

        def __len__(self):
            return len(self.clean)

        def epoch(self, number, start=0):
            for i, batch in enumerate(self.clean.epoch(number, start)):
                if i == 2:
                    batch["inputs"][0, 0, 0, 0] = torch.inf
                yield batch

    net, before = tiny(), weights(tiny())
    with pytest.raises(Diverged, match=r"step 2 .*its batch holds NaN or infinity in 'inputs'"):
        train(net, Classify(), Dirty(), PLAN, device="cpu")
    assert same(weights(net), before)
    with pytest.raises(Diverged, match=r"step 0 .*it is the first one"):
        train(tiny(), Spoilt(0, np.nan), batches(), PLAN, device="cpu")
    plan = Plan(epochs=100, peak_lr=50.0, weight_decay=5.0, nesterov=False)
    plain = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.Linear(64, 3))
    with pytest.raises(Diverged, match=r"had grown from .* lower peak_lr \(the rate was"):
        train(plain, Classify(), batches(), plan, device="cpu")


def test_the_last_step_of_an_epoch_may_be_the_bad_one(tmp_path):
    """Its loss is a number, its gradient is not: the weights of the epoch before are the last good ones."""

    def spoil(moment):
        if moment.step == 7:  # of four in an epoch
            next(iter(moment.net.parameters())).grad.fill_(torch.nan)

    net, plan = tiny(), replace(PLAN, ema=None, clip_norm=None)
    good, _ = run(plan, watchers=[lambda moment: "enough" if moment.epoch == 1 else None])
    said = r"step 7 left NaN .* lower peak_lr .*, set clip_norm\. The last good"
    with pytest.raises(Diverged, match=said) as stopped:
        train(net, Classify(), batches(), plan, device="cpu", watchers=[spoil], folder=tmp_path)
    assert stopped.value.step == 7
    assert same(weights(net), weights(good))
    assert same(weights(net), safetensors.torch.load_file(tmp_path / "weights.safetensors"))


def test_out_of_memory_says_the_batch_that_fits():
    class Small(Classify):
        def loss(self, net, batch):
            if len(batch["labels"]) > 5:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().loss(net, batch)

    class Full(Classify):
        def loss(self, net, batch):
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(InputError, match="not even those of a batch of 15 fit"):
        train(tiny(), Full(), batches(), PLAN, device="cpu")
    net, before = tiny(), weights(tiny())
    with pytest.raises(InputError, match=r"15 does not, 3 does \(tried\)\. Set batch_size=3"):
        train(net, Small(), batches(), PLAN, device="cpu")
    assert same(weights(net), before)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(InputError, match="torch finds no CUDA device"):
        train(tiny(), Classify(), batches(), PLAN, device="cuda")
    with pytest.raises(InputError, match="device must be"):
        train(tiny(), Classify(), batches(), PLAN, device="abacus")


def test_a_number_of_a_device_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InputError, match="device 'cuda:7' is not there; torch finds 1 CUDA device"):
        choose_device("cuda:7")


@pytest.mark.parametrize(
    ("capability", "half", "numbers"),
    [((9, 0), torch.bfloat16, "bfloat16 products, channels_last"), ((7, 5), None, "float32: no bfloat16")],
)
def test_a_gpu_is_taken_where_there_is_one(monkeypatch, capability, half, numbers):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "A100")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    found = choose_device()
    assert (found.device.type, found.half, found.channels_last) == ("cuda", half, half is not None)
    assert str(found).startswith(f"cuda (found: A100; {numbers}")


def test_the_device_and_its_reason_are_said():
    assert run(replace(PLAN, epochs=1))[1].device.startswith(
        "cpu (asked for; float32, channels_last, 1 thread)"
    )
