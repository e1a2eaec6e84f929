"""Which encoder a pile is embedded with, and the copy of its network that the pile keeps."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from sortal import embed
from sortal.data import KINDS, Refused, Source, open_source, shown
from sortal.embed import Encoder, FittedWish, NetworkEncoder, NetworkWish, OnnxEncoder, OnnxSequence
from sortal.errors import InputError, SortalError, StoreError, Unreadable
from sortal.progress import Progress
from sortal.store import EncoderRow, Store
from sortal.store.segments import sync_folder
from sortal.whole import sha256_of

__all__ = ["keep_weights", "network_command", "rebuilt_encoder", "settled_encoder"]


def settled_encoder(
    store: Store,
    given: Source | None,
    chosen: Encoder | NetworkWish | FittedWish | None,
    progress: Progress,
) -> tuple[Encoder, str]:
    """The encoder and the reason for it, in words. A network that the pile keeps is taken from there.

    None asks for the one that the pile's groups were made with; else for photographs a network whose weights
    are in the cache; else hog. Nothing is fetched that was not named.
    """
    if chosen is None:
        encoder, reason = _kept(store) or _for_new(store, given, progress)
    elif isinstance(chosen, FittedWish):
        encoder, reason = _fitted(store, given, chosen, progress), "as asked, fitted on what is there now"
    elif isinstance(chosen, NetworkWish):
        row = next((row for row in store.encoders() if chosen.is_of(row.spec) and _stands(store, row)), None)
        encoder, reason = chosen.made(progress) if row is None else rebuilt_encoder(store, row), "as asked"
    else:
        encoder, reason = chosen, _as_asked(chosen)
    return encoder, f"{reason}; {encoder.device}" if isinstance(encoder, NetworkEncoder) else reason


def _stands(store: Store, row: EncoderRow) -> bool:
    """Whether the pile's copy of the network is there and whole; else it is made and kept anew."""
    kept = _weights_path(store, row.digest)
    return kept.is_file() and sha256_of(kept) == row.digest


def _as_asked(encoder: Encoder) -> str:
    if isinstance(encoder, OnnxEncoder) and encoder.assumed:
        return (
            "as asked; nothing says how it wants its images, so torchvision's preprocessing for ImageNet is "
            "assumed (--preprocess or a file beside it says otherwise)"
        )
    if isinstance(encoder, OnnxSequence) and encoder.assumed:
        return f"as asked; nothing says how it wants its {KINDS[encoder.input.kind]}: {_assumed(encoder)}"
    return "as asked"


def _assumed(encoder: OnnxSequence) -> str:
    said = {key: value for key, value in encoder.spec["preprocess"].items() if value is not None}
    said.pop("letters", None)
    return ", ".join(f"{key}={value}" for key, value in said.items()) + " (--preprocess says otherwise)"


def _kept(store: Store) -> tuple[Encoder, str] | None:
    """The encoder that the pile's groups were made with, whose vectors are there already."""
    rows = {row.id: row for row in store.encoders()}
    if not rows:
        return None
    grouping = store.grouping()
    row = rows[grouping.encoder if grouping else max(rows)]
    return rebuilt_encoder(store, row), "the pile has its vectors"


def _for_new(store: Store, given: Source | None, progress: Progress) -> tuple[Encoder, str]:
    """A cached network for photographs, or what needs no weights. One that cannot be used stops nothing."""
    kind = store.reading().kind
    wish = embed.pretrained() if kind == "image" else None
    if wish is not None and given is not None and embed.shows_photographs(given):
        try:
            return wish.made(progress), "auto takes it for photographs: its weights are in the cache"
        except SortalError as e:
            progress.say(f"{wish.name} is in the cache and cannot be used: {e}")
    fitted = embed.fitted_wish(embed.without_weights(kind))
    if fitted is not None:
        return _fitted(
            store, given, fitted, progress
        ), "auto takes it, fitted on this pile: it needs no weights"
    return embed.named(embed.without_weights(kind)), (
        "auto takes it where the pile has no other: it needs no weights and works everywhere"
    )


def _fitted(store: Store, given: Source | None, wish: FittedWish, progress: Progress) -> Encoder:
    """The encoder that `wish` names, fitted on the items of `given` and of all sources of the pile."""
    progress.say(f"fitting {wish.name} on the pile")
    sources = [] if given is None else [given]
    for row in store.sources():
        if given is None or row.location != given.location:
            with suppress(SortalError):  # reading it is tried again, and then told
                sources.append(open_source(row.location, None, store.reading()))
    refused: list[str] = []
    try:
        return wish.made(_contents(sources, refused), store.path / "models")
    except InputError as e:
        if not refused:
            raise
        what = KINDS[wish.input.kind]
        raise InputError(
            f"{str(e).rstrip('.')}; the first of the {what} that cannot be read: {refused[0]}."
        ) from e


def _contents(sources: Sequence[Source], refused: list[str]) -> Iterator[bytes]:
    """The items' bytes; `refused` gets a line for each that has none."""
    for source in sources:
        for entry in source.scan():
            try:
                if isinstance(entry, Refused):
                    raise Unreadable(entry.kind, entry.reason)
                yield source.read(entry.path)
            except Unreadable as e:
                refused.append(f"{shown(entry.path)}: {e}")


def network_command(store: Store) -> str:
    """The command that embeds this pile with a network, and what it fetches."""
    there = embed.pretrained()
    if there is not None:
        name, size = there.name, "its weights are in the cache"
    else:
        name, size = embed.recommended().name, f"fetches {embed.recommended().megabytes} MB once"
    return f"sortal organize {shown(str(store.path))} --encoder {name} ({size})"


def rebuilt_encoder(store: Store, row: EncoderRow) -> Encoder:
    """The encoder of `row`. StoreError where the network kept in the pile is not the one it was."""
    kept = (_weights_path(store, row.digest, ending) for ending in (".onnx", ".safetensors"))
    encoder = embed.rebuild(row.spec, next((path for path in kept if path.is_file()), None))
    if (encoder.digest, encoder.dim) != (row.digest, row.dim):
        raise StoreError(
            f"{shown(str(store.path))}: damaged, its encoder {shown(row.name)} is not what made its vectors:"
            " restore the pile from a copy, or give the network again (--encoder)."
        )
    encoder.name = row.name  # that of the file it came from
    return encoder


def _weights_path(store: Store, digest: str, ending: str = ".onnx") -> Path:
    return store.path / "models" / f"{digest}{ending}"


def keep_weights(store: Store, encoder: Encoder) -> None:
    """Copy the network into the pile, so that the pile can be grouped again when the file has moved."""
    if encoder.weights is None:
        return
    kept = _weights_path(store, encoder.digest, encoder.weights.suffix)
    if encoder.weights == kept:  #  or the pile's own, whose digest was just compared
        return
    if kept.exists() and sha256_of(kept) == encoder.digest:
        return
    fresh = kept.with_suffix(".new")
    try:
        kept.parent.mkdir(exist_ok=True)
        shutil.copyfile(encoder.weights, fresh)
        with fresh.open("rb") as file:
            os.fsync(file.fileno())
        fresh.replace(kept)
        sync_folder(kept.parent)
    except OSError as e:
        fresh.unlink(missing_ok=True)
        raise StoreError(
            f"{shown(str(kept))}: the network cannot be kept: {e.strerror}; free space, run again."
        ) from e
