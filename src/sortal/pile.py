"""The journey: files become vectors, vectors become groups, a person names them, a head learns the names.

Everything the command line and the page do goes through here.
"""

import csv
import json
import os
import shutil
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from sortal import embed, explore
from sortal.data import Found, Refused, Source, decode_image, files_source, open_source, shown, thumbnail
from sortal.embed import Encoder, Preprocess
from sortal.errors import InputError, SortalError, StoreError, Unreadable
from sortal.kernels import n_threads
from sortal.store import EncoderRow, Grouping, QuarantineRow, Store, counting, effective_labels, marks
from sortal.train import Head, Model, Prediction, load_model, save_model, train_head

__all__ = ["Classifier", "Group", "Pile", "Predictions", "Progress", "load", "open", "organize"]

METHODS = ("graph", "kmeans")


class Progress:
    """What a long job tells while it runs. This one keeps silent; the command line shows it."""

    def say(self, line: str) -> None:
        """One line for a person."""

    def start(self, what: str, total: int) -> None:
        """A phase of `total` steps begins."""

    def advance(self, n: int) -> None:
        """`n` more steps of the phase are done."""


# ---- organize


def organize(
    source: str | os.PathLike[str],
    into: str | os.PathLike[str] | None = None,
    *,
    encoder: str = "auto",
    preprocess: Preprocess | None = None,
    k: int | str | None = None,
    method: str | None = None,
    seed: int | None = None,
    names_from: str | None = None,
    progress: Progress | None = None,
) -> "Pile":
    """Read `source`, embed what is new, group everything; the pile comes back open.

    source: a folder, a zip, a CSV or Parquet list of paths, or a pile, whose sources are then read again.
    into: the pile; by default `NAME.sortal` beside the source. An existing one takes what is new.
    encoder: "hog", "pixels", an ONNX file, or "auto": what the pile already has, else "hog". k: the number of
    groups, or "auto" for a guess. k, method ("graph" or "kmeans") and seed: None keeps what the pile had,
    at first "auto", "graph" and 0. names_from="folders" takes sub-folders as names of items without one.
    Killed at any moment, the pile opens and the next call goes on. `InputError` for a bad argument, before
    anything stored is changed.
    """
    progress = progress or Progress()
    _check_wishes(k, method, seed)
    where, location = _place(Path(source), None if into is None else Path(into))
    new = not _is_pile(where)
    chosen = None if encoder == "auto" and not new else _named(encoder, preprocess)
    given = None if location is None else open_source(location, _names_from(names_from))
    store = Store.create(where) if new else Store.open(where)
    try:
        with store.run(
            "organize", {"source": os.fspath(source), "encoder": encoder, "k": k, "method": method}
        ):
            _organize(store, given, chosen, encoder, Grouper(k, method, seed), progress)
    except BaseException as e:
        store.close()
        # A pile that never held an item is of no use to anybody; one that holds some goes on next time.
        if new and isinstance(e, Exception) and not _has_items(where):
            shutil.rmtree(where)
        raise
    return Pile(store)


def _organize(
    store: Store,
    given: Source | None,
    chosen: Encoder | None,
    wish: str,
    grouper: "Grouper",
    progress: Progress,
) -> None:
    encoder, reason = (chosen, _why(wish)) if chosen is not None else _stored_encoder(store)
    encoder_id = store.encoder(encoder.name, encoder.digest, encoder.dim, encoder.spec)
    _keep_weights(store, encoder)
    progress.say(f"encoder {encoder.name}: {encoder.dim:,} numbers an item; {reason}")
    names: dict[int, dict[str, str]] = {}
    for source_id, source in _sources(store, given, progress):
        names[source_id] = _read(store, source_id, source, encoder, encoder_id, grouper, progress)
    ids = store.items(encoder_id)
    if not len(ids):
        raise InputError(_nothing_to_group(store))
    store.compact("vectors", encoder_id, ids)
    grouper.group(store, encoder_id, ids, progress)
    for source_id, given_names in names.items():
        _name_by_folders(store, source_id, given_names, progress)


