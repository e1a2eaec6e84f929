"""Weights of others: every style of file loads, and nothing that is not weights of this network."""

import os
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from sortal import nets
from sortal.errors import DataError, InputError
from sortal.nets import weights
from sortal.progress import Progress

DATA = Path(os.environ.get("SORTAL_DATA", Path(__file__).parents[3] / "shared" / "data"))


class Said(Progress):
    def __init__(self):
        self.lines = []

    def say(self, line):
        self.lines.append(line)


def real(name):
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{path} is not here; SORTAL_DATA says where real data lies")
    return path


def same(one, other):
    state = other.state_dict()
    return all(torch.equal(value, state[key]) for key, value in one.state_dict().items())


def saved(path, found, **given):
    torch.save(found, path, **given)
    return path


GIVEN = nets.resnet20(seed=1).state_dict()


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"state_dict": state, "best_prec1": 91.0, "epoch": 3},
        lambda state: {"model": {f"module.{key}": value for key, value in state.items()}},
        lambda state: {"state_dict": {f"module._orig_mod.{key}": value for key, value in state.items()}},
        lambda state: {key: value for key, value in state.items() if "num_batches" not in key},
        lambda state: {
            key: value.half() if value.is_floating_point() else value for key, value in state.items()
        },
    ],
    ids=["plain", "wrapped", "DataParallel", "compiled", "before 0.4.1", "half"],
)
@pytest.mark.parametrize("style", ["zip", "legacy"])
def test_every_style_loads(tmp_path, wrap, style):
    found = wrap(dict(GIVEN))
    path = saved(tmp_path / "w.pth", found, _use_new_zipfile_serialization=style == "zip")
    net = nets.resnet20(seed=2)
    loaded = weights.load(net, path)
    assert (loaded.path, loaded.dropped, loaded.own_head) == (path, (), False)
    half = getattr(found.get("conv1.weight"), "dtype", None) == torch.float16
    for key, value in net.state_dict().items():
        assert torch.allclose(value, GIVEN[key], atol=1e-6 if half else 0, rtol=1e-3 if half else 0), key


def test_safetensors(tmp_path):
    save_file(dict(GIVEN), tmp_path / "w.safetensors")
    net = nets.resnet20(seed=2)
    weights.load(net, str(tmp_path / "w.safetensors"))
    assert same(net, nets.resnet20(seed=1))


class SmallVGG(nets.Network):
    """VGG's names; the real hidden layers have 120 million numbers."""

    head_name = "classifier.6"

    def __init__(self):
        super().__init__(5, 3)
        linear = torch.nn.Linear
        self.features = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3))
        self.classifier = torch.nn.Sequential(
            linear(2 * 49, 6), torch.nn.ReLU(), torch.nn.Dropout(), linear(6, 6), torch.nn.ReLU(),
            torch.nn.Dropout(), linear(6, 5),
        )  # fmt: skip


def test_timm_keeps_vggs_hidden_layers_as_convolutions(tmp_path):
    given, net = SmallVGG(), SmallVGG()
    names = {"classifier.0": "pre_logits.fc1", "classifier.3": "pre_logits.fc2", "classifier.6": "head.fc"}
    found = {}
    for key, value in given.state_dict().items():
        part, _, kind = key.rpartition(".")
        side = {"classifier.0": 7, "classifier.3": 1}.get(part)
        found[f"{names.get(part, part)}.{kind}"] = (
            value.unflatten(1, (-1, side, side)) if side and kind == "weight" else value
        )
    assert found["pre_logits.fc1.weight"].shape == (6, 2, 7, 7)
    weights.load(net, saved(tmp_path / "timm.pth", found))
    assert same(net, given)
    with torch.device("meta"):  # the names are VGG's own
        assert {key for key in given.state_dict() if key.startswith("class")} < set(nets.vgg11().state_dict())


