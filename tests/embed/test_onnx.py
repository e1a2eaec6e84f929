import json
import os
from pathlib import Path

import numpy as np
import pytest

from sortal.embed import OnnxEncoder, Preprocess, named, rebuild
from sortal.errors import DataError, InputError

from .networks import log_net, network, pixels_net

PLAIN = Preprocess(mean=(0, 0, 0), std=(1, 1, 1), crop=None)


@pytest.fixture
def images():
    return np.random.default_rng(3).integers(0, 256, (11, 5, 7, 3)).astype(np.uint8)


def written(folder, content, name="net.onnx"):
    path = folder / name
    path.write_bytes(content)
    return path


def refused(error, make, *words):
    with pytest.raises(error) as caught:
        make()
    message = str(caught.value)
    assert message.isprintable()
    for word in words:
        assert word in message


def test_numbers_arrive_normalised_channel_by_channel(tmp_path, images):
    want = Preprocess(mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 2.0), range=255.0, crop=None)
    encoder = OnnxEncoder(written(tmp_path, pixels_net()), want)
    assert (encoder.dim, encoder.input.size, encoder.input.crop) == (105, (5, 7), None)
    truth = (images.astype(np.float64) - [0.1, 0.2, 0.3]) / [0.5, 0.25, 2.0]
    truth = truth.transpose(0, 3, 1, 2).reshape(len(images), -1)
    # One multiplication and one addition of float32 on numbers of up to 1020.
    np.testing.assert_allclose(encoder.embed(images), truth, rtol=1e-6, atol=1e-4)


def test_bgr_turns_the_channels_and_mean_stays_with_its_place(tmp_path, images):
    want = Preprocess(mean=(0.5, 0, 0), std=(1, 1, 1), channels="bgr", crop=None)
    found = OnnxEncoder(written(tmp_path, pixels_net()), want).embed(images)
    truth = images[..., ::-1] / 255 - [0.5, 0, 0]
    np.testing.assert_allclose(found, truth.transpose(0, 3, 1, 2).reshape(len(images), -1), atol=1e-6)


def test_channels_last_is_read_from_the_graph(tmp_path, images):
    encoder = OnnxEncoder(written(tmp_path, pixels_net(("b", 5, 7, 3))), PLAIN)
    assert encoder.preprocess.layout == "nhwc"
    assert encoder.input.size == (5, 7)
    np.testing.assert_allclose(encoder.embed(images), images.reshape(len(images), -1) / 255, atol=1e-6)


def test_a_batch_of_one_in_the_graph_gives_the_same_as_a_free_one(tmp_path, images):
    one = OnnxEncoder(written(tmp_path, pixels_net((1, 3, 5, 7))), PLAIN)
    free = OnnxEncoder(written(tmp_path, pixels_net(), "free.onnx"), PLAIN)
    np.testing.assert_array_equal(one.embed(images), free.embed(images))
    refused(
        DataError,
        lambda: OnnxEncoder(written(tmp_path, pixels_net((4, 3, 5, 7)))),
        "batch must be free or 1",
        "4",
    )


def test_a_map_is_averaged_over_its_positions(tmp_path, images):
    relu = [("Relu", ["image"], ["out"], {})]
    first = network(relu, input_shape=("b", 3, 5, 7), output_shape=("b", 3, 5, 7))
    last = network(relu, input_shape=("b", 5, 7, 3), output_shape=("b", 5, 7, 3))
    for content in (first, last):
        encoder = OnnxEncoder(written(tmp_path, content), PLAIN)
        assert encoder.dim == 3
        np.testing.assert_allclose(encoder.embed(images), images.mean(axis=(1, 2)) / 255, atol=1e-6)


def test_a_vector_is_taken_before_a_map_and_an_output_can_be_named(tmp_path):
    nodes = [
        ("Relu", ["image"], ["map"], {}),
        ("ReduceMean", ["map"], ["vector"], {"axes": [2, 3], "keepdims": 0}),
        ("Flatten", ["map"], ["all"], {"axis": 1}),
    ]
    path = written(
        tmp_path,
        network(nodes, input_shape=("b", 3, 5, 7), output_shape=None, outputs=("map", "vector", "all")),
    )
    assert OnnxEncoder(path, PLAIN).dim == 3
    assert OnnxEncoder(path, Preprocess(output="all")).dim == 105
    refused(
        InputError,
        lambda: OnnxEncoder(path, Preprocess(output="al")),
        "output must be one of map, vector, all",
    )


def test_an_open_size_must_be_said(tmp_path):
    path = written(tmp_path, pixels_net(("b", 3, "h", "w")))
    refused(InputError, lambda: OnnxEncoder(path), "size open", "size=224")
    assert OnnxEncoder(path, Preprocess(size=(4, 9))).dim == 108


