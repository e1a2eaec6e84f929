"""Piles that teach themselves an encoder: once, to the same bits, kept, and grouped by both views.

Each training, of 20 steps, costs some 3 CPU-seconds, most of it the export: those that need another are slow.
"""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import sortal
from sortal.classifier import load
from sortal.cluster import shared_neighbor_clustering, split_views
from sortal.doctor import check
from sortal.embed import Hog, Preprocess
from sortal.errors import DataError, InputError, MissingExtra, StoreError
from sortal.train import self_taught
from sortal.train.loop import train
from tests.one_thread import one_thread  # noqa: F401 (a fixture)

from .digits import write_digits
from .test_journey import Told

N = 60
# 20 steps instead of 600, a checkpoint after each, and SIGKILL after the eighth of them.
KILLED = """
import os, signal, sys
from dataclasses import replace
import sortal, torch
from sortal.progress import Progress
from sortal.train import self_taught
from sortal.train.loop import train
from tests.one_thread import one_thread  # noqa: F401 (a fixture)
torch.set_num_threads(1)
self_taught.LESSONS["self"] = replace(self_taught.SHAPES, steps=1)
train.__kwdefaults__["checkpoint_s"] = 0
class Killer(Progress):
    steps = 0
    def start(self, what, total):
        self.what = what
    def advance(self, n):
        self.steps += n * (self.what == "training")
        if self.steps == 8:
            os.kill(os.getpid(), signal.SIGKILL)
sortal.organize(sys.argv[1], encoder="self", k=10, progress=Killer())
"""


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """20 steps."""
    monkeypatch.setitem(self_taught.LESSONS, "self", replace(self_taught.SHAPES, steps=1))


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    """A folder of digits and its pile, taught by 20 steps."""
    root = tmp_path_factory.mktemp("taught")
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(self_taught.LESSONS, "self", replace(self_taught.SHAPES, steps=1))
        sortal.organize(write_digits(root / "digits", 0, N), encoder="self", k=10).close()
    return root


@pytest.fixture
def pile(taught, tmp_path):
    """The path of a copy."""
    return shutil.copytree(taught / "digits.sortal", tmp_path / "digits.sortal")


class Stops(Told):
    """Presses Ctrl-C after some steps of the training."""

    def __init__(self, after):
        super().__init__()
        self.left, self.what = after, ""

    def start(self, what, total):
        self.what = what

    def advance(self, n):
        if self.what == "training":
            self.left -= n
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGINT)


def organize(source, **wishes):
    told = Told()
    with sortal.organize(source, progress=told, **wishes) as made:
        return made.encoder, np.array(made.vectors), told.lines


def network_of(pile, seed=0):
    weights = pile / "models" / f"self-{seed}.model" / "network.safetensors"
    return hashlib.sha256(weights.read_bytes()).digest()


def test_the_vectors_are_two_views_and_the_groups_those_of_both_graphs(pile):
    with sortal.open(pile) as made:
        assert made.encoder.spec == {
            "kind": "self", "beside": "hog/1", "views": [128, 1024],
            "training": {"seed": 0, "images": N, "device": "cpu"},
        }  # fmt: skip
        assert made.views == (128, 1024)
        network, hog = split_views(np.array(made.vectors), made.views)
        images = [np.asarray(Image.open(path).convert("RGB").resize((32, 32), 2)) for path in made.paths]
        np.testing.assert_array_equal(hog, Hog().embed(np.stack(images)))
        np.testing.assert_allclose(np.linalg.norm(network, axis=1), 5, atol=1e-5)  # float32
        expected = shared_neighbor_clustering([network, hog], 10)
        assert np.array_equal(made.labels, expected.labels)
        assert np.array_equal(made.points, expected.points)
        assert made.verify() == []
        made.split(0)
        assert sorted(path.name for path in (made.path / "models").glob("self-*")) == ["self-0.model"]


def test_a_second_run_embeds_only_what_is_new_and_trains_nothing(pile, taught, monkeypatch):
    monkeypatch.setattr("sortal.teaching.check_exporter", lambda: pytest.fail("nothing is to be trained"))
    before, vectors, _ = organize(pile)
    added = write_digits(pile.parent / "more", N, N + 5)
    for wishes in ({"encoder": "self"}, {"encoder": "self", "seed": 0}, {}):
        encoder, again, lines = organize(pile, **wishes)
        assert (encoder, lines[-1]) == (before, "nothing changed: the groups stay as they are")
        np.testing.assert_array_equal(again, vectors)
    encoder, more, lines = organize(added, into=pile)
    assert (encoder, len(more)) == (before, N + 5)
    assert f"{added}: 5 files, 5 to read" in lines


