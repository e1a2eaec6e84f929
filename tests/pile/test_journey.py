"""The main job from files to predictions, on scikit-learn's digits as PNG files."""

import csv
import io
import json
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sortal
from sortal.errors import InputError
from sortal.pile import Progress

from ..embed.networks import pixels_net
from .digits import state, write_digits


class Told(Progress):
    def __init__(self):
        self.lines, self.files = [], 0

    def say(self, line):
        self.lines.append(line)

    def advance(self, n):
        self.files += n


def test_a_folder_becomes_groups_that_are_mostly_of_one_kind(pile, digits):
    assert len(pile) == len(pile.paths) == 300
    assert pile.vectors.shape == (300, 1024)
    assert pile.vectors.dtype == np.float32
    assert isinstance(pile.vectors, np.memmap)
    assert not pile.vectors.flags.writeable
    assert pile.labels.dtype == np.int32
    assert sorted(set(pile.labels.tolist())) == list(range(10))
    assert [group.size for group in pile.groups] == np.bincount(pile.labels).tolist()
    truth = [Path(path).parent.name for path in pile.paths]
    majority = sum(max(truth_of.count(t) for t in set(truth_of)) for truth_of in (
        [t for t, label in zip(truth, pile.labels) if label == g] for g in range(10)
    ))  # fmt: skip
    assert majority > 0.75 * 300  # .9 is usual; k-means on pixels gives .7
    assert pile.paths == sorted(pile.paths)
    assert all(str(digits) in path for path in pile.paths)
    assert pile.names == [None] * 300
    assert pile.verify() == []


def test_the_pile_lies_beside_the_folder_where_nothing_else_is_said(tmp_path):
    write_digits(tmp_path / "few", 0, 12)
    with sortal.organize(tmp_path / "few", k=3) as pile:
        assert pile.path == tmp_path / "few.sortal"
        assert len(pile) == 12


def test_the_same_folder_gives_the_same_bits(pile, digits, tmp_path):
    with sortal.organize(digits, tmp_path / "again.sortal", k=10) as again:
        np.testing.assert_array_equal(again.vectors, pile.vectors)
        np.testing.assert_array_equal(again.labels, pile.labels)


def test_names_are_given_taken_back_and_undone(pile):
    group = np.flatnonzero(pile.labels == 3)
    pile.name(3, "  drei ")
    assert {pile.names[i] for i in group} == {"drei"}
    assert sum(name is not None for name in pile.names) == len(group)
    assert pile.groups[3].name == "drei"
    pile.name(None, "odd one", items=[int(group[0]), pile.paths[group[1]]])
    assert [pile.names[i] for i in group[:3]] == ["odd one", "odd one", "drei"]
    pile.unname(items=[int(group[0])])
    assert pile.names[group[0]] is None
    pile.none(items=[int(group[1])])
    assert pile.names[group[1]] is None
    assert np.flatnonzero(pile.none_of_these).tolist() == [group[1]]
    pile.undo()
    assert pile.names[group[1]] == "odd one"
    assert not pile.none_of_these.any()
    for _ in range(3):
        pile.undo()
    assert pile.names == [None] * 300
    with pytest.raises(InputError, match="nothing to undo"):
        pile.undo()
    assert [act["counts"] for act in pile.history] == [False] * 8
    with sortal.open(pile.path) as again:
        assert again.names == pile.names


def test_groups_are_merged_split_and_put_back(pile):
    before, sizes = pile.labels.copy(), np.bincount(pile.labels)
    pile.merge([7, 2])
    assert (pile.labels == 2).sum() == sizes[2] + sizes[7]
    assert 7 not in pile.labels
    assert 7 not in [group.number for group in pile.groups]
    with pytest.raises(InputError, match="group must be one of"):
        pile.name(7, "gone")
    pile.split(2, 3)
    parts = [g for g in np.unique(pile.labels) if g == 2 or g >= 10]
    assert len(parts) == 3
    np.testing.assert_array_equal(np.isin(pile.labels, parts), np.isin(before, [2, 7]))
    assert max(parts, key=lambda g: (pile.labels == g).sum()) == 2
    pile.name(int(parts[1]), "a part")
    pile.undo()
    pile.undo()
    pile.undo()
    np.testing.assert_array_equal(pile.labels, before)