def test_auxiliary_heads_are_dropped_with_a_line(tmp_path):
    aux = {"aux1.fc2.weight": torch.zeros(10, 8), "aux2.conv.bn.weight": torch.zeros(8)}
    said, net = Said(), nets.resnet20(seed=2)
    loaded = weights.load(net, saved(tmp_path / "aux.pth", GIVEN | aux), progress=said)
    assert said.lines == ["aux.pth: its auxiliary heads are left out; this network has none."]
    assert loaded.dropped == tuple(aux)
    assert same(net, nets.resnet20(seed=1))


@pytest.mark.slow
def test_googlenets_auxiliary_heads(tmp_path):
    given = nets.googlenet(3, aux=True, seed=1)
    path = saved(tmp_path / "googlenet.pth", given.state_dict())
    net, said = nets.googlenet(3, seed=2), Said()
    loaded = weights.load(net, path, progress=said)
    assert len(said.lines) == 1
    assert "auxiliary heads are left out" in said.lines[0]
    assert {key.split(".")[0] for key in loaded.dropped} == {"aux1", "aux2"}
    assert torch.equal(net.fc.weight, given.fc.weight)
    without = saved(tmp_path / "without.pth", net.state_dict())
    with pytest.raises(DataError, match=r"18 missing: aux1.conv.conv.weight, .* and 10 more, none too many"):
        weights.load(given, without)


def test_a_head_of_another_size_only_when_asked(tmp_path):
    path = saved(tmp_path / "ten.pth", GIVEN)
    net = nets.resnet20(7, seed=2)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    with pytest.raises(DataError, match=r"head knows 10 classes, this network's 7. .*replace_head=True"):
        weights.load(net, path)
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    loaded = weights.load(net, path, replace_head=True)
    assert loaded.own_head
    assert loaded.dropped == ("linear.weight", "linear.bias")
    assert torch.equal(net.linear.weight, before["linear.weight"])
    assert torch.equal(net.conv1.weight, GIVEN["conv1.weight"])
    ten = nets.resnet20(seed=3)
    assert not weights.load(ten, path, replace_head=True).own_head  # the same size is taken as it is
    assert same(ten, nets.resnet20(seed=1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"conv1.weight": None}, r"1 missing: conv1.weight, none too many"),
        ({"extra.weight": torch.zeros(2)}, r"none missing, 1 too many: extra.weight"),
        ({"aux1.weight": torch.zeros(2), "other": torch.zeros(1)}, r"1 too many: other"),
        ({"conv1.weight": torch.zeros(16, 3, 5, 5)}, r"conv1.weight must have .*\(16, 3, 3, 3\); it has"),
        ({"linear.weight": torch.zeros(10, 32)}, r"linear.weight must have the shape \(10, 64\)"),
        ({"conv1.weight": torch.full((16, 3, 3, 3), float("nan"))}, "conv1.weight holds NaN"),
        (
            {"conv1.weight": torch.zeros(16, 3, 3, 3, dtype=torch.int8)},
            "must be torch.float32; it is torch.int8",
        ),
        ({"conv1.weight": torch.zeros(1).expand(16, 3, 10**6, 10**6)}, "claims more numbers than the file"),
        ({"epoch": 3}, "'epoch' is no such"),
        ({"bn1.weight": torch.zeros(16).to_sparse()}, "'bn1.weight' is no such"),
    ],
)
def test_weights_of_another_network(tmp_path, change, message):
    found = {key: value for key, value in (GIVEN | change).items() if value is not None}
    path = saved(tmp_path / "w.pth", found)
    net = nets.resnet20(seed=2)
    with pytest.raises(DataError, match=message) as caught:
        weights.load(net, path)
    assert "\n" not in str(caught.value)
    assert same(net, nets.resnet20(seed=2))


@pytest.mark.slow
def test_all_heads_are_left_out_together(tmp_path):
    path = saved(tmp_path / "three.pth", nets.googlenet(3, aux=True, seed=1).state_dict())
    net = nets.googlenet(4, aux=True, seed=2)
    loaded = weights.load(net, path, replace_head=True)
    assert len(loaded.dropped) == 6
    assert net.aux2.fc2.out_features == 4


