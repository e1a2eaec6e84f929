"""Networks by name: what is meant, what is made of it, and that its numbers are torch's."""

import json
import re

import numpy as np
import pytest

from sortal import embed
from sortal.embed import Preprocess, network_wish, rebuild
from sortal.errors import DataError, InputError, MissingExtra
from sortal.fetch import cache_folder
from sortal.progress import Progress
from sortal.published import PUBLISHED

from .networks import put_into_cache, serve


class Said(Progress):
    def __init__(self):
        self.lines = []

    def say(self, line):
        self.lines.append(line)


def images(n, edge):
    return np.random.default_rng(n).integers(0, 256, (n, edge, edge, 3)).astype(np.uint8)


@pytest.fixture
def without_torch(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)


@pytest.fixture
def weights(tmp_path):
    """A function: a file of a network's own random weights."""
    torch = pytest.importorskip("torch")
    from sortal import nets

    def made(name, **given):
        path = tmp_path / f"{name}.pth"
        torch.save(nets.builder(name)(seed=1, **given).state_dict(), path)
        return path

    return made


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("SORTAL_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_weights_bring_their_own_preprocessing(name):
    wish, one = network_wish(name), PUBLISHED[name]
    assert (wish.name, wish.file, wish.published) == (name, None, one)
    assert wish.preprocess.size == (one.size, one.size)
    assert (wish.preprocess.crop, wish.preprocess.mean, wish.preprocess.std) == (one.crop, one.mean, one.std)
    if one.publisher == "akamaster":
        assert (wish.preprocess.size, wish.preprocess.crop) == ((32, 32), None)
    else:
        assert wish.preprocess.size == (224, 224)
        assert wish.preprocess.crop == pytest.approx(224 / (232 if name.endswith("-v2") else 256))


def test_a_file_of_weights_goes_with_the_name_of_its_network(tmp_path):
    (tmp_path / "a=b.th").touch()
    wish = network_wish(f"resnet20={tmp_path}/a=b.th")
    assert (wish.name, wish.file.name, wish.preprocess.size) == ("resnet20=a=b.th", "a=b.th", (32, 32))
    own = network_wish(f"resnet20={tmp_path}/a=b.th", Preprocess(mean=(0.5,) * 3, crop=None))
    assert (own.preprocess.mean, own.preprocess.size, own.preprocess.output) == (
        (0.5,) * 3,
        (32, 32),
        "vectors",
    )


def test_what_names_no_network_is_left_to_others(tmp_path):
    for wish in ("hog", "auto", "", "resnet", "net.onnx", f"{tmp_path}/a=b.onnx", "./resnet50", "lenet5=x"):
        assert network_wish(wish) is None


def test_a_wish_that_breaks_its_rule_is_one_line():
    for wish, given, words in (
        ("resnet50", Preprocess(), "have their own preprocessing; leave it out"),
        ("resnet20=no/such.th", None, "must name a file of weights; 'no/such.th' is none"),
        ("resnet20=", None, "resnet20 alone for the published ones"),
    ):
        with pytest.raises(InputError, match=re.escape(words)) as caught:
            network_wish(wish, given)
        assert str(caught.value).isprintable()
    for wish, near in (("resnet5", "resnet50"), ("ResNet18", "resnet18"), ("vgg16bn=x", "vgg16_bn")):
        with pytest.raises(InputError, match=f"Did you mean .*{near}"):
            embed.named(wish)


def test_without_torch_nothing_is_fetched(without_torch):
    said = Said()
    with pytest.raises(MissingExtra, match=re.escape('pip install "sortal[nets]"')):
        network_wish("resnet18").made(said)
    assert said.lines == []
    assert not cache_folder().exists()


def test_what_was_exported_before_needs_no_torch(monkeypatch, tmp_path, without_torch):
    put_into_cache("resnet34", monkeypatch, tmp_path / "cache")
    said = Said()
    encoder = network_wish("resnet34").made(said)
    assert said.lines == []
    assert (encoder.name, encoder.dim, encoder.input.size, encoder.assumed) == (
        "resnet34",
        3,
        (224, 224),
        False,
    )
    assert encoder.device.startswith("on the CPU by onnxruntime: ")
    stored = json.loads(json.dumps(encoder.spec))
    assert stored["weights"]["publisher"] == "torchvision"
    assert stored["weights"]["sha256"].startswith(PUBLISHED["resnet34"].sha256)
    again = rebuild(stored, encoder.weights)
    assert (again.spec, again.digest, again.dim) == (encoder.spec, encoder.digest, encoder.dim)
    np.testing.assert_array_equal(again.embed(images(5, 224)), encoder.embed(images(5, 224)))
    assert network_wish("resnet34").is_of(stored)
    assert not network_wish("resnet18").is_of(stored)
    assert not network_wish("resnet34").is_of({"kind": "hog"})
    other = stored | {"preprocess": stored["preprocess"] | {"crop": None}}
    assert not network_wish("resnet34").is_of(other)


@pytest.mark.parametrize("spec", [{"kind": "network"}, {"kind": "network", "network": ["x"], "weights": 3}])
def test_a_strangers_description_of_a_network_runs_its_graph_and_no_more(spec, monkeypatch, tmp_path):
    put_into_cache("resnet18", monkeypatch, tmp_path / "cache")
    graph = next((tmp_path / "cache").glob("*.onnx"))
    with pytest.raises(DataError, match="with its file"):
        rebuild(spec, None)
    assert rebuild(spec, graph).dim == 3


def test_auto_takes_the_smallest_cached_network_and_only_a_cached_one(monkeypatch, tmp_path):
    monkeypatch.setattr("sortal.embed.network._no_gpu", lambda: "no GPU is seen")
    assert embed.pretrained() is None
    assert embed.recommended().name == "resnet18"
    put_into_cache("resnet50", monkeypatch, tmp_path / "cache")
    assert embed.pretrained().name == "resnet50"
    put_into_cache("resnet34", monkeypatch, tmp_path / "cache")
    assert embed.pretrained().name == "resnet34"
    monkeypatch.setattr("sortal.embed.network._no_gpu", lambda: None)
    assert embed.pretrained().name == "resnet50"
    assert embed.recommended().name == "resnet50"


@pytest.mark.slow
class TestExport:
    """Each network is exported once: four CPU-seconds."""

    def test_vectors_are_torchs_whatever_the_batch_and_bytes_are_the_same(self, weights):
        import torch

        from sortal import nets

        path, said = weights("resnet20"), Said()
        encoder = network_wish(f"resnet20={path}").made(said)
        assert said.lines == ["resnet20=resnet20.pth: written as ONNX for onnxruntime, once; some seconds"]
        net = nets.resnet20(seed=1).eval()
        mean, std = torch.tensor(encoder.preprocess.mean), torch.tensor(encoder.preprocess.std)
        for n in (1, 2, 7):
            levels = torch.from_numpy(images(n, 32))
            with torch.inference_mode():
                truth = net.embed(((levels / 255 - mean) / std).permute(0, 3, 1, 2)).numpy()
            np.testing.assert_allclose(encoder.embed(images(n, 32)), truth, atol=1e-5 * abs(truth).max())
        content = encoder.weights.read_bytes()
        assert str(path.parent).encode() not in content
        assert b"site-packages" not in content
        graph = encoder.weights
        graph.with_name(graph.name + ".part").write_bytes(b"half of it")  # as a killed export leaves it
        graph.write_bytes(content[:-1] + b"?")  # damaged
        again = network_wish(f"resnet20={path}").made(said)
        assert len(said.lines) == 2
        assert again.weights.read_bytes() == content
        assert {one.name for one in cache_folder().iterdir()} == {
            graph.name, f"{graph.name}.sha256", f"{graph.name}.lock"
        }  # fmt: skip

    def test_a_head_of_any_size_and_googlenets_auxiliary_heads(self, weights):
        said = Said()
        path = weights("googlenet", num_classes=7, aux=True)
        with pytest.raises(InputError, match="must be at least 15 x 15") as caught:
            network_wish(f"googlenet={path}", Preprocess(size=(8, 8))).made(said)
        assert "got 8 x 8" in str(caught.value)
        assert not list(cache_folder().glob("*.onnx"))
        encoder = network_wish(f"googlenet={path}", Preprocess(size=(64, 48))).made(said)
        assert (encoder.dim, encoder.input.size) == (1024, (64, 48))
        assert sum("auxiliary heads are left out" in line for line in said.lines) == 2

    def test_an_export_that_differs_from_torch_is_not_published(self, weights, monkeypatch):
        from sortal.embed import export

        path, true = weights("resnet20"), export.torch_vectors
        monkeypatch.setattr(export, "torch_vectors", lambda *given: true(*given) * 1.001)
        with pytest.raises(DataError, match=r"differ by 1.0e-03 of the largest, 1e-04 are allowed"):
            network_wish(f"resnet20={path}").made(Said())
        assert not list(cache_folder().glob("*.onnx"))

    def test_published_weights_are_fetched_with_their_size_said_first(self, monkeypatch, tmp_path):
        from sortal import nets

        server = serve("resnet20", nets.resnet20(seed=3), monkeypatch, tmp_path)
        said = Said()
        encoder = network_wish("resnet20").made(said)
        server.shutdown()
        assert said.lines[0].startswith("resnet20: 1.1 MB from 127.0.0.1")
        assert encoder.dim == 64
        again = network_wish("resnet20").made(said)  # no server any more
        assert again.digest == encoder.digest
        assert len(said.lines) == 2


def test_weights_of_another_network_are_refused(weights):
    with pytest.raises(DataError, match=r"belongs? to another"):
        network_wish(f"resnet32={weights('resnet20')}").made(Said())
    assert not list(cache_folder().glob("*.onnx"))
