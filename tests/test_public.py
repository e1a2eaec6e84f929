"""What the package says of itself: its public names, and that importing it costs little."""

import importlib
import subprocess
import sys
import types

import pytest

import sortal

PACKAGES = [
    "sortal", "sortal.cluster", "sortal.data", "sortal.diagnose", "sortal.embed", "sortal.errors",
    "sortal.explore", "sortal.kernels", "sortal.nets", "sortal.pile", "sortal.store", "sortal.tasks",
    "sortal.train",
]  # fmt: skip


@pytest.mark.parametrize("name", PACKAGES)
def test_every_public_name_is_there_and_listed_once(name):
    module = importlib.import_module(name)
    assert len(module.__all__) == len(set(module.__all__))
    for public in module.__all__:
        assert getattr(module, public) is not None, public


@pytest.mark.parametrize(
    "name", [name for name in PACKAGES if importlib.import_module(name).__spec__.submodule_search_locations]
)
def test_a_package_holds_what_it_lists_and_no_more(name):
    """Submodules aside: a name that is imported and not listed is a slip."""
    module = importlib.import_module(name)
    held = {
        key for key, value in vars(module).items()
        if not key.startswith("_") and not isinstance(value, types.ModuleType)
    }  # fmt: skip
    lazy = {"import_module", "Any", "TYPE_CHECKING"} if name == "sortal" else set()
    assert held - lazy <= set(module.__all__)
    if name != "sortal":
        assert held == set(module.__all__)


def test_everything_that_is_listed_can_be_had_from_dir():
    assert dir(sortal) == sorted(sortal.__all__)
    with pytest.raises(AttributeError, match="no attribute 'organise'"):
        sortal.organise  # noqa: B018


HEAVY = ("torch", "sklearn", "scipy", "onnxruntime", "PIL", "numpy", "sqlite3", "click")


def loaded_by(code):
    said = f"{code}; import sys; print(*[m for m in {HEAVY} if m in sys.modules])"
    return set(subprocess.check_output([sys.executable, "-c", said], text=True).split())


def test_importing_the_package_loads_nothing_heavy():
    assert loaded_by("import sortal") == set()


def test_opening_a_pile_needs_neither_torch_nor_onnxruntime():
    assert not loaded_by("import sortal; sortal.organize") & {"torch", "onnxruntime", "click"}


@pytest.mark.parametrize(
    "name",
    [name for name in PACKAGES if name not in ("sortal", "sortal.diagnose", "sortal.nets", "sortal.tasks")],
)
def test_no_layer_loads_torch(name):
    assert "torch" not in loaded_by(f"import {name}")
