"""Sources that change between runs: nothing drops out, nothing said is overridden, old groups show whole."""

import os
import shutil

import numpy as np
import pytest

import sortal
from sortal.errors import InputError, StoreError
from sortal.pile import Progress
from sortal.store.lock import held

from ..embed.networks import pixels_net
from .digits import state, write_digits


class Said(Progress):
    def __init__(self):
        self.lines = []

    def say(self, line):
        self.lines.append(line)

    def __contains__(self, words):
        return any(words in line for line in self.lines)


@pytest.fixture
def shrunk(tmp_path):
    """40 digits in 12 groups, whose folder has lost 30 of them since."""
    folder = write_digits(tmp_path / "few", 0, 40)
    sortal.organize(folder, k=12).close()
    for path in sorted(folder.rglob("*.png"))[:30]:
        path.unlink()
    return folder, tmp_path / "few.sortal"


def test_a_remembered_k_that_no_longer_fits_leaves_the_pile_whole(shrunk):
    folder, path = shrunk
    before = state(path)
    with pytest.raises(InputError, match=r"k=12, taken from the last grouping for 10 items: give another k"):
        sortal.organize(folder)
    assert state(path) == before
    with sortal.open(path) as pile:
        assert len(pile.vectors) == len(pile.labels) == 40
        assert all(pile.paths)
    with sortal.organize(folder, k=3) as pile:
        assert (len(pile), len(pile.groups), len(pile.vectors)) == (10, 3, 10)
        assert pile.verify() == []


def test_while_fewer_items_are_grouped_the_old_groups_show_whole(shrunk, monkeypatch):
    from sortal import cluster

    folder, path = shrunk
    by_graph, seen = cluster.METHODS["graph"], []

    def look(vectors, k, seed):
        with sortal.open(path) as pile:
            seen.append((len(vectors), len(pile.vectors), len(pile.paths), all(pile.paths)))
        return by_graph(vectors, k, seed)

    monkeypatch.setitem(cluster.METHODS, "graph", look)
    sortal.organize(folder, k=3).close()
    assert seen == [(10, 40, 40, True)]


def test_a_run_that_dies_before_it_forgets_is_taken_up(shrunk, monkeypatch):
    folder, path = shrunk
    with monkeypatch.context() as patch:
        patch.setattr("sortal.store.Store.forget", None)
        with pytest.raises(TypeError):
            sortal.organize(folder, k=3)
    with sortal.open(path) as pile:
        assert len(pile.vectors) == len(pile.paths) == 10
    said = Said()
    with sortal.organize(folder, k=3, progress=said) as pile:
        assert "nothing changed" in said
        assert (len(pile.vectors), pile.verify()) == (10, [])


def test_a_source_that_is_away_says_what_a_new_encoder_cannot_see(tmp_path):
    one, two = write_digits(tmp_path / "one", 0, 20), write_digits(tmp_path / "two", 20, 50)
    sortal.organize(one, tmp_path / "a.sortal", k=3).close()
    sortal.organize(two, tmp_path / "a.sortal").close()
    two.rename(tmp_path / "away")
    said = Said()
    with sortal.organize(tmp_path / "a.sortal", progress=said) as pile:
        assert len(pile) == 50
        assert "its items stay as they are" in said
    said = Said()
    with sortal.organize(tmp_path / "a.sortal", encoder="pixels", progress=said) as pile:
        assert len(pile) == 20
        assert "30 of its items have no vector of this encoder" in said
    (tmp_path / "away").rename(two)
    with sortal.organize(tmp_path / "a.sortal") as pile:
        assert (len(pile), pile.encoder.name) == (50, "pixels")


def test_folders_name_only_what_nobody_has_spoken_of(tmp_path):
    folder = write_digits(tmp_path / "few", 0, 30)
    with sortal.organize(folder, k=3, names_from="folders") as pile:
        assert None not in pile.names
        pile.unname(0)
        pile.name(1, "my own")
        pile.undo()
        said = list(pile.names)
        assert None in said
    write_digits(folder, 30, 40)
    with sortal.organize(folder, names_from="folders") as pile:
        now = dict(zip(pile.paths, pile.names))
        assert [now[path] for path in sorted(now)].count(None) == said.count(None)
        assert all(now[str(path)] == path.parent.name for path in folder.rglob("003*.png"))


def test_two_sources_of_one_name_do_not_share_a_pile_unasked(tmp_path):
    folder = write_digits(tmp_path / "few", 0, 20)
    shutil.make_archive(str(folder), "zip", tmp_path, "few")
    with sortal.organize(folder, k=3) as pile:
        path = pile.path
    before = state(path)
    with pytest.raises(InputError, match=r"few\.sortal is the pile of .*few: say into"):
        sortal.organize(tmp_path / "few.zip")
    assert state(path) == before
    with sortal.organize(tmp_path / "few.zip", path) as pile:
        assert len(pile) == 20
        assert all(len(paths) == 2 for paths in pile.all_paths)


def test_the_folder_above_gets_its_pile_beside_it(tmp_path, monkeypatch):
    folder = write_digits(tmp_path / "few", 0, 12)
    monkeypatch.chdir(folder / "0")
    with sortal.organize("..", k=3) as pile:
        assert pile.path == tmp_path / "few.sortal"


