"""Any ONNX file as an encoder of sounds, time series or texts, run by onnxruntime on the CPU."""

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sortal.arrays import Vectors
from sortal.data import Input, shown
from sortal.embed.graph import open_graph, output_name, read_graph
from sortal.embed.options import first_line, read_sidecar, sidecar_path
from sortal.embed.sequence_options import (
    SequencePreprocess,
    SeriesPreprocess,
    SoundPreprocess,
    TextPreprocess,
    sequence_options,
)
from sortal.embed.tokens import ENTRY, Letters, Tokens, Wordpieces, read_tokenizer, with_tokenizer
from sortal.errors import DataError, InputError, StoreError
from sortal.fetch import cache_folder
from sortal.kernels import n_threads
from sortal.whole import sha256_of, write_whole

__all__ = ["OnnxSequence", "kept_graph", "opened_sequence"]

MOST_NUMBERS_IN = 1 << 27  # of an item that the graph's own sizes ask for: half a gigabyte
MOST_NUMBERS = 1 << 20  # of one vector: more is a sequence that was never brought to one
_NUMPY = {
    "tensor(float)": np.float32,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
}


def opened_sequence(path: str | os.PathLike[str], kind: str, given: Any = None) -> "OnnxSequence":
    """The ONNX file at `path` as an encoder of this kind, with `given` options or those of its sidecar.

    A tokenizer goes into a copy of the file, which lies in the cache.
    """
    path = file = Path(path)
    where = "preprocess"
    if given is None:
        given, where = read_sidecar(path), shown(str(sidecar_path(path)))
    want = sequence_options(kind, {} if given is None else given, where=where)
    if isinstance(want, TextPreprocess) and want.letters is None:
        file, want = _with_tokenizer(path, want)
    encoder = OnnxSequence(file, want)
    encoder.name, encoder.assumed = shown(path.name), given is None
    return encoder


@dataclass(frozen=True)
class _Port:
    """The input that takes the items. `n_steps` is how many the graph wants, None for any number."""

    name: str
    form: Any
    axes: int
    width_first: bool
    n_steps: int | None


