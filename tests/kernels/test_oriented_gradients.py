import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from sortal.kernels import oriented_gradients


def step_by_step(image):
    """The descriptor of one image as its definition reads, in float64, without shared tricks."""
    grey = (image - image.min()) / (image.max() - image.min())
    matrix = _gaussian(np.arange(32), np.arange(32), 0.7)
    smooth = matrix @ grey @ matrix.T
    padded = np.pad(smooth, 1, mode="edge")
    gx, gy = (padded[1:-1, 2:] - padded[1:-1, :-2]) / 2, (padded[2:, 1:-1] - padded[:-2, 1:-1]) / 2
    magnitude, theta = np.hypot(gx, gy), np.arctan2(gy, gx)
    pool = _gaussian(np.arange(8) * 4 + 1.5, np.arange(32), 2.4)
    grid = _gaussian(np.arange(8), np.arange(8), 1.0)
    angles = np.arange(16) * np.pi / 8
    cells = np.stack([pool @ (magnitude * np.maximum(np.cos(theta - a), 0) ** 8) @ pool.T for a in angles])
    energy = (cells**2).sum(axis=0)
    return np.sqrt(cells / np.sqrt(grid @ energy @ grid.T + 0.02 * energy.mean())).ravel()


def _gaussian(at, of, sigma):
    weight = np.exp(-0.5 * ((at[:, None] - of) / sigma) ** 2)
    return weight / weight.sum(axis=1, keepdims=True)


@pytest.fixture(scope="module")
def images():
    noise = np.random.default_rng(0).normal(size=(37, 32, 32))  # two full blocks and a part of one
    smooth = gaussian_filter1d(gaussian_filter1d(noise, 2, axis=1), 2, axis=2)
    return (255 * (smooth - smooth.min()) / np.ptp(smooth)).astype(np.float32)


def test_equals_the_definition(images):
    truth = np.stack([step_by_step(image.astype(np.float64)) for image in images])
    # float32 against float64; the last root turns an error of 1e-7 near zero into 3e-4.
    np.testing.assert_allclose(oriented_gradients(images), truth, atol=5e-4)


def test_the_scale_of_grey_does_not_matter(images):
    ours = oriented_gradients(images)
    np.testing.assert_allclose(oriented_gradients(images / 255), ours, atol=5e-4)
    np.testing.assert_allclose(
        oriented_gradients(images / 8 + 100), ours, atol=2e-2
    )  # five bits of grey are gone


def test_an_image_does_not_depend_on_its_company(images):
    alone = np.concatenate([oriented_gradients(image[None]) for image in images])
    np.testing.assert_allclose(alone, oriented_gradients(images), atol=5e-4)


def test_a_constant_image_is_zeros():
    flat = np.stack([np.zeros((32, 32)), np.full((32, 32), 255), np.full((32, 32), 0.1)]).astype(np.float32)
    assert not oriented_gradients(flat).any()
    assert oriented_gradients(flat[:0]).shape == (0, 1024)


def test_an_edge_speaks_in_its_own_direction_and_place():
    image = np.zeros((1, 32, 32), np.float32)
    image[:, :, 20:] = 1  # brighter to the right, at the sixth of eight columns of cells
    cells = oriented_gradients(image).reshape(16, 8, 8)
    assert cells.sum(axis=(1, 2)).argmax() == 0
    assert cells[0].sum(axis=0).argmax() in (4, 5)
    upside = oriented_gradients(1 - image).reshape(16, 8, 8)
    assert upside.sum(axis=(1, 2)).argmax() == 8
