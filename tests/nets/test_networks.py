"""Every network: published sizes, one vector an image, weights from a seed, and images that do not fit."""

import sys
import warnings
from subprocess import check_output

import pytest
import torch

from sortal import nets
from sortal.errors import InputError

# Published: torchvision's `num_params`; akamaster's and He et al.'s 0.27 to 1.7 M; the papers' own forms.
PARAMETERS = {
    "alexnet": 61_100_840,
    "alexnet_two_group": 60_965_224,
    "googlenet": 6_624_904,
    "googlenet_paper": 6_998_552,
    "lenet5": 61_706,
    "lenet5_paper": 60_000,
    "plain20": 269_722,
    "plain32": 464_154,
    "plain44": 658_586,
    "plain56": 853_018,
    "plain110": 1_727_962,
    "resnet18": 11_689_512,
    "resnet20": 269_722,
    "resnet32": 464_154,
    "resnet34": 21_797_672,
    "resnet44": 658_586,
    "resnet50": 25_557_032,
    "resnet56": 853_018,
    "resnet101": 44_549_160,
    "resnet110": 1_727_962,
    "resnet152": 60_192_808,
    "vgg11": 132_863_336,
    "vgg11_bn": 132_868_840,
    "vgg13": 133_047_848,
    "vgg13_bn": 133_053_736,
    "vgg16": 138_357_544,
    "vgg16_bn": 138_365_992,
    "vgg19": 143_667_240,
    "vgg19_bn": 143_678_248,
}
SMALL = ("lenet5", "lenet5_paper", "plain20", "resnet20")
LARGE = ("alexnet", "alexnet_two_group", "googlenet", "googlenet_paper", "resnet18", "resnet50")
ONE_OF_EACH = (*SMALL, *(pytest.param(name, marks=pytest.mark.slow) for name in LARGE))


def shapes(name, **given):
    with torch.device("meta"):
        return nets.builder(name)(**given)


def n_parameters(net):
    return sum(p.numel() for p in net.parameters())


def test_every_builder_is_public_and_counted():
    assert set(PARAMETERS) == set(nets.BUILDERS)
    assert all(getattr(nets, name) is build for name, build in nets.BUILDERS.items())


@pytest.mark.parametrize("name", PARAMETERS)
def test_published_parameters(name):
    assert n_parameters(shapes(name)) == PARAMETERS[name]
    small = name.startswith(("lenet", "plain")) or PARAMETERS[name] < 2e6
    assert shapes(name).num_classes == (10 if small else 1000)


def test_parameters_with_auxiliary_heads():
    assert n_parameters(shapes("googlenet", aux=True)) == 13_004_888
    assert n_parameters(shapes("googlenet_paper", aux=True)) == 13_378_280


@pytest.mark.slow
def test_auxiliary_heads():
    for name in ("googlenet", "googlenet_paper"):
        net = nets.builder(name)(7, aux=True, seed=0).eval()
        images = torch.randn(1, 3, 224, 224)
        with torch.no_grad():
            scores, early, late = net.all_scores(images)
            assert torch.equal(scores, net(images))
        assert early.shape == late.shape == (1, 7)
        net.replace_head(3)
        assert net.aux1.fc2.out_features == net.aux2.fc2.out_features == net.num_classes == 3
    with pytest.raises(InputError, match="take images of 224 x 224"):
        net.all_scores(torch.zeros(1, 3, 96, 96))
    with pytest.raises(InputError, match="build it with aux=True"):
        nets.googlenet(seed=0).all_scores(torch.zeros(1, 3, 32, 32))


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_head_of_embed_is_the_answer(name):
    net = nets.builder(name)(5, 2, seed=0).eval()
    images = torch.randn(3, 2, net.least_size, net.least_size)
    with torch.no_grad():
        vectors = net.embed(images)
        assert vectors.shape == (3, net.embed_dim)
        assert torch.equal(net.head(vectors), net(images))
    assert net(images).shape == (3, 5) == (3, net.num_classes)
    net.replace_head(4, seed=1)
    assert net(images).shape == (3, 4)


