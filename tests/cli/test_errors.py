"""Bad input: one line that names what it is about, the right exit code, nothing stored changed."""

import os
import resource
import shutil
import sqlite3
import threading

import pytest

from sortal.classifier import Classifier, Predictions
from sortal.cli.output import PlainProgress, RichProgress
from sortal.data import Refused
from sortal.errors import DataError
from sortal.train import Prediction

from ..embed.networks import network, pixels_net
from .conftest import N_DIGITS, ran, write_digits


def test_usage_errors_exit_with_2(sortal, pile):
    assert "No such command 'organise'" in sortal("organise").error(2)
    assert "see sortal organize --help" in sortal("organize").error(2)
    assert "'three' is neither a whole number nor auto" in sortal("organize", pile, "-k", "three").error(2)
    assert "GROUP must be the number of a group; got 'x'" in sortal("name", pile, "x", "thumb").error(2)
    assert "give a GROUP and a NAME" in sortal("name", pile, "thumb").error(2)
    assert "--group and --history are two views" in sortal("show", pile, "--group", "0", "--history").error(2)
    assert "--preprocess wants KEY=VALUE" in sortal("organize", pile, "--preprocess", "size").error(2)
    twice = ("--read", "cut=5", "--read", "cut=6")
    assert "--read wants each key once; got cut twice" in sortal("organize", pile, *twice).error(2)


@pytest.mark.parametrize(
    "command",
    [["show"], ["name", "0", "x"], ["undo"], ["train", "--into", "m"], ["doctor"], ["export", "a.csv"]],
)
@pytest.mark.parametrize("what", ["missing", "folder", "file"])
def test_not_a_pile(sortal, tmp_path, command, what):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("x")
    assert what in sortal(command[0], what, *command[1:]).error()
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


