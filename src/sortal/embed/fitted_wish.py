"""Encoders that are fitted on the pile itself, by name."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sortal.data import Input, SeriesInput, TextInput
from sortal.errors import Unreadable

if TYPE_CHECKING:
    from sortal.embed.encoder import Encoder

__all__ = ["FittedWish", "fitted_wish"]

MOST_FITTED = 20_000  # items that a fit looks at; more change the third digit and cost minutes


@dataclass(frozen=True)
class FittedWish:
    """An encoder by name that is to be fitted on the pile's own items."""

    name: str
    input: Input

    def made(self, contents: Iterable[bytes], folder: Path) -> "Encoder":
        """Fitted on up to 20,000 of the items that can be read, evenly drawn; its file lies in `folder`."""
        items = _sample_evenly(self._readable(contents))
        if self.name == "tfidf":
            from sortal.embed.tfidf import fit_tfidf

            return fit_tfidf(items, folder)
        from sortal.embed.minirocket import fit_minirocket

        return fit_minirocket(items, folder)

    def _readable(self, contents: Iterable[bytes]) -> Iterator[Any]:
        for content in contents:
            try:
                yield self.input.read(content)
            except Unreadable:
                continue


def fitted_wish(name: str) -> FittedWish | None:
    """The encoder of this name that is fitted on a pile, if there is one."""
    inputs: dict[str, Input] = {"tfidf": TextInput(), "minirocket": SeriesInput()}
    return FittedWish(name, inputs[name]) if name in inputs else None


def _sample_evenly(items: Iterable[Any]) -> list[Any]:
    """Up to 20,000 of `items`, evenly from beginning to end, however many there are, in one pass."""
    held: list[Any] = []
    step = 1
    for at, item in enumerate(items):
        if at % step == 0:
            held.append(item)
        if len(held) == 2 * MOST_FITTED:
            held, step = held[::2], 2 * step
    return held[:: -(-len(held) // MOST_FITTED)] if held else held