@pytest.mark.parametrize("name", SMALL)
def test_a_seed_gives_the_same_weights_and_leaves_torch_alone(name):
    build = nets.builder(name)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    one, two, other = build(seed=7), build(seed=7), build(seed=8)
    one.replace_head(6, seed=1)
    two.replace_head(6, seed=1)
    assert torch.equal(before, torch.get_rng_state())
    state, again = one.state_dict(), two.state_dict()
    assert all(torch.equal(value, again[key]) for key, value in state.items())
    assert not torch.equal(next(one.parameters()), next(other.parameters()))
    free = build()
    torch.manual_seed(3)
    assert torch.equal(next(free.parameters()), next(build().parameters()))


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_first_weights_carry_the_signal_and_reach_every_layer(name):
    """Scores are moderate, and no weight is without a gradient."""
    net = nets.builder(name)(10, seed=0)
    torch.manual_seed(0)
    size = min(net.train_size, 96)
    images = torch.randn(4, net.in_channels, size, size)
    scores = net(images)
    assert torch.isfinite(scores).all()
    loss = torch.nn.functional.cross_entropy(scores, torch.tensor([0, 1, 2, 3]))
    if name == "lenet5_paper":  # squared distances to codes in 84 dimensions
        assert loss < 40
    else:
        assert abs(loss.item() - 2.303) < 0.8  # ln 10
    scores.sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in net.parameters())


def test_lenet_keeps_its_size_with_padding_and_has_its_own_without():
    assert n_parameters(nets.lenet5(size=28, padding=2)) == 61_706
    assert n_parameters(nets.lenet5(size=28)) == 44_426
    framed, padded = nets.lenet5(seed=1), nets.lenet5(size=28, padding=2, seed=1)
    digits = torch.rand(2, 1, 28, 28)
    assert torch.allclose(framed(torch.nn.functional.pad(digits, (2,) * 4)), padded(digits), atol=1e-6)
    with pytest.raises(InputError, match=r"at least 16, .*got size=9, padding=3"):
        nets.lenet5(size=9, padding=3)


def test_lenet_paper_parts():
    """Table I of the paper: 3, 4, 4, 6 maps; layer by layer 156, 12, 1,516, 32, 48,120, 10,164."""
    net = nets.lenet5_paper(seed=0)
    parts = (net.c1, net.s2, net.c3, net.s4, net.c5, net.f6)
    assert [n_parameters(part) for part in parts] == [156, 12, 1516, 32, 48_120, 10_164]
    one_map = torch.zeros(1, 6, 14, 14)
    one_map[:, 0] = torch.randn(14, 14)
    moved = (net.c3(one_map) - net.c3(torch.zeros(1, 6, 14, 14))).abs().amax(dim=(0, 2, 3)) > 0
    assert moved.nonzero().flatten().tolist() == [0, 4, 5, 6, 9, 10, 11, 12, 14, 15]
    assert net.squash(torch.tensor([1.0, -1.0])).tolist() == pytest.approx([1, -1], abs=1e-4)
    assert set(net.output.codes.unique().tolist()) == {-1.0, 1.0}
    assert net.output(net.output.codes).argmax(1).tolist() == list(range(10))


def test_response_norm_is_the_papers():
    """Krizhevsky et al. 2012, section 3.3: k = 2, n = 5, alpha = .0001, beta = .75."""
    norm = nets.alexnet_two_group(seed=0).features[2]
    a = 30 * torch.rand(1, 7, 2, 2)
    for i in range(7):
        near = a[:, max(0, i - 2) : i + 3].square().sum(1)
        assert torch.allclose(norm(a)[:, i], a[:, i] / (2 + 1e-4 * near) ** 0.75)


def test_alexnets_first_map_is_55_by_55():
    net = nets.alexnet_two_group(seed=0)
    assert net.features[0](torch.zeros(1, 3, 227, 227)).shape == (1, 96, 55, 55)
    assert {bias.item() for i in (4, 10, 12) for bias in net.features[i].bias} == {1.0}


