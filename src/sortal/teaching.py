"""The encoders `self` and `self-photos`: networks that a pile teaches itself, kept in it as model folders.

models/self-SEED.model      the network; also what `--encoder FOLDER` takes for other piles
models/self-SEED.training   the run while it goes on: images, checkpoints; gone at the end
"""

import contextlib
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sortal import embed
from sortal.data import Found, Source, shown
from sortal.embed.export import check_exporter, exported
from sortal.embed.hog import Hog
from sortal.embed.self_taught import WANT, Levels, SelfTaught, exported_in_grey
from sortal.errors import InputError
from sortal.progress import Progress, counted
from sortal.store import Store
from sortal.train.encoder_folder import load_encoder, save_encoder

if TYPE_CHECKING:
    from sortal.nets import Network

__all__ = ["NAMES", "SelfWish", "has_learned", "kept_encoder", "taught_encoder"]

NAMES = ("self", "self-photos")  # of `train.self_taught.LESSONS`, which loads torch
FEW = 200  # of 100 digits hog has .85 right and self .79, of 300 .89 and .94


@dataclass(frozen=True)
class SelfWish:
    """The pile's own network is asked for. Another seed than that of those it has trains one more."""

    name: str = "self"
    seed: int | None = None


def kept_encoder(store: Store, wish: SelfWish) -> SelfTaught | None:
    """The network that this pile has trained with that seed; for no seed that of its groups, else the newest.

    None where there is none. `DataError` where it is damaged.
    """
    folders = {seed: _folder(store, wish.name, seed) for seed in _seeds(store, wish.name)}
    if wish.seed is not None:
        return _loaded(folders[wish.seed]) if wish.seed in folders else None
    if not folders:
        return None
    found = {seed: _loaded(folder) for seed, folder in folders.items()}
    grouping = store.grouping()
    grouped = {row.digest for row in store.encoders() if grouping and row.id == grouping.encoder}
    of_groups = [encoder for encoder in found.values() if encoder.digest in grouped]
    newest = max(folders, key=lambda seed: folders[seed].stat().st_mtime_ns)
    return of_groups[0] if of_groups else found[newest]


def taught_encoder(
    store: Store,
    sources: Sequence[Source],
    name: str,
    seed: int,
    check: Callable[[int], None],
    progress: Progress,
) -> SelfTaught:
    """Train a network on the images of `sources` and keep it. Killed or stopped, the same call goes on.

    `check` is told the number of files before anything is read. Needs the extra `nets`.
    """
    check_exporter()
    from sortal.train.device import choose_device
    from sortal.train.self_taught import LESSONS, prepared, self_taught

    lesson, folder = LESSONS[name], _folder(store, name, seed)
    run = folder.with_suffix(".training")
    where = choose_device("auto")
    found = [[entry for entry in source.scan() if isinstance(entry, Found)] for source in sources]
    check(sum(map(len, found)))
    if name == "self" and any(map(embed.shows_photographs, sources)):
        progress.say(
            "these look like photographs: self learns shapes, in grey; a network of others sees more"
        )
    if name == "self-photos" and where.device.type == "cpu":
        progress.say("self-photos is made for a GPU: on a CPU it takes weeks")
    progress.say(f"training a network on the pile itself, seed {seed}, once; device: {where}")

    def read() -> np.ndarray:
        levels = Levels(lesson.channels)
        return _different(_pixels(sources, found, levels, lesson.most, seed, progress))

    pixels, neighbors = prepared(lesson, run, read, progress)
    if len(pixels) < FEW:
        progress.say(
            f"{len(pixels)} different images are few to learn from: --encoder hog may group them better"
        )
    net = self_taught(lesson, pixels, neighbors, seed=seed, device=where, folder=run, progress=progress)
    training = {"seed": seed, "images": len(pixels), "device": str(where.device)}
    _keep(net, name, folder, run, training)
    progress.say(f"the network is kept for this pile and others (--encoder {shown(str(folder))})")
    return _loaded(folder)


