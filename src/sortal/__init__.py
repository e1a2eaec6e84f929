"""Sortal turns a pile of unlabelled images into named groups and a trained classifier.

    import sortal
    pile = sortal.organize("photos/")
    pile.name(3, "thumb up")
    pile.train("thumbs.model")
    sortal.load("thumbs.model").predict("new/")

Nothing heavy is imported until it is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sortal.errors import DataError, InputError, MissingExtra, SortalError, StoreError

if TYPE_CHECKING:
    from sortal.pile import Classifier, Pile, load, open, organize

__version__ = "0.1.0"
__all__ = [
    "Classifier",
    "DataError",
    "InputError",
    "MissingExtra",
    "Pile",
    "SortalError",
    "StoreError",
    "__version__",
    "load",
    "open",
    "organize",
]

_FROM_PILE = {"Classifier", "Pile", "load", "open", "organize"}


def __getattr__(name: str) -> Any:
    if name in _FROM_PILE:
        return getattr(import_module("sortal.pile"), name)
    if name in ("cluster", "explore", "nets", "train"):
        return import_module(f"sortal.{name}")
    raise AttributeError(f"module 'sortal' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
