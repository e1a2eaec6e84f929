"""A classifier as convolutions gives the same answers, and a map on larger images."""

import pytest
import torch

from sortal import nets
from sortal.errors import InputError

LARGE = ("alexnet", "alexnet_two_group", "googlenet", "googlenet_paper", "resnet18", "resnet50", "vgg11")


@pytest.mark.parametrize(
    "name",
    [
        *("lenet5", "lenet5_paper", "resnet20", "plain20"),
        *(pytest.param(name, marks=pytest.mark.slow) for name in LARGE),
    ],
)
@torch.no_grad()
def test_same_answer_at_the_training_size_and_a_map_beyond(name):
    net = nets.builder(name)(7, seed=0).eval()
    everywhere = nets.fully_convolutional(net)
    torch.manual_seed(0)
    size, step = net.train_size, 32
    images = torch.randn(2, net.in_channels, size, size)
    scores = net(images)
    # Relative to the scores' own size: sums run in another order.
    assert (everywhere(images)[:, :, 0, 0] - scores).abs().max() <= 1e-5 * scores.abs().max()
    large = torch.randn(1, net.in_channels, size + 2 * step, size + step)
    rows, columns = everywhere(large).shape[2:]
    assert rows > columns > 1
    assert sum(p.numel() for p in everywhere.parameters()) == sum(p.numel() for p in net.parameters())
    assert not any(isinstance(layer, torch.nn.Linear) for layer in everywhere.modules())


@torch.no_grad()
def test_each_place_answers_for_its_own_window():
    """LeNet-5 has no padding: place (i, j) is exactly the network on the window at (4i, 4j)."""
    net = nets.lenet5(seed=0).eval()
    image = torch.randn(1, 1, 40, 36)
    answers = nets.fully_convolutional(net)(image)
    assert answers.shape == (1, 10, 3, 2)
    for i in range(3):
        for j in range(2):
            window = image[:, :, 4 * i : 4 * i + 32, 4 * j : 4 * j + 32]
            assert torch.allclose(net(window)[0], answers[0, :, i, j], atol=1e-5)  # float32


def test_the_given_network_stays_as_it_was():
    net = nets.lenet5(seed=0)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    everywhere = nets.fully_convolutional(net)
    with torch.no_grad():
        for weight in everywhere.parameters():
            weight.zero_()
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


def test_images_below_the_training_size():
    with pytest.raises(InputError, match=r"at least 32 x 32, the training size; got 24 x 40"):
        nets.fully_convolutional(nets.resnet20(seed=0))(torch.zeros(1, 3, 24, 40))
