"""Every --json is one JSON value of its schema, alone on standard output."""

import json

import jsonschema
import pytest

from .conftest import N_DIGITS, SCHEMAS, check


def closed(schema):
    """Every object of a schema names its keys or describes their values, and every part is described."""
    if schema.get("type") == "object":
        assert "additionalProperties" in schema, schema
    if "type" in schema or "enum" in schema:
        assert schema.get("description"), schema
    for part in schema.get("properties", {}).values():
        closed(part)
    if "items" in schema:
        closed(schema["items"])


@pytest.mark.parametrize("path", sorted(SCHEMAS.glob("*.json")), ids=lambda path: path.name)
def test_schemas_are_schemas_and_closed(path):
    schema = json.loads(path.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    closed(schema)
    assert schema["additionalProperties"] is False


def test_a_schema_refuses_what_it_does_not_name():
    with pytest.raises(jsonschema.ValidationError):
        check({"acts": [], "more": 1}, "history")


def test_organize(sortal, photos, tmp_path):
    ran = sortal("organize", photos, "--into", "a.sortal", "-k", "5", "--json")
    assert ran.code == 0
    record = ran.json("organize")
    assert (record["items"], record["quarantined"], record["n_groups"]) == (N_DIGITS, 2, 5)
    assert record["candidates"] == []
    assert "embedding 121 of 121" in ran.err  # notes.txt is known for no image only once it is read


def test_organize_auto_has_candidates(sortal, pile):
    record = sortal("organize", pile, "-k", "auto", "--json").json("organize")
    assert record["k"] == "auto"
    assert record["n_groups"] in {row["n_clusters"] for row in record["candidates"]}


def test_show(sortal, pile, photos):
    record = sortal("show", pile, "--json").json("show")
    assert [group["number"] for group in record["groups"]] == [0, 1, 2, 3, 4]
    assert sum(group["size"] for group in record["groups"]) == record["items"] == N_DIGITS
    assert record["groups"][0]["typical"][0].startswith(str(photos))


def test_show_one_group_with_a_page(sortal, pile, tmp_path):
    record = sortal("show", pile, "--group", "2", "--html", "r.html", "--json").json("show")
    assert [group["number"] for group in record["groups"]] == [2]
    assert record["n_groups"] == 5
    assert (tmp_path / "r.html").read_text().startswith("<!doctype html>")


def test_show_quarantine(sortal, pile):
    record = sortal("show", pile, "--quarantine", "--json").json("quarantine")
    assert record["kinds"] == {"empty": 1, "not an image": 1}
    assert [row["path"].rsplit("/", 1)[1] for row in record["files"]] == ["empty.png", "notes.txt"]


def test_show_like(sortal, pile, photos):
    item = sortal("show", pile, "--json").json("show")["groups"][0]["typical"][0]
    found = sortal("show", pile, "--like", item, "--json").json("neighbors")["neighbors"]
    assert len(found) == 10
    assert item not in {one["path"] for one in found}
    similarities = [one["similarity"] for one in found]
    assert similarities == sorted(similarities, reverse=True)
    assert similarities[0] > 0.5


def test_acts_and_history(sortal, pile):
    sizes = {g["number"]: g["size"] for g in sortal("show", pile, "--json").json("show")["groups"]}
    acts = [
        sortal("name", pile, "0", "thumb up", "--json").json("act"),
        sortal("none", pile, "1", "--json").json("act"),
        sortal("unname", pile, "1", "--json").json("act"),
        sortal("merge", pile, "3", "2", "--json").json("act"),
        sortal("split", pile, "0", "--into", "3", "--json").json("act"),
    ]
    assert [act["kind"] for act in acts] == ["name", "none", "unname", "merge", "split"]
    assert acts[0]["items"] == sizes[0]
    assert acts[3]["detail"]["groups"] == [2, 3]
    undone = sortal("undo", pile, "--json").json("act")
    assert (undone["act"], undone["counts"]) == (acts[-1]["act"], False)
    history = sortal("show", pile, "--history", "--json").json("history")["acts"]
    assert [act["kind"] for act in history[-6:]] == ["name", "none", "unname", "merge", "split", "undo"]
    shown = sortal("show", pile, "--json").json("show")
    assert [group["number"] for group in shown["groups"]] == [0, 1, 2, 4]
    assert shown["groups"][0]["name"] == "thumb up"
    assert shown["named"] == sizes[0]


def test_export(sortal, pile, tmp_path):
    sortal("name", pile, "0", "zéro")
    sortal("none", pile, "1")
    assert sortal("export", pile, "names.json").out == f"wrote {N_DIGITS} files to names.json\n"
    record = json.loads((tmp_path / "names.json").read_text())
    check(record, "export")
    assert {item["name"] for item in record["items"]} == {"zéro", None}
    assert {item["group"] for item in record["items"] if item["none_of_these"]} == {1}
    sortal("export", pile, "names.csv")
    lines = (tmp_path / "names.csv").read_text().splitlines()
    assert lines[0] == "path,group,name,none_of_these"
    assert len(lines) == N_DIGITS + 1


def test_train_and_predict(sortal, pile, photos):
    for group in range(4):
        sortal("name", pile, group, f"kind {group}")
    sortal("none", pile, "4")
    record = sortal("train", pile, "--into", "m.model", "--json").json("train")
    assert record["labels"] == ["kind 0", "kind 1", "kind 2", "kind 3"]
    assert record["report"]["n_none"] > 0
    named = sum(record["report"][key] for key in ("n_train", "n_held_out"))
    assert named >= record["report"]["n_items"]
    answers = sortal("predict", "m.model", photos, "--json").json("predict")
    assert len(answers["predictions"]) == N_DIGITS
    assert sorted(row["kind"] for row in answers["refused"]) == ["empty", "not an image"]


def test_doctor(sortal, pile):
    record = sortal("doctor", "--json").json("doctor")
    assert record["versions"]["numpy"]
    assert sortal("doctor", pile, "--json").json("doctor-path")["problems"] == []


@pytest.mark.parametrize("segment", ["vectors", "points", "labels"])
def test_doctor_names_a_damaged_file(sortal, pile, segment):
    file = next((pile / "segments").glob(f"{segment}-*"))
    content = bytearray(file.read_bytes())
    content[4096 + 5] ^= 1
    file.write_bytes(content)
    ran = sortal("doctor", pile, "--json")
    assert ran.error().endswith("restore what is named above from a copy.")
    problems = ran.json("doctor-path")["problems"]
    assert [problem["file"] for problem in problems] == [f"segments/{file.name}"]
    plain = sortal("doctor", pile)
    assert plain.code == 1
    assert plain.out.startswith(f"segments/{file.name}: ")
