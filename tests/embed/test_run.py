import os
import signal
import threading
import time

import numpy as np
import pytest
from PIL import Image

from sortal.data import Refused, open_source
from sortal.embed import Hog, OnnxEncoder, Pixels, Preprocess, embed, plan, refuse, run, vectors_of
from sortal.store import Store

from .networks import log_net


class Bench:
    """A folder, a pile, and a look at what a run reads."""

    def __init__(self, folder):
        self.folder = folder / "images"
        self.folder.mkdir()
        self.store = Store.create(folder / "a.sortal")
        self.read = []

    def image(self, name, seed, level=0):
        pixels = np.random.default_rng(seed).integers(level, 256, (9, 8, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(self.folder / name)

    def update(self, encoder=None):
        """One run as organize makes it; the plan it followed."""
        encoder = encoder or Pixels()
        source = Watched(open_source(self.folder), self.read)
        self.read.clear()
        with self.store.run("organize"):
            self.source_id = self.store.source(source.location, source.kind, None)
            self.encoder_id = self.store.encoder(encoder.name, encoder.digest, encoder.dim, encoder.spec)
            made = plan(self.store, self.source_id, source, self.encoder_id)
            refuse(self.store, self.source_id, made.refused)
            embed(self.store, self.source_id, source, encoder, self.encoder_id, made.todo)
            self.store.forget(self.source_id, made.gone)
        return made

    @property
    def items(self):
        """name -> item, of the files that are there."""
        return {os.path.basename(path): row.item for path, row in self.store.files(self.source_id).items()}

    @property
    def quarantine(self):
        return {os.path.basename(row.path): row.kind for row in self.store.quarantine()}

    def vector(self, name):
        column = self.store.vectors(self.encoder_id)
        return column.rows(column.positions([self.items[name]]))[0]


class Watched:
    def __init__(self, source, read):
        self.source, self._read = source, read
        self.location, self.kind, self.names_from = source.location, source.kind, source.names_from

    def scan(self):
        return self.source.scan()

    def read(self, path):
        self._read.append(os.path.basename(path))
        return self.source.read(path)


@pytest.fixture
def bench(tmp_path):
    made = Bench(tmp_path)
    for i in range(7):
        made.image(f"{i}.png", seed=i)
    yield made
    made.store.close()


def test_a_second_run_reads_nothing(bench):
    first = bench.update()
    assert sorted(bench.read) == [f"{i}.png" for i in range(7)]
    assert (len(first.todo), first.unchanged) == (7, 0)
    second = bench.update()
    assert bench.read == []
    assert (second.todo, second.unchanged, second.gone) == ([], 7, [])


def test_a_vector_is_that_of_its_own_file(bench):
    bench.update()
    source = open_source(bench.folder)
    for entries, vectors, refused in vectors_of(source, list(source.scan()), Pixels()):
        assert not refused
        for entry, vector in zip(entries, vectors):
            np.testing.assert_array_equal(bench.vector(os.path.basename(entry.path)), vector)


def test_a_moved_file_keeps_its_item_and_a_changed_one_gets_another(bench):
    bench.update()
    before, kept = bench.items, bench.vector("1.png")
    (bench.folder / "deep").mkdir()
    os.rename(bench.folder / "1.png", bench.folder / "deep" / "moved.png")
    bench.image("2.png", seed=50)
    made = bench.update()
    assert [os.path.basename(path) for path in made.gone] == ["1.png"]
    assert bench.items["moved.png"] == before["1.png"]
    assert bench.items["2.png"] not in before.values()
    np.testing.assert_array_equal(bench.vector("moved.png"), kept)
    assert "1.png" not in bench.items


def test_copies_are_one_item_with_several_paths_within_a_batch_and_across_runs(bench):
    for name in ("copy.png", "0copy.png"):
        (bench.folder / name).write_bytes((bench.folder / "3.png").read_bytes())
    bench.update()
    assert len(bench.store.items(bench.encoder_id)) == 7
    (bench.folder / "late.png").write_bytes((bench.folder / "3.png").read_bytes())
    bench.update()
    assert bench.read == ["late.png"]
    item = bench.items["3.png"]
    paths = [os.path.basename(path) for path in bench.store.paths([item])[0]]
    assert paths == ["0copy.png", "3.png", "copy.png", "late.png"]
    os.unlink(bench.folder / "3.png")
    bench.update()
    assert bench.items["copy.png"] == item


def test_a_torn_file_waits_in_quarantine_until_it_is_mended(bench):
    whole = (bench.folder / "4.png").read_bytes()
    (bench.folder / "4.png").write_bytes(whole[:70])
    (bench.folder / "none.png").write_bytes(b"")
    bench.update()
    assert set(bench.quarantine) == {"4.png", "none.png"}
    again = bench.update()
    assert bench.read == []
    assert again.still_refused == 1
    (bench.folder / "4.png").write_bytes(whole)
    bench.update()
    assert bench.read == ["4.png"]
    assert set(bench.quarantine) == {"none.png"}
    os.unlink(bench.folder / "none.png")
    bench.update()
    assert bench.quarantine == {}


def test_a_good_file_that_breaks_goes_to_quarantine_and_its_item_stays_in_the_pile(bench):
    bench.update()
    item = bench.items["5.png"]
    (bench.folder / "5.png").write_bytes(b"no image any more")
    bench.update()
    assert set(bench.quarantine) == {"5.png"}
    assert "5.png" not in bench.items
    column = bench.store.vectors(bench.encoder_id)
    assert item in column.item_ids


def test_a_refusal_that_can_pass_by_itself_is_tried_every_time(bench, monkeypatch):
    from sortal.errors import Unreadable

    shut = True

    def read(self, path):
        self._read.append(os.path.basename(path))
        if shut and path.endswith("6.png"):
            raise Unreadable("permission", "no permission to read the file")
        return self.source.read(path)

    monkeypatch.setattr(Watched, "read", read)
    bench.update()
    assert bench.quarantine == {"6.png": "permission"}
    bench.update()
    assert bench.read == ["6.png"]
    shut = False
    bench.update()
    assert bench.quarantine == {}
    assert len(bench.items) == 7


def test_gone_files_are_dropped_and_come_back_as_the_same_item(bench):
    bench.update()
    item, content = bench.items["0.png"], (bench.folder / "0.png").read_bytes()
    bench.store.act("name", {"name": "first"}, [item])
    os.unlink(bench.folder / "0.png")
    bench.update()
    assert item not in bench.store.items(bench.encoder_id)
    (bench.folder / "again.png").write_bytes(content)
    bench.update()
    assert bench.items["again.png"] == item
    assert item in bench.store.items(bench.encoder_id)


def test_another_encoder_embeds_everything_anew_and_the_first_ones_vectors_stay(bench):
    bench.update(Pixels())
    first = bench.encoder_id
    made = bench.update(Hog())
    assert len(made.todo) == 7
    assert len(bench.store.items(first)) == len(bench.store.items(bench.encoder_id)) == 7
    assert bench.update(Pixels()).todo == []


def test_what_a_network_cannot_embed_is_refused_and_another_encoder_tries_again(bench, tmp_path):
    path = tmp_path / "log.onnx"
    path.write_bytes(log_net())
    encoder = OnnxEncoder(path, Preprocess(mean=(0, 0, 0), std=(1, 1, 1), crop=None))
    for i in range(7):
        bench.image(f"{i}.png", seed=i, level=9)
    Image.new("RGB", (6, 6)).save(bench.folder / "black.png")
    bench.update(encoder)
    assert bench.quarantine == {"black.png": run.ENCODER_FAILED}
    assert len(bench.store.items(bench.encoder_id)) == 7
    assert "another encoder" in bench.store.quarantine()[0].reason
    bench.update(Pixels())
    assert bench.quarantine == {}
    assert len(bench.store.items(bench.encoder_id)) == 8


def test_ctrl_c_finishes_the_batch_and_the_next_run_goes_on(bench, monkeypatch):
    monkeypatch.setattr(Pixels, "batch", 2)
    done = []

    def interrupt(n):
        done.append(n)
        if len(done) == 2:
            os.kill(os.getpid(), signal.SIGINT)

    before, threads = signal.getsignal(signal.SIGINT), threading.active_count()
    source, encoder = open_source(bench.folder), Pixels()
    with bench.store.run("organize"):
        source_id = bench.store.source(source.location, source.kind, None)
        encoder_id = bench.store.encoder(encoder.name, encoder.digest, encoder.dim, encoder.spec)
        todo = plan(bench.store, source_id, source, encoder_id).todo
        with pytest.raises(KeyboardInterrupt):
            embed(bench.store, source_id, source, encoder, encoder_id, todo, interrupt)
    assert signal.getsignal(signal.SIGINT) is before
    there = len(bench.store.items(encoder_id))
    assert sum(done) == there
    assert 4 <= there < 7
    assert threading.active_count() == threads
    bench.update()
    assert len(bench.read) == 7 - there
    assert len(bench.items) == 7


def test_vectors_come_in_many_small_commits_as_in_one(bench, monkeypatch):
    bench.update()
    whole = {name: bench.vector(name) for name in bench.items}
    monkeypatch.setattr(run, "ROWS_PER_COMMIT", 2)
    monkeypatch.setattr(Hog, "batch", 3)
    bench.update(Hog())
    monkeypatch.undo()
    for entries, vectors, _ in vectors_of(
        open_source(bench.folder), list(open_source(bench.folder).scan()), Hog()
    ):
        for entry, vector in zip(entries, vectors):
            np.testing.assert_array_equal(bench.vector(os.path.basename(entry.path)), vector)
    bench.update()
    for name, vector in whole.items():
        np.testing.assert_array_equal(bench.vector(name), vector)


def test_without_a_pile_every_file_comes_back_once_in_order(bench):
    (bench.folder / "3torn.png").write_bytes(b"torn")
    source = open_source(bench.folder)
    found, refused = [], []
    for entries, vectors, more in vectors_of(source, list(source.scan()), Hog()):
        assert len(entries) == len(vectors)
        found += [os.path.basename(entry.path) for entry in entries]
        refused += [os.path.basename(one.path) for one in more]
    assert (found, refused) == ([f"{i}.png" for i in range(7)], ["3torn.png"])


def test_an_item_does_not_drop_out_when_one_of_its_copies_has_changed(bench):
    (bench.folder / "copy.png").write_bytes((bench.folder / "3.png").read_bytes())
    bench.update(Hog())
    bench.image("3.png", seed=99)
    bench.update(Pixels())
    assert len(bench.store.items(bench.encoder_id)) == 8
    assert bench.update(Pixels()).todo == []


def test_an_item_does_not_drop_out_when_one_of_its_copies_has_become_unreadable(bench):
    (bench.folder / "copy.png").write_bytes((bench.folder / "3.png").read_bytes())
    bench.update(Hog())
    (bench.folder / "3.png").write_bytes(b"no image any more")
    bench.update(Pixels())
    assert len(bench.store.items(bench.encoder_id)) == 7
    assert bench.quarantine == {"3.png": "not an image"}


def test_a_file_that_is_unreadable_for_one_run_keeps_its_item_and_its_vector(bench, monkeypatch):
    bench.update()
    items, ids = bench.items, bench.store.items(bench.encoder_id)
    scan = Watched.scan

    def shut_out(self):
        for entry in scan(self):
            shut = entry.path.endswith("6.png")
            yield Refused(entry.path, "permission", "no permission", entry.stamp) if shut else entry

    monkeypatch.setattr(Watched, "scan", shut_out)
    for _ in range(2):
        made = bench.update()
        assert (len(made.refused), made.unchanged, made.gone) == (1, 6, [])
        assert bench.quarantine == {"6.png": "permission"}
        assert bench.items == items
        np.testing.assert_array_equal(bench.store.items(bench.encoder_id), ids)
    monkeypatch.undo()
    monkeypatch.setattr(Pixels, "embed", None)  # its vector is there
    bench.update()
    assert bench.read == ["6.png"]
    assert (bench.quarantine, bench.items) == ({}, items)
    assert bench.update().unchanged == 7
    (bench.folder / "6.png").write_bytes(b"no image any more")
    bench.update()
    assert "6.png" not in bench.items


def test_chunks_that_end_early_give_the_same_bits(bench, monkeypatch):
    bench.update(Hog())
    whole = {name: bench.vector(name) for name in bench.items}
    monkeypatch.setattr(run, "SECONDS_PER_CHUNK", -1.0)
    source = open_source(bench.folder)
    chunks = list(vectors_of(source, list(source.scan()), Hog()))
    assert [len(entries) for entries, *_ in chunks] == [1] * 7
    for (entry,), (vector,), _ in chunks:
        np.testing.assert_array_equal(vector, whole[os.path.basename(entry.path)])


@pytest.mark.parametrize("stop", ["closed", "failed"])
def test_what_is_left_early_reads_no_further(bench, monkeypatch, stop):
    for i in range(40):
        bench.image(f"more{i}.png", seed=100 + i)
    monkeypatch.setattr(Pixels, "batch", 20)
    monkeypatch.setattr(run, "SECONDS_PER_CHUNK", -1.0)
    monkeypatch.setattr(run, "n_threads", lambda: 1)
    source = Slow(open_source(bench.folder))
    found, threads = list(source.scan()), threading.active_count()
    if stop == "failed":
        monkeypatch.setattr(Pixels, "embed", None)
        with pytest.raises(TypeError):
            next(vectors_of(source, found, Pixels()))
    else:
        chunks = vectors_of(source, found, Pixels())
        next(chunks)
        chunks.close()
    assert source.n_read < 20
    assert threading.active_count() == threads


class Slow:
    """The first reading is quick; the others leave the reader of the first all the time to stop them."""

    def __init__(self, source):
        self.source, self.scan, self.n_read = source, source.scan, 0

    def read(self, path):
        self.n_read += 1
        if self.n_read > 1:
            time.sleep(0.2)
        return self.source.read(path)


def test_without_a_pile_an_image_without_a_vector_is_refused_and_the_others_are_not(bench, tmp_path):
    path = tmp_path / "log.onnx"
    path.write_bytes(log_net())
    for i in range(7):
        bench.image(f"{i}.png", seed=i, level=9)
    Image.new("RGB", (6, 6)).save(bench.folder / "black.png")
    source = open_source(bench.folder)
    encoder = OnnxEncoder(path, Preprocess(mean=(0, 0, 0), std=(1, 1, 1), crop=None))
    ((entries, vectors, refused),) = vectors_of(source, list(source.scan()), encoder)
    assert [os.path.basename(entry.path) for entry in entries] == [f"{i}.png" for i in range(7)]
    assert np.isfinite(vectors).all()
    assert [(os.path.basename(one.path), one.kind) for one in refused] == [("black.png", run.ENCODER_FAILED)]
