"""The journey: files become vectors, vectors become groups, a person names them, a head learns the names.

Everything the command line and the page do goes through here.
"""

import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from sortal import explore
from sortal.classifier import Classifier, Predictions, load
from sortal.data import (
    KINDS,
    Kind,
    LabelledImages,
    Refused,
    excerpt,
    picture,
    playback,
    shown,
)
from sortal.embed import Preprocess
from sortal.encoding import rebuilt_encoder
from sortal.errors import InputError, StoreError
from sortal.export import FileRow, write_names
from sortal.facts import candidates, facts
from sortal.items import images_of, items_of, shown_of
from sortal.progress import Progress, counted
from sortal.store import (
    MARKS,
    Column,
    EncoderRow,
    Grouping,
    QuarantineRow,
    Store,
    counting,
    effective_labels,
    is_pile,
    marks,
)
from sortal.store.lock import held
from sortal.teaching import has_learned
from sortal.train import Head, save_model, train_head_from
from sortal.update import bring_up_to_date
from sortal.whole import checked_target
from sortal.wishes import (
    check_is_of,
    check_seed,
    checked_grouper,
    chosen_encoder,
    given_source,
    is_whole,
    place_of,
    settled_reading,
)

if TYPE_CHECKING:
    from sortal.learning import Start

Shown = TypeVar("Shown")

__all__ = ["Classifier", "Group", "Pile", "Predictions", "Progress", "load", "open", "organize"]

# ---- organize


