import json
import os
import sys

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from sortal.data import log_mel
from sortal.embed import OnnxSequence, named, rebuild
from sortal.embed.onnx_sequence import opened_sequence
from sortal.embed.sequence_options import SeriesPreprocess, SoundPreprocess, TextPreprocess
from sortal.embed.tokens import MOST_BYTES, with_tokenizer
from sortal.errors import DataError, InputError, MissingExtra

FORMS = {"f": TensorProto.FLOAT, "i": TensorProto.INT64}
TABLE = np.arange(21, dtype=np.float32).reshape(7, 3) ** 2


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SORTAL_CACHE", str(tmp_path / "cache"))


def network(nodes, inputs, constants=None, outputs=(("out", None),)):
    """`nodes` (op, inputs, outputs, attributes) from `inputs` (name, f or i, shape) to "out"."""

    def value(name, form, shape):
        return helper.make_tensor_value_info(name, FORMS[form], shape)

    graph = helper.make_graph(
        [helper.make_node(op, given, made, **said) for op, given, made, said in nodes],
        "g",
        [value(*one) for one in inputs],
        [value(name, "f", shape) for name, shape in outputs],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in (constants or {}).items()],
    )
    opset = helper.make_opsetid("", 13)
    return helper.make_model(graph, ir_version=8, opset_imports=[opset]).SerializeToString()


def as_it_is(shape, form="f", out=("b", "t", "d")):
    return network([("Identity", ["x"], ["out"], {})], [("x", form, shape)], outputs=(("out", out),))


def looked_up(n=("b", "t"), beside=()):
    """A row of TABLE for each token."""
    nodes = [("Gather", ["table", "input_ids"], ["out"], {"axis": 0})]
    inputs = [("input_ids", "i", n), *((name, "i", n) for name in beside)]
    return network(nodes, inputs, {"table": TABLE}, (("out", ("b", "t", 3)),))


def written(folder, content, name="net.onnx"):
    path = folder / name
    path.write_bytes(content)
    return path


def words(*known, **more):
    """A tokenizer.json whose tokens are words between spaces."""
    vocabulary = {word: i for i, word in enumerate(("[PAD]", "[UNK]", *known))}
    return json.dumps(
        {
            "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
            "pre_tokenizer": {"type": "Whitespace"}, "post_processor": None, "decoder": None,
            "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"},
        } | more
    )  # fmt: skip


def refused(kind, make, *said):
    with pytest.raises(kind) as caught:
        make()
    message = str(caught.value)
    assert "\n" not in message
    for one in said:
        assert one in message


# ---- texts


def test_letters_are_looked_up_and_their_rows_averaged(tmp_path):
    encoder = OnnxSequence(written(tmp_path, looked_up()), TextPreprocess(letters="abc"))
    found = encoder.embed(["ab", "a", "xyza"])  # 0 pads, 1 is unknown, 2 and 3 are signs: a is 4
    expected = [TABLE[[4, 5]].mean(0), TABLE[4], TABLE[[1, 1, 1, 4]].mean(0)]
    np.testing.assert_array_equal(found, np.array(expected, np.float32))
    assert (encoder.dim, encoder.input.kind) == (3, "text")


@pytest.mark.parametrize(("pool", "row"), [("first", 4), ("last", 6), ("max", 6), ("mean", None)])
def test_pools(tmp_path, pool, row):
    encoder = OnnxSequence(written(tmp_path, looked_up()), TextPreprocess(letters="abc", pool=pool))
    expected = TABLE[[4, 5, 6]].mean(0) if row is None else TABLE[row]
    np.testing.assert_allclose(encoder.embed(["abc"])[0], expected, rtol=1e-6)


def test_what_is_filled_up_counts_nothing(tmp_path):
    content = looked_up((1, 5), ("attention_mask", "token_type_ids", "position_ids"))
    fixed = OnnxSequence(written(tmp_path, content), TextPreprocess(letters="abc"))
    free = OnnxSequence(written(tmp_path, looked_up(), "free.onnx"), TextPreprocess(letters="abc"))
    texts = ["a", "abc", "abcab"]
    np.testing.assert_array_equal(fixed.embed(texts), free.embed(texts))
    np.testing.assert_array_equal(fixed.embed(["abcabccc"]), free.embed(["abcab"]))  # cut


