import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from sortal.data import ImageInput
from sortal.embed import Hog, OnnxEncoder, Pixels, Preprocess, named, rebuild
from sortal.errors import DataError, InputError

from .networks import pixels_net


@pytest.fixture(scope="module")
def onnx_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("net") / "net.onnx"
    path.write_bytes(pixels_net())
    return path


@pytest.fixture(params=["hog", "pixels", "onnx"])
def encoder(request, onnx_file):
    return named(str(onnx_file) if request.param == "onnx" else request.param)


@pytest.fixture
def images(encoder):
    rng = np.random.default_rng(7)
    return rng.integers(0, 256, (37, *encoder.input.size, 3)).astype(np.uint8)


def test_an_encoder_is_what_the_protocol_says(encoder, images):
    vectors = encoder.embed(images)
    assert isinstance(encoder.input, ImageInput)
    assert vectors.shape == (37, encoder.dim)
    assert vectors.dtype == np.float32
    assert np.isfinite(vectors).all()
    assert len(np.unique(vectors, axis=0)) == 37


def test_the_same_bits_whatever_the_company_and_the_threads(encoder, images):
    together = encoder.embed(images)
    for size in (1, 3, 16):
        parts = [encoder.embed(images[i : i + size]) for i in range(0, len(images), size)]
        np.testing.assert_array_equal(np.concatenate(parts), together)
    order = np.random.default_rng(1).permutation(len(images))
    np.testing.assert_array_equal(encoder.embed(images[order]), together[order])
    with threadpool_limits(1):
        np.testing.assert_array_equal(encoder.embed(images), together)


def test_images_are_not_written_to(encoder, images):
    before = images.copy()
    images.flags.writeable = False
    encoder.embed(images)
    np.testing.assert_array_equal(images, before)


def test_made_again_from_its_spec(encoder, images):
    again = rebuild(encoder.spec, encoder.weights)
    assert (again.name, again.digest, again.dim) == (encoder.name, encoder.digest, encoder.dim)
    np.testing.assert_array_equal(again.embed(images), encoder.embed(images))


def test_pixels_are_levels_between_0_and_1():
    image = np.zeros((1, 32, 32, 3), np.uint8)
    image[0, 2, 5] = (255, 51, 0)
    vector = Pixels().embed(image)[0].reshape(32, 32, 3)
    np.testing.assert_array_equal(vector[2, 5], np.float32([1, 0.2, 0]))
    assert vector.sum() == np.float32(1.2)


def test_hog_sees_shape_and_no_light_and_gives_zeros_for_a_blank():
    rng = np.random.default_rng(2)
    image = rng.integers(0, 100, (1, 32, 32, 3)).astype(np.uint8)
    np.testing.assert_allclose(Hog().embed(2 * image + 50), Hog().embed(image), atol=5e-4)  # float32's roots
    assert not Hog().embed(np.full((2, 32, 32, 3), 77, np.uint8)).any()


def test_a_wish_that_nothing_fits_is_one_line(tmp_path):
    for wish in ("hogg", "", "a\nb", str(tmp_path)):
        with pytest.raises(InputError, match="encoder must be auto, hog, pixels") as caught:
            named(wish)
        assert str(caught.value).isprintable()
    with pytest.raises(InputError, match="preprocess belongs to an ONNX file"):
        named("hog", Preprocess())


def test_a_file_without_the_ending_is_taken_for_a_network(tmp_path):
    path = tmp_path / "network"
    path.write_bytes(pixels_net())
    assert isinstance(named(str(path)), OnnxEncoder)


def test_a_file_named_like_an_encoder_of_ours_is_meant_by_its_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for wish, kind in (("auto", Hog), ("hog", Hog), ("pixels", Pixels)):
        (tmp_path / wish).write_bytes(pixels_net())
        assert isinstance(named(wish), kind)
        assert isinstance(named(f"./{wish}"), OnnxEncoder)
        assert isinstance(named(tmp_path / wish), OnnxEncoder)


@pytest.mark.parametrize(
    "spec", [{}, {"kind": "torch"}, {"kind": "onnx"}, {"kind": ["hog"]}, {"kind": "a\nb"}]
)
def test_a_description_from_a_stranger_builds_nothing_unknown(spec):
    with pytest.raises(DataError, match="one of hog, pixels, mel") as caught:
        rebuild(spec, None)
    assert str(caught.value).isprintable()