def _read(
    store: Store,
    source_id: int,
    source: Source,
    encoder: Encoder,
    encoder_id: int,
    grouper: "Grouper",
    progress: Progress,
) -> dict[str, str]:
    """Bring one source up to date; the names that its folders give, by path."""
    plan = embed.plan(store, source_id, source, encoder_id)
    grouper.check_against(len(plan.todo) + store.count(encoder_id))
    progress.say(_found(source, plan))
    embed.refuse(store, source_id, plan.refused)
    if plan.todo:
        view = embed.outlook(source, plan.todo, encoder)
        if view.seconds is not None:
            progress.say(f"about {_duration(view.seconds)} to read and embed {len(plan.todo):,}")
        if view.photographs and encoder.name == "hog":
            progress.say(
                "these look like photographs: hog sees shape only, a network sees more (--encoder FILE.onnx)"
            )
        progress.start("embedding", len(plan.todo))
        embed.embed(store, source_id, source, encoder, encoder_id, plan.todo, progress.advance)
    store.forget(source_id, plan.gone)  # last, so that a moved file is never without a place
    return plan.names


def _sources(store: Store, given: Source | None, progress: Progress) -> list[tuple[int, Source]]:
    """The source that was given, or all that the pile knows and that are still there."""
    if given is not None:
        return [(store.source(given.location, given.kind, given.names_from), given)]
    found: list[tuple[int, Source]] = []
    for row in store.sources():
        try:
            found.append((row.id, open_source(row.location, _names_from(row.names_from))))
        except SortalError as e:
            progress.say(f"{shown(row.location)} cannot be read now ({e}); its items stay as they are")
    return found


def _name_by_folders(store: Store, source_id: int, names: dict[str, str], progress: Progress) -> None:
    """Name what has no name yet after the folders; an item that lies in folders of two names gets none."""
    if not names:
        return
    marked = marks(store.acts())
    by_item: dict[int, set[str]] = {}
    for path, row in store.files(source_id).items():
        if path in names and row.item not in marked.names and row.item not in marked.none:
            by_item.setdefault(row.item, set()).add(names[path])
    clashes = sum(len(found) > 1 for found in by_item.values())
    if clashes:
        progress.say(f"{clashes:,} items lie in folders of different names and stay unnamed")
    by_name: dict[str, list[int]] = {}
    for item, found in by_item.items():
        if len(found) == 1:
            by_name.setdefault(next(iter(found)), []).append(item)
    for name, items in sorted(by_name.items()):
        store.act("name", {"name": name}, sorted(items))
    if by_name:
        progress.say(f"{sum(map(len, by_name.values())):,} items named after {len(by_name)} folders")


class Grouper:
    """Groups a pile as asked, or as before; the same wish on the same items is not run twice."""

    def __init__(self, k: int | str | None, method: str | None, seed: int | None) -> None:
        self.k, self.method, self.seed = k, method, seed

    def check_against(self, n_items: int) -> None:
        """Refuse a k that cannot work before hours of embedding, not after."""
        if isinstance(self.k, int) and self.k > n_items:
            raise InputError(
                f"k must be between 1 and the number of items; got k={self.k} for {n_items} items."
            )

    def group(self, store: Store, encoder_id: int, ids: np.ndarray, progress: Progress) -> None:
        before = store.grouping(encoder_id) or store.grouping()
        k = self.k if self.k is not None else before.parameters["k"] if before else "auto"
        method = self.method or (before.method if before else "graph")
        seed = self.seed if self.seed is not None else before.seed if before else 0
        self.k = k
        self.check_against(len(ids))
        if before and _same(store, before, encoder_id, method, k, seed, ids):
            progress.say("nothing changed: the groups stay as they are")
            return
        column = store.vectors(encoder_id)
        assert column is not None
        start = time.perf_counter()
        progress.say(f"grouping {len(ids):,} items by {method}")
        found = _graph(column.array, k, seed) if method == "graph" else _kmeans(column.array, k, seed)
        evidence = found.evidence | {"seconds": round(time.perf_counter() - start, 2)}
        store.add_grouping(encoder_id, method, {"k": k}, seed, evidence, ids, found.labels, found.points)
        progress.say(f"{found.n_groups} groups{' (a guess: k was not given)' if k == 'auto' else ''}")
        if before and any(act.detail.get("grouping") == before.id for act in counting(store.acts())):
            progress.say("merges and splits belonged to the old groups; names stay with their items")


@dataclass(frozen=True)
class _Found:
    labels: np.ndarray
    points: np.ndarray
    n_groups: int
    evidence: dict[str, Any]