def _nets_that_give_no_vector():
    image = {"input_shape": ("b", 3, 5, 7), "output_shape": None}
    axes = {"axes": [0, 1, 2, 3], "keepdims": 0}
    yield "one number for all", network([("ReduceMean", ["image"], ["out"], axes)], **image)
    yield "no batch", network([("ReduceMean", ["image"], ["out"], {"axes": [0, 2], "keepdims": 0})], **image)
    turned = [
        ("Flatten", ["image"], ["flat"], {"axis": 1}),
        ("Transpose", ["flat"], ["out"], {"perm": [1, 0]}),
    ]
    yield "batch last", network(turned, **image)
    yield "three axes", network([("ReduceMean", ["image"], ["out"], {"axes": [3], "keepdims": 0})], **image)


@pytest.mark.parametrize(("what", "content"), list(_nets_that_give_no_vector()))
def test_an_output_that_is_no_vector_per_image_is_refused(tmp_path, what, content):
    refused(
        DataError,
        lambda: OnnxEncoder(written(tmp_path, content)),
        "net.onnx",
        "one vector per image",
        "output=NAME",
    )


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_graph_made_for_one_number_of_images_is_refused(tmp_path, n):
    nodes = [("Flatten", ["image"], ["flat"], {"axis": 1}), ("Add", ["flat", "rows"], ["out"], {})]
    rows = {"rows": ((n, 105), np.arange(n * 105.0).tolist())}
    content = network(nodes, input_shape=("b", 3, 5, 7), constants=rows)
    if n > 1:
        refused(DataError, lambda: OnnxEncoder(written(tmp_path, content), PLAIN), "net.onnx")
    else:
        assert OnnxEncoder(written(tmp_path, content), PLAIN).dim == 105


def test_a_run_that_fails_is_one_line(tmp_path, images):
    encoder = OnnxEncoder(written(tmp_path, pixels_net()), PLAIN)
    refused(DataError, lambda: encoder.embed(images[:, :4]), "net.onnx", "it failed")


def test_a_network_of_nan_is_refused(tmp_path):
    below = Preprocess(mean=(2, 2, 2), std=(1, 1, 1))  # the logarithm of what is below zero
    refused(DataError, lambda: OnnxEncoder(written(tmp_path, log_net()), below), "NaN or infinity", "grey")


def test_an_input_that_takes_no_images_is_refused(tmp_path):
    flat = network([("Relu", ["image"], ["out"], {})], input_shape=("b", 12))
    refused(DataError, lambda: OnnxEncoder(written(tmp_path, flat)), "4 axes", "12")
    five = network([("Flatten", ["image"], ["out"], {"axis": 1})], input_shape=("b", 5, 8, 8))
    refused(DataError, lambda: OnnxEncoder(written(tmp_path, five)), "failed")


@pytest.mark.parametrize(
    "content", [b"", b"no network at all", b"\0" * 999, pixels_net()[:-20], pixels_net()[9:]]
)
def test_a_broken_file_is_one_line(tmp_path, content):
    refused(DataError, lambda: OnnxEncoder(written(tmp_path, content)), "net.onnx")


def test_every_cut_of_a_network_is_refused_or_works(tmp_path):
    whole = pixels_net()
    for end in range(0, len(whole), 7):
        refused(DataError, lambda end=end: OnnxEncoder(written(tmp_path, whole[:end])))


def test_odd_file_names_stay_on_one_line(tmp_path):
    path = written(tmp_path, pixels_net(), os.fsdecode(b"a\n\xff.onnx"))
    assert OnnxEncoder(path, PLAIN).name == "a\\n\\xff.onnx"
    refused(DataError, lambda: OnnxEncoder(written(tmp_path, b"", "b\nc.onnx")), "b\\nc.onnx")
    path.with_name(path.name + ".json").write_text("[]")
    refused(InputError, lambda: OnnxEncoder(path), "a\\n\\xff.onnx.json", "JSON object")
    refused(InputError, lambda: OnnxEncoder(tmp_path / "not\nthere.onnx"), "not\\nthere.onnx", "No such file")
    refused(InputError, lambda: named(str(tmp_path / ("x" * 300 + ".onnx"))), "too long")
    refused(InputError, lambda: OnnxEncoder(tmp_path), "directory")