def test_a_name_of_another_network_is_refused_before_fetching():
    with pytest.raises(InputError, match=r"'resnet50' belong to nets.resnet50\(\)"):
        weights.load(nets.resnet20(seed=0), "resnet50")


def test_googlenets_weights_want_halves():
    """torchvision's input transform after its ImageNet normalisation is (x - .5) / .5."""
    x = np.linspace(0, 1, 5)
    for c, (mean, std) in enumerate(zip((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))):
        transformed = (x - mean) / std * (std / 0.5) + (mean - 0.5) / 0.5
        one = weights.published("googlenet")
        assert np.allclose(transformed, (x - one.mean[c]) / one.std[c])


def test_another_architecture_is_one_line(tmp_path):
    path = saved(tmp_path / "deep.pth", nets.resnet56(seed=0).state_dict())
    with pytest.raises(DataError, match=r"216 too many: .* and 208 more. They belong to another network"):
        weights.load(nets.resnet20(seed=0), path)


class Bomb:
    def __reduce__(self):
        return os.system, ("touch EXPLODED",)


@pytest.mark.parametrize("style", ["zip", "legacy", "pickle"])
def test_a_pickle_bomb_never_runs(tmp_path, monkeypatch, style):
    monkeypatch.chdir(tmp_path)
    found = {"state_dict": dict(GIVEN), "more": Bomb()}
    path = tmp_path / "bomb.pth"
    if style == "pickle":
        path.write_bytes(pickle.dumps(found, protocol=2))
    else:
        saved(path, found, _use_new_zipfile_serialization=style == "zip")
    with pytest.raises(DataError) as caught:
        weights.load(nets.resnet20(seed=0), path)
    assert "\n" not in str(caught.value)
    if style != "pickle":
        assert "other Python objects" in str(caught.value)
    assert not (tmp_path / "EXPLODED").exists()


@pytest.mark.parametrize("style", ["zip", "legacy", "safetensors"])
def test_truncated_anywhere(tmp_path, style):
    whole = tmp_path / "whole"
    if style == "safetensors":
        save_file(dict(GIVEN), whole)
    else:
        saved(whole, dict(GIVEN), _use_new_zipfile_serialization=style == "zip")
    content = whole.read_bytes()
    net = nets.resnet20(seed=2)
    for share in (0, 1e-5, 0.001, 0.01, 0.3, 0.9, 0.999):
        path = tmp_path / "cut"
        path.write_bytes(content[: int(len(content) * share)])
        with pytest.raises(DataError) as caught:
            weights.load(net, path)
        assert "\n" not in str(caught.value)
    assert same(net, nets.resnet20(seed=2))


