"""A pile brought up to date: new files become vectors, and all of them groups."""

import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sortal import embed
from sortal.data import KINDS, PiecesSource, Source, open_source, shown
from sortal.embed import Encoder, FittedWish, NetworkWish
from sortal.encoding import keep_weights, network_command, settled_encoder
from sortal.errors import InputError, SortalError
from sortal.progress import Progress, counted
from sortal.store import MARKS, Grouping, Store, checked_name, counting
from sortal.teaching import SelfWish, kept_encoder, taught_encoder

if TYPE_CHECKING:
    from sortal.cluster import Grouped

__all__ = ["Grouper", "bring_up_to_date"]

# Those of sortal.cluster, named here so that a typo costs no import.
METHODS = ("graph", "kmeans", "spherical", "soft", "kernel", "kmedoids", "dbscan")
SKLEARN = "sklearn.cluster."

NOT_YET = 0  # the number of no encoder
LookedAt = list[tuple[int, Source, embed.Plan]]  # source id, source, what a look at it found


def bring_up_to_date(
    store: Store,
    given: Source | None,
    chosen: Encoder | NetworkWish | FittedWish | SelfWish | None,
    grouper: "Grouper",
    progress: Progress,
) -> None:
    """Read what is new in the sources, embed it, and group everything.

    `given` is the source to read, None for all that the pile knows; `chosen` the encoder, None for "auto".
    Everything done is stored at once, so a killed call is taken
    up by the next. What is gone is dropped last: until the new groups are there, the old ones show whole.
    """
    if isinstance(chosen, SelfWish):
        chosen = kept_encoder(store, chosen) or _taught(store, given, chosen.name, grouper, progress)
    encoder, reason = settled_encoder(store, given, chosen, progress)
    keep_weights(store, encoder)  # first: an encoder that the pile knows is one that it can run
    encoder_id = store.encoder(encoder.name, encoder.digest, encoder.dim, encoder.spec)
    grouper.settle(store, encoder_id)
    progress.say(f"encoder {encoder.name}: {encoder.dim:,} numbers an item; {reason}")
    looked_at = [
        (source_id, source, embed.plan(store, source_id, source, encoder_id))
        for source_id, source in _sources(store, given, encoder_id, progress)
    ]
    grouper.check_against(
        sum(len(plan.todo) for *_, plan in looked_at) + len(_staying(store, encoder_id, looked_at))
    )
    for source_id, source, plan in looked_at:
        progress.say(_found(source, plan))
        embed.refuse(store, source_id, plan.refused)
        if plan.todo:
            _tell_outlook(store, source, plan, encoder, progress)
            progress.start("embedding", len(plan.todo))
            embed.embed(store, source_id, source, encoder, encoder_id, plan.todo, progress.advance)
        for note in source.notes if isinstance(source, PiecesSource) else ():
            progress.say(note)
    ids = _staying(store, encoder_id, looked_at)
    if not len(ids):
        raise InputError(_nothing_to_group(store))
    grouper.group(store, encoder_id, ids, progress, encoder.spec.get("views", ()))
    for source_id, source, plan in looked_at:
        store.forget(source_id, plan.gone)
        _name_by_folders(store, source_id, plan.names, source.names_from is not None, progress)
    store.compact("vectors", encoder_id, ids)


def _taught(store: Store, given: Source | None, name: str, grouper: "Grouper", progress: Progress) -> Encoder:
    """A network trained on all that the pile knows. What cannot be grouped is refused before that."""
    grouper.settle(store, None)
    found = _sources(store, given, NOT_YET, Progress())  # embedding will tell which of them cannot be read
    sources = [source for _, source in found]
    return taught_encoder(store, sources, name, grouper.seed, grouper.check_against, progress)


def _staying(store: Store, encoder_id: int, looked_at: LookedAt) -> np.ndarray:
    """The items with a vector, ascending, less those whose every file has gone."""
    gone: Counter[int] = Counter()
    for source_id, _, plan in looked_at:
        files = store.files(source_id) if plan.gone else {}
        gone.update(files[path].item for path in plan.gone if path in files)
    touched = list(gone)
    lost = [item for item, paths in zip(touched, store.paths(touched)) if gone[item] == len(paths)]
    ids = store.items(encoder_id)
    return ids[~np.isin(ids, lost)]


def _tell_outlook(
    store: Store, source: Source, plan: embed.Plan, encoder: Encoder, progress: Progress
) -> None:
    """How long it will take, before it starts; and whether another encoder would see more."""
    view = embed.outlook(source, plan.todo, encoder)
    if view.seconds is not None:
        progress.say(f"about {_duration(view.seconds)} to read and embed {len(plan.todo):,}")
    if view.photographs and encoder.name == "hog":
        progress.say(
            "these look like photographs: hog sees shape only, a network sees more: " + network_command(store)
        )


