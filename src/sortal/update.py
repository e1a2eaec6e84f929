"""A pile brought up to date: new files become vectors, and all of them groups."""

import os
import shutil
import time
from pathlib import Path

import numpy as np

from sortal import embed
from sortal.data import Source, open_source, shown
from sortal.embed import Encoder, OnnxEncoder
from sortal.errors import InputError, SortalError, StoreError
from sortal.progress import Progress
from sortal.store import EncoderRow, Grouping, Store, checked_name, counting, marks

__all__ = ["Grouper", "bring_up_to_date", "rebuilt_encoder"]


def bring_up_to_date(
    store: Store,
    given: Source | None,
    chosen: Encoder | None,
    wish: str,
    grouper: "Grouper",
    progress: Progress,
) -> None:
    """Read what is new in the sources, embed it, and group everything.

    `given` is the source to read, None for all that the pile knows; `chosen` the encoder, None for the one
    whose vectors the pile has. Everything done is stored at once, so a killed call is taken up by the next.
    """
    encoder, reason = (chosen, _why(wish, chosen)) if chosen is not None else _stored_encoder(store)
    encoder_id = store.encoder(encoder.name, encoder.digest, encoder.dim, encoder.spec)
    _keep_weights(store, encoder)
    progress.say(f"encoder {encoder.name}: {encoder.dim:,} numbers an item; {reason}")
    looked_at = [
        (source_id, source, embed.plan(store, source_id, source, encoder_id))
        for source_id, source in _sources(store, given, encoder_id, progress)
    ]
    grouper.check_against(sum(len(plan.todo) for *_, plan in looked_at) + store.count(encoder_id))
    for source_id, source, plan in looked_at:
        progress.say(_found(source, plan))
        embed.refuse(store, source_id, plan.refused)
        if plan.todo:
            _tell_outlook(source, plan, encoder, progress)
            embed.embed(store, source_id, source, encoder, encoder_id, plan.todo, progress.advance)
        store.forget(source_id, plan.gone)  # last, so that a moved file is never without a place
    ids = store.items(encoder_id)
    if not len(ids):
        raise InputError(_nothing_to_group(store))
    store.compact("vectors", encoder_id, ids)
    grouper.group(store, encoder_id, ids, progress)
    for source_id, _, plan in looked_at:
        _name_by_folders(store, source_id, plan.names, progress)


def _tell_outlook(source: Source, plan: embed.Plan, encoder: Encoder, progress: Progress) -> None:
    """How long it will take, before it starts; and whether another encoder would see more."""
    view = embed.outlook(source, plan.todo, encoder)
    if view.seconds is not None:
        progress.say(f"about {_duration(view.seconds)} to read and embed {len(plan.todo):,}")
    if view.photographs and encoder.name == "hog":
        progress.say(
            "these look like photographs: hog sees shape only, a network sees more (--encoder FILE.onnx)"
        )
    progress.start("embedding", len(plan.todo))


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
            found.append((row.id, open_source(row.location, "folders" if row.names_from else None)))
        except SortalError as e:
            progress.say(f"{shown(row.location)} cannot be read now ({e}); its items stay as they are")
    return found


def _name_by_folders(store: Store, source_id: int, names: dict[str, str], progress: Progress) -> None:
    """Name what has no name yet after the folders; an item that lies in folders of two names gets none."""
    if not names:
        return
    marked = marks(store.acts())
    clean = {name: _usable(name, progress) for name in sorted(set(names.values()))}
    by_item: dict[int, set[str]] = {}
    for path, row in store.files(source_id).items():
        name = clean[names[path]] if path in names else None
        if name is not None and row.item not in marked.names and row.item not in marked.none:
            by_item.setdefault(row.item, set()).add(name)
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


def _usable(name: str, progress: Progress) -> str | None:
    try:
        return checked_name(name)
    except InputError as e:
        progress.say(f"a folder's name is passed over: {e}")
        return None


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
            store.make_current(before.id)
            progress.say("nothing changed: the groups stay as they are")
            return
        from sortal.cluster import (
            METHODS,  # scikit-learn costs a second, which an unchanged pile need not pay
        )

        column = store.vectors(encoder_id)
        assert column is not None
        start = time.perf_counter()
        progress.say(f"grouping {len(ids):,} items by {method}")
        found = METHODS[method](column.array, k, seed)
        evidence = found.evidence | {"seconds": round(time.perf_counter() - start, 2)}
        store.add_grouping(encoder_id, method, {"k": k}, seed, evidence, ids, found.labels, found.points)
        progress.say(f"{found.n_groups} groups{' (a guess: k was not given)' if k == 'auto' else ''}")
        if before and any(act.detail.get("grouping") == before.id for act in counting(store.acts())):
            progress.say("merges and splits belonged to the old groups; names stay with their items")


def _same(
    store: Store, before: Grouping, encoder_id: int, method: str, k: int | str, seed: int, ids: np.ndarray
) -> bool:
    if (before.encoder, before.method, before.parameters["k"], before.seed) != (encoder_id, method, k, seed):
        return False
    column = store.column("labels", before.id)
    return column is not None and np.array_equal(column.item_ids, ids)


def _why(wish: str, encoder: Encoder) -> str:
    if wish == "auto":
        return "auto takes it where the pile has no other: it needs no weights and works everywhere"
    if isinstance(encoder, OnnxEncoder) and encoder.assumed:
        return (
            "as asked; nothing says how it wants its images, so torchvision's preprocessing for ImageNet is "
            "assumed (--preprocess or a file beside it says otherwise)"
        )
    return "as asked"


def _stored_encoder(store: Store) -> tuple[Encoder, str]:
    """The encoder that the pile's groups were made with: its vectors are there already."""
    rows = {row.id: row for row in store.encoders()}
    grouping = store.grouping()
    if not rows:
        hog = embed.named("hog")
        return hog, _why("auto", hog)
    return rebuilt_encoder(
        store, rows[grouping.encoder if grouping else max(rows)]
    ), "the pile has its vectors"


def rebuilt_encoder(store: Store, row: EncoderRow) -> Encoder:
    weights = _weights_path(store, row.digest)
    encoder = embed.rebuild(row.spec, weights if weights.exists() else None)
    encoder.name = row.name  # the file is kept under its digest; under that name it would be another encoder
    return encoder


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