def _graph(vectors: np.ndarray, k: int | str, seed: int) -> _Found:
    from sortal.cluster import shared_neighbor_clustering

    found = shared_neighbor_clustering(vectors, k, seed=seed)
    candidates = [explore.as_json(candidate) for candidate in found.candidates]
    return _Found(found.labels, found.points, found.n_clusters, {"candidates": candidates})


def _kmeans(vectors: np.ndarray, k: int | str, seed: int) -> _Found:
    from sortal.cluster import KMeans, by_falling_size, half_whitening

    if not isinstance(k, int):
        raise InputError("kmeans needs the number of groups; got k='auto': give -k, or use the method graph.")
    fitted = KMeans(k, n_init=10, random_state=seed).fit(vectors)
    labels = by_falling_size(fitted.labels_)
    points = half_whitening(vectors, 128)(vectors)
    return _Found(
        labels, points, int(labels.max()) + 1, {"candidates": [], "inertia": float(fitted.inertia_)}
    )


def _same(
    store: Store, before: Grouping, encoder_id: int, method: str, k: int | str, seed: int, ids: np.ndarray
) -> bool:
    if (before.encoder, before.method, before.parameters["k"], before.seed) != (encoder_id, method, k, seed):
        return False
    column = store.column("labels", before.id)
    return column is not None and np.array_equal(column.item_ids, ids)


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
        if self.grouping is None:
            return self._store.items(self.encoder.id)
        column = self._store.column("labels", self.grouping.id)
        assert column is not None
        return column.item_ids

    @cached_property
    def all_paths(self) -> list[list[str]]:
        """Every path of every item; exact copies of a file are one item with several."""
        return self._store.paths(self._ids)

    @cached_property
    def paths(self) -> list[str]:
        """One path per item, in a fixed order; bytes that are no UTF-8 as surrogate escapes."""
        return [found[0] if found else "" for found in self.all_paths]

    @cached_property
    def vectors(self) -> np.ndarray:
        """n x d float32: a read-only memory map of the current encoder's vectors, in the order of `paths`."""
        column = self._store.vectors(self.encoder.id)
        if column is None:
            return np.empty((0, self.encoder.dim), np.float32)
        if np.array_equal(column.item_ids, self._ids):
            return column.array
        return column.rows(column.positions(self._ids))  # while a run goes on, before it has compacted

    @cached_property
    def points(self) -> np.ndarray:
        """n x q float32 unit rows: the representation in which the groups were found."""
        if self.grouping is None:
            return np.empty((0, 1), np.float32)
        column = self._store.column("points", self.grouping.id)
        assert column is not None
        return column.array

    @property
    def labels(self) -> np.ndarray:
        """int32 (n,): the group number of every item, merges and splits included; -1 for left out."""
        return self._labels

    @cached_property
    def _labels(self) -> np.ndarray:
        if self.grouping is None:
            return np.full(len(self), -1, np.int32)
        column = self._store.column("labels", self.grouping.id)
        assert column is not None
        labels = effective_labels(column.item_ids, column.array, self._store.acts(), self.grouping.id)
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
        called = {name.number: name for name in explore.name_groups(self.names, self.labels)}
        return [Group(shape, called[shape.number]) for shape in shapes]

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
        from sortal.cluster import shared_neighbor_clustering

        members = self._members(group)
        if not 2 <= into <= len(members):
            raise InputError(
                f"into must be between 2 and the group's size; got {into} for {len(members)} items."
            )
        parts = shared_neighbor_clustering(np.asarray(self.vectors[members]), into, seed=seed).labels
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
        """Write path, group, name and mark of every item to a .csv or .json; the number of items."""
        path = Path(path)
        rows = [
            {"path": shown_path, "group": int(label), "name": name, "none_of_these": bool(none)}
            for shown_path, label, name, none in zip(self.paths, self.labels, self.names, self.none_of_these)
        ]
        if path.suffix == ".json":
            text = json.dumps({"items": rows, "history": self.history}, indent=1)
        elif path.suffix == ".csv":
            text = _as_csv(rows)
        else:
            raise InputError(f"names are exported to a .csv or .json file; got {shown(str(path))}.")
        _write_text(path, text)
        return len(rows)

    def _mark(
        self, kind: str, group: int | None, items: Sequence[int | str] | None, detail: dict[str, Any]
    ) -> int:
        if (group is None) == (items is None):
            raise InputError(
                f"{kind} needs either a group or items; got {'neither' if group is None else 'both'}."
            )
        positions = self._members(group) if group is not None else self._positions(items or [])
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
            there = ", ".join(map(str, np.unique(self.labels[self.labels >= 0])[:20]))
            raise InputError(f"group must be one of {there or 'none yet'}; got {group}.")
        return members

    def _positions(self, items: Iterable[int | str]) -> np.ndarray:
        where = {path: i for i, found in enumerate(self.all_paths) for path in found}
        positions = []
        for item in items:
            position = (
                item if isinstance(item, int) else where.get(item, where.get(os.path.abspath(item), -1))
            )
            if not 0 <= position < len(self):
                raise InputError(
                    f"an item must be a path in the pile or 0 to {len(self) - 1}; got {shown(str(item))}."
                )
            positions.append(position)
        return np.array(sorted(set(positions)), dtype=np.int64)

    # looking

    def thumbnails(self, positions: Sequence[int], edge: int = 96) -> dict[int, bytes]:
        """JPEG bytes by position, for the items whose file can be read now."""
        sources: dict[int, Source] = {}
        for row in self._store.sources():
            try:
                sources[row.id] = open_source(row.location)
            except SortalError:
                continue  # the page shows an empty tile
        files = self._store.first_files(self._ids[np.asarray(positions, dtype=np.int64)])
        by_item = {file.item: file for file in files}

        def one(position: int) -> tuple[int, bytes] | None:
            file = by_item.get(int(self._ids[position]))
            if file is None or file.source not in sources:
                return None
            try:
                image = decode_image(sources[file.source].read(file.path), (edge, edge))
            except Unreadable:
                return None
            return position, thumbnail(image, edge)

        with ThreadPoolExecutor(n_threads()) as pool:
            return dict(found for found in pool.map(one, positions) if found is not None)

    def report(self, *, with_map: bool = True, most_thumbnails: int = 1_200) -> explore.Report:
        """Everything that the page and the notebook show."""
        shapes = [group.shape for group in self.groups]
        view = explore.project(self.points, labels=self.labels) if with_map and len(self.points) else None
        odd = explore.outliers(self.points) if with_map and len(self) > 1 else []
        positions = explore.thumbnail_positions(shapes, view, odd, most=most_thumbnails)
        return explore.Report(
            title=self.path.stem,
            pile=str(self.path),
            paths=[shown(path) for path in self.paths],
            names=self.names,
            labels=self.labels,
            groups=shapes,
            map=view,
            thumbnails=self.thumbnails(positions),
            outliers=odd,
            quarantine=[explore.Refusal(shown(row.path), row.kind, row.reason) for row in self.quarantine],
            facts=self._facts(),
            candidates=self._candidates(),
            agreement=explore.agreement(self.names, self.labels) if self._named_by_folders() else None,
        )

    def write_report(self, path: str | os.PathLike[str]) -> None:
        """One self-contained page that asks nothing of any network."""
        explore.write_report(Path(path), self.report())

    def _repr_html_(self) -> str:
        return explore.gallery(self.report(with_map=False, most_thumbnails=300))

    def _facts(self) -> list[explore.Fact]:
        facts = [explore.Fact("encoder", f"{self.encoder.name}, {self.encoder.dim:,} numbers an item")]
        if self.grouping is not None:
            made = self.grouping
            versions = {run.id: run.versions for run in self._store.runs()}.get(made.run, {})
            facts += [
                explore.Fact("method", f"{made.method}, k={made.parameters['k']}, seed {made.seed}"),
                explore.Fact("grouped", f"{made.created}, in {made.evidence.get('seconds', 0)} s"),
                explore.Fact("versions", ", ".join(f"{key} {value}" for key, value in versions.items())),
            ]
        facts += [explore.Fact("source", shown(row.location)) for row in self._store.sources()]
        return facts

    def _candidates(self) -> explore.Candidates | None:
        rows = self.grouping.evidence.get("candidates", []) if self.grouping else []
        if not rows:
            return None
        taken = int(self._base_labels().max()) + 1
        numbers = [row["n_clusters"] for row in rows]
        return explore.Candidates(
            columns=("groups", "modularity", "silhouette", "eigengap"),
            rows=tuple((r["n_clusters"], r["modularity"], r["silhouette"], r["eigengap"]) for r in rows),
            chosen=numbers.index(taken) if taken in numbers else None,
            note="A guess: no criterion is good. Too many groups is the cheaper mistake, a merge is one act.",
        )

    def _base_labels(self) -> np.ndarray:
        assert self.grouping is not None
        column = self._store.column("labels", self.grouping.id)
        assert column is not None
        return column.array

    def _named_by_folders(self) -> bool:
        """Whether names came from elsewhere: agreement with groups that were named as groups says nothing."""
        return any(row.names_from for row in self._store.sources())

    def verify(self) -> list[Any]:
        """Every byte of the pile read and checked; what is damaged."""
        return list(self._store.verify())

    # learning

    def train(self, into: str | os.PathLike[str], *, seed: int = 0) -> Head:
        """A classifier from the named items, saved as a model folder; its `report` has the held-out score."""
        named = np.array([i for i, name in enumerate(self.names) if name is not None], dtype=np.int64)
        if not len(named):
            raise InputError(
                f'no item of {shown(str(self.path))} has a name: sortal name PILE GROUP "NAME" first.'
            )
        none = np.flatnonzero(self.none_of_these)
        head = train_head(
            self.vectors[named],
            [name for name in self.names if name is not None],
            none_vectors=self.vectors[none] if len(none) else None,
            seed=seed,
        )
        encoder = _rebuilt(self._store, self.encoder)
        save_model(
            into,
            head,
            encoder={
                "name": self.encoder.name, "digest": self.encoder.digest, "dim": self.encoder.dim,
                "spec": encoder.spec,
            },
            input={"kind": "image", **encoder.input.as_json()},
            trained_on=f"{len(named):,} named items of {self.path.name}",
            n_named_by_group=self._named_by_group(),
            extra_files={} if encoder.weights is None else {"encoder.onnx": encoder.weights},
        )  # fmt: skip
        return head

    def _named_by_group(self) -> int:
        """Items whose name was given to many at once, and so perhaps never looked at one by one."""
        many: dict[int, bool] = {}
        for act in counting(self._store.acts()):
            if act.kind in ("name", "unname", "none"):
                many.update(dict.fromkeys(act.items.tolist(), act.kind == "name" and len(act.items) > 1))
        return sum(many.values())


