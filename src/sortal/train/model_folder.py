"""How a model folder is put on disk: whole, over an older one, one trainer at a time.

Killed at any moment, whoever reads finds the old model or the new one.
"""

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from sortal.errors import DataError, InputError, StoreError
from sortal.train.manifest import MANIFEST, MAX_BYTES, PLAIN_NAME, manifest_text, read_manifest
from sortal.whole import sha256_of

__all__ = ["LIMITS", "check_target", "kind_of", "standing", "write_folder"]

KINDS = ("head", "net", "encoder")
# Bytes. Read as JSON, a stranger's 8 MiB can become 25 times as many; 10,000 names take 3 MiB.
LIMITS = {"config.json": 1 << 23, "labels.json": 1 << 23, "weights.safetensors": 1 << 30}


def write_folder(folder: Path, files: dict[str, bytes], extra: Mapping[str, Path]) -> None:
    """Put `files` and copies of `extra` with their manifest at `folder`, whole; an older model there goes."""
    for name in extra:
        if not PLAIN_NAME.fullmatch(name) or name in files or name == MANIFEST:
            raise InputError(
                f"extra_files must have plain names of their own; got {name!r}. Choose another name."
            )
    try:
        _check_size(files, extra)
        with _workplace(folder) as work:
            check_target(folder)
            _write(work / "new", files, extra)
            _publish(work, folder)
    except OSError as e:
        raise StoreError(
            f"{folder}: the model cannot be written: {e.strerror or e}; nothing was replaced."
        ) from e


def check_target(folder: Path) -> None:
    """`InputError` unless whatever is at `folder` may go: nothing, an empty folder, a model and no more."""
    if not os.path.lexists(folder):
        return
    if folder.is_symlink() or not folder.is_dir() or (any(folder.iterdir()) and not _is_model(folder)):
        raise InputError(
            f"a model is written to a new folder or over an older model; {folder} is something else. "
            "Choose another path."
        )
    own = {MANIFEST, *read_manifest(folder)} if any(folder.iterdir()) else set()
    for path in sorted(folder.iterdir()):
        if path.name not in own or not stat.S_ISREG(path.lstat().st_mode):
            raise InputError(
                f"a new model replaces the whole folder; {folder} also holds {path.name!r}, which is not the "
                "older model's. Move it out or choose another path."
            )


def kind_of(folder: Path) -> str | None:
    """What the folder's config says it holds, nothing checked; None where it is no config of ours."""
    try:
        with (folder / "config.json").open("rb") as file:
            config = json.loads(file.read(LIMITS["config.json"]))
        return str(config["kind"]) if "format" in config else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def standing(folder: Path) -> tuple[Path, tuple[int, int] | None]:
    """Where the model is now, and which one: between the two renames of `_publish` it is the parked one."""
    parked = _work(folder) / "previous"
    source = folder if os.path.exists(folder) or not os.path.isdir(parked) else parked
    try:
        status = source.stat()
    except OSError:
        return source, None
    return source, (status.st_ino, status.st_mtime_ns)  # the number of a removed folder is soon given again


def _is_model(folder: Path) -> bool:
    """Sortal's own, perhaps with files missing or changed: a readable manifest and a config of ours."""
    try:
        read_manifest(folder)
    except (OSError, DataError):
        return False
    return kind_of(folder) in KINDS


def _check_size(files: dict[str, bytes], extra: Mapping[str, Path]) -> None:
    for name, limit in LIMITS.items():
        if len(files.get(name, b"")) > limit:
            raise InputError(
                f"a model's {name} has at most {limit} bytes; this one would have {len(files[name])}. "
                "Train with fewer names or narrower vectors."
            )
    n_bytes = sum(map(len, files.values())) + sum(path.stat().st_size for path in extra.values())
    if n_bytes > MAX_BYTES:
        raise InputError(
            f"a model has at most {MAX_BYTES} bytes; this one would have {n_bytes}. Take a smaller encoder."
        )


@contextmanager
def _workplace(folder: Path) -> Iterator[Path]:
    """A hidden folder beside `folder`, for one trainer at a time: a second one waits here.

    The lock is the kernel's, freed when its owner dies. What a killed trainer left is put back or removed
    before and after; only `lock`, `new` and `previous` are ever removed.
    """
    import fcntl

    work = _work(folder)
    while True:
        work.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(work / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        except FileNotFoundError:  # whoever had it has just taken the folder away
            continue
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            break
        os.close(descriptor)  # it was removed while we waited: others would not meet us there
    try:
        _restore(work, folder)
        yield work
    finally:
        try:
            _restore(work, folder)
            (work / "lock").unlink()
            with suppress(OSError):  # the next trainer is in there already
                work.rmdir()
        finally:
            os.close(descriptor)


def _restore(work: Path, folder: Path) -> None:
    """Undo or finish a save that did not come to its end."""
    if not os.path.lexists(folder) and (work / "previous").is_dir():
        (work / "previous").rename(folder)
    for name in ("new", "previous"):
        shutil.rmtree(work / name, ignore_errors=True)


def _write(fresh: Path, files: dict[str, bytes], extra: Mapping[str, Path]) -> None:
    """Everything in one new folder, on the disk."""
    fresh.mkdir()
    for name, data in files.items():
        (fresh / name).write_bytes(data)
    for name, source in extra.items():
        shutil.copyfile(source, fresh / name)
    digests = {name: sha256_of(fresh / name) for name in (*files, *extra)}
    (fresh / MANIFEST).write_text(manifest_text(digests), encoding="ascii", newline="\n")
    for name in (*digests, MANIFEST, "."):
        _fsync(fresh / name)


def _publish(work: Path, folder: Path) -> None:
    """Put the new model in the place of `folder`.

    No system renames over a folder with files in it. Between the two renames the old model is the parked
    one, which `load_model` opens where there is no folder.
    """
    if folder.exists():
        folder.rename(work / "previous")
    (work / "new").rename(folder)
    _fsync(folder.parent)


def _work(folder: Path) -> Path:
    name = f".{folder.name}.saving"
    if len(os.fsencode(name)) > 255:  # file systems take no longer one
        name = f".{hashlib.sha256(os.fsencode(folder.name)).hexdigest()}.saving"
    return folder.with_name(name)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