def test_names_outlive_another_grouping_which_reads_and_embeds_nothing(pile, digits):
    pile.name(0, "zero-th")
    pile.merge([1, 2])
    named, vectors, paths = pile.names, np.array(pile.vectors), pile.paths
    told = Told()
    with sortal.organize(pile.path, k=12, progress=told) as again:
        assert told.files == 0
        assert sorted(set(again.labels.tolist())) == list(range(12))
        assert again.names == named
        assert again.paths == paths
        np.testing.assert_array_equal(again.vectors, vectors)
    assert any("merges and splits belonged to the old groups" in line for line in told.lines)
    told = Told()
    with sortal.organize(digits, pile.path, progress=told) as same:
        assert len(same.groups) == 12
    assert any("nothing changed" in line for line in told.lines)
    with sortal.open(pile.path) as opened:
        assert len(opened._store.groupings()) == 2


def test_k_auto_is_called_a_guess_and_shows_its_evidence(pile):
    told = Told()
    with sortal.organize(pile.path, k="auto", progress=told) as guessed:
        assert 2 <= len(guessed.groups) <= 40
        candidates = guessed.report(with_map=False, most_thumbnails=1).candidates
        assert len(candidates.rows) > 1
        assert candidates.rows[candidates.chosen][0] == len(guessed.groups)
    assert any("a guess" in line for line in told.lines)


def test_kmeans_is_a_method_and_k_stays_with_the_pile(pile):
    with sortal.organize(pile.path, method="kmeans", seed=4) as other:
        assert len(other.groups) == 10
        assert other.grouping.method == "kmeans"
        assert other.grouping.seed == 4
        assert len(other.points) == 300
    with pytest.raises(InputError, match="kmeans needs the number of groups"):
        sortal.organize(pile.path, k="auto", method="kmeans")


def test_names_are_exported_as_csv_and_json(pile, tmp_path):
    pile.name(1, 'one, "quoted"')
    pile.none(items=[5])
    assert pile.export_names(tmp_path / "names.csv") == 300
    assert pile.export_names(tmp_path / "names.json") == 300
    rows = list(csv.DictReader(io.StringIO((tmp_path / "names.csv").read_text())))
    items = json.loads((tmp_path / "names.json").read_text())["items"]
    assert [row["path"] for row in rows] == [item["path"] for item in items] == pile.paths
    assert [int(row["group"]) for row in rows] == [item["group"] for item in items] == pile.labels.tolist()
    assert [row["name"] or None for row in rows] == [item["name"] for item in items] == pile.names
    assert [i for i, item in enumerate(items) if item["none_of_these"]] == [5]
    for bad in ("names.txt", "names", "no/such/folder.csv"):
        with pytest.raises(InputError) as caught:
            pile.export_names(tmp_path / bad)
        assert str(caught.value).isprintable()


def test_a_second_source_joins_the_pile(pile, tmp_path):
    pile.name(2, "two")
    named = dict(zip(pile.paths, pile.names))
    more = write_digits(tmp_path / "more", 290, 340)  # ten of them are there already
    with sortal.organize(more, pile.path) as both:
        assert len(both) == 340
        assert len(both.groups) == 10
        assert {path: name for path, name in zip(both.paths, both.names) if path in named} == named
        assert sum(len(paths) == 2 for paths in both.all_paths) == 10
    shutil.rmtree(more)
    told = Told()
    with sortal.organize(pile.path, k=9, progress=told) as kept:
        assert len(kept) == 340
    assert any("cannot be read now" in line and line.isprintable() for line in told.lines)


def test_a_folder_that_moved_keeps_names_and_vectors(tmp_path):
    write_digits(tmp_path / "here", 0, 60)
    with sortal.organize(tmp_path / "here", tmp_path / "a.sortal", k=4) as pile:
        pile.name(0, "kept")
        named = {os.path.basename(path): name for path, name in zip(pile.paths, pile.names)}
        vectors = np.array(pile.vectors)
    os.rename(tmp_path / "here", tmp_path / "there")
    with sortal.organize(tmp_path / "there", tmp_path / "a.sortal") as moved:
        assert {os.path.basename(path): name for path, name in zip(moved.paths, moved.names)} == named
        np.testing.assert_array_equal(moved.vectors, vectors)


def test_folders_give_names_to_what_has_none(pile, digits):
    pile.name(None, "mine", items=[0])
    with sortal.organize(digits, pile.path, names_from="folders") as named:
        assert named.names == ["mine"] + [Path(path).parent.name for path in named.paths[1:]]
        assert sortal.organize(digits, pile.path, names_from="folders").names == named.names
        assert len(named.history) == 1 + 10