@pytest.mark.slow
def test_another_seed_trains_anew_and_the_first_is_kept(pile):
    first = network_of(pile)
    encoder, _, lines = organize(pile, encoder="self", seed=7)
    assert encoder.spec["training"]["seed"] == 7
    assert lines[0].startswith("training a network on the pile itself, seed 7, once; device: cpu")
    assert network_of(pile) == first != network_of(pile, 7)
    assert organize(pile, encoder="self")[0] == encoder  # that of the groups
    assert organize(pile, encoder="self", seed=0)[0].spec["training"]["seed"] == 0
    assert organize(pile, seed=3)[0].spec["training"]["seed"] == 0  # groups anew, trains nothing


@pytest.mark.slow
def test_the_same_images_and_seed_give_the_same_bits(pile, taught):
    wish = {"into": pile.parent / "again.sortal", "encoder": "self", "k": 10}
    with sortal.organize(taught / "digits", **wish) as again, sortal.open(pile) as first:
        assert again.encoder == first.encoder
        np.testing.assert_array_equal(again.vectors, first.vectors)
        np.testing.assert_array_equal(again.labels, first.labels)


def test_ctrl_c_leaves_a_checkpoint_and_the_next_run_ends_with_the_same_bits(pile, taught, tmp_path):
    source = shutil.copytree(taught / "digits", tmp_path / "stopped")
    with pytest.raises(KeyboardInterrupt, match="stopped after step 7 of 20"):
        sortal.organize(source, encoder="self", k=10, progress=Stops(7))
    run = tmp_path / "stopped.sortal" / "models" / "self-0.training"
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["00000007"]
    write_digits(source, N, N + 5)  # a run goes on with what it began with
    told = Stops(100)
    with sortal.organize(source, encoder="self", k=10, progress=told) as made:
        assert len(made) == N + 5
        assert told.left == 100 - 13  # only what is left is counted
    assert network_of(tmp_path / "stopped.sortal") == network_of(pile)
    assert not run.exists()


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_bits(pile, taught, tmp_path):
    source = shutil.copytree(taught / "digits", tmp_path / "killed")
    command = [sys.executable, "-c", KILLED, source]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    checkpoints = tmp_path / "killed.sortal" / "models" / "self-0.training" / "checkpoints"
    assert any(
        checkpoints.iterdir()
    )  # the last one where the disk is fast; each pauses for 50 times its cost
    organize(source, encoder="self", k=10)
    assert network_of(tmp_path / "killed.sortal") == network_of(pile)


def test_the_model_folder_is_an_encoder_for_other_piles(pile, tmp_path):
    folder = pile / "models" / "self-0.model"
    with sortal.open(pile) as first:
        digest = first.encoder.digest
    moved = shutil.copytree(folder, tmp_path / "marks.model")
    encoder, vectors, _ = organize(write_digits(tmp_path / "other", 100, 130), encoder=moved, k=5)
    assert (encoder.name, encoder.digest, vectors.shape) == ("marks.model", digest, (30, 1152))
    shutil.rmtree(moved)
    assert organize(tmp_path / "other.sortal")[0] == encoder  # the pile has its own copy
    with pytest.raises(DataError, match="knows no names: group a pile with it"):
        load(folder)
    (folder / "encoder.onnx").write_bytes(b"another")
    with pytest.raises(DataError, match=r"encoder\.onnx does not match"):
        organize(write_digits(tmp_path / "third", 0, 20), encoder=folder)


def test_damage_to_the_kept_network_is_found_and_said(pile):
    (pile / "models" / "self-0.model" / "network.safetensors").write_bytes(b"other")
    assert [one.file for one in check(str(pile))] == [str(pile / "models" / "self-0.model")]
    with pytest.raises(DataError, match=r"network\.safetensors does not match"):
        organize(pile, encoder="self")
    organize(pile)  # its own copy of the graph is whole


def test_a_model_of_its_names_predicts_without_the_pile(pile, taught, tmp_path):
    with sortal.open(pile) as made:
        for i in range(N):
            made.name(None, made.paths[i].split("/")[-2], items=[i])
        made.train(tmp_path / "digits.model")
    answers = load(tmp_path / "digits.model").predict(taught / "digits")
    right = sum(one.name == one.path.split("/")[-2] for one in answers.predictions)
    assert right > 0.8 * N  # learned from four fifths of them; hog alone is as good