def test_folders_without_images(sortal, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.pdf").write_bytes(b"%PDF-1.4")
    assert "missing" in sortal("organize", "missing").error()
    assert "hold images" in sortal("organize", "empty").error()
    assert "a.pdf: looks like a PDF" in sortal("organize", "texts").error()
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert "a.png" in sortal("organize", "a.png").error()
    assert sorted(os.listdir(tmp_path)) == ["a.png", "empty", "texts"]  # no half-made pile is left


def test_into_something_else(sortal, photos, tmp_path):
    (tmp_path / "file").write_text("mine")
    assert "file" in sortal("organize", photos, "--into", "file").error()
    assert (tmp_path / "file").read_text() == "mine"


def state(sortal, pile):
    """All that a person can see of it, and its segments; failed runs leave a row of their own."""
    views = [
        sortal("show", pile, *options, "--json").out for options in ([], ["--history"], ["--quarantine"])
    ]
    return views, {path.name: path.read_bytes() for path in (pile / "segments").iterdir()}


def test_arguments_out_of_range_change_nothing(sortal, pile):
    before = state(sortal, pile)
    assert (
        f"got k={N_DIGITS + 1} for {N_DIGITS} items" in sortal("organize", pile, "-k", N_DIGITS + 1).error()
    )
    assert "k must be" in sortal("organize", pile, "-k", "0").error()
    assert "seed must be" in sortal("organize", pile, "--seed", 2**32).error()
    assert "Did you mean resnet56 or resnet50" in sortal("organize", pile, "--encoder", "resnet5").error()
    assert "must name a file" in sortal("organize", pile, "--encoder", "resnet20=nowhere.th").error()
    assert (
        "have their own preprocessing"
        in sortal("organize", pile, "--encoder", "resnet50", "--preprocess", "size=8").error()
    )
    assert (
        "preprocess belongs to an ONNX file"
        in sortal("organize", pile, "--encoder", "hog", "--preprocess", "size=8").error()
    )
    assert "0 to 4; got 9" in sortal("show", pile, "--group", "9").error()
    assert "nowhere.png" in sortal("show", pile, "--like", "nowhere.png").error()
    assert "got 9" in sortal("name", pile, "9", "x").error()
    assert "got -1" in sortal("name", pile, "--", "-1", "x").error()
    assert "nowhere.png" in sortal("name", pile, "x", "--item", "nowhere.png").error()
    assert "merge needs two" in sortal("merge", pile, "1").error()
    assert "into must be between 2" in sortal("split", pile, "0", "--into", "1000").error()
    assert "no item" in sortal("train", pile, "--into", "m").error()
    assert ".csv or .json" in sortal("export", pile, "names.xlsx").error()
    assert state(sortal, pile) == before


@pytest.mark.parametrize("name", ["a\nb", "x" * 10_000, "", "  ", "tab\there", "\udcff", "\u2028"])
def test_impossible_names(sortal, pile, name):
    before = state(sortal, pile)
    assert len(sortal("name", pile, "0", name).error()) < 300
    assert state(sortal, pile) == before


@pytest.mark.parametrize(
    "name", ["z\u00e9bre", "<script>alert(1)</script>", "[red]x[/]", "\u5927\u718a\u732b", "x" * 200]
)
def test_odd_names(sortal, pile, tmp_path, name):
    assert sortal("name", pile, "0", name).code == 0
    assert name in sortal("show", pile).out
    assert sortal("show", pile, "--html", "r.html").code == 0
    assert "<script>alert" not in (tmp_path / "r.html").read_text()


def test_a_pile_of_a_newer_version(sortal, pile):
    with sqlite3.connect(pile / "catalogue.db") as catalogue:
        catalogue.execute("PRAGMA user_version = 999")
    catalogue.close()
    assert "newer Sortal" in sortal("show", pile).error()
    assert "newer Sortal" in sortal("organize", pile).error()


def test_onnx_files_that_are_none(sortal, photos, tmp_path):
    (tmp_path / "empty.onnx").touch()
    (tmp_path / "broken.onnx").write_bytes(pixels_net()[:-20])
    table, one = ("Identity", ["image"], ["out"], {}), ("ReduceMean", ["image"], ["out"], {})
    (tmp_path / "table.onnx").write_bytes(network([table], input_shape=("b", 3)))
    (tmp_path / "one.onnx").write_bytes(network([one], input_shape=("b", 3, 8, 8)))
    for name in ("missing", "empty", "broken", "table", "one"):
        assert (
            f"{name}.onnx" in sortal("organize", photos, "--into", "a", "--encoder", f"{name}.onnx").error()
        )
    (tmp_path / "good.onnx").write_bytes(pixels_net(("b", 3, 8, 8)))
    (tmp_path / "good.onnx.json").write_text('{"sise": 8}')
    error = sortal("organize", photos, "--into", "a", "--encoder", "good.onnx").error()
    assert "good.onnx.json" in error
    assert "'sise'" in error
    assert not (tmp_path / "a").exists()


def test_an_onnx_file_organizes_trains_and_predicts(sortal, photos, tmp_path):
    (tmp_path / "good.onnx").write_bytes(pixels_net(("b", 3, 8, 8)))
    options = [
        "--encoder",
        "good.onnx",
        "--preprocess",
        "range=1,mean=0.5,std=0.5:0.5:0.5,crop=none",
        "-k",
        "5",
    ]
    record = sortal("organize", photos, "--into", "a", *options, "--json").json("organize")
    assert record["encoder"]["dim"] == 3 * 8 * 8
    (tmp_path / "good.onnx").unlink()  # the pile keeps it
    for group in range(3):
        assert sortal("name", "a", group, f"n{group}").code == 0
    assert sortal("train", "a", "--into", "m").code == 0
    assert len(sortal("predict", "m", photos, "--json").json("predict")["predictions"]) == N_DIGITS


def test_an_output_is_called_as_the_network_calls_it(sortal, photos, tmp_path):
    halves = [("Flatten", ["image"], ["495"], {"axis": 1}), ("Relu", ["495"], ["Identity:0"], {})]
    content = network(halves, input_shape=("b", 3, 8, 8), output_shape=None, outputs=("495", "Identity:0"))
    (tmp_path / "net.onnx").write_bytes(content)
    for output in ("495", "Identity:0"):
        options = ["--encoder", "net.onnx", "--preprocess", f"output={output},size=8", "-k", "2"]
        assert sortal("organize", photos, "--into", f"{len(output)}", *options).code == 0


def test_what_a_stranger_wrote_commands_no_terminal(sortal, pile, model, photos, monkeypatch):
    evil, kept = "\x1b[31m\u202egpj", "\u5927\u718a"
    odd = Prediction(f"a{evil}", f"{kept}{evil}", 0.5, False, 0.5)
    refused = Refused(f"b{evil}", "broken", f"{kept}{evil}", None)
    monkeypatch.setattr(Classifier, "predict", lambda *_: Predictions([odd], [refused]))
    predicted = sortal("predict", model, photos)
    assert predicted.code == 0
    monkeypatch.setattr(Classifier, "predict", lambda *_: raise_(DataError(f"{kept}{evil}")))
    failed = sortal("predict", model, photos)
    assert failed.error() == f"sortal: {kept}\\x1b[31m\\u202egpj"
    assert sortal("name", pile, "0", f"{kept}\u202egpj").code == 0
    views = [sortal("show", pile), sortal("show", pile, "--group", "0"), sortal("show", pile, "--history")]
    for done in [predicted, failed, *views]:
        assert kept in done.out + done.err
        assert not set("\x1b\u202e") & set(done.out + done.err)


def raise_(error):
    raise error


def test_progress_shows_a_line_as_it_is_but_for_what_commands_a_terminal(capsys):
    for shower in (PlainProgress(), RichProgress()):
        shower.say("a:warning:b [red]\x1b[31m\u202e \u5927")
        assert capsys.readouterr().err == "a:warning:b [red]\\x1b[31m\\u202e \u5927\n"


def test_slow_steps_do_not_stand_still(capsys, monkeypatch):
    shower = PlainProgress()
    shower.start("training", 3)
    monkeypatch.setattr("time.monotonic", lambda: shower.since + 12)
    shower.advance(3)
    assert capsys.readouterr().err == "training 3 of 3, 0.25/s, 0 s left\n"


def test_a_stopped_command_promises_only_what_is_stored(sortal, pile, model, photos, monkeypatch):
    monkeypatch.setattr(PlainProgress, "advance", lambda *_: raise_(KeyboardInterrupt()))
    before = threading.active_count()  # torch's exporter in another test leaves a monitor of tqdm's
    predicted = sortal("predict", model, photos)
    assert (predicted.code, predicted.err.split()) == (130, ["stopped."])
    assert threading.active_count() == before  # nobody goes on reading
    kept = KeyboardInterrupt("stopped after step 3; the same command goes on from there.")
    monkeypatch.setattr(PlainProgress, "advance", lambda *_: raise_(kept))
    assert sortal("predict", model, photos).err.strip().endswith(str(kept))
    organized = sortal("organize", photos, "--into", "new.sortal")
    assert (organized.code, organized.err.splitlines()[-1]) == (130, str(kept))
    monkeypatch.setattr(PlainProgress, "advance", lambda *_: raise_(KeyboardInterrupt()))
    assert "what was finished is stored" in sortal("organize", photos, "--into", "new.sortal").err


def test_models_that_are_none(sortal, photos):
    assert "missing" in sortal("predict", "missing", photos).error()
    assert "photos" in sortal("predict", photos, photos).error()


def test_a_model_does_not_replace_a_folder_of_mine(sortal, pile, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a.txt").write_text("mine")
    for group in range(2):
        sortal("name", pile, group, f"n{group}")
    assert "mine" in sortal("train", pile, "--into", "mine").error()
    assert os.listdir(tmp_path / "mine") == ["a.txt"]


@pytest.mark.parametrize(
    "name", ["config.json", "labels.json", "weights.safetensors", "CARD.md", "MANIFEST.sha256"]
)
def test_a_model_with_one_byte_changed(sortal, model, photos, name):
    content = bytearray((model / name).read_bytes())
    content[len(content) // 2] ^= 1
    (model / name).write_bytes(content)
    error = sortal("predict", model, photos).error()
    assert str(model) in error
    assert name in error or name == "MANIFEST.sha256"


def test_predict_refuses_what_is_no_image(sortal, model, photos, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "image" in sortal("predict", model, "empty").error()
    assert "nowhere.png" in sortal("predict", model, "nowhere.png").error()
    ran = sortal("predict", model, photos / "notes.txt", photos / "0000.png", photos / "gone.png", "--json")
    record = ran.json("predict")
    assert [one["path"] for one in record["predictions"]] == [str(photos / "0000.png")]
    assert sorted(one["kind"] for one in record["refused"]) == ["missing", "not an image"]


def test_predict_takes_folders_beside_files(sortal, model, photos, tmp_path):
    shutil.copytree(photos, tmp_path / "again")
    record = sortal("predict", model, photos / "0003.png", photos, "again", "--json").json("predict")
    assert len(record["predictions"]) == 1 + 2 * N_DIGITS
    assert record["predictions"][0]["path"] == str(photos / "0003.png")


@pytest.mark.slow
def test_a_full_disk(pile, tmp_path):
    """A limit on the size of files stands for it: whatever grows beyond is refused by the system."""
    write_digits(tmp_path / "more", range(200, 260))

    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))

    before = ran("show", str(pile), "--json").json("show")
    error = ran("organize", str(tmp_path / "more"), "--into", str(pile), preexec_fn=limited).error()
    assert "size limit" in error
    assert ran("show", str(pile), "--json").json("show")["items"] >= before["items"]
    assert ran("doctor", str(pile)).code == 0
    after = ran("organize", str(tmp_path / "more"), "--into", str(pile), "--json").json("organize")
    assert after["items"] == N_DIGITS + 60


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder(sortal, photos, tmp_path):
    (tmp_path / "closed").mkdir(mode=0o555)
    assert "closed" in sortal("organize", photos, "--into", "closed/a.sortal").error()


def test_a_thousand_refusals_are_twenty_lines(sortal, model, photos, monkeypatch):
    refused = [Refused(f"a.ts#{i}", "channels", "1 channels", None) for i in range(1_000)]
    monkeypatch.setattr(Classifier, "predict", lambda *_: Predictions([], refused))
    lines = sortal("predict", model, photos).err.splitlines()
    assert len(lines) == 21
    assert lines[-1] == "cannot read 980 more (--json lists them all)"