# ---- a model, opened


@dataclass(frozen=True)
class Predictions:
    """One prediction per readable file, in the order of the scan, and the files that could not be read."""

    predictions: list[Prediction]
    refused: list[Refused]


class Classifier:
    """A model folder, ready to predict; needs no pile."""

    def __init__(self, model: Model) -> None:
        self.model = model
        spec = model.encoder.get("spec", {})
        self.encoder = embed.rebuild(
            spec, model.folder / "encoder.onnx" if spec.get("kind") == "onnx" else None
        )
        if (self.encoder.digest, self.encoder.dim) != (model.encoder["digest"], model.encoder["dim"]):
            raise InputError(
                f"{shown(str(model.folder))}: the head was trained on vectors of another encoder "
                f"({model.encoder['name']} {model.encoder['digest'][:12]}): train again."
            )

    def predict(
        self,
        source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        progress: Progress | None = None,
    ) -> Predictions:
        """Name every image of a folder, zip, list, or of one or several files."""
        progress = progress or Progress()
        opened = _to_predict(source)
        found: list[Found] = []
        refused: list[Refused] = []
        for entry in opened.scan():
            found.append(entry) if isinstance(entry, Found) else refused.append(entry)
        progress.start("predicting", len(found))
        predictions: list[Prediction] = []
        for entries, vectors, more in embed.vectors_of(opened, found, self.encoder):
            predictions += self.model.head.predict([entry.path for entry in entries], vectors)
            refused += more
            progress.advance(len(entries) + len(more))
        if not predictions and not found and not refused:
            raise InputError("source must hold images; it holds no file.")
        return Predictions(predictions, refused)


