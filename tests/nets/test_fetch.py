"""Fetching, against a server of our own: whole, in pieces, broken off, wrong, slow, elsewhere, not at all."""

import hashlib
import http.server
import os
import re
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from sortal import fetch, nets
from sortal.errors import DataError, FetchError, InputError, StoreError
from sortal.fetch import cache_folder, cached, fetched
from sortal.nets import weights
from sortal.progress import Progress
from sortal.published import PUBLISHED

CONTENT = np.random.default_rng(0).bytes(300_001)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Said(Progress):
    def __init__(self):
        self.lines, self.total, self.done = [], None, 0

    def say(self, line):
        self.lines.append(line)

    def start(self, what, total):
        self.total = total

    def advance(self, n):
        self.done += n


class Server(http.server.ThreadingHTTPServer):
    """Serves `content`; `breaks` answers end early, `ranges` may be refused."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.breaks, self.ranges, self.asked = CONTENT, 0, True, []
        self.pause, self.length, self.status, self.deaf = 0.0, None, None, False

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.asked.append((self.path, self.headers.get("Range")))
        if server.deaf:
            time.sleep(server.pause)
            return
        if self.path.startswith("/moved/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/moved"))
            self.end_headers()
            return
        if server.status:
            self.send_error(server.status)
            return
        start = self.first_byte()
        if start is None:
            return
        body = server.content[start:]
        self.send_header("Content-Length", str(server.length or len(body)))
        self.end_headers()
        if server.breaks:
            server.breaks -= 1
            self.wfile.write(body[: len(body) // 2])
            self.close_connection = True
            return
        self.wfile.write(body[:1000])
        time.sleep(server.pause)
        self.wfile.write(body[1000:])

    def first_byte(self):
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        if not wanted or not self.server.ranges:
            self.send_response(200)
            return 0
        start = int(wanted[1])
        if start >= len(self.server.content):
            self.send_error(416)
            return None
        self.send_response(206)
        return start

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch, tmp_path):
    monkeypatch.setenv("SORTAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(fetch, "WAIT_S", 2.0)
    monkeypatch.setattr(fetch, "sleep", lambda s: None)
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def named(server, sha256=SHA256[:8], at="/"):
    url = f"{server.url}{at}resnet20-{sha256}.pth"
    return replace(PUBLISHED["resnet20"], url=url, megabytes=round(len(CONTENT) / 1e6, 1))


def part_of(one):
    cache_folder().mkdir(parents=True, exist_ok=True)
    return cache_folder() / f"{one.file}.part"


def test_once_whole_and_from_then_on_from_the_cache(server):
    one, said = named(server), Said()
    assert cached(one) is None
    path = fetched(one, said)
    assert path == cached(one)
    assert path.read_bytes() == CONTENT
    assert said.lines == [
        f"resnet20: 0.3 MB from 127.0.0.1:{server.server_port} (akamaster), kept in {path.parent}"
    ]
    assert said.total == said.done == len(CONTENT)
    assert path.with_name(path.name + ".sha256").read_text() == f"{SHA256}  {path.name}\n"
    again = Said()
    assert fetched(one, again) == path
    assert len(server.asked) == 1
    assert again.lines == []
    assert not part_of(one).exists()


def test_a_connection_that_breaks_off_is_taken_up_where_it_ended(server):
    server.breaks = 3
    said = Said()
    assert fetched(named(server), said).read_bytes() == CONTENT
    starts = [0 if asked is None else int(asked[6:-1]) for _, asked in server.asked]
    assert starts == sorted(set(starts))
    assert len(starts) == 4
    assert said.done == said.total == len(CONTENT)


def test_a_call_goes_on_from_what_an_earlier_one_left(server):
    one = named(server)
    part_of(one).write_bytes(CONTENT[:200_000])
    assert fetched(one).read_bytes() == CONTENT
    assert server.asked == [(f"/{one.file}", "bytes=200000-")]


@pytest.mark.parametrize(
    "left", [CONTENT, CONTENT[:1000], b"", b"other" * 100, CONTENT + b"more", b"x" * len(CONTENT)]
)
@pytest.mark.parametrize("ranges", [True, False])
def test_whatever_was_left_the_end_is_right(server, left, ranges):
    server.ranges = ranges
    one = named(server)
    part_of(one).write_bytes(left)
    assert fetched(one).read_bytes() == CONTENT


def test_a_wrong_hash_is_removed_and_never_loaded(server):
    one = named(server, sha256="0badc0de")
    with pytest.raises(
        DataError, match=f"must begin with 0badc0de, as its name says; what came has {SHA256}"
    ):
        fetched(one)
    assert cached(one) is None
    assert not part_of(one).exists()


def test_a_file_that_changed_in_the_cache_is_told(server):
    one = named(server)
    path = fetched(one)
    path.write_bytes(CONTENT[:-1] + b"?")
    with pytest.raises(DataError, match=f"its SHA-256 must be {SHA256}; it is .* remove it") as caught:
        fetched(one)
    assert "\n" not in str(caught.value)
    path.write_bytes(CONTENT)
    assert fetched(one) == path


def test_the_whole_recorded_hash_counts_not_only_the_published_beginning(server):
    one = named(server)
    path = fetched(one)
    path.with_name(path.name + ".sha256").write_text(f"{SHA256[:8]}{'0' * 56}  {path.name}\n")
    with pytest.raises(DataError, match="its SHA-256 must be"):
        fetched(one)


def test_a_file_put_there_by_hand_is_checked_and_recorded(server):
    one = named(server)
    part_of(one).with_suffix("").write_bytes(CONTENT)
    assert fetched(one).with_name(one.file + ".sha256").read_text().startswith(SHA256)
    assert server.asked == []


def test_redirected(server):
    one = named(server, at="/moved/")
    server.breaks = 1
    assert fetched(one).read_bytes() == CONTENT


def test_a_server_that_stalls_is_asked_again(server, monkeypatch):
    """Each answer stops after 1,000 bytes; what came is kept, and where nothing comes it is given up."""
    monkeypatch.setattr(fetch, "WAIT_S", 0.2)
    server.pause = 0.5
    part_of(named(server)).write_bytes(CONTENT[:-2500])
    assert fetched(named(server)).read_bytes() == CONTENT
    assert len(server.asked) == 3
    one = named(server)
    cached(one).unlink()
    server.deaf = True
    with pytest.raises(FetchError, match=r"resnet20 could not be fetched: .*timed out.*By hand"):
        fetched(one)


def test_no_network_says_what_to_do_by_hand(server):
    one = replace(named(server), url=f"http://127.0.0.1:9/resnet20-{SHA256[:8]}.pth")
    with pytest.raises(FetchError) as caught:
        fetched(one)
    message = str(caught.value)
    assert "\n" not in message
    assert (
        f"By hand: fetch {one.url} where there is a network, and put it at {cache_folder() / one.file}"
        in message
    )
    assert "refused" in message


@pytest.mark.parametrize(("status", "asked"), [(404, 1), (403, 1), (503, fetch.TRIES)])
def test_what_the_server_refuses(server, status, asked):
    server.status = status
    with pytest.raises(FetchError, match=f"the server says {status} .*By hand: fetch"):
        fetched(named(server))
    assert len(server.asked) == asked


def test_a_file_of_another_length_is_not_fetched(server):
    server.length = 10**12
    with pytest.raises(DataError, match=r"the file has 0.3 MB; the server offers 1000000.0 MB"):
        fetched(named(server))
    assert not part_of(named(server)).exists()


def test_a_full_disk_is_told_before_the_first_byte(server, monkeypatch):
    monkeypatch.setattr(fetch.shutil, "disk_usage", lambda path: type("U", (), {"free": 1000})())
    with pytest.raises(StoreError, match=r"0 MB are needed and 0 MB are free; .*SORTAL_CACHE"):
        fetched(named(server))


def test_a_cache_that_cannot_be_written(server, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SORTAL_CACHE", str(tmp_path / "file"))
    with pytest.raises(StoreError, match="name another folder with SORTAL_CACHE"):
        fetched(named(server))


def test_two_at_once_fetch_once(server):
    server.pause = 0.0
    found = []
    threads = [threading.Thread(target=lambda: found.append(fetched(named(server)))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(found) == 4
    assert len(server.asked) == 1


def test_where_the_cache_lies(monkeypatch, tmp_path):
    monkeypatch.delenv("SORTAL_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(fetch.sys, "platform", "linux")
    assert cache_folder() == tmp_path / "sortal"
    monkeypatch.setattr(fetch.sys, "platform", "darwin")
    assert cache_folder().parts[-3:] == ("Library", "Caches", "sortal")
    monkeypatch.setattr(fetch.sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    assert cache_folder() == tmp_path / "sortal" / "Cache"


def test_load_by_name(server, monkeypatch, tmp_path):
    path = tmp_path / "w.pth"
    torch.save(nets.resnet20(seed=1).state_dict(), path)
    server.content = path.read_bytes()
    one = replace(named(server, sha256=hashlib.sha256(server.content).hexdigest()[:8]), megabytes=1.2)
    monkeypatch.setitem(PUBLISHED, "resnet20", one)
    net, said = nets.resnet20(seed=2), Said()
    loaded = weights.load(net, "resnet20", progress=said)
    assert loaded.published == one
    assert loaded.path == cached(one)
    assert torch.equal(net.linear.weight, nets.resnet20(seed=1).linear.weight)
    assert "1.2 MB" in said.lines[0]
    monkeypatch.chdir(tmp_path)
    os.rename(path, "resnet20")  # a file comes before a name
    assert weights.load(net, "resnet20").published is None
    with pytest.raises(InputError, match="No such file"):
        weights.load(net, "./resnet21")
