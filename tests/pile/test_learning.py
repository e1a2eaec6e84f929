"""A pile's images train a network; its model predicts without torch and re-organises the pile."""

import json
import shutil
import subprocess
import sys
from typing import ClassVar

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import sortal
from sortal.errors import DataError, InputError
from sortal.progress import Progress
from tests.one_thread import one_thread  # noqa: F401 (a fixture)

from .digits import write_digits

pytest.importorskip("torch")

from sortal import nets
from sortal.learning import Start
from sortal.train import load_model
from sortal.train.manifest import manifest_text
from sortal.train.network_model import load_network, network_bytes
from sortal.train.pretrained import loaded, normalize_of
from sortal.whole import sha256_of


class Told(Progress):
    lines: ClassVar[list[str]] = []

    def say(self, line):
        self.lines.append(line)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with digits/, digits.sortal (named, some "none of these") and the model of a ResNet-20."""
    root = tmp_path_factory.mktemp("trained")
    write_digits(root / "digits", 0, 100)
    with sortal.organize(root / "digits", k=10, names_from="folders") as pile:
        nines = [path for path in pile.paths if "/9/" in path]
        pile.none(items=nines)
        start = Start("resnet20", epochs=1, watch=2)
        head = pile.train(root / "digits.model", start=start, progress=Told())
    return root, head


def test_the_folder_holds_a_network_and_predicts_as_it_does(trained):
    import torch

    root, head = trained
    model = load_model(root / "digits.model")
    assert model.config["kind"] == "net"
    assert model.config["builder"]["name"] == "resnet20"
    assert model.config["builder"]["training"] == {"how": "scratch", "epochs": 1, "weights": None}
    assert model.encoder["name"] == "resnet20"
    assert head.labels == tuple("012345678")
    assert head.report.n_none > 0
    assert not (root / "digits.model.training").exists()
    net = load_network(model)
    assert net.num_classes == 10  # "none of these" is an answer
    classifier = sortal.load(root / "digits.model")
    pixels = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)
    with torch.inference_mode():
        wanted = net(torch.from_numpy(classifier.encoder.normalised(pixels))).numpy()
    found = head.logits(classifier.encoder.embed(pixels))
    assert np.abs(found - wanted).max() < 1e-3 * np.abs(wanted).max()  # the exporter's 1e-4, through a head


def test_its_gradient_can_be_looked_at(trained):
    from sortal.diagnose import examine
    from sortal.diagnose.verdict.opened import opened

    root, _ = trained
    found = opened(str(root / "digits.model"), root / "digits", n_batches=1)
    assert found.data == "digits"
    seen = examine(found.net, found.task, found.batches)
    assert len(seen.profiles[0].layers) == 20
    assert seen.profiles[0].loss > 0


def test_the_curve_is_told_as_it_grows(trained):
    assert any(line.startswith("epoch 1 of 1, loss ") for line in Told.lines)


def test_its_gradients_were_watched_and_lie_in_the_model(trained):
    from sortal.diagnose.samples import kept_samples

    root, _ = trained
    (sample,) = kept_samples(root / "digits.model")
    assert (sample.step, len(sample.profile.layers)) == (2, 20)
    assert any(line.startswith("depth, every 2 steps: ") for line in Told.lines)
    assert any(line.startswith("depth at the end: ") for line in Told.lines)


def test_a_look_at_it_says_the_names(trained):
    from sortal.diagnose.subject import subject

    root, _ = trained
    found = subject("resnet20", next((root / "digits" / "3").iterdir()), root / "digits.model")
    assert (found.called(3), found.called(9)) == ("class 3 (3)", "class 9")  # the last is "none of these"


def test_predicting_needs_no_torch(trained):
    root, _ = trained
    code = (
        "import sys, sortal\n"
        f"found = sortal.load({str(root / 'digits.model')!r}).predict({str(root / 'digits')!r})\n"
        "assert len(found.predictions) == 100 and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_a_pile_is_grouped_by_the_networks_own_vectors(trained, tmp_path):
    root, _ = trained
    shutil.copytree(root / "digits.sortal", tmp_path / "digits.sortal")
    shutil.copytree(root / "digits.model", tmp_path / "digits.model")
    with sortal.organize(tmp_path / "digits.sortal", encoder=tmp_path / "digits.model", k=4) as pile:
        assert (pile.encoder.name, pile.encoder.dim) == ("digits.model", 64)
        vectors = np.array(pile.vectors)
        assert sum(name is not None for name in pile.names) == len(pile) - int(pile.none_of_these.sum())
    shutil.rmtree(tmp_path / "digits.model")  # the pile keeps what it needs
    with sortal.organize(tmp_path / "digits.sortal", k=3) as pile:
        assert (pile.vectors == vectors).all()


def test_the_model_is_a_start_for_others(trained):
    root, _ = trained
    assert loaded("resnet20", root / "digits.model", Progress()).num_classes == 10
    with pytest.raises(InputError, match="holds a resnet20; got net 'resnet32'"):
        loaded("resnet32", root / "digits.model", Progress())
    with pytest.raises(InputError, match="Did you mean resnet34 or resnet32"):
        loaded("resnet32", "resnet3", Progress())


def test_weights_of_a_grey_network_do_not_suit_a_pile(trained, tmp_path):
    root, _ = trained
    (tmp_path / "grey.safetensors").write_bytes(network_bytes(nets.lenet5(10, seed=0)))
    asked = Start("lenet5", tmp_path / "grey.safetensors", "frozen")
    with (
        sortal.open(root / "digits.sortal") as pile,
        pytest.raises(InputError, match="sees 3 channels, as a pile's images have; these see 1"),
    ):
        pile.train(tmp_path / "m", start=asked)


def test_how_weights_want_their_pixels(trained, tmp_path):
    from sortal.published import HALVES, IMAGENET
    from sortal.train import Normalize

    class Heard(Progress):
        def say(self, line):
            told.append(line)

    def of(net, channels, weights):
        return normalize_of(net, channels, weights, Heard())

    told, run = [], tmp_path / "run" / "weights.safetensors"
    wanted = sortal.load(trained[0] / "digits.model").encoder.spec["preprocess"]
    assert of("resnet20", 3, trained[0] / "digits.model").mean == tuple(wanted["mean"])
    assert of("googlenet", 3, "googlenet") == of("googlenet", 3, "x/googlenet-1378be20.pth")
    assert of("googlenet", 3, "googlenet") == Normalize(*HALVES)
    run.parent.mkdir()
    run.write_bytes(b"")
    (run.parent / "plan.json").write_text('{"batches": {"normalize": {"mean": [0.2], "std": [0.5]}}}')
    assert of("lenet5", 1, run) == Normalize((0.2,), (0.5,))
    assert not told
    assert of("resnet20", 3, run) == of("plain20", 3, "mine.pth") == Normalize(*IMAGENET)
    assert of("lenet5", 1, "mine.pth").mean == (0.1307,)
    assert [line.split("pixels: ")[1] for line in told] == [
        "as resnet20, then", "as ImageNet's, then", "as MNIST's, then",
    ]  # fmt: skip


def test_a_model_without_a_network_is_no_start(trained, tmp_path):
    root, _ = trained
    with sortal.open(root / "digits.sortal") as pile:
        pile.train(tmp_path / "head")
        with pytest.raises(InputError, match="has a head and no network"):
            pile.train(tmp_path / "m", start=Start("resnet20", tmp_path / "head", "frozen"))
    with pytest.raises(InputError, match="kind must be one of auto, photographs, glyphs; got 'logos'"):
        Start("resnet20", kind="logos").checked()
    with pytest.raises(InputError, match="watch must be a whole number of steps from 2, or None; got 1"):
        Start("resnet20", watch=1).checked()


def test_a_run_that_was_stopped_never_goes_on_for_other_weights(trained, tmp_path):
    import signal

    class Impatient(Progress):
        def advance(self, n):
            if n:
                signal.raise_signal(signal.SIGINT)

    root, _ = trained
    with sortal.open(root / "digits.sortal") as pile:
        for seed in (3, 4):
            weights = tmp_path / f"{seed}.safetensors"
            weights.write_bytes(network_bytes(nets.resnet20(7, seed=seed)))
            start = Start("resnet20", weights, "fine-tune", epochs=1)
            with pytest.raises(KeyboardInterrupt, match="stopped after step 1 of 3"):
                pile.train(tmp_path / "m", start=start, progress=Impatient())
    one, other = (load_file(path) for path in (tmp_path / "m.training").rglob("net.safetensors"))
    assert not np.array_equal(one["conv1.weight"], other["conv1.weight"])


@pytest.mark.parametrize("how", ["frozen", pytest.param("fine-tune", marks=pytest.mark.slow)])
def test_from_weights(trained, tmp_path, how):
    root, _ = trained
    weights = tmp_path / "elsewhere.safetensors"
    weights.write_bytes(network_bytes(nets.resnet20(7, seed=3)))
    with sortal.open(root / "digits.sortal") as pile:
        before, start = len(Told.lines), Start("resnet20", weights, how, epochs=1, watch=2)
        head = pile.train(tmp_path / "m", start=start, progress=Told())
    assert any("no gradient to watch" in line for line in Told.lines[before:]) == (how == "frozen")
    config = load_model(tmp_path / "m").config
    assert config["builder"]["training"]["how"] == how
    assert config["builder"]["training"]["weights"] == "elsewhere.safetensors"
    # A random body tells digits apart (chance is .11); one epoch of three steps may spoil its head.
    assert head.report.accuracy > (0.3 if how == "frozen" else 0.15)
    card = (tmp_path / "m" / "CARD.md").read_text()
    assert ("body frozen" in card) == (how == "frozen")


def test_a_target_that_cannot_be_is_said_before_the_work(trained, tmp_path):
    root, _ = trained
    (tmp_path / "m").write_text("mine")
    with sortal.open(root / "digits.sortal") as pile, pytest.raises(InputError, match="something else"):
        pile.train(tmp_path / "m", start=Start("resnet20", epochs=100_000))


@pytest.mark.slow
def test_auto_tries_and_takes_the_best(trained, tmp_path):
    root, _ = trained
    weights = tmp_path / "elsewhere.safetensors"
    weights.write_bytes(network_bytes(nets.resnet20(7, seed=3)))
    with sortal.open(root / "digits.sortal") as pile:
        pile.train(tmp_path / "m", start=Start("resnet20", weights, epochs=1))
    assert load_model(tmp_path / "m").config["builder"]["training"]["how"] in (
        "frozen",
        "fine-tune",
        "scratch",
    )


def test_a_model_that_was_tampered_with(trained, tmp_path):
    root, _ = trained
    for change, said in (
        (_other_builder, "sortal.nets does not build"),
        (_other_shape, "1 differ, the first: conv1"),
    ):
        folder = tmp_path / change.__name__
        shutil.copytree(root / "digits.model", folder)
        change(folder)
        files = [path for path in folder.iterdir() if path.name != "MANIFEST.sha256"]
        text = manifest_text({path.name: sha256_of(path) for path in files})
        (folder / "MANIFEST.sha256").write_text(text)
        with pytest.raises(DataError, match=said):
            load_network(load_model(folder))


def _other_builder(folder):
    config = json.loads((folder / "config.json").read_text())
    config["builder"]["name"] = "os.system"
    (folder / "config.json").write_text(json.dumps(config))


def _other_shape(folder):
    tensors = load_file(folder / "network.safetensors")
    tensors["conv1.weight"] = np.zeros((16, 3, 3, 4), np.float32)
    save_file(tensors, folder / "network.safetensors")