def _sources(
    store: Store, given: Source | None, encoder_id: int, progress: Progress
) -> list[tuple[int, Source]]:
    """The source that was given, and all others that the pile knows where they are wanted too.

    They are where none was given, and where an encoder is new to the pile: without a vector an item would
    drop out of it.
    """
    found: list[tuple[int, Source]] = []
    if given is not None:
        found.append((store.source(given.location, given.kind, given.names_from), given))
        if not len(store.items_without_vectors(encoder_id)):
            return found
    for row in store.sources():
        if found and row.id == found[0][0]:
            continue
        try:
            source = open_source(row.location, "folders" if row.names_from else None, store.reading())
            found.append((row.id, source))
        except SortalError as e:
            progress.say(f"cannot be read now: {str(e).rstrip('.')}; {_unread(store, row.id, encoder_id)}")
    return found


def _unread(store: Store, source_id: int, encoder_id: int) -> str:
    """What becomes of the items of a source that is away."""
    items = {row.item for row in store.files(source_id).values()}
    lacking = items.intersection(store.items_without_vectors(encoder_id).tolist())
    if not lacking:
        return "its items stay as they are"
    return (
        f"{len(lacking):,} of its items have no vector of this encoder and are not grouped until it is back"
    )


def _name_by_folders(
    store: Store, source_id: int, names: dict[str, str], names_wanted: bool, progress: Progress
) -> None:
    """Name items after their folders; one that lies in folders of two names gets none.

    Only items that no act has ever spoken of: what a person said, took back or undid stays so.
    """
    if not names:
        if names_wanted:
            progress.say("no name was found: the items lie in no sub-folder, and no file names them")
        return
    spoken_of = {item for act in store.acts() if act.kind in MARKS for item in act.items.tolist()}
    clean = {name: _usable(name, progress) for name in sorted(set(names.values()))}
    by_item: dict[int, set[str]] = {}
    for path, row in store.files(source_id).items():
        name = clean[names[path]] if path in names else None
        if name is not None and row.item not in spoken_of:
            by_item.setdefault(row.item, set()).add(name)
    clashes = sum(len(found) > 1 for found in by_item.values())
    if clashes:
        progress.say(f"{clashes:,} items are given different names by their source and stay unnamed")
    by_name: dict[str, list[int]] = {}
    for item, found in by_item.items():
        if len(found) == 1:
            by_name.setdefault(next(iter(found)), []).append(item)
    for name, items in sorted(by_name.items()):
        store.act("folder", {"name": name}, sorted(items))
    if by_name:
        named = sum(map(len, by_name.values()))
        progress.say(f"{counted(named, 'item')} named as their source says: {counted(len(by_name), 'name')}")


def _usable(name: str, progress: Progress) -> str | None:
    try:
        return checked_name(name)
    except InputError as e:
        progress.say(f"a folder's name is passed over: {e}")
        return None