def test_the_sidecar_is_read_and_options_go_before_it(tmp_path):
    path = written(tmp_path, pixels_net())
    assert OnnxEncoder(path).assumed
    sidecar = {"mean": 0.5, "std": [0.5, 0.25, 1], "crop": None, "resample": "bicubic", "range": 1}
    (tmp_path / "net.onnx.json").write_text(json.dumps(sidecar))
    encoder = OnnxEncoder(path)
    assert not encoder.assumed
    assert encoder.preprocess.mean == (0.5, 0.5, 0.5)
    assert (encoder.input.resample, encoder.input.crop) == ("bicubic", None)
    assert OnnxEncoder(path, PLAIN).preprocess.mean == (0, 0, 0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"{", "must be JSON"),
        (b"", "must be JSON"),
        (b"\xff{}", "UTF-8"),
        (b"[" * 100_000, "must be JSON"),
        (b'{"size": ' + b"9" * 5000 + b"}", "must be JSON"),
        (b"null", "JSON object"),
        (b'{"sise": 224}', "unknown key 'sise'"),
        (b'{"a\\nb": 224}', "unknown key"),
    ],
)
def test_a_sidecar_that_is_no_json_object_is_one_line(tmp_path, text, words):
    (tmp_path / "net.onnx.json").write_bytes(text)
    refused(InputError, lambda: OnnxEncoder(written(tmp_path, pixels_net())), "net.onnx.json", words)


HUGE = 10**400  # JSON has such integers, no float does
BAD = {
    "size": [
        0,
        -1,
        4097,
        2.5,
        True,
        "224",
        [224],
        [1, 2, 3],
        ["a", "b"],
        [None, 3],
        [True, 9],
        {},
        HUGE,
        float("nan"),
    ],
    "crop": [0, -0.1, 1.01, True, "all", [0.5], float("nan"), HUGE],
    "resample": ["nearest", "", None, 3, ["bilinear"], {}],
    "range": [0, -1, None, True, "255", float("inf"), HUGE, [1]],
    "mean": [
        None,
        True,
        "x",
        [1, 2],
        [1, 2, 3, 4],
        [1, 2, "3"],
        [1, 2, None],
        float("nan"),
        [0, 0, HUGE],
        {},
    ],
    "std": [0, [1, 0, 1], [1, 1, -1], None, False, float("inf"), [1, 1, float("nan")]],
    "channels": ["rbg", None, 3, [], ["rgb"]],
    "layout": ["NCHW", "hwc", 1, []],
    "output": [1, True, [], {}, "x" * 201],
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in BAD.items() for value in values])
def test_every_bad_value_is_named_with_its_rule(tmp_path, key, value):
    refused(
        InputError, lambda: Preprocess.from_json({key: value}, where="HERE"), "HERE", f"{key} must be", "got"
    )
    (tmp_path / "net.onnx.json").write_text(json.dumps({key: value}))
    refused(InputError, lambda: OnnxEncoder(written(tmp_path, pixels_net())), f"net.onnx.json: {key} must be")


def test_values_given_from_python_are_checked_too(tmp_path):
    path = written(tmp_path, pixels_net())
    refused(InputError, lambda: OnnxEncoder(path, Preprocess(std=(1, 0, 1))), "std must be", "above 0")
    assert OnnxEncoder(path, Preprocess(size=[5, 7], mean=[0, 0, 0])).preprocess.size == (5, 7)


def test_preprocess_is_the_same_after_a_round_through_json():
    want = Preprocess(size=(5, 7), crop=0.9, mean=(0.1, 0.2, 0.3), channels="bgr", layout="nhwc", output="o")
    assert Preprocess.from_json(json.loads(json.dumps(want.as_json())), where="x") == want


def test_an_encoder_is_made_again_from_its_spec(tmp_path, images):
    encoder = OnnxEncoder(written(tmp_path, pixels_net()), PLAIN)
    moved = written(tmp_path, pixels_net(), "elsewhere.onnx")
    again = rebuild(json.loads(json.dumps(encoder.spec)), moved)
    assert (again.digest, again.dim, again.spec) == (encoder.digest, encoder.dim, encoder.spec)
    np.testing.assert_array_equal(again.embed(images), encoder.embed(images))


def test_a_real_network_gives_the_same_bits_in_any_company():
    data = Path(os.environ.get("SORTAL_DATA", Path(__file__).parents[3] / "shared" / "data"))
    path = data / "checkpoints" / "mobilenet_v2_imagenet.onnx"
    if not path.exists():
        pytest.skip(f"{path} is not here; SORTAL_DATA says where real data lies")
    encoder = OnnxEncoder(path)
    assert (encoder.dim, encoder.input.size) == (1280, (224, 224))
    images = np.random.default_rng(0).integers(0, 256, (9, 224, 224, 3)).astype(np.uint8)
    together = encoder.embed(images)
    assert together.std() > 0.1
    np.testing.assert_array_equal(encoder.embed(images[[4]]), together[[4]])
    np.testing.assert_array_equal(encoder.embed(images[::-2]), together[::-2])