def organize(
    source: str | os.PathLike[str],
    into: str | os.PathLike[str] | None = None,
    *,
    encoder: str | os.PathLike[str] = "auto",
    preprocess: Preprocess | Mapping[str, Any] | None = None,
    k: int | str | None = None,
    method: str | None = None,
    seed: int | None = None,
    names_from: str | None = None,
    kind: str | None = None,
    read: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> "Pile":
    """Read `source`, embed what is new, group everything; the pile comes back open.

    source: a folder, a zip, a CSV or Parquet list of paths, or a pile, whose sources are then read again.
    into: the pile; by default `NAME.sortal` beside the source. An existing one takes what is new.
    encoder: "hog", "pixels", an ONNX file, a network by name ("resnet50": its published weights are fetched
    once; "resnet20=FILE": those of a file), "self" (a network that the pile teaches itself, once, and groups
    by beside hog) or "self-photos" (a larger one, in colour, for a GPU), a model folder, or "auto": what the
    pile already has, else for photographs a network that has been fetched before, else "hog"; of other kinds
    "mel", "minirocket", "tfidf", an ONNX file or a model folder.
    preprocess: how an ONNX file wants its items: the options of the pile's kind (`Preprocess` of images).
    k: the number of groups, "auto" for a guess, or "suggest" for one weighed at length.
    method: graph, kmeans, spherical, soft, kernel, kmedoids, dbscan or sklearn.cluster.NAME, with parameters
    as in "dbscan(eps=0.5)".
    None for k, method or seed keeps what the pile had, at first "auto", "graph" and 0. With encoder "self"
    another seed trains another network.
    names_from="folders" takes sub-folders (or files of many items, or their class labels) as names of items.
    kind: "image", "sound", "series" or "text"; None takes the pile's, for a new one what the files say.
    read: how files of this kind become items, such as {"by": "line"} (`sortal.data.Reading`).
    Killed at any moment, the pile opens and the next call goes on. `InputError` for a bad argument, before
    anything stored is changed.
    """
    progress = progress or Progress()
    grouper = checked_grouper(k, method, seed)
    where, location = place_of(source, into)
    reading = settled_reading(where, location, kind, read)
    given = given_source(source, location, names_from, reading)
    chosen = chosen_encoder(encoder, preprocess, seed, reading.kind)
    new = not is_pile(where)
    store = Store.create(where) if new else Store.open(where)
    try:
        if into is None and given is not None:
            check_is_of(store, given)
        wishes = {"source": os.fspath(source), "encoder": os.fspath(encoder), "k": grouper.asked[0]}
        with store.run("organize", wishes | {"method": method}):
            if reading != store.reading():
                store.keep_reading(reading)
            bring_up_to_date(store, given, chosen, grouper, progress)
    except BaseException as e:
        store.close()
        if new and isinstance(e, Exception):
            _discard_if_empty(where)
        raise
    return Pile(store)


# ---- the pile


@dataclass(frozen=True)
class Group:
    """One group: its shape, and what people call it. Positions count in the order of `Pile.paths`."""

    shape: explore.GroupShape
    called: explore.GroupName

    @property
    def number(self) -> int:
        return self.shape.number

    @property
    def size(self) -> int:
        return self.shape.size

    @property
    def name(self) -> str | None:
        """The name that most of its named members carry; None where nobody has named one."""
        return self.called.name


def open(path: str | os.PathLike[str]) -> "Pile":
    """The pile at `path`, as a person left it. `StoreError` where there is none that this Sortal reads."""
    return Pile(Store.open(path))


class Pile:
    """A pile, open: its items in a fixed order, their vectors and groups, and what people said of them.

    Arrays and lists are read when first asked for, and kept; acts of naming refresh what they change. May be
    used as a context manager.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.path = store.path

    def close(self) -> None:
        self._store.close()

    def __enter__(self) -> "Pile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._ids)

    def __repr__(self) -> str:
        return f"<Pile {shown(str(self.path))}: {len(self):,} items>"

    # what is in it

    @cached_property
    def grouping(self) -> Grouping | None:
        """How the current groups were made; None before the first grouping is done."""
        return self._store.grouping()

    @cached_property
    def kind(self) -> Kind:
        """What the items are: image, sound, series or text."""
        return self._store.reading().kind

    @cached_property
    def encoder(self) -> EncoderRow:
        """The encoder that the current vectors come from."""
        rows = {row.id: row for row in self._store.encoders()}
        if not rows:
            raise StoreError(
                f"{shown(str(self.path))}: the pile has no vectors yet: run organize on it again."
            )
        return rows[self.grouping.encoder if self.grouping else max(rows)]

    @cached_property
    def _ids(self) -> np.ndarray:
        """Item ids in the fixed order: those of the last grouping, or all with a vector before one."""
        if not self._store.encoders():
            return np.empty(0, np.int64)  # a run was killed before its first vector
        if self.grouping is None:
            return self._store.items(self.encoder.id)
        return self._grouped("labels").item_ids

    @cached_property
    def all_paths(self) -> list[list[str]]:
        """Every path of every item; exact copies of a file are one item with several."""
        return self._store.paths(self._ids)

    @cached_property
    def paths(self) -> list[str]:
        """One path per item, in a fixed order; bytes that are no UTF-8 as surrogate escapes."""
        return [found[0] if found else "" for found in self.all_paths]

    @cached_property
    def shared_folder(self) -> str:
        """The folder that all `paths` lie in, with its slash; empty where there is none."""
        try:
            return os.path.join(os.path.commonpath({os.path.dirname(path) for path in self.paths}), "")
        except ValueError:
            return ""

    @cached_property
    def vectors(self) -> np.ndarray:
        """n x d float32: a read-only memory map of the current encoder's vectors, in the order of `paths`."""
        column = self._store.vectors(self.encoder.id)
        if column is None:
            return np.empty((0, self.encoder.dim), np.float32)
        if np.array_equal(column.item_ids, self._ids):
            return column.array
        return column.rows(column.positions(self._ids))  # while a run goes on, before it has compacted

    @property
    def views(self) -> tuple[int, ...]:
        """The widths of the views that stand side by side in `vectors`; empty where there is one."""
        return tuple(self.encoder.spec.get("views", ()))

    @cached_property
    def points(self) -> np.ndarray:
        """n x q float32 unit rows: the representation in which the groups were found."""
        if self.grouping is None:
            return np.empty((0, 1), np.float32)
        return self._grouped("points").checked()

    @property
    def labels(self) -> np.ndarray:
        """int32 (n,): the group number of every item, merges and splits included; -1 for left out."""
        return self._labels

    @cached_property
    def _labels(self) -> np.ndarray:
        if self.grouping is None:
            return np.full(len(self), -1, np.int32)
        column = self._grouped("labels")
        labels = effective_labels(column.item_ids, column.checked(), self._store.acts(), self.grouping.id)
        labels.flags.writeable = False
        return labels

    @cached_property
    def names(self) -> list[str | None]:
        """The name of every item, None where it has none."""
        given = marks(self._store.acts()).names
        return [given.get(item) for item in self._ids.tolist()]

    @cached_property
    def none_of_these(self) -> np.ndarray:
        """bool (n,): the items marked as none of the kinds that there are."""
        return np.isin(self._ids, np.fromiter(marks(self._store.acts()).none, np.int64))

    @property
    def quarantine(self) -> list[QuarantineRow]:
        """The files that could not be read, with the reason."""
        return self._store.quarantine()

    @cached_property
    def groups(self) -> list[Group]:
        """The groups, by number."""
        if not len(self.points):
            return []
        shapes = explore.describe(self.points, self.labels)
        called = {
            name.number: name for name in explore.name_groups(self.names, self.labels, self.none_of_these)
        }
        return [Group(shape, called[shape.number]) for shape in shapes]

    def group_numbers(self) -> str:
        """The numbers of the groups as a person would say them: "0 to 9", "0 to 4, 6 to 9"."""
        numbers = np.unique(self.labels[self.labels >= 0])
        runs = np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1)
        return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)

    # what a person does

    def name(self, group: int | None, name: str, *, items: Sequence[int | str] | None = None) -> int:
        """Call a group, or single `items` (positions or paths; group None), by a name; the act's number."""
        return self._mark("name", group, items, {"name": name})

    def unname(self, group: int | None = None, *, items: Sequence[int | str] | None = None) -> int:
        """Take names and marks back."""
        return self._mark("unname", group, items, {})

    def none(self, group: int | None = None, *, items: Sequence[int | str] | None = None) -> int:
        """Mark as none of the kinds that there are: no name, and an example of what to refuse."""
        return self._mark("none", group, items, {})

    def merge(self, groups: Sequence[int]) -> int:
        """Make one group of several; it keeps the lowest number."""
        for group in groups:
            self._members(group)
        return self._act("merge", {"grouping": self._grouping_id(), "groups": sorted(set(groups))}, [])

    def split(self, group: int, into: int = 2, *, seed: int = 0) -> int:
        """Part a group by its own vectors; the largest part keeps the number, the others get new ones."""
        from sortal.cluster import shared_neighbor_clustering, split_views

        check_seed(seed)
        members = self._members(group)
        if not 2 <= into <= len(members):
            raise InputError(
                f"into must be between 2 and the group's size; got {into} for {len(members)} items."
            )
        column = self._vector_column()
        vectors = column.rows(column.positions(self._ids[members]))
        views = split_views(vectors, self.views)
        parts = shared_neighbor_clustering(views, into, seed=seed).labels
        fresh = int(self.labels.max()) + 1
        moved = parts > 0
        if not moved.any():
            raise InputError(f"group {group} cannot be split: its items cannot be told apart.")
        numbers = (parts[moved] - 1 + fresh).tolist()
        detail = {"grouping": self._grouping_id(), "groups": numbers}
        return self._act("split", detail, self._ids[members[moved]].tolist())

    def undo(self) -> int:
        """Take the last act back that still counts; its number comes back."""
        acts = counting(self._store.acts())
        if not acts:
            raise InputError("there is nothing to undo: no act of naming, merging or splitting counts.")
        self._act("undo", {"act": acts[-1].id}, [])
        return acts[-1].id

    @property
    def history(self) -> list[dict[str, Any]]:
        """Every act, first to last, as plain records."""
        acts = self._store.acts()
        counts = {act.id for act in counting(acts)}
        return [
            {
                "act": act.id, "time": act.time, "kind": act.kind, "items": len(act.items),
                "detail": {key: value for key, value in act.detail.items() if act.kind != "split"},
                "counts": act.id in counts,
            }
            for act in acts
        ]  # fmt: skip

    def export_names(self, path: str | os.PathLike[str]) -> int:
        """Write path, group, name and mark of every file, copies too, to a .csv or .json; their number."""
        path = Path(path)
        items = zip(self.all_paths, self.labels.tolist(), self.names, self.none_of_these.tolist())
        rows = [FileRow(path, group, name, none) for paths, group, name, none in items for path in paths]
        write_names(Path(path), rows, self.history)
        return len(rows)

    def _mark(
        self, kind: str, group: int | None, items: Sequence[int | str] | None, detail: dict[str, Any]
    ) -> int:
        if (group is None) == (items is None):
            raise InputError(
                f"{kind} needs either a group or items; got {'neither' if group is None else 'both'}."
            )
        positions = (
            self._members(group) if group is not None else self._positions([] if items is None else items)
        )
        return self._act(kind, detail, self._ids[positions].tolist())

    def _act(self, kind: str, detail: dict[str, Any], items: Sequence[int]) -> int:
        act = self._store.act(kind, detail, items)
        for stale in ("_labels", "names", "none_of_these", "groups"):
            self.__dict__.pop(stale, None)
        return act

    def _grouping_id(self) -> int:
        if self.grouping is None:
            raise InputError(f"{shown(str(self.path))} has no groups yet: run organize on it first.")
        return self.grouping.id

    def _members(self, group: int) -> np.ndarray:
        members = np.flatnonzero(self.labels == group)
        if group < 0 or not len(members):
            self._grouping_id()
            raise InputError(f"group must be one of {self.group_numbers()}; got {group}.")
        return members

    def _positions(self, items: Iterable[int | str]) -> np.ndarray:
        """Of positions and paths: whole, from where the caller stands, or from the shared folder."""
        where = {path: i for i, found in enumerate(self.all_paths) for path in found}
        positions = []
        for item in items:
            written = str(item)
            ways = (written, os.path.abspath(written), self.shared_folder + written)
            position = int(item) if is_whole(item) else next((where[one] for one in ways if one in where), -1)
            if not 0 <= position < len(self):
                raise InputError(
                    f"an item must be a path, whole or as show writes it, or 0 to {len(self) - 1}; "
                    f"got {shown(written)}."
                )
            positions.append(position)
        return np.array(sorted(set(positions)), dtype=np.int64)

    # looking

    def neighbors(self, item: int | str, count: int = 10) -> list[explore.Neighbor]:
        """The items most like one (a position or a path), most alike first, with their cosine."""
        self._grouping_id()
        return explore.nearest(self.points, int(self._positions([item])[0]), count)

    def outliers(self, count: int = 24) -> list[explore.Outlier]:
        """The items least like their nearest neighbours, over the whole pile, oddest first."""
        return explore.outliers(self.points, count) if len(self.points) > 1 else []

    def map(self, *, seed: int = 0, most: int = 5000) -> explore.MapView:
        """Two dimensions to look at, of all items or of `most` drawn evenly from the groups."""
        self._grouping_id()
        check_seed(seed)
        return explore.project(self.points, seed=seed, most=most, labels=self.labels)

    def thumbnails(self, positions: Sequence[int], edge: int = 96) -> dict[int, bytes]:
        """JPEG bytes by position, for the items whose file can be read now and is what it was.

        Of sounds their spectrograms, of series their lines; none of texts.
        """
        return self._seen(positions, lambda content: picture(self.kind, content, edge))

    def excerpts(self, positions: Sequence[int], most: int = 160) -> dict[int, str]:
        """The beginning of each text by position; of no other kind."""
        return self._seen(positions, lambda content: excerpt(content, most)) if self.kind == "text" else {}

    def playbacks(self, positions: Sequence[int]) -> dict[int, bytes]:
        """The first 5 s of each sound as a WAV by position; of no other kind."""
        return self._seen(positions, playback) if self.kind == "sound" else {}

    def keywords(self, most: int = 6) -> dict[int, str]:
        """By group, the words that set its texts apart; of no other kind. 200 of each are read at most."""
        if self.kind != "text" or not self.groups:
            return {}
        rows = [np.flatnonzero(self.labels == group.number) for group in self.groups]
        rows = [members[:: -(-len(members) // 200)] for members in rows]
        texts = self.excerpts(np.concatenate(rows).tolist(), 2_000)
        by_group = {
            g.number: [texts[p] for p in own.tolist() if p in texts] for g, own in zip(self.groups, rows)
        }
        return {number: ", ".join(words) for number, words in explore.keywords(by_group, most).items()}

    def _seen(self, positions: Sequence[int], show: Callable[[bytes], Shown | None]) -> dict[int, Shown]:
        ids = self._ids[np.asarray(positions, dtype=np.int64)]
        return {positions[row]: found for row, found in shown_of(self._store, ids, show).items()}

    def report(self, *, with_map: bool = True, most_thumbnails: int = 1_200) -> explore.Report:
        """Everything that the page and the notebook show."""
        shapes = [group.shape for group in self.groups]
        view = self.map() if with_map and len(self.points) else None
        odd = self.outliers() if with_map else []
        positions = explore.thumbnail_positions(shapes, view, odd, most=most_thumbnails)
        return explore.Report(
            title=self.path.stem,
            pile=str(self.path),
            paths=[shown(path) for path in self.paths],
            names=self.names,
            labels=self.labels,
            groups=shapes,
            none=self.none_of_these,
            map=view,
            thumbnails=self.thumbnails(positions),
            texts=self.excerpts(positions),
            sounds=self.playbacks(_members_shown(shapes)),
            keywords=self.keywords(),
            outliers=odd,
            quarantine=[explore.Refusal(shown(row.path), row.kind, row.reason) for row in self.quarantine],
            facts=facts(self._store, self.encoder, self.grouping),
            candidates=candidates(self.grouping, self._base_labels()) if self.grouping else None,
            agreement=explore.agreement(self.names, self.labels) if self._named_by_folders() else None,
        )

    def write_report(self, path: str | os.PathLike[str]) -> None:
        """One self-contained page that asks nothing of any network."""
        explore.write_report(checked_target(path), self.report())

    def _repr_html_(self) -> str:
        return explore.gallery(self.report(with_map=False, most_thumbnails=300))

    def _base_labels(self) -> np.ndarray:
        return self._grouped("labels").checked()

    def _grouped(self, kind: str) -> Column:
        """A column of the current grouping."""
        assert self.grouping is not None
        column = self._store.column(kind, self.grouping.id)
        if column is None:
            raise StoreError(
                f"{shown(str(self.path))}: grouping {self.grouping.id} has no {kind}: restore the pile from a"
                " copy."
            )
        return column

    def _vector_column(self) -> Column:
        """Its `rows` are checked, which `vectors` are not."""
        column = self._store.vectors(self.encoder.id)
        if column is None:
            raise StoreError(f"{shown(str(self.path))}: it has no vectors: run organize on it again.")
        return column

    def _named_by_folders(self) -> bool:
        """Whether names came from elsewhere: agreement with groups that were named as groups says nothing."""
        return any(row.names_from for row in self._store.sources())

    def verify(self) -> list[Any]:
        """Every byte of the pile read and checked; what is damaged."""
        return list(self._store.verify())

    # learning

    def train(
        self,
        into: str | os.PathLike[str],
        *,
        seed: int = 0,
        start: "Start | None" = None,
        progress: Progress | None = None,
    ) -> Head:
        """A classifier from the named items, saved as a model folder; its `report` has the held-out score.

        Without `start` a linear head on the pile's own vectors; with it a network that learns from the items
        themselves: one of `sortal.nets` from images, gru, lstm or rnn from sounds, series and texts.
        """
        if start is not None:
            learned = self._train_network if self.kind == "image" else self._train_recurrent
            return learned(into, seed, start, progress or Progress())
        named = np.array([i for i, name in enumerate(self.names) if name is not None], dtype=np.int64)
        if not len(named):
            raise InputError(_nothing_named(self.path))
        none = np.flatnonzero(self.none_of_these)
        column = self._vector_column()
        rows = column.positions(self._ids[np.concatenate([named, none])])
        head = train_head_from(
            lambda wanted: column.rows(rows[wanted]),
            self.encoder.dim,
            [name for name in self.names if name is not None],
            n_none=len(none),
            seed=seed,
        )
        encoder = rebuilt_encoder(self._store, self.encoder)
        save_model(
            into,
            head,
            encoder={
                "name": self.encoder.name, "digest": self.encoder.digest, "dim": self.encoder.dim,
                "spec": encoder.spec,
            },
            input={
                "kind": self.kind, **encoder.input.as_json(), "read": self._store.reading().as_json(),
            },
            trained_on=f"{len(named):,} named items of {self.path.name}",
            n_named_by_group=self.n_named_by_group,
            extra_files=(
                {} if encoder.weights is None else {f"encoder{encoder.weights.suffix}": encoder.weights}
            ),
        )  # fmt: skip
        return head

    def _train_network(
        self, into: str | os.PathLike[str], seed: int, start: "Start", progress: Progress
    ) -> Head:
        from sortal.learning import learn

        edge = start.checked().edge()
        images, n_names = self._images((edge, edge), with_none=True)
        _say_left_out(images.refused, progress)
        n_named = int((images.labels < n_names).sum())
        return learn(
            images, n_names, start, into, seed=seed, n_named_by_group=self.n_named_by_group,
            trained_on=f"{n_named:,} named items of {self.path.name}", progress=progress,
        )  # fmt: skip

    def _train_recurrent(
        self, into: str | os.PathLike[str], seed: int, start: "Start", progress: Progress
    ) -> Head:
        from sortal.sequence_learning import NamedSequences, check_start, learn_sequences, wanted

        check_start(start)
        named = [i for i, name in enumerate(self.names) if name is not None]
        if not named:
            raise InputError(_nothing_named(self.path))
        # "None of these" last, under a number of their own.
        order = np.array([*named, *np.flatnonzero(self.none_of_these).tolist()], dtype=np.int64)
        found = items_of(self._store, self._ids[order], wanted(self.kind).input)
        _say_left_out(found.refused, progress)
        kept = order[found.rows]
        names = sorted({name for name in self.names if name is not None})
        number = {name: i for i, name in enumerate(names)}
        labels = np.array([number.get(self.names[i] or "", len(names)) for i in kept], dtype=np.int64)
        _check_all_there(labels, names, self.kind)
        column = self._vector_column()
        vectors = column.rows(column.positions(self._ids[kept]))
        given = NamedSequences(found.items, labels, tuple(names), vectors, self.encoder.name)
        return learn_sequences(
            given, start, into, seed=seed, read=self._store.reading().as_json(),
            trained_on=f"{int((labels < len(names)).sum()):,} named items of {self.path.name}",
            n_named_by_group=self.n_named_by_group, progress=progress,
        )  # fmt: skip

    def named_images(self, size: tuple[int, int]) -> LabelledImages:
        """The items with a name as images of (height, width); `refused` says what cannot be read."""
        self._refuse_other_than_images()
        return self._images(size, with_none=False)[0]

    def _refuse_other_than_images(self) -> None:
        if self.kind != "image":
            raise InputError(
                f"named_images is for piles of images; {shown(str(self.path))} holds {KINDS[self.kind]}."
            )

    def _images(self, size: tuple[int, int], *, with_none: bool) -> tuple[LabelledImages, int]:
        """Also those marked "none of these", under one more name, and the number of names without it."""
        names = sorted({name for name in self.names if name is not None})
        if not names:
            raise InputError(_nothing_named(self.path))
        number = {name: i for i, name in enumerate(names)}
        labels = np.array([-1 if name is None else number[name] for name in self.names], dtype=np.int64)
        if with_none and self.none_of_these.any():
            labels[self.none_of_these] = len(names)
        rows = np.flatnonzero(labels >= 0)
        called = [*names, "none of these"] if (labels == len(names)).any() else names
        images = images_of(self._store, self._ids[rows], labels[rows], called, size)
        _check_all_there(images.labels, called, self.kind)
        return images, len(names)

    @property
    def n_named_by_group(self) -> int:
        """Items whose name was given to many at once, and so perhaps never looked at one by one."""
        many: dict[int, bool] = {}
        for act in counting(self._store.acts()):
            if act.kind in MARKS:
                many.update(dict.fromkeys(act.items.tolist(), act.kind == "name" and len(act.items) > 1))
        return sum(many.get(item, False) for item in self._ids.tolist())


def _members_shown(shapes: Sequence[explore.GroupShape]) -> list[int]:
    """Positions of the members that stand in the lists of groups, up to the 600 first: 60 MB of sound."""
    found = dict.fromkeys(p for shape in shapes for p in shape.typical + shape.outliers + shape.varied)
    return list(found)[:600]


def _say_left_out(refused: Sequence[Refused], progress: Progress) -> None:
    if refused:
        left = counted(len(refused), "item")
        progress.say(f"{left} left out, the first: {shown(refused[0].path)}: {refused[0].reason}")


def _check_all_there(labels: np.ndarray, names: Sequence[str], kind: Kind) -> None:
    """`InputError` for a name whose every item has gone."""
    counts = np.bincount(labels, minlength=len(names))[: len(names)]
    if not counts.all():
        raise InputError(
            f"every name needs {KINDS[kind]} that can be read now; {shown(names[int(counts.argmin())])!r} "
            "has none: bring its files back, or take the name off its items (sortal unname)."
        )


def _nothing_named(path: Path) -> str:
    return f'no item of {shown(str(path))} has a name: sortal name PILE GROUP "NAME" first.'


def _discard_if_empty(where: Path) -> None:
    """A new pile that never held an item is of no use to anybody; one that holds some goes on next time."""
    with suppress(StoreError), held(where, "discard"):  # another process may have begun to fill it
        with Store.open(where) as store:
            if any(store.count(row.id) for row in store.encoders()) or has_learned(where):
                return
        shutil.rmtree(where)