class OnnxSequence:
    """A network from an ONNX file that reads sequences.

    One item a run: nothing is padded beside a longer one, and no row depends on its neighbours, also where
    numbers are quantised by what the batch holds. Several runs go on at once, on one thread each.
    Beside the items the graph may take what is known of every sequence: attention_mask, token_type_ids,
    position_ids, lengths, and the first states h0 and c0, which are 0. Raises `DataError` where the file is
    broken or gives no vector an item; an item that it fails on gets a row of NaN.
    """

    batch = 32

    def __init__(
        self, path: Path, preprocess: SequencePreprocess, trained: dict[str, Any] | None = None
    ) -> None:
        self.weights: Path | None = path
        self.name, self.assumed = shown(path.name), False
        content = read_graph(path)
        self.digest = hashlib.sha256(content).hexdigest()
        self.trained = trained or {}
        self._session = open_graph(content, path, 1)
        self._settle(preprocess)
        self.dim = self._prove()

    @property
    def input(self) -> Input:
        return self.preprocess.input

    @property
    def spec(self) -> dict[str, Any]:
        spec = {"kind": "onnx", "takes": self.preprocess.kind, "preprocess": asdict(self.preprocess)}
        return spec | ({"trained": self.trained} if self.trained else {})

    def embed(self, items: Sequence[Any]) -> Vectors:
        with ThreadPoolExecutor(n_threads()) as pool:
            return np.stack(list(pool.map(self._row, items)))

    def _row(self, item: Any) -> np.ndarray:
        try:
            found = self.vector(self._steps(item))
        except DataError:  # it has run on others: too short for its filters, or too long for memory
            found = np.empty(0, np.float32)
        return found if len(found) == self.dim else np.full(self.dim, np.nan, np.float32)

    def _steps(self, item: Any) -> np.ndarray:
        if self._tokens is not None:
            return self._tokens.numbers(item)
        assert not isinstance(self.preprocess, TextPreprocess)
        return self.preprocess.steps(item)

    def vector(self, steps: np.ndarray) -> np.ndarray:
        """The vector of one item's steps. DataError where the run fails, or gives none."""
        if not len(steps):
            raise DataError(f"{self.name}: an item needs a step at least.")
        steps = steps[: self._most]
        n, fixed = len(steps), self._port.n_steps
        if fixed is not None:
            rim = [(0, fixed - n)] + [(0, 0)] * (steps.ndim - 1)
            filling = 0 if self._tokens is None else self._tokens.padding
            steps = np.pad(steps, rim, constant_values=filling)
        given = {port.name: self._beside(port, n, len(steps)) for port in self._others}
        items = steps.T if self._port.width_first else steps
        items = items.reshape(1, -1) if self._port.axes == 2 else items[None]
        given[self._port.name] = np.ascontiguousarray(items, self._port.form)
        try:
            found = self._session.run([self._output], given)[0]
            return self._pooled(np.asarray(found, dtype=np.float32), n, len(steps))
        except DataError:
            raise
        except Exception as e:
            raise DataError(
                f"{self.name}: the network must run on a sequence of {n:,} steps; it failed: {first_line(e)}"
            ) from e

    def _pooled(self, found: np.ndarray, n: int, total: int) -> np.ndarray:
        """A vector as it is; of a sequence of vectors its `pool`, without what was filled up."""
        if found.ndim == 3 and len(found) == 1 and found.shape[1]:
            found = found[:, :n] if found.shape[1] == total else found
            pool = self.preprocess.pool
            if pool in ("first", "last"):
                found = found[:, 0 if pool == "first" else -1]
            else:
                found = found.mean(axis=1) if pool == "mean" else found.max(axis=1)
        if found.ndim != 2 or len(found) != 1 or not 0 < found.shape[1] <= MOST_NUMBERS:
            raise DataError(
                f"{self.name}: output {self._output!r} must give one vector an item; it gave shape "
                f"{found.shape} for one. Name another with output=NAME."
            )
        return np.ascontiguousarray(found[0])

    def _beside(self, port: Any, n: int, total: int) -> np.ndarray:
        """What the graph wants to know of a sequence of `n` steps, filled up to `total`."""
        form = _NUMPY[port.type]
        if port.name in ("h0", "c0"):
            return np.zeros((port.shape[0], 1, port.shape[2]), form)
        if port.name == "lengths":
            return np.array([n], form)
        steps = np.arange(total)
        found = {"attention_mask": steps < n, "position_ids": steps}.get(port.name, np.zeros(total))
        return np.asarray(found[None], form)

    def _settle(self, wish: SequencePreprocess) -> None:
        """Settle tokens, the graph's inputs and its output against the wish."""
        ports = self._session.get_inputs()
        self._others = [port for port in ports if _is_beside(port)]
        own = [port for port in ports if not _is_beside(port)]
        if len(own) != 1:
            raise DataError(
                f"{self.name}: the network must take one sequence, and beside it only attention_mask, "
                f"token_type_ids, position_ids, lengths, h0 or c0; it takes {_listed(ports)}."
            )
        shape, text = own[0].shape, isinstance(wish, TextPreprocess)
        forms = ("tensor(int64)", "tensor(int32)") if text else ("tensor(float)",)
        if own[0].type not in forms or len(shape) not in ((2,) if text else (2, 3)):
            wants = "whole numbers of 2 axes (tokens)" if text else "float32 of 2 or 3 axes"
            raise DataError(f"{self.name}: the network must take {wants}; it takes {_listed(own)}.")
        if isinstance(shape[0], int) and shape[0] != 1:
            raise DataError(
                f"{self.name}: the batch must be free or 1; the graph fixes it at {shape[0]}. Export it with "
                "a dynamic batch."
            )
        width_first, wish = _laid_out(shape, wish, self.name)
        at = 2 if width_first else 1
        fixed = shape[at] if isinstance(shape[at], int) else None
        self._most = min((n for n in (wish.length, fixed) if n is not None), default=None)
        if (fixed or 0) * (wish.width or 1) > MOST_NUMBERS_IN:
            raise DataError(f"{self.name}: one item would be {shape}, which no memory holds.")
        self._port = _Port(own[0].name, _NUMPY[own[0].type], len(shape), width_first, fixed)
        self.preprocess = wish
        self._output = output_name(self._session, wish.output, (2, 3), self.name)
        self._tokens = self._tokens_of(wish) if isinstance(wish, TextPreprocess) else None

    def _tokens_of(self, wish: TextPreprocess) -> Tokens:
        inside = self._session.get_modelmeta().custom_metadata_map.get(ENTRY)
        if inside is not None and wish.letters is None:
            return Wordpieces(inside, self._most, self.name)
        if wish.letters is None:
            raise InputError(
                f"{self.name}: a network that reads texts needs its tokenizer: put tokenizer.json beside it, "
                "or say where it is (--preprocess tokenizer=PATH)."
            )
        return Letters(wish.letters)

    def probes(self) -> list[np.ndarray]:
        """Steps of plain items: of two lengths, and of text also its largest token."""
        if self._tokens is not None:
            top = np.array([self._tokens.top], np.int64)
            found = [top, *map(self._tokens.numbers, ("a few words", "some more words than before"))]
        else:
            assert not isinstance(self.preprocess, TextPreprocess)
            found = [self.preprocess.steps(self.preprocess.probe(n)) for n in (10, 13)]
        return [steps[: self._most] for steps in found if len(steps)]

    def _prove(self) -> int:
        """The width of a vector. A tokenizer that knows more tokens than the network fails here."""
        found = [self.vector(steps) for steps in self.probes()]
        widths = {len(one) for one in found}
        if len(widths) != 1:
            raise DataError(
                f"{self.name}: output {self._output!r} must have one width whatever the length of an item; "
                f"it has {' and '.join(map(str, sorted(widths)))}. Name another with output=NAME."
            )
        if not all(np.isfinite(one).all() for one in found):
            raise DataError(f"{self.name}: output {self._output!r} gave NaN or infinity for a plain item.")
        return widths.pop()


