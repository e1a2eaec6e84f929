"""The journey with sounds, series and texts: what images go through, they go through."""

import numpy as np
import pytest

import sortal
from sortal.errors import InputError
from sortal.progress import Progress

from ..data.sounds import patched_wav, tone_wav, write_tones

sound = pytest.importorskip("soundfile", reason="needs the extra sound")
pytest.importorskip("soxr", reason="needs the extra sound")


@pytest.fixture(scope="module")
def tones(tmp_path_factory):
    return write_tones(tmp_path_factory.mktemp("sound") / "tones")


def test_sounds_from_folder_to_names(tones, tmp_path):
    with sortal.organize(tones, tmp_path / "a.sortal", k=3, names_from="folders") as pile:
        assert (pile.kind, pile.encoder.name, len(pile), len(pile.groups)) == ("sound", "mel", 36, 3)
        assert sorted(group.name for group in pile.groups) == ["2000", "300", "900"]
        assert all(group.called.share == 1 for group in pile.groups)
        pile.train(tmp_path / "m.model")
        pile.write_report(tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text()
    assert page.count("UklGR") == 36  # "RIFF" in base64: each of them can be played
    model = sortal.load(tmp_path / "m.model")
    found = model.predict(tones / "900")
    assert {one.name for one in found.predictions} == {"900"}
    with sortal.organize(tmp_path / "a.sortal") as again:
        assert again.kind == "sound"


def test_a_long_recording_becomes_pieces(tmp_path):
    (tmp_path / "long.wav").write_bytes(tone_wav(440.7, 3.0))  # no two pieces of it are alike
    with sortal.organize(tmp_path / "long.wav", k=1, read={"cut": 0.5}) as pile:
        assert [path.rpartition("/")[2] for path in pile.paths] == [
            f"long.wav#{i / 2:.2f}s" for i in range(6)
        ]
        assert pile.thumbnails([0, 5]).keys() == {0, 5}
    with pytest.raises(InputError, match=r"is read as sound, cut=0\.5, which stays"):
        sortal.organize(tmp_path / "long.sortal", read={"cut": "silence"})


def test_bad_sounds_go_to_quarantine(tmp_path):
    for name in range(4):
        (tmp_path / f"{name}.wav").write_bytes(tone_wav(300 + 100 * name))
    (tmp_path / "lies.wav").write_bytes(patched_wav(data=99_999))
    (tmp_path / "zero.wav").write_bytes(patched_wav(rate=0))
    with sortal.organize(tmp_path, tmp_path.parent / "b.sortal", k=2) as pile:
        assert len(pile) == 4
        assert [row.kind for row in pile.quarantine] == ["truncated", "broken"]


def test_a_mixed_folder_is_refused_with_counts_and_the_way_out(tmp_path):
    for i in range(3):
        (tmp_path / f"{i}.wav").write_bytes(tone_wav())
        (tmp_path / f"{i}.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(InputError, match=r"holds 3 sounds, 3 images|holds 3 images, 3 sounds") as caught:
        sortal.organize(tmp_path)
    assert "--kind" in str(caught.value)


def test_an_encoder_of_another_kind_is_refused(tones, tmp_path):
    with pytest.raises(InputError, match="must take sounds, which the pile holds; hog takes images"):
        sortal.organize(tones, tmp_path / "a.sortal", encoder="hog")
    with pytest.raises(InputError, match="the options of sound are cut, channels"):
        sortal.organize(tones, tmp_path / "a.sortal", read={"by": "line"})
    assert not (tmp_path / "a.sortal").exists()


# ---- text

ABOUT = {
    "cats": "the {} cat sleeps on the {} sofa and purrs",
    "rain": "heavy {} rain falls over the {} hills tonight",
    "trains": "the {} train to {} leaves from platform nine",
}
ADJECTIVES = ["old", "grey", "small", "late", "northern", "quiet", "second", "far"]


def lines_about():
    pairs = [(one, two) for one in ADJECTIVES for two in ADJECTIVES if one != two]
    return [(kind, said.format(*pair)) for kind, said in ABOUT.items() for pair in pairs]


def test_lines_of_text_from_file_to_names(tmp_path):
    (tmp_path / "a.txt").write_text("\n".join(text for _, text in lines_about()))
    with sortal.organize(tmp_path / "a.txt", k=3) as pile:
        assert (pile.kind, pile.encoder.name, len(pile), len(pile.groups)) == ("text", "tfidf", 168, 3)
        assert pile.paths[0].endswith("a.txt#1")
        words = pile.keywords()
        assert sorted(
            next(w for w in ("cat", "rain", "train") if w in found.split(", ")) for found in words.values()
        ) == ["cat", "rain", "train"]
        for number, found in words.items():
            pile.name(number, "rain" if "rain" in found else "other")
        pile.train(tmp_path / "m.model")
        pile.write_report(tmp_path / "r.html")
        before = pile.encoder.digest, pile.vectors[:168].copy()
    assert "heavy old rain" in (tmp_path / "r.html").read_text()
    (tmp_path / "new.txt").write_text("much rain falls over the hills\nthe cat purrs")
    found = sortal.load(tmp_path / "m.model").predict(tmp_path / "new.txt")
    assert [one.name for one in found.predictions] == ["rain", "other"]
    with (tmp_path / "a.txt").open("a") as file:
        file.write("\nthe last train leaves")
    with sortal.organize(tmp_path / "a.sortal") as again:  # the fit is kept, old vectors stand
        assert len(again) == 169
        assert again.encoder.digest == before[0]
        assert (again.vectors[:168] == before[1]).all()
    with sortal.organize(tmp_path / "a.sortal", encoder="tfidf") as anew:
        assert anew.encoder.digest != before[0]


def test_a_file_of_many_items_names_them(tmp_path):
    for kind in ABOUT:
        texts = [text for one, text in lines_about() if one == kind]
        (tmp_path / f"{kind}.txt").write_text("\n".join(texts))
    with sortal.organize(tmp_path, k=3, names_from="folders", read={"by": "line"}) as pile:
        assert sorted(group.name for group in pile.groups) == sorted(ABOUT)


class Told(Progress):
    def __init__(self):
        self.said = []

    def say(self, line):
        self.said.append(line)


def test_items_of_one_file_are_not_called_files(tmp_path):
    (tmp_path / "a.txt").write_text("\n".join(text for _, text in lines_about()[::9]))
    told = Told()
    with sortal.organize(tmp_path / "a.txt", k=2, names_from="folders", progress=told):
        assert f"{tmp_path / 'a.txt'}: 19 items, 19 to read" in told.said
        assert "19 items named as their source says: 1 name" in told.said


def test_files_of_text_in_an_old_encoding_are_said(tmp_path):
    pytest.importorskip("charset_normalizer", reason="needs the extra text")
    told = Told()
    for i, (_, text) in enumerate(lines_about()[::9]):
        (tmp_path / f"{i}.txt").write_text(
            f"Übrigens: größer, schöner, wärmer. {text} Grüße aus München", "cp1252"
        )
    (tmp_path / "nul.txt").write_bytes(b"a\0b")
    with sortal.organize(tmp_path, tmp_path.parent / "c.sortal", k=2, progress=told) as pile:
        assert [row.kind for row in pile.quarantine] == ["not a text"]
    assert any(line.startswith("read as cp125") for line in told.said)


# ---- time series


def test_series_from_file_to_names(tmp_path):
    pytest.importorskip("aeon", reason="needs the extra series")
    rng = np.random.default_rng(0)
    waves = [np.sin, lambda x: np.sign(np.sin(x)), lambda x: (x % 3) - 1]
    rows = [(k, waves[k](np.linspace(0, 20, 60) + rng.uniform(0, 6))) for k in range(3) for _ in range(15)]
    lines = [",".join(map(str, row + rng.normal(0, 0.05, 60))) + f":{k}" for k, row in rows]
    (tmp_path / "a.ts").write_text(
        "@classLabel true 0 1 2\n@data\n" + "\n".join([*lines, "1,?,3:0", "1,2:1"])
    )
    with sortal.organize(tmp_path / "a.ts", k=3, names_from="folders") as pile:
        assert (pile.kind, pile.encoder.name, len(pile)) == ("series", "minirocket", 46)
        assert [(row.path.rpartition("#")[2], row.kind) for row in pile.quarantine] == [
            ("48", "missing values")
        ]
        assert {name for name in pile.names if name} == {"0", "1", "2"}
        pile.train(tmp_path / "m.model")
        pile.write_report(tmp_path / "r.html")
        assert pile.thumbnails([0])[0].startswith(b"\xff\xd8")
    found = sortal.load(tmp_path / "m.model").predict(tmp_path / "a.ts")
    truth = [str(k) for k, _ in rows]
    assert np.mean([one.name == name for one, name in zip(found.predictions, truth)]) > 0.9


def test_two_series_that_differ_in_channels(tmp_path):
    pytest.importorskip("aeon", reason="needs the extra series")
    rng = np.random.default_rng(0)
    rows = [",".join(map(str, rng.normal(size=20))) for _ in range(9)]
    (tmp_path / "a.ts").write_text("@data\n" + "\n".join([*rows, f"{rows[0]}:{rows[1]}"]))
    with sortal.organize(tmp_path / "a.ts", k=2) as pile:
        assert [row.kind for row in pile.quarantine] == ["channels"]
        assert pile.quarantine[0].reason == "2 channels; the encoder takes 1"


def test_a_table_with_rows_of_two_widths_is_one_line(tmp_path):
    (tmp_path / "a.csv").write_text("1,2,3\n4,5,6\n7,8\n")
    with pytest.raises(InputError, match="line 3 has 2 cells, the first 3"):
        sortal.organize(tmp_path / "a.csv")