@pytest.mark.slow
def test_colour_and_odd_sizes_are_seen_in_grey_and_said(tmp_path):
    folder = tmp_path / "odd"
    folder.mkdir()
    rng = np.random.default_rng(0)
    sizes = ((1, 1), (3, 200), (50, 7), (33, 33))
    for i in range(24):
        pixels = rng.integers(0, 256, (*sizes[i % 4], 3), dtype=np.uint8) // [1, 2, 4]
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{i:02}.png")
    (folder / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    encoder, vectors, lines = organize(folder, encoder="self", k=3)
    assert vectors.shape == (24, 1152)
    assert np.isfinite(vectors).all()
    assert encoder.spec["training"]["images"] <= 24
    assert "these look like photographs: self learns shapes, in grey; a network of others sees more" in lines


@pytest.mark.slow
def test_two_images_are_enough_and_one_is_not(tmp_path):
    write_digits(tmp_path / "two", 0, 2)
    _, vectors, lines = organize(tmp_path / "two", encoder="self", k=2)
    assert len(vectors) == 2
    assert "2 different images are few to learn from: --encoder hog may group them better" in lines
    for name, n in (("one", 1), ("equal", 6)):
        (tmp_path / name).mkdir()
        for i in range(n):
            Image.new("L", (20 + i, 20), 255).save(tmp_path / name / f"{i}.png")
        with pytest.raises(InputError, match=rf"needs images that differ; got 1 different of {n} image"):
            organize(tmp_path / name, encoder="self")
        assert not (tmp_path / f"{name}.sortal").exists()


def test_what_cannot_work_is_refused_before_the_training(tmp_path, monkeypatch):
    digits = write_digits(tmp_path / "digits", 0, 20)
    monkeypatch.setattr(self_taught, "prepared", lambda *given: pytest.fail("nothing is to be read"))
    with pytest.raises(InputError, match="got k=21 for 20 items"):
        organize(digits, encoder="self", k=21)
    with pytest.raises(InputError, match="preprocess belongs to an ONNX file"):
        organize(digits, encoder="self", preprocess=Preprocess())
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r'pip install "sortal\[nets\]"'):
        organize(digits, encoder="self")
    assert not (tmp_path / "digits.sortal").exists()


@pytest.mark.slow
def test_an_error_in_the_training_throws_nothing_away(tmp_path, monkeypatch):
    digits = write_digits(tmp_path / "digits", 0, 20)

    def full(*given, **named):
        raise StoreError("the disk is full")

    monkeypatch.setattr(self_taught, "train", full)
    with pytest.raises(StoreError, match="the disk is full"):
        organize(digits, encoder="self", k=2)
    assert (tmp_path / "digits.sortal" / "models" / "self-0.training" / self_taught.PREPARED).is_file()
    monkeypatch.setattr(self_taught, "train", train)
    assert len(organize(digits, encoder="self", k=2)[1]) == 20


@pytest.mark.slow
def test_a_large_pile_is_sampled(tmp_path, monkeypatch):
    few = replace(self_taught.LESSONS["self"], most=12)
    monkeypatch.setitem(self_taught.LESSONS, "self", few)
    encoder, vectors, _ = organize(write_digits(tmp_path / "digits", 0, 30), encoder="self", k=3)
    assert (encoder.spec["training"]["images"], len(vectors)) == (12, 30)


@pytest.mark.slow
def test_photographs_are_learned_in_colour_by_a_network_of_their_own(tmp_path, monkeypatch):
    """The lesson for a GPU in small: the same network and code, four steps of its 49,000."""
    plan = replace(self_taught.PHOTOGRAPHS.plan, epochs=2, warmup_epochs=1)
    short = replace(self_taught.PHOTOGRAPHS, plan=plan, steps=2, batch_size=16)
    monkeypatch.setitem(self_taught.LESSONS, "self-photos", short)
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(24):
        pixels = np.kron(rng.integers(0, 256, (5, 5, 3)), np.ones((8, 8, 1))).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:02}.png")
    encoder, vectors, lines = organize(folder, encoder="self-photos", k=3)
    assert "self-photos is made for a GPU: on a CPU it takes weeks" in lines
    assert (encoder.name, vectors.shape) == ("self-photos", (24, 512))
    assert encoder.spec == {"kind": "self", "training": {"seed": 0, "images": 24, "device": "cpu"}}
    kept = tmp_path / "photos.sortal" / "models" / "self-photos-0.model"
    assert "in colour" in (kept / "CARD.md").read_text()
    assert sum(1 for _ in (kept / "curve.csv").open()) == 3
    with sortal.open(tmp_path / "photos.sortal") as made:
        assert made.views == ()
        assert made.verify() == []
    assert organize(folder, encoder="self-photos")[2][-1] == "nothing changed: the groups stay as they are"
    assert organize(folder, encoder=kept, into=tmp_path / "other.sortal", k=3)[0].digest == encoder.digest