def test_a_tokenizer_beside_the_network_goes_into_the_copy_that_is_kept(tmp_path):
    pytest.importorskip("tokenizers")
    path = written(tmp_path, looked_up())
    refused(InputError, lambda: named(str(path), None, "text"), "net.onnx", "tokenizer.json beside it")
    (tmp_path / "tokenizer.json").write_text(words("we", "go", "home"))
    encoder = named(str(path), None, "text")
    assert (encoder.name, encoder.assumed) == ("net.onnx", True)
    np.testing.assert_allclose(encoder.embed(["go home", "go away"])[1], TABLE[[3, 1]].mean(0))
    (tmp_path / "tokenizer.json").unlink()
    again = rebuild(json.loads(json.dumps(encoder.spec)), encoder.weights)
    assert (again.digest, again.dim, again.spec) == (encoder.digest, encoder.dim, encoder.spec)
    np.testing.assert_array_equal(again.embed(["go home"]), encoder.embed(["go home"]))
    other = with_tokenizer(path.read_bytes(), words("go", "we", "home"))
    assert OnnxSequence(written(tmp_path, other, "o.onnx"), TextPreprocess()).digest != encoder.digest


def test_a_tokenizer_by_path_and_above_the_folder(tmp_path):
    pytest.importorskip("tokenizers")
    (tmp_path / "onnx").mkdir()
    path = written(tmp_path / "onnx", looked_up())
    written(tmp_path, words("home").encode(), "tokenizer.json")
    above = opened_sequence(path, "text")
    written(tmp_path, words("house").encode(), "mine.json")
    mine = opened_sequence(path, "text", {"tokenizer": str(tmp_path / "mine.json")})
    assert above.digest != mine.digest
    refused(
        InputError, lambda: opened_sequence(path, "text", {"tokenizer": "not.json"}), "not.json", "No such"
    )


def test_a_tokenizer_is_cut_to_what_it_says_or_512(tmp_path):
    pytest.importorskip("tokenizers")
    cut = {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0}
    for said, most in ((None, 512), (cut, 2)):
        content = with_tokenizer(looked_up(), words("a", "b", truncation=said))
        encoder = OnnxSequence(written(tmp_path, content), TextPreprocess())
        assert len(encoder._tokens.numbers("a b " * 600)) == most
    shorter = OnnxSequence(written(tmp_path, content), TextPreprocess(length=1))
    np.testing.assert_array_equal(shorter.embed(["b a a"])[0], TABLE[3])


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"null", b"\xff", b"[]", b"{}", b"[" * 100_000, b'{"model": {"type": "BPE"}}',
     words("a", pre_tokenizer={"type": "Split", "pattern": {"Regex": "(("}}).encode(),
     words("a", padding={"no": 1}).encode()],
)  # fmt: skip
def test_a_broken_tokenizer_is_one_line(tmp_path, content):
    pytest.importorskip("tokenizers")
    path = written(tmp_path, looked_up())
    written(tmp_path, content, "tokenizer.json")
    refused(DataError, lambda: opened_sequence(path, "text"), "tokenizer")


def test_a_huge_tokenizer_is_refused_unread(tmp_path):
    path = written(tmp_path, looked_up())
    with (tmp_path / "tokenizer.json").open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    refused(DataError, lambda: opened_sequence(path, "text"), "64 MiB")


def test_a_tokenizer_that_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    path = written(tmp_path, looked_up())
    for place in (tmp_path / "pipe", tmp_path):
        wish = {"tokenizer": str(place)}
        refused(InputError, lambda wish=wish: opened_sequence(path, "text", wish), "no file")


def test_without_the_extra_the_way_to_it_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    path = written(tmp_path, with_tokenizer(looked_up(), words("a")))
    refused(MissingExtra, lambda: opened_sequence(path, "text"), "sortal[sentences]")


