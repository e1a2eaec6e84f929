"""The protocol on stripes: what is compared, what is kept, what is said."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from sortal.data import LabelledImages
from sortal.errors import DataError, InputError
from sortal.nets.network import drawn
from sortal.nets.resnet_small import SmallResNet
from sortal.progress import Progress
from sortal.train import transfer as module
from sortal.train.augment import Augment
from sortal.train.device import choose_device
from sortal.train.head import fit_linear
from sortal.train.normalize import Normalize
from sortal.train.transfer import transfer
from sortal.train.transfer_page import COLUMNS, rows, transfer_page
from sortal.train.ways import Course, body_vectors, fine_tune, fit_head, from_scratch, says

from .tiny import stripes

COURSE = Course(epochs=2, normalize=Normalize((0.5,), (0.3,)), augment=Augment(shift=1))


@pytest.fixture
def cpu():
    return choose_device("cpu")


def net(seed=0, n_names=3):
    """Eight layers: the family's smallest."""
    return drawn(lambda: SmallResNet(1, n_names, 1), seed)


@pytest.fixture(scope="module")
def body():
    """Has seen other stripes than the tests'."""
    found = net()
    course = replace(COURSE, epochs=4, augment=Augment())
    from_scratch(found, stripes(90, 5), course, 0, device=choose_device("cpu"), progress=Progress())
    return found


def run(body, folder=None, images=None, **options):
    asked = {"per_class": (3, None), "seeds": 2, "device": "cpu"} | options
    return transfer(images or stripes(60), body, net, COURSE, folder=folder, **asked)


@pytest.fixture(scope="module")
def found(body, tmp_path_factory):
    folder = tmp_path_factory.mktemp("kept")
    return run(body, folder, own=stripes(30, 9)), folder


def test_every_way_and_size_side_by_side(found):
    record, _ = found
    assert [(one.way, one.per_class, one.n_learned) for one in record.scores] == [
        ("frozen", 3, 9), ("fine-tuned", 3, 9), ("scratch", 3, 9),
        ("frozen", None, 48), ("fine-tuned", None, 48), ("scratch", None, 48),
    ]  # fmt: skip
    assert (record.n_learn, record.n_test, len(record.differences)) == (48, 12, 6)
    assert record.own_data.right > 0.8
    last = {one.way: one for one in record.scores[-3:]}
    assert last["frozen"].right > 0.8
    assert last["frozen"].cpu_s < last["fine-tuned"].cpu_s
    for one in record.scores:
        assert one.interval[0] <= one.right <= one.interval[1]
        assert one.right == pytest.approx(np.mean(one.by_seed))
        assert one.peak_mb > 10
    for one in record.differences:
        assert one.interval[0] <= one.difference <= one.interval[1]


def test_the_page_and_the_table_say_it_in_words(found):
    record, _ = found
    lines = rows(record)
    assert [line[0] for line in lines[:4]] == [
        "own data (P0)", "frozen body, new head (P1)", "fine-tuned", "from scratch (P2)",
    ]  # fmt: skip
    assert all(len(line) == len(COLUMNS) for line in lines)
    page = transfer_page(record)
    assert page.count("<polyline") == 3
    assert "://" not in page


def test_the_body_given_is_left_as_it_was(body):
    before = {name: value.clone() for name, value in body.state_dict().items()}
    run(body, per_class=(None,), seeds=1)
    assert all(torch.equal(value, before[name]) for name, value in body.state_dict().items())


def test_vectors_of_the_frozen_body_are_made_once(body, monkeypatch):
    made = []
    monkeypatch.setattr(module, "body_vectors", lambda *a: made.append(len(a[1])) or body_vectors(*a))
    run(body, seeds=2)
    assert made == [48, 12]


def test_finished_cells_are_kept_and_more_can_follow(body, found, monkeypatch):
    record, folder = found
    for way in ("_frozen", "_fine_tuned", "_scratch", "own_data"):
        monkeypatch.setattr(module._Run, way, None)  # whoever calls one fails
    again = run(body, folder, own=stripes(30, 9))
    assert (again.scores, again.own_data) == (record.scores, record.own_data)
    with pytest.raises(TypeError, match="NoneType"):
        run(body, folder, own=stripes(30, 8))
    with pytest.raises(TypeError, match="NoneType"):
        run(body, folder, seeds=3)


def test_a_killed_run_ends_as_one_that_was_not(body, found, tmp_path, monkeypatch):
    """Stopped by Ctrl-C in the middle of a training, and again between two cells."""
    record, _ = found
    stopping = {"after": 4}

    class Impatient(Progress):
        def advance(self, n):
            stopping["after"] -= n
            if stopping["after"] == 0:
                import signal

                signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt, match="the same command goes on"):
        run(body, tmp_path, progress=Impatient())
    assert list((tmp_path / "training").iterdir())
    again = run(body, tmp_path)
    assert [one.by_seed for one in again.scores] == [one.by_seed for one in record.scores]
    assert again.differences == record.differences
    assert not list((tmp_path / "training").iterdir())


def test_another_runs_folder_is_refused(body, found):
    _, folder = found
    with pytest.raises(InputError, match=r"other settings \(images.learn: \[.*\); choose another folder"):
        run(body, folder, images=stripes(60, 1))
    with pytest.raises(InputError, match=r"other settings \(weights: "):
        run(net(5), folder)
    cell = next((folder / "cells").iterdir())
    whole = cell.read_bytes()
    cell.write_bytes(whole[:40])
    with pytest.raises(DataError, match="is damaged"):
        run(body, folder)
    cell.write_bytes(whole)
    assert json.loads(whole)["way"] in ("frozen", "fine-tuned", "scratch")