@pytest.mark.parametrize(
    ("wishes", "words"),
    [
        ({"preprocess": sortal.embed.Preprocess()}, "encoder is 'auto'"),
        ({"names_from": "folders"}, "is a pile"),
        ({"method": "kmeans", "k": "auto"}, "kmeans needs the number of groups"),
    ],
)
def test_a_wish_that_would_change_nothing_is_refused(pile, wishes, words):
    before = state(pile.path)
    with pytest.raises(InputError, match=words):
        sortal.organize(pile.path, **wishes)
    assert state(pile.path) == before


def test_kmeans_without_k_is_refused_before_anything_is_embedded(tmp_path):
    folder = write_digits(tmp_path / "few", 0, 12)
    said = Said()
    with pytest.raises(InputError, match="kmeans needs the number of groups"):
        sortal.organize(folder, method="kmeans", progress=said)
    assert "embed" not in said
    assert not (tmp_path / "few.sortal").exists()


def test_a_new_pile_that_another_run_fills_is_not_swept_away(tmp_path):
    from sortal.pile import _discard_if_empty
    from sortal.store import Store

    path = tmp_path / "a.sortal"
    Store.create(path).close()
    with held(path, "organize"):
        _discard_if_empty(path)
    assert path.is_dir()
    sortal.organize(write_digits(tmp_path / "few", 0, 6), path, k=2).close()
    _discard_if_empty(path)
    assert path.is_dir()
    Store.create(tmp_path / "b.sortal").close()
    _discard_if_empty(tmp_path / "b.sortal")
    assert not (tmp_path / "b.sortal").exists()


def test_a_network_that_is_damaged_in_the_pile_is_given_again(tmp_path):
    folder = write_digits(tmp_path / "few", 0, 6)
    (tmp_path / "net.onnx").write_bytes(pixels_net())
    with sortal.organize(folder, k=2, encoder=tmp_path / "net.onnx") as pile:
        path, vectors = pile.path, np.array(pile.vectors)
    [kept] = (path / "models").iterdir()
    content = bytearray(kept.read_bytes())
    content[-1] ^= 1
    kept.write_bytes(content)
    with pytest.raises(sortal.SortalError, match=r"net\.onnx|damaged"):
        sortal.organize(path)
    with sortal.organize(path, encoder=tmp_path / "net.onnx") as pile:
        np.testing.assert_array_equal(pile.vectors, vectors)
        assert pile.verify() == []


def test_items_by_numpy_positions_and_copies_in_the_export(tmp_path):
    folder = write_digits(tmp_path / "few", 0, 20)
    shutil.copy(folder / "0" / "0000.png", folder / "copy.png")
    with sortal.organize(folder, k=np.int64(3), seed=np.uint8(1)) as pile:
        pile.name(None, "some", items=np.flatnonzero(pile.labels == 0))
        assert pile.names.count("some") == pile.groups[0].size
        assert pile.export_names(tmp_path / "names.csv") == 21
        assert pile.grouping.parameters["k"] == 3
    assert (tmp_path / "names.csv").read_text().count(os.sep + "copy.png,") == 1


@pytest.mark.parametrize("kind", ["labels", "points", "vectors"])
def test_a_flipped_bit_is_said_and_nothing_is_made_of_it(pile, kind, tmp_path):
    pile.name(0, "some")
    pile.name(1, "other")
    row = int(np.flatnonzero(pile.labels == 0)[0])  # of the vectors only rows that are used are checked
    pile.close()
    [segment] = (pile.path / "segments").glob(f"{kind}-*")
    content = bytearray(segment.read_bytes())
    content[4096 + row * (4096 if kind == "vectors" else 4)] ^= 64  # after one page of header
    segment.write_bytes(content)
    before = state(pile.path)
    uses = {
        "labels": lambda again: again.name(2, "third"),
        "points": lambda again: again.groups,
        "vectors": lambda again: again.train(tmp_path / "m.model"),
    }
    with sortal.open(pile.path) as again, pytest.raises(StoreError, match=rf"{kind}-.*damaged"):
        uses[kind](again)
    if kind == "vectors":
        with sortal.open(pile.path) as again, pytest.raises(StoreError, match=r"damaged"):
            again.split(0)
        with pytest.raises(StoreError, match=r"damaged"):
            sortal.organize(pile.path, k=4)
    assert state(pile.path) == before
    assert not (tmp_path / "m.model").exists()


def test_a_network_whose_file_was_renamed_is_the_same_one(tmp_path):
    folder = write_digits(tmp_path / "few", 0, 6)
    (tmp_path / "net.onnx").write_bytes(pixels_net())
    sortal.organize(folder, k=2, encoder=tmp_path / "net.onnx").close()
    (tmp_path / "net.onnx").rename(tmp_path / "other.onnx")
    said = Said()
    with sortal.organize(folder, encoder=tmp_path / "other.onnx", progress=said) as pile:
        assert "0 to read" in said
        assert "nothing changed" in said
        assert pile.encoder.name == "net.onnx"


def test_a_thumbnail_is_never_of_another_image(tmp_path):
    folder = write_digits(tmp_path / "few", 0, 6)
    with sortal.organize(folder, k=2) as pile:
        assert set(pile.thumbnails(range(6))) == set(range(6))
        shutil.copy(pile.paths[1], pile.paths[0])
        assert set(pile.thumbnails(range(6))) == set(range(1, 6))