def test_a_tokenizer_of_more_tokens_than_the_network_has_is_refused_at_once(tmp_path):
    pytest.importorskip("tokenizers")
    path = written(tmp_path, with_tokenizer(looked_up(), words(*"abcdefgh")))
    refused(DataError, lambda: opened_sequence(path, "text"), "net.onnx", "failed")
    refused(DataError, lambda: OnnxSequence(written(tmp_path, looked_up()), TextPreprocess(letters="abcd")))


def test_a_text_without_a_token_has_no_vector(tmp_path):
    pytest.importorskip("tokenizers")
    path = written(tmp_path, with_tokenizer(looked_up(), words("a")))
    found = opened_sequence(path, "text").embed([" \n ", "a"])
    assert np.isnan(found[0]).all()
    np.testing.assert_array_equal(found[1], TABLE[2])


def test_a_text_that_the_tokenizer_panics_on_has_no_vector(tmp_path):
    """A pattern whose search grows with 2**n: the library gives up, by a panic."""
    pytest.importorskip("tokenizers")
    pattern = {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated", "invert": False}
    content = with_tokenizer(looked_up(), words("a", pre_tokenizer=pattern))
    found = OnnxSequence(written(tmp_path, content), TextPreprocess()).embed(["a" * 40 + "!", "b"])
    assert np.isnan(found[0]).all()
    assert np.isfinite(found[1]).all()


# ---- time series


@pytest.mark.parametrize("last", [True, False])
def test_a_series_reaches_the_graph_in_its_own_layout(tmp_path, last):
    shape = ("b", "t", 2) if last else ("b", 2, "t")
    content = as_it_is(shape) if last else network(
        [("Transpose", ["x"], ["out"], {"perm": [0, 2, 1]})], [("x", "f", shape)],
        outputs=(("out", ("b", "t", 2)),),
    )  # fmt: skip
    encoder = OnnxSequence(written(tmp_path, content), SeriesPreprocess(mean=(1.0, 2.0), std=(0.5, 1.0)))
    assert encoder.preprocess.channels == 2
    series = np.array([[1.0, 2.0, 3.0], [2.0, 2.0, 5.0]])
    np.testing.assert_allclose(encoder.embed([series, series[:, :1]]), [[2, 1], [0, 0]], atol=1e-6)


def test_scale_item_takes_each_channel_by_itself(tmp_path):
    content = network([("Mul", ["x", "x"], ["out"], {})], [("x", "f", ("b", "t", 2))],
                      outputs=(("out", ("b", "t", 2)),))  # fmt: skip
    encoder = OnnxSequence(written(tmp_path, content), SeriesPreprocess(scale="item"))
    series = np.array([[0.0, 10.0, 0.0, 10.0], [3.0, 3.0, 3.0, 3.0]])
    np.testing.assert_allclose(encoder.embed([series]), [[1, 0]], atol=1e-6)


def test_one_channel_may_come_without_an_axis(tmp_path):
    content = network(
        [("ReduceMean", ["x"], ["out"], {"axes": [1]})], [("x", "f", ("b", 4))], outputs=(("out", ("b", 1)),)
    )
    encoder = OnnxSequence(written(tmp_path, content), SeriesPreprocess())
    assert (encoder.preprocess.channels, encoder.dim) == (1, 1)
    series = [np.array([[1.0, 3.0]]), np.array([[1.0, 3.0, 4.0, 4.0, 99.0]])]
    np.testing.assert_allclose(encoder.embed(series), [[1], [3]])  # filled up with zeros, and cut


def test_no_more_steps_are_read_than_wished_for(tmp_path):
    content = network([("Flatten", ["x"], ["out"], {"axis": 1})], [("x", "f", ("b", "t", 1))])
    refused(DataError, lambda: OnnxSequence(written(tmp_path, content), SeriesPreprocess()), "one width")
    encoder = OnnxSequence(written(tmp_path, content), SeriesPreprocess(length=3))
    found = encoder.embed([np.array([[5.0, 6.0, 7.0, 8.0]]), np.array([[5.0, 6.0]])])
    np.testing.assert_array_equal(found, [[5, 6, 7], [np.nan] * 3])


def test_a_graph_that_does_not_say_enough_is_asked_about(tmp_path):
    path = written(tmp_path, as_it_is(("b", "u", "v")))
    refused(InputError, lambda: OnnxSequence(path, SeriesPreprocess()), "layout=time-first")
    refused(InputError, lambda: OnnxSequence(path, SeriesPreprocess(layout="time-first")), "channels=N")
    assert OnnxSequence(path, SeriesPreprocess(layout="time-first", channels=3)).dim == 3
    wide = written(tmp_path, as_it_is(("b", "t", 3)))
    refused(InputError, lambda: OnnxSequence(wide, SeriesPreprocess(channels=2)), "takes 3", "got 2")
    refused(InputError, lambda: OnnxSequence(wide, SeriesPreprocess(mean=(0.0, 0.0))), "3 channels")


def test_our_recurrent_graph_gets_its_first_states(tmp_path):
    pytest.importorskip("torch")
    from sortal.embed import recurrent
    from sortal.nets import LSTM

    net = LSTM(2, 5, 2)
    path = recurrent.write(net, tmp_path / "lstm.onnx")
    encoder = OnnxSequence(path, SeriesPreprocess(pool="last"))
    import torch

    series = np.random.default_rng(0).normal(size=(2, 9))
    expected = net(torch.from_numpy(series.T[None]).float())[0][0, -1].detach().numpy()
    np.testing.assert_allclose(encoder.embed([series])[0], expected, atol=1e-6)


# ---- sounds


def test_sounds_as_samples_and_as_log_mel(tmp_path):
    wave = np.random.default_rng(0).normal(0, 0.1, 4_000).astype(np.float32)
    content = network(
        [("ReduceMax", ["x"], ["out"], {"axes": [1]})], [("x", "f", ("b", "t"))], outputs=(("out", ("b", 1)),)
    )
    plain = OnnxSequence(written(tmp_path, content), SoundPreprocess(rate=8_000))
    np.testing.assert_array_equal(plain.embed([wave]), [[wave.max()]])
    assert (plain.input.rate, plain.input.mels) == (8_000, None)
    mel = OnnxSequence(written(tmp_path, as_it_is(("b", "t", 20))), SoundPreprocess(rate=8_000, floor=-3))
    logs = log_mel(wave, 8_000, 20)
    assert mel.input.mels == 20
    np.testing.assert_allclose(mel.embed([logs])[0], np.maximum(logs, -3).mean(0), rtol=1e-5)


# ---- any of them


def test_no_row_depends_on_its_company(tmp_path):
    """The graph scales by what the whole batch holds, as networks of eight bits do."""
    nodes = [("ReduceMax", ["x"], ["top"], {"axes": [0, 1, 2]}), ("Div", ["x", "top"], ["out"], {})]
    content = network(nodes, [("x", "f", ("b", "t", 1))], outputs=(("out", ("b", "t", 1)),))
    encoder = OnnxSequence(written(tmp_path, content), SeriesPreprocess())
    series = [np.random.default_rng(i).normal(size=(1, 5)) * 10**i for i in range(4)]
    together = encoder.embed(series)
    for i, one in enumerate(series):
        np.testing.assert_array_equal(encoder.embed([one])[0], together[i])


def test_an_item_that_it_fails_on_has_no_vector(tmp_path):
    """A filter of eight steps: no shorter item passes."""
    content = network(
        [("Conv", ["x", "w"], ["y"], {}), ("ReduceMean", ["y"], ["out"], {"axes": [2], "keepdims": 0})],
        [("x", "f", ("b", 1, "t"))],
        {"w": np.ones((2, 1, 8), np.float32)},
        (("out", ("b", 2)),),
    )
    encoder = OnnxSequence(written(tmp_path, content), SeriesPreprocess())
    found = encoder.embed([np.ones((1, 3)), np.ones((1, 8))])
    assert np.isnan(found[0]).all()
    np.testing.assert_array_equal(found[1], [8, 8])


BAD_NETWORKS = {
    "a fixed batch": (as_it_is((4, "t", 2)), "fixes it at 4"),
    "four axes": (as_it_is(("b", 1, "t", 2)), "2 or 3 axes"),
    "tokens": (looked_up(), "float32"),
    "two inputs": (
        network([("Add", ["x", "y"], ["out"], {})], [("x", "f", ("b", "t", 1)), ("y", "f", ("b", "t", 1))]),
        "one sequence",
    ),
    "no vector": (
        network([("ReduceMean", ["x"], ["out"], {"axes": [0, 1, 2], "keepdims": 0})],
                [("x", "f", ("b", "t", 1))]),
        "one vector an item",
    ),
    "nothing but NaN": (
        network([("Sub", ["x", "x"], ["y"], {}), ("Log", ["y"], ["z"], {}), ("Mul", ["z", "y"], ["out"], {})],
                [("x", "f", ("b", "t", 1))], outputs=(("out", ("b", "t", 1)),)),
        "NaN",
    ),
    "sizes of no memory": (as_it_is(("b", 1 << 40, 2)), "no memory"),
    "states of no memory": (
        network([("Identity", ["x"], ["out"], {})],
                [("x", "f", ("b", "t", 1)), ("h0", "f", (1 << 15, "b", 1 << 15))]),
        "one sequence",
    ),
    "a name that is no UTF-8": (
        network([("Identity", ["abcdef"], ["out"], {})], [("abcdef", "f", ("b", "t", 1))]).replace(
            b"abcdef", b"\xff" * 6
        ),
        "onnxruntime must be able to load it",
    ),
    "no network": (b"no network at all", "onnxruntime"),
    "nothing": (b"", "empty"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD_NETWORKS)
def test_a_network_that_will_not_do_is_one_line(tmp_path, what):
    content, said = BAD_NETWORKS[what]
    path = written(tmp_path, content)
    refused(DataError, lambda: OnnxSequence(path, SeriesPreprocess(layout="time-first")), "net.onnx", said)


def test_every_cut_of_a_network_with_its_tokenizer_is_refused_or_works(tmp_path):
    pytest.importorskip("tokenizers")
    whole = with_tokenizer(looked_up(), words("a"))
    for end in range(0, len(whole), 13):
        with pytest.raises((DataError, InputError)):
            OnnxSequence(written(tmp_path, whole[:end]), TextPreprocess())


BAD = {
    "sound": {"rate": [0, 999, 1e6, "8000", None, True], "mels": [0, 513, 2.5], "std": [0, -1, None],
              "mean": [None, "0", 10**400], "length": [0, 1 << 30], "layout": ["nchw"], "pool": ["sum", None],
              "scale": ["all", 1], "floor": ["low", True], "output": [1], "tokenizer": ["t.json"]},
    "series": {"channels": [0, 2.5, "2"], "mean": [[], [None], {}], "std": [[1, 0], 0], "rate": [8_000]},
    "text": {"tokenizer": ["", 1, "a\0b"], "letters": ["", "aa", 3, ["a"]], "length": [0], "mels": [3]},
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "key", "value"),
    [(kind, key, value) for kind, keys in BAD.items() for key, values in keys.items() for value in values],
)
def test_every_bad_option_is_named_with_its_rule(tmp_path, kind, key, value):
    path = written(tmp_path, as_it_is(("b", "t", 2)))
    refused(InputError, lambda: opened_sequence(path, kind, {key: value}), "preprocess:", key)
    (tmp_path / "net.onnx.json").write_text(json.dumps({key: value}))
    refused(InputError, lambda: opened_sequence(path, kind), "net.onnx.json:", key)


def test_the_sidecar_is_read(tmp_path):
    path = written(tmp_path, as_it_is(("b", "t", 20)))
    (tmp_path / "net.onnx.json").write_text('{"rate": 8000, "pool": "max"}')
    encoder = named(str(path), None, "sound")
    assert (encoder.preprocess.rate, encoder.preprocess.pool, encoder.assumed) == (8_000, "max", False)
