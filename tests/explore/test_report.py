import base64
import hashlib
import html
import io
import json
import os
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from sortal.errors import InputError, StoreError
from sortal.explore import (
    Candidates,
    Fact,
    Refusal,
    Report,
    agreement,
    as_json,
    command_to_name,
    describe,
    gallery,
    outliers,
    page_data,
    project,
    thumbnail_positions,
    write_report,
)
from sortal.explore.records import json_for_html

EVIL = "</script <script></script><img src=x onerror=alert(1)>\u2028<!--\udcff\n\"'&"


def jpeg(value):
    out = io.BytesIO()
    Image.new("RGB", (48, 48), (value % 256, 90, 60)).save(out, "JPEG")
    return out.getvalue()


@pytest.fixture(scope="module")
def report():
    rng = np.random.default_rng(0)
    labels = np.arange(90) % 4
    labels[::30] = -1
    points = rng.normal(size=(90, 6)) + 3 * np.eye(6)[labels]
    points = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)
    paths = [f"photos/{i}.jpg" for i in range(90)]
    names = [None] * 90
    paths[1], names[1], names[2] = EVIL, EVIL, "owl"
    groups, view, odd = describe(points, labels), project(points), outliers(points, 5)
    return Report(
        title=f"Birds {EVIL}",
        pile="my birds.sortal",
        paths=paths,
        names=names,
        labels=labels,
        groups=groups,
        map=view,
        thumbnails={p: jpeg(p) for p in thumbnail_positions(groups, view, odd, most=40)},
        outliers=odd,
        quarantine=[Refusal(EVIL, "truncated", EVIL), Refusal("b.jpg", "empty", "no bytes")],
        facts=[Fact("encoder", EVIL), Fact("seed", "0")],
        candidates=Candidates(("k", "silhouette"), ((3, 0.5), (4, None)), 1, EVIL),
        agreement=agreement(names, labels),
    )


