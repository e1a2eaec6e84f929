import shutil

import pytest

import sortal

from .digits import write_digits


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A folder of digits and its pile, made once; tests take copies."""
    root = tmp_path_factory.mktemp("made")
    write_digits(root / "digits")
    sortal.organize(root / "digits", k=10).close()
    return root


@pytest.fixture
def digits(made):
    """The folder; nobody writes to it."""
    return made / "digits"


@pytest.fixture
def pile(made, tmp_path):
    """A pile of one's own, open, of the shared folder."""
    shutil.copytree(made / "digits.sortal", tmp_path / "digits.sortal")
    with sortal.open(tmp_path / "digits.sortal") as opened:
        yield opened