@pytest.mark.parametrize(
    "name", [*(pytest.param(n, marks=pytest.mark.slow) for n in ("vgg11", *LARGE[:4])), "lenet5"]
)
def test_the_least_size_is_the_least(name):
    net = nets.builder(name)(10, seed=0).eval()
    below = torch.zeros(1, net.in_channels, net.least_size - 1, net.least_size)
    with pytest.raises(InputError, match=rf"must be (at least )?{net.least_size} x {net.least_size}"):
        net(below)
    with torch.no_grad(), pytest.raises(RuntimeError):
        net.maps(below)


@pytest.mark.parametrize("name", ["resnet20", "plain20", "resnet18"])
def test_resnets_take_one_pixel(name):
    net = nets.builder(name)(10, seed=0).eval()
    assert net(torch.zeros(1, 3, 1, 5)).shape == (1, 10)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(3, 32, 32), r"shape \(batch, 3, height, width\); got \(3, 32, 32\)"),
        (torch.zeros(2, 3, 8, 8, dtype=torch.uint8), r"got torch.uint8. Scale them first: .*/ 255"),
        (torch.zeros(2, 3, 8, 8, dtype=torch.float64), r"got torch.float64. Take images.to\(torch.float32\)"),
        (torch.zeros(2, 1, 8, 8), r"3 channels, .*got \(2, 1, 8, 8\). Build it with in_channels"),
        (torch.zeros(2, 8, 8, 3), r"images.permute\(0, 3, 1, 2\)"),
        (torch.zeros(2, 3, 0, 8), "at least 1 x 1 .*got 0 x 8"),
    ],
)
def test_images_that_do_not_fit(images, message):
    with pytest.raises(InputError, match=message) as caught:
        nets.resnet20(seed=0)(images)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"num_classes": 0}, "num_classes must be an integer of 1 or more; got 0"),
        ({"in_channels": -3}, "in_channels must be an integer of 1 or more; got -3"),
        ({"seed": -1}, "seed must be None or an integer"),
        ({"seed": True}, "seed must be None or an integer"),
    ],
)
def test_arguments_that_make_no_network(given, message):
    with pytest.raises(InputError, match=message):
        nets.resnet20(**given)


def test_half_precision_and_autocast():
    net = nets.resnet20(seed=0).eval()
    with torch.autocast("cpu", torch.bfloat16):
        assert net(torch.zeros(1, 3, 8, 8)).dtype == torch.bfloat16
    assert net.double()(torch.zeros(1, 3, 8, 8, dtype=torch.float64)).dtype == torch.float64


@pytest.mark.parametrize("name", ["lenet5", "resnet20"])
def test_an_exporters_trace_sees_the_mathematics_alone(name, tmp_path):
    """No shape becomes a constant: torch warns of each that would. onnxruntime gives the same scores."""
    onnxruntime = pytest.importorskip("onnxruntime")
    net, path = nets.builder(name)(seed=0).eval(), str(tmp_path / "net.onnx")
    images = torch.randn(3, net.in_channels, 32, 32)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.onnx.export(
            net, (images[:2],), path, dynamo=False, input_names=["images"], dynamic_axes={"images": {0: "b"}}
        )
    # The check of annotations, which only tests run, reads shapes too.
    assert not [w for w in caught if w.category is torch.jit.TracerWarning and "sortal" in w.filename]
    found = onnxruntime.InferenceSession(path).run(None, {"images": images.numpy()})[0]
    with torch.no_grad():
        assert abs(found - net(images).numpy()).max() < 1e-4  # float32, other order of sums


def test_builder_by_name():
    assert nets.builder("vgg16_bn") is nets.vgg16_bn
    with pytest.raises(InputError, match=r"one of alexnet, .*got 'Resnet-50'. Did you mean resnet50"):
        nets.builder("Resnet-50")


def test_importing_loads_no_compiler_and_no_exporter():
    said = "import sys, sortal.nets; print(*sys.modules)"
    loaded = set(check_output([sys.executable, "-c", said], text=True).split())
    assert "torch" in loaded
    assert not loaded & {"torch.onnx", "torch._dynamo", "torch._inductor", "sympy", "safetensors", "PIL"}