def _is_beside(port: Any) -> bool:
    axes = len(port.shape)
    if port.type not in _NUMPY:
        return False
    if port.name in ("h0", "c0"):
        ends = port.shape[::2]
        return (
            axes == 3
            and all(isinstance(n, int) and 0 < n <= 1 << 16 for n in ends)
            and ends[0] * ends[1] < 1 << 24
        )
    if port.name == "lengths":
        return axes == 1
    return axes == 2 and port.name in ("attention_mask", "token_type_ids", "position_ids")


def _laid_out(shape: list[Any], wish: SequencePreprocess, name: str) -> tuple[bool, SequencePreprocess]:
    """Whether a step's numbers stand before time; the wish with their number, which the graph may know."""
    if len(shape) == 2:
        if wish.width not in (None, 1):
            raise InputError(f"{name}: the graph takes one number a step; leave out mels and channels.")
        return False, replace(wish, channels=1) if isinstance(wish, SeriesPreprocess) else wish
    width, sides = wish.width, shape[1:]
    last = _standing_last(sides, width) if wish.layout is None else wish.layout == "time-first"
    if last is None:
        raise InputError(
            f"{name}: the graph does not say which of its axes {sides} is time; say it with "
            "layout=time-first or layout=time-last."
        )
    held = sides[1] if last else sides[0]
    if isinstance(held, int) and width not in (None, held):
        raise InputError(f"{name}: the graph takes {held} numbers a step; got {width}.")
    width = held if isinstance(held, int) else width
    what = "mels" if isinstance(wish, SoundPreprocess) else "channels"
    if width is None:
        raise InputError(f"{name}: the graph leaves the numbers a step open; say how many with {what}=N.")
    if isinstance(wish, SeriesPreprocess) and not {len(wish.mean), len(wish.std)} <= {1, width}:
        raise InputError(f"{name}: mean and std must be one number, or one for each of {width} channels.")
    return not last, replace(wish, **{what: width})  # type: ignore[arg-type]  # the one that it has


def _standing_last(sides: list[Any], width: int | None) -> bool | None:
    """Whether a step's numbers stand last, by the axis that is fixed; None where that says nothing."""
    known = [isinstance(side, int) for side in sides]
    if width is not None and [side == width for side in sides] in ([True, False], [False, True]):
        return bool(sides[1] == width)
    return known[1] if known[0] != known[1] else None


def _listed(ports: Sequence[Any]) -> str:
    return shown(", ".join(f"{port.name} {port.type} {port.shape}" for port in ports)[:200]) or "nothing"


def _with_tokenizer(path: Path, want: TextPreprocess) -> tuple[Path, TextPreprocess]:
    """The file that holds network and tokenizer: `path` itself where it has one, else one in the cache."""
    named, folder = want.tokenizer or "tokenizer.json", path.absolute().parent
    places = [folder / named, Path(named) if want.tokenizer else folder.parent / named]
    found = next((place for place in places if place.is_file()), None)
    if found is None and want.tokenizer is None:
        return path, want
    content = with_tokenizer(read_graph(path), read_tokenizer(found or places[-1]))
    return kept_graph(content), replace(want, tokenizer=None)


def kept_graph(content: bytes) -> Path:
    """`content` as a file in the cache, called by its hash. `StoreError` where the disk refuses."""
    digest = hashlib.sha256(content).hexdigest()
    path = cache_folder() / f"{digest}.onnx"
    try:
        if path.is_file() and sha256_of(path) == digest:
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise StoreError(
            f"{path}: {e.strerror or e}; free space there, or name another folder with SORTAL_CACHE."
        ) from e
    write_whole(path, content)
    return path