class Page(HTMLParser):
    """Every tag, and the text of every script and style."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.inside, self.text = [], None, {}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.inside = None
        if tag in ("script", "style"):
            self.inside = (tag, dict(attrs).get("type"))

    def handle_endtag(self, tag):
        self.inside = None

    def handle_data(self, data):
        if self.inside:
            self.text[self.inside] = self.text.get(self.inside, "") + data


@pytest.fixture(scope="module")
def page(report, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_report(path, report)
    return path.read_bytes().decode("utf-8")


def test_the_embedded_data_is_the_report(report, page):
    embedded = json.loads(
        Page(page).text["script", "application/json"], parse_constant=lambda c: pytest.fail(f"{c} is no JSON")
    )
    assert embedded == page_data(report)
    assert [g["size"] for g in embedded["groups"]] == [g.size for g in report.groups]
    assert embedded["map"]["positions"] == report.map.positions.tolist()
    where = embedded["items"]["positions"].index(1)
    assert embedded["items"]["paths"][where] == EVIL
    assert embedded["vocabulary"][embedded["items"]["names"][where]] == EVIL
    for position, jpeg_text in embedded["thumbnails"].items():
        assert base64.b64decode(jpeg_text) == report.thumbnails[int(position)]


def test_text_from_strangers_adds_no_element(report, page, tmp_path):
    harmless = replace(
        report, title="Birds", paths=["x"] * 90, names=[None] * 90, quarantine=(), facts=(), candidates=None
    )
    write_report(tmp_path / "r.html", harmless)
    plain = Page((tmp_path / "r.html").read_text("utf-8"))
    assert [tag for tag, _ in Page(page).tags] == [tag for tag, _ in plain.tags]
    assert (
        "onerror"
        not in page.replace(html.escape(report.title).encode("utf-8", "replace").decode(), "").split(
            'id="data"'
        )[0]
    )
    assert "innerHTML" not in page
    assert "insertAdjacentHTML" not in page


@pytest.mark.parametrize(
    "text", ["</script x", "<!--<script", "a>b", "&lt;", "\u2028\u2029", "\udcff", "\x00é"]
)
def test_json_in_a_script_is_ascii_without_markup(text):
    written = json_for_html({text: [text]})
    assert not set(written) & set("<>&")
    assert written.isascii()
    assert written.isprintable()
    assert json.loads(written) == {text: [text]}


def test_no_request_leaves_the_page(page):
    parsed = Page(page)
    template = page.replace(parsed.text["script", "application/json"], "")
    assert not re.search(r"https?:|//[a-z]|@import|url\(|fetch\(|XMLHttpRequest|WebSocket", template)
    for tag, attributes in parsed.tags:
        assert tag not in ("link", "iframe", "object", "embed", "base", "form")
        assert not {"src", "srcset", "action", "background"} & set(attributes)
        assert attributes.get("href", "#").startswith("#")
        assert not [
            a for a in attributes if a == "style" or a.startswith("on")
        ]  # the policy would block them


def test_the_policy_allows_exactly_what_is_in_the_file(page):
    parsed = Page(page)
    (policy,) = [a["content"] for t, a in parsed.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy
    for key in (("style", None), ("script", None)):
        digest = base64.b64encode(hashlib.sha256(parsed.text[key].encode("utf-8")).digest()).decode()
        assert f"{key[0]}-src 'sha256-{digest}'" in policy


def test_every_id_the_script_asks_for_is_there(page):
    parsed = Page(page)
    ids = {a["id"] for _, a in parsed.tags if "id" in a}
    assert set(re.findall(r'at\("([\w-]+)"\)', parsed.text["script", None])) <= ids
    assert len(ids) == sum("id" in a for _, a in parsed.tags)


def test_size_does_not_grow_with_the_pile(report):
    n = 20_000
    big = replace(
        report,
        paths=["p" * 4_000] * n,
        names=["n" * 10_000] * n,
        labels=np.resize(report.labels, n),
        quarantine=[Refusal("q" * 4_000, "truncated", "r" * 4_000)] * n,
    )
    data = page_data(big)
    assert len(json.dumps(data)) < 500_000
    assert data["quarantine"][0]["size"] == n
    assert len(data["quarantine"][0]["files"]) == 200


def test_a_report_of_nothing(tmp_path):
    nothing = Report("Empty", "e.sortal", [], [], np.zeros(0, int), [])
    write_report(tmp_path / "r.html", nothing)
    assert "Empty" in (tmp_path / "r.html").read_text("utf-8")
    assert "0 items in 0 groups" in gallery(nothing)


def test_written_whole_or_not_at_all(report, tmp_path, monkeypatch):
    path = tmp_path / "r.html"
    path.write_text("older")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left"):
        write_report(path, report)
    assert path.read_text() == "older"
    assert os.listdir(tmp_path) == ["r.html"]


def test_a_name_as_long_as_the_file_system_takes(report, tmp_path):
    path = tmp_path / ("写" * 80 + ".html")  # 245 bytes
    write_report(path, report)
    assert os.listdir(tmp_path) == [path.name]
    with pytest.raises(StoreError, match="could not be written"):
        write_report(tmp_path / ("写" * 90 + ".html"), report)
    assert os.listdir(tmp_path) == [path.name]


def test_where_a_report_cannot_be_written(report, tmp_path):
    with pytest.raises(InputError, match="must be a folder"):
        write_report(tmp_path / "missing" / "r.html", report)
    with pytest.raises(InputError, match="must be a file name"):
        write_report(tmp_path, report)


def test_lengths_must_agree():
    with pytest.raises(InputError, match="2, 1 and 2"):
        Report("t", "p", ["a", "b"], [None], np.zeros(2, int), [])


@pytest.mark.parametrize(
    ("pile", "command"),
    [
        ("a.sortal", 'sortal name a.sortal 3 "a name"'),
        ("my $(rm -rf) 'a'.sortal", "sortal name 'my $(rm -rf) '\"'\"'a'\"'\"'.sortal' 3 \"a name\""),
        ("a\nb", 'sortal name PILE 3 "a name"'),
        ("-rf", 'sortal name PILE 3 "a name"'),
    ],
)
def test_commands_are_safe_to_paste(pile, command):
    assert command_to_name(pile, 3) == command


def test_thumbnails_go_first_to_every_groups_medoid(report):
    few = thumbnail_positions(report.groups, report.map, report.outliers, most=4)
    assert few == [g.typical[0] for g in report.groups]
    assert len(thumbnail_positions(report.groups, report.map, most=70)) == 70
    assert set(thumbnail_positions(report.groups, report.map, most=999)) == set(range(90))
    assert thumbnail_positions([], None) == []
    for most in range(1, 200):  # no step through the map may end behind its last point
        assert len(thumbnail_positions([], report.map, most=most)) == min(most, 90)


def test_gallery_is_escaped_bounded_and_inline(report):
    fragment = gallery(report)
    assert "<img src=x" not in fragment
    assert {tag for tag, _ in Page(fragment).tags} <= {"div", "span", "i", "img"}
    fragment.encode("utf-8")
    heavy = replace(report, thumbnails=dict.fromkeys(range(90), bytes(60_000)))
    assert 500_000 < len(gallery(heavy)) < 1_000_000


def test_json_has_no_nan():
    with pytest.raises(ValueError, match="nan"):
        as_json(Candidates(("k",), ((float("nan"),),)))
    assert as_json(Fact("a", "b")) == {"label": "a", "value": "b"}
    assert as_json(np.float32(0.5)) == 0.5
    with pytest.raises(TypeError, match="bytes"):
        as_json({"a": b""})
