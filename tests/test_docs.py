"""What the documents say works: Python blocks run, consoles print what is shown, the rest parses."""

import json
import re
import shlex
import sys
from pathlib import Path

import jsonschema
import pytest

from sortal.cli.main import cli, main
from tests.cli.conftest import SCHEMAS, write_digits

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w*)(?: [^\n]*)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where a reader would stand: photos/ to organize (two files of it no images), new/ to predict."""
    write_digits(tmp_path / "photos", range(300))
    write_digits(tmp_path / "new", range(300, 320))
    (tmp_path / "photos" / "empty.png").touch()
    (tmp_path / "photos" / "notes.txt").write_text("not an image")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page(page, folder, monkeypatch, capsys):
    namespace = {"__name__": "__main__"}
    for language, code in BLOCK.findall(page.read_text(encoding="utf-8")):
        if language == "python":
            exec(compile(code, str(page), "exec"), namespace)
        elif language == "console":
            play(code, folder, monkeypatch, capsys)
        elif language == "json":
            fits_a_schema(json.loads(code))
        else:
            for line in code.splitlines():
                if line.startswith("sortal "):
                    parse(line)


def play(session, folder, monkeypatch, capsys):
    """Run each `$ sortal ...`; each line shown below must be printed, numbers aside; `...` stands for any."""
    for part in re.split(r"^\$ ", session, flags=re.MULTILINE)[1:]:
        command, *shown = part.splitlines()
        monkeypatch.setattr(sys, "argv", shlex.split(command, comments=True))
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        failed = any(line.startswith("sortal: ") for line in shown)
        assert ended.value.code == int(failed), (command, err)
        printed = [
            without_numbers(line.replace(str(folder), "/home/me")) for line in (out + err).splitlines()
        ]
        for line in shown:
            assert line.strip() in ("", "...") or without_numbers(line) in printed, (command, line, out + err)


def without_numbers(line):
    return " ".join(re.sub(r"\d[\d.,:%T+-]*", "#", line).split())


def parse(line):
    """The command exists and takes these options; nothing is run."""
    _, name, *arguments = shlex.split(line, comments=True)
    command = cli.get_command(None, name)
    assert command is not None, line
    command.make_context(name, arguments)


def fits_a_schema(record):
    """One of the schemas describes this example."""
    for path in SCHEMAS.glob("*.json"):
        schema = json.loads(path.read_text())
        if set(schema["properties"]) == set(record):
            return jsonschema.validate(record, schema)
    raise AssertionError(f"no schema has the keys {sorted(record)}")


@pytest.mark.slow
def test_the_table_of_networks_holds_every_member_and_its_counts():
    import torch

    from sortal import nets
    from sortal.nets.arithmetic import count

    row = re.compile(r"^\| (`\w+`(?:, `\w+`)*) \| ([\dx]+) \| ([\d,]+) \| ([\d,]+) \|$", re.MULTILINE)
    table = {}
    for names, shape, *counts in row.findall((ROOT / "docs" / "concepts.md").read_text()):
        for name in re.findall(r"\w+", names):
            table[name] = shape, *(int(number.replace(",", "")) for number in counts)
    assert set(table) == set(nets.BUILDERS)
    for name, build in nets.BUILDERS.items():
        with torch.device("meta"):
            net = build()
        shape = (net.in_channels, net.train_size, net.train_size)
        found = count(net, shape)
        assert table[name] == ("x".join(map(str, shape)), found.parameters, found.macs), name


def test_every_schema_is_in_json_md():
    text = (ROOT / "docs" / "json.md").read_text()
    assert all(path.name in text for path in SCHEMAS.glob("*.json"))


def test_links_lead_somewhere():
    for page in (ROOT / "docs").rglob("*.md"):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", re.sub(r"`[^`]*`", "", page.read_text("utf-8"))):
            assert (page.parent / target).exists(), (page.name, target)