def has_learned(pile: Path) -> bool:
    """Whether a network was trained in it, or begun: minutes that no error may throw away."""
    return any((pile / "models").glob("self-*"))


def _pixels(
    sources: Sequence[Source],
    found: Sequence[Sequence[Found]],
    levels: Levels,
    most: int,
    seed: int,
    progress: Progress,
) -> np.ndarray:
    """Up to `most` images drawn from all, in their order; what cannot be read is the embedding's to tell."""
    ends = np.cumsum([0, *map(len, found)])
    n = int(ends[-1])
    drawn = np.sort(np.random.default_rng(seed).permutation(n)[:most])
    progress.start("reading", len(drawn))
    rows = [np.empty((0, *levels.shape), np.uint8)]
    for source, entries, start, end in zip(sources, found, ends, ends[1:]):
        mine = [entries[i - start] for i in drawn[(drawn >= start) & (drawn < end)]]
        with contextlib.closing(embed.vectors_of(source, mine, levels)) as chunks:
            for read, vectors, refused in chunks:
                rows.append(vectors.astype(np.uint8).reshape(-1, *levels.shape))
                progress.advance(len(read) + len(refused))
    return np.concatenate(rows)


def _different(pixels: np.ndarray) -> np.ndarray:
    """Of images that are equal the first: a copy is no neighbour that anything could be learned from."""
    first = np.sort(np.unique(pixels.reshape(len(pixels), -1), axis=0, return_index=True)[1])
    if len(first) < 2:
        raise InputError(
            f"the encoder self learns by comparing and needs images that differ; got {len(first)} different "
            f"of {counted(len(pixels), 'image')} that can be read: take --encoder hog."
        )
    return np.asarray(pixels[first])


def _keep(net: "Network", name: str, folder: Path, run: Path, training: dict[str, object]) -> None:
    from sortal.train.network_model import NETWORK_FILE, network_bytes

    path, spec = run / "encoder.onnx", {"training": training}
    if name == "self":
        encoder = SelfTaught(exported_in_grey(net, path), spec | {"beside": Hog.digest})
    else:
        encoder = SelfTaught(exported(net, path, WANT), spec)
    (run / NETWORK_FILE).write_bytes(network_bytes(net))
    save_encoder(
        folder,
        encoder={"name": name, "digest": encoder.digest, "dim": encoder.dim, "spec": encoder.spec},
        card=_card(_SEEN[name], training),
        extra_files={name: run / name for name in ("encoder.onnx", NETWORK_FILE, "curve.csv")},
    )
    shutil.rmtree(run, ignore_errors=True)


def _loaded(folder: Path) -> SelfTaught:
    return SelfTaught(folder / "encoder.onnx", load_encoder(folder).encoder["spec"])


def _folder(store: Store, name: str, seed: int) -> Path:
    return store.path / "models" / f"{name}-{seed}.model"


def _seeds(store: Store, name: str) -> list[int]:
    names = [path.name for path in (store.path / "models").glob(f"{name}-*.model")]
    return sorted(int(found[1]) for one in names if (found := re.fullmatch(rf"{name}-(\d+)\.model", one)))


_SEEN = {
    "self": """An image is to be like its neighbours by oriented gradients, both changed a little in shape.
Images are seen in grey, 32 x 32. A vector is this network's 128 numbers, then hog's 1,024.""",
    "self-photos": """An image is to be like itself, a part of it mirrored and recoloured in two ways.
Images are seen in colour, 32 x 32. A vector is this network's 512 numbers.""",
}


def _card(seen: str, training: dict[str, object]) -> str:
    return f"""# An encoder that a pile taught itself

Trained by Sortal, without names. Images: {training["images"]}. Seed: {training["seed"]}.
Device: {training["device"]}.
{seen}

It knows no names. `sortal organize PILE --encoder FOLDER` groups a pile by what it sees.
It is made for images like those that it learned from: on others it may be worse than hog alone.

`sha256sum -c MANIFEST.sha256` in this folder checks every byte. `curve.csv` says how the training went.
"""