def test_lies_about_size_are_refused_before_room_is_made(tmp_path):
    net = nets.resnet20(seed=2)
    plain = saved(tmp_path / "w.pth", dict(GIVEN))
    packed = tmp_path / "packed.pth"
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for record in old.infolist():
            new.writestr(record.filename, old.read(record))
    with pytest.raises(DataError, match="claims more than it holds"):
        weights.load(net, packed)
    header = b'{"conv1.weight":{"dtype":"F32","shape":[1000000,1000000],"data_offsets":[0,4000000000000]}}'
    (tmp_path / "lie.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(64))
    with pytest.raises(DataError, match="must be whole"):
        weights.load(net, tmp_path / "lie.safetensors")
    legacy = saved(tmp_path / "old.pth", {"a": torch.zeros(1000)}, _use_new_zipfile_serialization=False)
    content = legacy.read_bytes()
    assert content.count(b"M\xe8\x03") >= 1  # BININT2 1000, which becomes BININT 2**31 - 1
    legacy.write_bytes(content.replace(b"M\xe8\x03", b"J\xff\xff\xff\x7f"))
    with pytest.raises(DataError):
        weights.load(net, legacy)
    huge = tmp_path / "huge.pth"
    with huge.open("wb") as file:
        file.truncate(40 << 30)  # a hole: it takes no room on the disk
    with pytest.raises(
        DataError, match=r"42,950 MB are too much for this network, whose file has at most 25 MB"
    ):
        weights.load(net, huge)


@pytest.mark.parametrize("content", [b"", b"x", b"\x80\x02", b"PK\x03\x04", b"<html>404</html>", bytes(100)])
def test_what_is_no_file_of_weights(tmp_path, content):
    path = tmp_path / "w.pth"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        weights.load(nets.resnet20(seed=0), path)
    assert "\n" not in str(caught.value)
    for held, what in (([torch.zeros(2)], "a list"), (torch.zeros(3), "a Tensor"), ({}, "none")):
        with pytest.raises(DataError, match=f"holds {what}"):
            weights.load(nets.resnet20(seed=0), saved(path, held))


def test_neither_file_nor_name(tmp_path):
    with pytest.raises(InputError, match=r"one of alexnet, .*got 'resnet51'.* Did you mean resnet5"):
        weights.load(nets.resnet20(seed=0), "resnet51")
    for missing in ("no/such.pth", tmp_path / "resnet50", "resnet50.pth"):
        with pytest.raises(InputError, match="No such file"):
            weights.load(nets.resnet20(seed=0), missing)
    with pytest.raises(InputError, match=r"directory|ermission"):
        weights.load(nets.resnet20(seed=0), tmp_path)


def test_published_names():
    """The hash is the one in the file's name, as torch.hub reads it; every network exists."""
    for name, one in weights.PUBLISHED.items():
        assert name.partition("-")[0] == one.network
        assert one.network in nets.BUILDERS
        assert len(one.sha256) == 8
        assert int(one.sha256, 16) >= 0
        assert one.url.startswith("https://")
        with torch.device("meta"):
            net = nets.builder(one.network)(one.num_classes, aux=True) if name == "googlenet" else None
            net = net or nets.builder(one.network)(one.num_classes)
        # Numbers alone take 4 bytes each; files add names. GoogLeNet's file lacks the auxiliary fc1's rest.
        n_bytes = 4 * sum(value.numel() for value in net.state_dict().values())
        assert 0.95 < one.megabytes * 1e6 / n_bytes < 1.12, name


def test_akamasters_resnet20_loads_with_every_name():
    net = nets.resnet20(seed=0)
    loaded = weights.load(net, real("checkpoints/resnet20-12fca82f.th"))
    assert loaded.dropped == ()


@pytest.mark.slow
@torch.no_grad()
def test_akamasters_resnet20_scores_81_percent_on_the_jpegs():
    import io

    from PIL import Image

    net = nets.resnet20(seed=0).eval()
    weights.load(net, real("checkpoints/resnet20-12fca82f.th"))
    with zipfile.ZipFile(real("cifar10-jpeg.zip")) as archive:
        names = sorted(n for n in archive.namelist() if n.startswith("cifar10/test/") and n.endswith(".jpg"))
        images = np.stack([np.asarray(Image.open(io.BytesIO(archive.read(n)))) for n in names])
    kinds = sorted({n.split("/")[2] for n in names})  # CIFAR-10 numbers its classes by the alphabet
    truth = torch.tensor([kinds.index(n.split("/")[2]) for n in names])
    one = weights.published("resnet20")
    mean, std = (torch.tensor(given)[:, None, None] for given in (one.mean, one.std))
    right = 0
    for start in range(0, len(images), 500):
        batch = torch.from_numpy(images[start : start + 500]).permute(0, 3, 1, 2) / 255
        right += int((net((batch - mean) / std).argmax(1) == truth[start : start + 500]).sum())
    assert len(images) == 10_000
    assert right / 10_000 == pytest.approx(0.810, abs=0.0005)
