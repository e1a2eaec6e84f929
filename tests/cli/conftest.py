"""The command line in this process and in processes of its own, on piles made once a session."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from sortal.cli import main

SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"
N_DIGITS = 120


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    def json(self, schema: str) -> Any:
        """What was printed, and nothing else, as JSON of that schema."""
        record = json.loads(self.out)
        check(record, schema)
        return record

    def error(self, code: int = 1) -> str:
        """The one line that it failed with."""
        assert self.code == code, self
        last = self.err.splitlines()[-1]
        assert last.startswith("sortal: "), self
        assert sum(line.startswith("sortal: ") for line in self.err.splitlines()) == 1, self
        assert "Traceback" not in self.err
        return last


def check(record: Any, schema: str) -> None:
    jsonschema.validate(record, json.loads((SCHEMAS / f"{schema}.schema.json").read_text()))


@pytest.fixture
def sortal(capsys, monkeypatch, tmp_path):
    """Calls the command line in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path) -> Ran:
        monkeypatch.setattr(sys, "argv", ["sortal", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        return Ran(ended.value.code, *capsys.readouterr())

    return run


def start(
    *arguments: str | bytes | Path, env: dict[str, str] | None = None, **popen: Any
) -> subprocess.Popen:
    """The command line as a process of its own; every open option of Popen may be given."""
    command = [sys.executable, "-c", "from sortal.cli import main; main()", *arguments]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | popen
    return subprocess.Popen(command, env=os.environ | (env or {}), **options)


def ran(*arguments: str | bytes | Path, env: dict[str, str] | None = None, **popen: Any) -> Ran:
    process = start(*arguments, env=env, **popen)
    out, err = process.communicate(timeout=120)
    return Ran(process.returncode, (out or b"").decode(), err.decode())


def write_digits(folder: Path, which: range) -> None:
    images = load_digits().images
    folder.mkdir(parents=True, exist_ok=True)
    for i in which:
        Image.fromarray((images[i] * 255 / 16).astype(np.uint8)).save(folder / f"{i:04d}.png")


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A folder with photos/ (two files of it no images), photos.sortal in five groups, digits.model."""
    import sortal as library

    folder = tmp_path_factory.mktemp("made")
    write_digits(folder / "photos", range(N_DIGITS))
    (folder / "photos" / "empty.png").touch()
    (folder / "photos" / "notes.txt").write_text("no image")
    with library.organize(folder / "photos", k=5) as pile:
        for group in pile.groups[:4]:
            pile.name(group.number, f"kind {group.number}")
        pile.none(4)
        pile.train(folder / "digits.model")
        for _ in range(5):
            pile.undo()
    return folder


@pytest.fixture
def photos(made):
    return made / "photos"


@pytest.fixture
def pile(made, tmp_path):
    """A copy to change, its photos where they were."""
    return Path(shutil.copytree(made / "photos.sortal", tmp_path / "photos.sortal"))


@pytest.fixture
def model(made, tmp_path):
    return Path(shutil.copytree(made / "digits.model", tmp_path / "digits.model"))