def test_a_zip_and_a_list_give_the_groups_of_the_folder(pile, digits, tmp_path):
    with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
        for path in pile.paths:
            archive.write(path, os.path.relpath(path, digits))
    with sortal.organize(tmp_path / "d.zip", k=10, names_from="folders") as zipped:
        np.testing.assert_array_equal(zipped.labels, pile.labels)
        assert zipped.names[0] == "0"
        assert len(zipped.thumbnails([0, 7])) == 2
    lines = ["path,name"] + [f"{path},n{i % 2}" for i, path in enumerate(pile.paths)]
    (tmp_path / "list.csv").write_text("\n".join(lines) + "\n")
    with sortal.organize(tmp_path / "list.csv", k=10) as listed:
        np.testing.assert_array_equal(listed.labels, pile.labels)
        assert listed.names[:3] == ["n0", "n1", "n0"]


def test_an_onnx_encoder_is_kept_in_the_pile_and_taken_again(tmp_path):
    write_digits(tmp_path / "few", 0, 40)
    path = tmp_path / "net.onnx"
    path.write_bytes(pixels_net())
    with sortal.organize(tmp_path / "few", tmp_path / "a.sortal", encoder=str(path), k=3) as pile:
        assert pile.vectors.shape == (40, 105)
        assert pile.encoder.name == "net.onnx"
    path.unlink()
    told = Told()
    with sortal.organize(tmp_path / "a.sortal", k=4, progress=told) as again:
        assert told.files == 0
        assert again.encoder.name == "net.onnx"
        again.name(0, "a")
        again.name(1, "b")
        again.train(tmp_path / "a.model")
    shutil.rmtree(tmp_path / "a.sortal")
    assert len(sortal.load(tmp_path / "a.model").predict(tmp_path / "few").predictions) == 40


@pytest.fixture(scope="module")
def model(made, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    with sortal.organize(made / "digits", folder / "d.sortal", k=10, names_from="folders") as pile:
        head = pile.train(folder / "d.model")
    assert head.report.accuracy > 0.85
    shutil.rmtree(folder / "d.sortal")  # the model has to do without
    return folder / "d.model"


def test_a_model_names_new_files_and_refuses_what_is_like_nothing_shown(model, tmp_path):
    new = write_digits(tmp_path / "new", 300, 400)
    (new / "torn.png").write_bytes(b"torn")
    rng = np.random.default_rng(0)
    for i in range(20):
        Image.fromarray(rng.integers(0, 256, (8, 8)).astype(np.uint8)).save(tmp_path / f"noise{i}.png")
    found = sortal.load(model).predict(new)
    assert [os.path.basename(one.path) for one in found.refused] == ["torn.png"]
    right = [one.name == Path(one.path).parent.name for one in found.predictions]
    assert np.mean(right) > 0.85
    assert all(0 < one.confidence <= 1 for one in found.predictions)
    assert np.mean([one.like_nothing_shown for one in found.predictions]) < 0.2
    noise = sortal.load(model).predict([tmp_path / f"noise{i}.png" for i in range(20)])
    assert np.mean([one.like_nothing_shown for one in noise.predictions]) > 0.8


def test_a_single_file_is_predicted_as_in_company(model, digits):
    classifier = sortal.load(model)
    one = next(digits.rglob("*.png"))
    alone = classifier.predict(one).predictions[0]
    together = {p.path: p for p in classifier.predict(digits).predictions}
    assert together[str(one)].name == alone.name
    # A product of one row is summed in another order than one of many.
    assert together[str(one)].confidence == pytest.approx(alone.confidence, abs=1e-5)


def test_training_needs_names(pile, tmp_path):
    with pytest.raises(InputError, match=r"no item of .* has a name") as caught:
        pile.train(tmp_path / "a.model")
    assert str(caught.value).isprintable()
    assert not (tmp_path / "a.model").exists()


def test_the_page_and_the_notebook_show_the_pile_and_change_nothing(pile, tmp_path):
    pile.name(0, "<script>alert(1)</script>")
    before = state(pile.path)
    pile.write_report(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "<script>alert(1)" not in page
    assert "<script>alert(1)" not in pile._repr_html_()
    assert state(pile.path) == before
