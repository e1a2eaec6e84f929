"""The network that learns by comparing: its parts, and what it does not see."""

import pytest
import torch

from sortal.errors import InputError
from sortal.nets import contrastive_net, contrastive_resnet


def images(n=5, size=32, channels=1):
    return torch.rand(n, channels, size, size, generator=torch.Generator().manual_seed(0))


def test_its_parts_and_their_parameters():
    net = contrastive_net(seed=0)
    convolutions = 25 * 16 + 9 * (16 * 32 + 32 * 64 + 64 * 64) + 2 * (16 + 32 + 64 + 64)
    linear = (256 + 1) * 128 + (128 + 1) * 128 + (128 + 1) * 64
    assert sum(parameter.numel() for parameter in net.parameters()) == convolutions + linear
    assert net(images()).shape == (5, 64)
    assert net.embed(images()).shape == (5, net.embed_dim) == (5, 128)
    assert (net.num_classes, contrastive_net(7).num_classes) == (64, 7)
    assert net.maps(images()).shape == (5, 64, net.map_side, net.map_side)


@pytest.mark.parametrize("size", [8, 33, 50])
def test_other_sizes_and_channels(size):
    assert contrastive_net(in_channels=3).embed(images(2, size, 3)).shape == (2, 128)


def test_too_small_images_are_refused():
    with pytest.raises(InputError, match="at least 8 x 8"):
        contrastive_net()(images(1, 7))


def test_brightness_and_contrast_of_an_image_change_nothing():
    net = contrastive_net(seed=0).eval()
    with torch.inference_mode():
        # float32 rounds the stretched levels to 1e-7 of their range, five layers later some 1e-5
        torch.testing.assert_close(net.embed(images() * 0.3 - 0.6), net.embed(images()), atol=1e-4, rtol=1e-4)


def test_an_image_of_one_level_has_a_finite_vector():
    net = contrastive_net(seed=0).eval()
    assert net.embed(torch.zeros(2, 1, 32, 32)).isfinite().all()


def test_a_seed_gives_the_same_weights_and_leaves_torch_alone():
    before = torch.get_rng_state()
    one, same, other = contrastive_net(seed=3), contrastive_net(seed=3), contrastive_net(seed=4)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one.vector.weight, same.vector.weight)
    assert not torch.equal(one.vector.weight, other.vector.weight)


def test_the_one_for_photographs_is_resnet18_with_a_small_stem():
    """The usual ResNet-18 for CIFAR-10 has 11,173,962 parameters with its head for 10 (kuangliu)."""
    net = contrastive_resnet(seed=0).eval()
    n_head = sum(p.numel() for p in net.projection.parameters())
    assert n_head == 512 * 512 + 512 + 512 * 128 + 128
    assert sum(p.numel() for p in net.parameters()) - n_head + 5_130 == 11_173_962
    assert net.maps(torch.zeros(1, 3, 32, 32)).shape == (1, 512, 4, 4)
    assert (net.embed_dim, net.num_classes) == (512, 128)
    assert not any(key.startswith("fc.") for key in net.state_dict())
    assert net(torch.rand(2, 3, 32, 32)).shape == (2, 128)