class Grouper:
    """Groups a pile as asked, or as before; the same wish on the same items is not run twice.

    `method` is a name and its parameters. k "suggest" leaves the number, and what was not asked for, to
    `sortal.cluster.suggest`.
    """

    def __init__(
        self, k: int | str | None, method: tuple[str, dict[str, Any]] | None, seed: int | None
    ) -> None:
        self.asked = k, method, seed

    def settle(self, store: Store, encoder_id: int | None) -> None:
        """Take what was not asked for from the last grouping; refuse at once what cannot work."""
        k, method, seed = self.asked
        self.before = before = store.grouping(encoder_id) or store.grouping()
        self.seed = seed if seed is not None else before.seed if before else 0
        if method is not None:
            self.method, self.params = method
        else:
            self.method = before.method if before else "graph"
            self.params = before.parameters.get("params", {}) if before else {}
        if self.method not in METHODS and not self.method.startswith(SKLEARN):
            raise InputError(
                f"method must be one of {', '.join(METHODS)}, or {SKLEARN}NAME; got {self.method!r}: "
                "give another."
            )
        self.k = k if k is not None else self._k_before()
        if self.k == "auto" and self.method in METHODS and self.method not in ("graph", "dbscan"):
            raise InputError(
                f"{self.method} needs the number of groups: give k, or use the method graph, "
                "or let the data suggest it (--suggest)."
            )
        if isinstance(self.k, int) and not self._takes_number():
            whose = "" if self.asked[1] is not None else ", the method of the last grouping,"
            raise InputError(
                f"{self.method}{whose} finds the number of groups itself; got k={self.k}: "
                "leave out k, or say another method (--method graph)."
            )

    def _takes_number(self) -> bool:
        if not self.method.startswith(SKLEARN):
            return self.method != "dbscan"
        from sortal.cluster import takes_number  # the import of scikit-learn, only where it has to be asked

        return takes_number(self.method)

    def _k_before(self) -> int | str:
        """The number that was asked for last, where this method takes one."""
        before = self.before
        if before is None or self.method == "dbscan":
            return "auto"
        if self.method.startswith(SKLEARN) and before.method != self.method:
            return "auto"
        k: int | str = before.parameters["k"]
        return k

    def check_against(self, n_items: int) -> None:
        """Refuse a k that cannot work before hours of embedding, not after."""
        if isinstance(self.k, int) and self.k > n_items:
            whose = "" if self.asked[0] is not None else ", taken from the last grouping"
            raise InputError(
                f"k must be between 1 and the number of items; got k={self.k}{whose} for {n_items} items: "
                "give another k."
            )

    def group(
        self, store: Store, encoder_id: int, ids: np.ndarray, progress: Progress, views: Sequence[int] = ()
    ) -> None:
        """`views` are the widths of those that stand side by side in the vectors; none where there is one."""
        self.check_against(len(ids))
        before, said = self.before, None
        if self.k == "suggest":
            said = self._take_suggestion(_vectors(store, encoder_id, ids), progress)
        if before and _same(store, before, encoder_id, self.method, self.k, self.params, self.seed, ids):
            store.make_current(before.id)
            progress.say("nothing changed: the groups stay as they are")
            return
        from sortal import cluster  # scikit-learn: a second that an unchanged pile need not pay

        vectors = _vectors(store, encoder_id, ids)
        start = time.perf_counter()
        progress.say(f"grouping {len(ids):,} items by {self.method}")
        found = cluster.group_by(self.method, vectors, self.k, self.seed, self.params, views=views)
        for warning in found.evidence.get("warnings", []):
            progress.say(f"{self.method} warns: {warning}")
        evidence = found.evidence | {"seconds": round(time.perf_counter() - start, 2)}
        parameters: dict[str, Any] = {"k": self.k} | ({"params": self.params} if self.params else {})
        store.add_grouping(
            encoder_id, self.method, parameters, self.seed, evidence | ({"suggestion": said} if said else {}),
            ids, found.labels, found.points,
        )  # fmt: skip
        progress.say(_n_groups(found, self.k))
        if before and any(act.detail.get("grouping") == before.id for act in counting(store.acts())):
            progress.say("merges and splits belonged to the old groups; names stay with their items")

    def _take_suggestion(self, vectors: np.ndarray, progress: Progress) -> dict[str, Any]:
        """Ask the data for the method, where none was asked for, and for its parameters."""
        from sortal import cluster

        asked = self.asked[1]
        progress.say("looking for what suits these data, on a sample")
        found = cluster.suggest(
            vectors, methods=None if asked is None else (asked[0],), seed=self.seed, callback=progress.say
        )
        for line in str(found).splitlines():
            progress.say(line)
        self.method, self.k = found.method, found.k
        self.params = found.params | (asked[1] if asked else {})
        return found.to_json()


def _n_groups(found: "Grouped", k: int | str) -> str:
    n, left_out = found.n_groups, int((found.labels < 0).sum())
    outside = f", {left_out:,} items left out" if left_out else ""
    if found.evidence["candidates"]:
        return f"{counted(n, 'group')} (a guess: k was not given){outside}"
    return f"{counted(n, 'group')}{' (no more can be told apart)' if k not in ('auto', n) else ''}{outside}"


def _vectors(store: Store, encoder_id: int, ids: np.ndarray) -> np.ndarray:
    """The items' vectors, every block checked: a memory map where the pile holds these items and no others.

    The items of the current grouping keep their rows until the next one is there: it can be read meanwhile.
    """
    current = store.grouping()
    keep = ids
    if current is not None and current.encoder == encoder_id:
        labels = store.column("labels", current.id)
        keep = ids if labels is None else np.union1d(ids, labels.item_ids)
    store.compact("vectors", encoder_id, keep)
    column = store.vectors(encoder_id)
    assert column is not None
    return column.checked() if len(keep) == len(ids) else column.rows(column.positions(ids))


def _same(
    store: Store, before: Grouping, encoder_id: int, method: str, k: int | str, params: dict[str, Any],
    seed: int, ids: np.ndarray,
) -> bool:  # fmt: skip
    made = before.parameters["k"], before.parameters.get("params", {})
    if (before.encoder, before.method, *made, before.seed) != (encoder_id, method, k, params, seed):
        return False
    column = store.column("labels", before.id)
    return column is not None and np.array_equal(column.item_ids, ids)


def _found(source: Source, plan: embed.Plan) -> str:
    n, what = len(plan.todo) + plan.unchanged, "item" if isinstance(source, PiecesSource) else "file"
    parts = [f"{shown(source.location)}: {counted(n, what)}, {len(plan.todo):,} to read"]
    if plan.gone:
        parts.append(f"{len(plan.gone):,} gone")
    refused = len(plan.refused) + plan.still_refused
    if refused:
        parts.append(f"{refused:,} in quarantine")
    return ", ".join(parts)


def _nothing_to_group(store: Store) -> str:
    refused, what = store.quarantine(), KINDS[store.reading().kind]
    if not store.sources():
        return "this pile has no source yet: sortal organize FOLDER --into PILE."
    if not refused:
        return f"the source must hold {what}; no file was found. Check the path."
    first = refused[0]
    return (
        f"the source must hold {what} that can be read; none of {counted(len(refused), 'file')} is one, "
        f"the first: {shown(first.path)}: {first.reason}. Check the path."
    )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