def load(path: str | os.PathLike[str]) -> Classifier:
    """The model folder at `path`, every byte of it checked."""
    return Classifier(load_model(path))


def _to_predict(source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> Source:
    if isinstance(source, str | os.PathLike):
        listed = Path(source).suffix.lower() in (".zip", ".csv", ".parquet")
        return files_source([source]) if Path(source).is_file() and not listed else open_source(source)
    paths = list(source)
    return _to_predict(paths[0]) if len(paths) == 1 else files_source(paths)


# ---- what organize needs


def _check_wishes(k: int | str | None, method: str | None, seed: int | None) -> None:
    if not (k is None or k == "auto" or (isinstance(k, int) and not isinstance(k, bool) and k >= 1)):
        raise InputError(f"k must be a whole number of at least 1, or 'auto'; got {k!r}.")
    if method is not None and method not in METHODS:
        raise InputError(f"method must be one of {', '.join(METHODS)}; got {method!r}.")
    if seed is not None and not (isinstance(seed, int) and 0 <= seed < 2**32):
        raise InputError(f"seed must be a whole number from 0 to 2**32 - 1; got {seed!r}.")


def _names_from(names_from: str | None) -> Any:
    if names_from not in (None, "folders"):
        raise InputError(f"names_from must be 'folders' or None; got {names_from!r}.")
    return names_from


def _place(source: Path, into: Path | None) -> tuple[Path, Path | None]:
    """Where the pile is, and what to read into it: None for what it knows already."""
    if _is_pile(source):
        if into is not None and into.absolute() != source.absolute():
            raise InputError(f"{shown(str(source))} is a pile and is grouped in place; leave out into.")
        return source, None
    if into is not None:
        return into, source
    plain = source.absolute()
    name = plain.name if plain.is_dir() else plain.stem
    return plain.with_name(f"{name}.sortal"), source


def _is_pile(path: Path) -> bool:
    return (path / "catalogue.db").exists()


def _has_items(where: Path) -> bool:
    with Store.open(where) as store:
        return any(store.count(row.id) for row in store.encoders())


def _named(wish: str, preprocess: Preprocess | None) -> Encoder:
    return embed.named("hog" if wish == "auto" else wish, preprocess)


def _why(wish: str) -> str:
    if wish == "auto":
        return "auto takes it where the pile has no other: it needs no weights and works everywhere"
    return "as asked"


def _stored_encoder(store: Store) -> tuple[Encoder, str]:
    """The encoder that the pile's groups were made with: its vectors are there already."""
    rows = {row.id: row for row in store.encoders()}
    grouping = store.grouping()
    if not rows:
        return embed.named("hog"), _why("auto")
    return _rebuilt(store, rows[grouping.encoder if grouping else max(rows)]), "the pile has its vectors"


def _rebuilt(store: Store, row: EncoderRow) -> Encoder:
    weights = _weights_path(store, row.digest)
    return embed.rebuild(row.spec, weights if weights.exists() else None)


def _weights_path(store: Store, digest: str) -> Path:
    return store.path / "models" / f"{digest}.onnx"


def _keep_weights(store: Store, encoder: Encoder) -> None:
    """Copy the network into the pile, so that the pile can be grouped again when the file has moved."""
    if encoder.weights is None:
        return
    kept = _weights_path(store, encoder.digest)
    if kept.exists():
        return
    kept.parent.mkdir(exist_ok=True)
    fresh = kept.with_suffix(".new")
    try:
        shutil.copyfile(encoder.weights, fresh)
        with fresh.open("rb") as file:
            os.fsync(file.fileno())
        fresh.replace(kept)
    except OSError as e:
        fresh.unlink(missing_ok=True)
        raise StoreError(
            f"{shown(str(kept))}: the network cannot be kept: {e.strerror}; free space, run again."
        ) from e


def _found(source: Source, plan: embed.Plan) -> str:
    n = len(plan.todo) + plan.unchanged
    parts = [f"{shown(source.location)}: {n:,} files, {len(plan.todo):,} to read"]
    if plan.gone:
        parts.append(f"{len(plan.gone):,} gone")
    refused = len(plan.refused) + plan.still_refused
    if refused:
        parts.append(f"{refused:,} in quarantine")
    return ", ".join(parts)


def _nothing_to_group(store: Store) -> str:
    refused = store.quarantine()
    if not refused:
        return "the source must hold images; no file was found. Check the path."
    first = refused[0]
    return (
        f"the source must hold images that can be read; none of {len(refused):,} files is one, "
        f"the first: {shown(first.path)}: {first.reason}. Check the path."
    )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _as_csv(rows: list[dict[str, Any]]) -> str:
    import io

    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=["path", "group", "name", "none_of_these"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _write_text(path: Path, text: str) -> None:
    try:
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
    except OSError as e:
        raise InputError(f"{shown(str(path))} cannot be written: {e.strerror}. Choose another path.") from e