def test_sizes_that_no_name_reaches_are_all_there_are(body):
    class Told(Progress):
        def say(self, line):
            told.append(line)

    told = []
    record = run(body, per_class=(500,), seeds=1, progress=Told())
    assert {one.per_class for one in record.scores} == {None}
    assert any("no name has more than 16 images" in line for line in told)
    with pytest.raises(InputError, match="per_class must be whole numbers from 1, or all"):
        run(body, per_class=(0,))
    with pytest.raises(InputError, match="seeds must be a whole number from 1; got 0"):
        run(body, seeds=0)
    with pytest.raises(InputError, match="held_out must be a share between 0 and 1; got 1"):
        run(body, held_out=1)


def test_uneven_names_count_the_same_in_every_way_and_it_is_said(body, cpu, tmp_path):
    class Told(Progress):
        def say(self, line):
            told.append(line)

    told, one = [], stripes(120)
    skewed = one.take(np.flatnonzero((one.labels != 2) | (np.arange(120) < 30)))
    run(body, images=skewed, per_class=(None,), seeds=1, progress=Told())
    assert sum("every name counts the same in the loss" in line for line in told) == 1
    from_scratch(net(), skewed, COURSE, 0, device=cpu, progress=Progress(), folder=tmp_path)
    weights = json.loads((tmp_path / "plan.json").read_text())["task"]["weights"]
    assert weights == pytest.approx([90 / 120, 90 / 120, 3])
    # Two names that overlap: the head's border lies in the middle, however many items each has.
    random = np.random.default_rng(0)
    vectors = np.concatenate([random.normal(-1, 1, (900, 1)), random.normal(1, 1, (90, 1))])
    slopes, biases = fit_linear(vectors.astype(np.float32), np.repeat([0, 1], [900, 90]), 0)
    border = -(biases[1] - biases[0]) / (slopes[1] - slopes[0])
    assert abs(float(border[0])) < 0.15


def test_vectors_need_no_more_memory_than_there_is(body, cpu, monkeypatch):
    images = stripes(40)
    wanted = body_vectors(body, images, COURSE.normalize, cpu)
    embed, room = body.embed, 16

    def cramped(batch):
        if len(batch) > room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return embed(batch)

    monkeypatch.setattr(body, "embed", cramped)
    np.testing.assert_allclose(body_vectors(body, images, COURSE.normalize, cpu), wanted, atol=1e-5)  # sums
    room = 0
    with pytest.raises(InputError, match="cpu's memory must hold the network and two images"):
        body_vectors(body, images, COURSE.normalize, cpu)


def test_the_settings_that_messages_name_are_offered(tmp_path, cpu):
    course = replace(COURSE, batch_size=5, peak_lr=0.003)
    from_scratch(net(), stripes(12), course, 0, device=cpu, progress=Progress(), folder=tmp_path)
    settings = json.loads((tmp_path / "plan.json").read_text())
    assert (settings["plan"]["peak_lr"], settings["batches"]["batch_size"]) == (0.003, 5)
    assert course.fine_tuning(0).peak_lr == 0.003


def test_images_that_cannot_be_used(body):
    one = stripes(60)
    with pytest.raises(InputError, match=r"at least two names.*all 20 are 'lying'"):
        run(body, images=one.take(one.labels == 0))
    single = one.take(np.flatnonzero((one.labels != 2) | (np.arange(60) == 2)))
    with pytest.raises(InputError, match=r"a name needs two items.*'none' has one"):
        run(body, images=single)
    unnamed = LabelledImages(one.pixels, np.where(np.arange(60) < 3, -1, one.labels), one.names)
    with pytest.raises(InputError, match="3 items of 60 has none"):
        run(body, images=unnamed)
    with pytest.raises(InputError, match="images must have 1 channels"):
        run(body, images=LabelledImages(one.pixels.repeat(3, 3), one.labels, one.names))


def test_images_too_small_say_the_least_size():
    from sortal import nets

    body = nets.vgg11(3, 1, seed=0)
    with pytest.raises(InputError, match=f"at least {body.least_size} x {body.least_size}.*got 8 x 8"):
        transfer(stripes(12), body, lambda seed: nets.vgg11(3, 1, seed=seed), COURSE, device="cpu")


def test_a_fitted_head_names_as_the_network_does(body, cpu):
    images = stripes(60)
    own = net(3)
    own.load_state_dict(body.state_dict())
    vectors = body_vectors(own, images, COURSE.normalize, cpu)
    fit_head(own, vectors, images.labels, 0)
    head = own.head
    logits = vectors @ head.weight.detach().numpy().T + head.bias.detach().numpy()
    assert (logits.argmax(1) == says(own, images, COURSE.normalize, cpu)).all()
    assert (logits.argmax(1) == images.labels).mean() > 0.9


def test_the_bodys_steps_are_smaller(cpu):
    plan = COURSE.fine_tuning(0)
    assert plan.body_lr < 1
    assert plan.peak_lr < COURSE.scratch(net(), 0).peak_lr
    tuned = net(1)
    before = tuned.conv1.weight.detach().clone()
    fine_tune(tuned, stripes(12), COURSE, 0, device=cpu, progress=Progress())
    assert not torch.equal(before, tuned.conv1.weight)
