"""Named sounds, series and texts train a recurrent network, which stands beside a plain head."""

import json
import signal

import numpy as np
import pytest

import sortal
from sortal.errors import InputError
from sortal.progress import Progress

from ..data.sounds import write_tones

pytest.importorskip("torch")
pytest.importorskip("soundfile", reason="needs the extra sound")
pytest.importorskip("soxr", reason="needs the extra sound")

import torch

from sortal import sequence_learning
from sortal.data import log_mel
from sortal.learning import Start
from sortal.runs import encoder_of_run
from sortal.train import load_model
from sortal.train.beside import Beside, beside
from sortal.train.manifest import manifest_text
from sortal.train.sequence.recipes import RECIPES, smoke
from sortal.train.sequence.run import open_run, run_sequence
from sortal.train.sequence.spoken import steps_of
from sortal.whole import sha256_of


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SORTAL_CACHE", str(tmp_path / "cache"))


class Told(Progress):
    def __init__(self):
        self.lines = []

    def say(self, line):
        self.lines.append(line)


def write_words(path, each=24):
    """Names of two tongues: one of them ends in vowels."""
    rng = np.random.default_rng(0)
    lines = []
    for i in range(each):
        stem = "".join(rng.choice(list("bdfgklmnprst"), 3))
        lines += [f"{stem[0]}a{stem[1:]}io{i % 3},south", f"{stem}sk{i % 3},north"]
    path.write_text("text,name\n" + "\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """words.sortal, named, some "none of these", and words.model of a GRU; what was said."""
    root, told = tmp_path_factory.mktemp("words"), Told()
    write_words(root / "words.csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SORTAL_CACHE", str(root / "cache"))
        with sortal.organize(root / "words.csv", root / "words.sortal", k=2) as pile:
            pile.none(items=[0, 1, 2])
            pile.train(root / "words.model", start=Start("gru", epochs=3, device="cpu"), progress=told)
    return root, told


def test_a_model_folder_predicts_and_says_how_it_stands(words):
    root, told = words
    model = load_model(root / "words.model")
    assert (model.config["kind"], model.config["builder"]["name"]) == ("net", "gru")
    assert model.head.labels == ("north", "south")
    assert model.input["read"] == {"kind": "text", "by": "line"}
    compared = model.beside
    assert (compared.net, compared.encoder) == ("gru", "tfidf")
    assert compared.right == model.head.report.accuracy
    card = (root / "words.model" / "CARD.md").read_text()
    assert "A linear head on tfidf's vectors names" in card
    assert "The network gru, trained from nothing in 3 epochs." in card
    assert any("epoch 3 of 3" in line for line in told.lines)
    assert any("letters of the test are not in the vocabulary" in line for line in told.lines)
    assert not (root / "words.model.training").exists()
    found = sortal.load(root / "words.model").predict(root / "words.csv")
    assert len(found.predictions) == 48
    assert not found.refused


def test_its_vectors_re_organise_the_pile_and_the_page_tells(words, tmp_path):
    root, _ = words
    with sortal.organize(root / "words.sortal", encoder=root / "words.model", k=2) as pile:
        assert (pile.encoder.name, pile.encoder.dim) == ("words.model", 192)
        facts = {fact.label: fact.value for fact in pile.report(with_map=False).facts}
        assert "a linear head on tfidf's vectors names" in facts["beside a plain head"]
        points = np.array(pile.vectors)
        assert all(words in pile._repr_html_() for words in pile.keywords().values())
    with sortal.organize(root / "words.sortal", k=2) as again:  # the pile keeps it
        assert again.encoder.name == "words.model"
        np.testing.assert_array_equal(again.vectors, points)
        again.train(tmp_path / "head.model")
    assert len(sortal.load(tmp_path / "head.model").predict(root / "words.csv").predictions) == 48


def test_the_same_seed_gives_the_same_model(words, tmp_path):
    root, _ = words
    with sortal.organize(root / "words.sortal", encoder="tfidf", k=2) as pile:
        head = pile.train(tmp_path / "b.model", start=Start("gru", epochs=3, device="cpu"))
    before = load_model(root / "words.model").head
    np.testing.assert_array_equal(head.weights, before.weights)
    assert sha256_of(tmp_path / "b.model" / "encoder.onnx") == sha256_of(
        root / "words.model" / "encoder.onnx"
    )


def test_a_run_that_was_stopped_goes_on(words, tmp_path):
    root, _ = words

    class Stop(Progress):
        def say(self, line):
            if line.startswith("epoch 2"):
                signal.raise_signal(signal.SIGINT)  # Ctrl-C: a checkpoint first

    told = Told()
    start = Start("gru", epochs=3, device="cpu")
    with sortal.organize(root / "words.sortal", encoder="tfidf", k=2) as pile:
        with pytest.raises(KeyboardInterrupt):
            pile.train(tmp_path / "c.model", start=start, progress=Stop())
        assert (tmp_path / "c.model.training").is_dir()
        head = pile.train(tmp_path / "c.model", start=start, progress=told)
    np.testing.assert_array_equal(head.weights, load_model(root / "words.model").head.weights)
    assert not any("epoch 1 of 3" in line for line in told.lines)


def test_sounds_learn_too(tmp_path):
    write_tones(tmp_path / "tones")
    with sortal.organize(tmp_path / "tones", k=3, names_from="folders") as pile:
        head = pile.train(tmp_path / "t.model", start=Start("rnn", epochs=6, device="cpu"))
    assert head.report.accuracy > 0.5
    assert load_model(tmp_path / "t.model").beside.encoder == "mel"
    found = sortal.load(tmp_path / "t.model").predict(tmp_path / "tones" / "900")
    assert len(found.predictions) == 12


def test_series_learn_on_a_pile_that_was_embedded_by_a_network(tmp_path, monkeypatch):
    from sortal.embed import recurrent
    from sortal.nets import GRU

    monkeypatch.setitem(sequence_learning.MOST_STEPS, "series", 25)
    rng, lines, told = np.random.default_rng(0), [], Told()
    for i in range(40):
        wave = np.sin(np.arange(20 + i % 7) * (0.3 + 0.5 * (i % 2))) + rng.normal(0, 0.1, 20 + i % 7)
        lines.append(",".join(f"{value:.4f}" for value in wave) + f":{'fast' if i % 2 else 'slow'}")
    text = "@problemName waves\n@classLabel true fast slow\n@data\n" + "\n".join(lines) + "\n"
    (tmp_path / "waves.ts").write_text(text)
    recurrent.write(GRU(1, 8, seed=0), tmp_path / "any.onnx")
    with sortal.organize(
        tmp_path / "waves.ts", k=2, names_from="folders", encoder=tmp_path / "any.onnx"
    ) as pile:
        assert (pile.kind, pile.encoder.name, pile.encoder.dim) == ("series", "any.onnx", 8)
        head = pile.train(tmp_path / "w.model", start=Start("lstm", epochs=8, device="cpu"), progress=told)
    assert head.report.n_held_out == 8
    assert "5 of 40 items are longer than 25 steps: read that far" in told.lines
    assert load_model(tmp_path / "w.model").encoder["spec"]["preprocess"]["channels"] == 1
    assert len(sortal.load(tmp_path / "w.model").predict(tmp_path / "waves.ts").predictions) == 40


def test_what_wants_a_network_of_images_says_what_this_is(words):
    from sortal.train.network_model import load_network

    with pytest.raises(InputError, match="holds a recurrent network, which predicts and groups"):
        load_network(load_model(words[0] / "words.model"))


@pytest.mark.parametrize(
    ("start", "said"),
    [
        (Start("resnet20"), "one of gru, lstm, rnn"),
        (Start("gru", weights="w.pth"), "leave out weights"),
        (Start("gru", how="frozen"), "leave out weights and how"),
        (Start("gru", epochs=0), "epochs must be"),
    ],
)
def test_what_is_refused_before_anything_is_read(words, tmp_path, start, said):
    with sortal.open(words[0] / "words.sortal") as pile, pytest.raises(InputError, match=said):
        pile.train(tmp_path / "x.model", start=start)


def test_one_name_is_too_few(tmp_path):
    (tmp_path / "a.txt").write_text("one\ntwo words\nthree of them\n")
    with sortal.organize(tmp_path / "a.txt", k=1) as pile:
        with pytest.raises(InputError, match="has a name"):
            pile.train(tmp_path / "x.model", start=Start("gru"))
        pile.name(None, "n", items=[0, 1])
        with pytest.raises(InputError, match="at least two names"):
            pile.train(tmp_path / "x.model", start=Start("gru"))


# ---- beside a plain head


def test_the_verdict_follows_the_interval():
    right, plain = np.arange(100) < 60, np.arange(100) < 90
    assert "gru is the worse choice here (difference -30.0 points" in str(beside("gru", right, "mel", plain))
    assert "gru is the better choice here" in str(beside("gru", plain, "mel", right))
    few = beside("gru", np.array([True, False]), "mel", np.array([False, True]))
    assert "gru is not shown to be better, and costs more" in str(few)
    assert Beside.from_json(json.loads(json.dumps(few.as_json()))) == few


@pytest.mark.parametrize(
    "trained", [None, [], {"beside": None}, {"beside": {"net": "gru"}}, {"beside": {"n": "x"}}]
)
def test_a_stranger_s_words_on_itself_are_checked_and_shown_plainly(words, trained):
    from sortal.facts import _compared

    assert _compared({"trained": trained}) is None
    record = beside("a\nb", np.array([True]), "<b>", np.array([True])).as_json()
    assert "\n" not in _compared({"trained": {"beside": record}})


def test_a_changed_spec_in_a_model_is_refused(words, tmp_path):
    """Letters that the graph has no rows for; the manifest is made to fit."""
    import shutil

    from sortal.errors import SortalError

    root, _ = words
    folder = tmp_path / "changed.model"
    shutil.copytree(root / "words.model", folder)
    config = json.loads((folder / "config.json").read_text())
    config["encoder"]["spec"]["preprocess"]["letters"] = "".join(map(chr, range(40, 9_000)))
    (folder / "config.json").write_text(json.dumps(config))
    names = [path.name for path in folder.iterdir() if path.name != "MANIFEST.sha256"]
    (folder / "MANIFEST.sha256").write_text(manifest_text({n: sha256_of(folder / n) for n in names}))
    with pytest.raises(SortalError, match="failed"):
        sortal.load(folder)


# ---- runs of `sortal sequence`


def test_a_run_of_names_or_sounds_is_an_encoder(tmp_path):
    wave = np.random.default_rng(0).normal(0, 0.1, 4_000).astype(np.float32)
    for name, item in (("names", "Anna"), ("fsdd", log_mel(wave, 8_000, 40))):
        run_sequence(smoke(RECIPES[name]()), None, device="cpu", folder=tmp_path / name)
        encoder, kept = encoder_of_run(tmp_path / name), open_run(tmp_path / name)
        letters = kept.symbols.get("letters")
        steps = steps_of(wave).astype(np.float32) if letters is None else letters.numbers(item)
        with torch.inference_mode():
            expected = kept.net.embed(torch.from_numpy(steps)[None])[0].numpy()
        np.testing.assert_allclose(encoder.embed([item])[0], expected, atol=1e-5)


def test_a_run_groups_a_pile_of_its_kind_alone(tmp_path):
    write_words(tmp_path / "words.csv")
    run_sequence(smoke(RECIPES["names"]()), None, device="cpu", folder=tmp_path / "names")
    with sortal.organize(tmp_path / "words.csv", k=2, encoder=tmp_path / "names") as pile:
        assert (pile.encoder.name, len(pile)) == ("names", 48)
    write_tones(tmp_path / "tones", each=2)
    with pytest.raises(InputError, match="must take sounds"):
        sortal.organize(tmp_path / "tones", encoder=tmp_path / "names")
    run_sequence(smoke(RECIPES["copying"]()), None, device="cpu", folder=tmp_path / "copying")
    with pytest.raises(InputError, match="must be a run of fsdd or names"):
        sortal.organize(tmp_path / "words.sortal", encoder=tmp_path / "copying")
