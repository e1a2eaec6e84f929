"""The model folder: everything needed to predict, and nothing that can run by itself.

config.json      format, kind, builder and arguments, input, encoder, labels, report, versions
weights.safetensors  the head
labels.json      the labels alone, for other programs
CARD.md          for people
MANIFEST.sha256  covers all of them; `sha256sum -c MANIFEST.sha256`
...              further files by name, such as encoder.onnx

Of kind "net" the head is that of a network that was trained: network.safetensors has its weights, its builder
is one of sortal.nets, and encoder.onnx is its body, so that predicting needs no torch. Of kind "encoder" it
has no head and knows no names: encoder_folder.py.
"""

import hashlib
import json
import math
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from sortal.errors import DataError, InputError, StoreError
from sortal.store import checked_name
from sortal.train.beside import Beside
from sortal.train.builders import BUILDERS, linear_arguments, linear_tensors
from sortal.train.card import write_card
from sortal.train.head import Head
from sortal.train.manifest import (
    MANIFEST,
    MAX_BYTES,
    PLAIN_NAME,
    manifest_text,
    read_manifest,
    read_verified,
)
from sortal.train.report import HeadReport
from sortal.whole import sha256_of

__all__ = ["FORMAT", "Model", "check_target", "kind_of", "load_model", "save_model", "write_folder"]

FORMAT = 1
KINDS = ("head", "net", "task", "encoder")
# Bytes. Read as JSON, a stranger's 8 MiB can become 25 times as many; 10,000 names take 3 MiB.
LIMITS = {"config.json": 1 << 23, "labels.json": 1 << 23, "weights.safetensors": 1 << 30}


@dataclass(frozen=True)
class Model:
    """A model folder that passed every check."""

    folder: Path
    config: dict[str, Any]
    head: Head

    @property
    def encoder(self) -> dict[str, Any]:
        """Name, digest, dim and what else the encoder needs to be made again."""
        return dict(self.config["encoder"])

    @property
    def input(self) -> dict[str, Any]:
        """Kind, size, crop, resampling and normalisation that the encoder wants."""
        return dict(self.config["input"])

    @property
    def beside(self) -> Beside | None:
        """How its network stood beside a plain head; None where that was not measured."""
        found = self.config["builder"].get("training", {}).get("beside")
        return None if found is None else Beside.from_json(found)


def save_model(
    folder: str | os.PathLike[str],
    head: Head,
    *,
    encoder: Mapping[str, Any],
    input: Mapping[str, Any],
    trained_on: str,
    n_named_by_group: int = 0,
    extra_files: Mapping[str, Path] | None = None,
    network: Mapping[str, Any] | None = None,
) -> Path:
    """Write the model folder and return its path; an older Sortal model there is replaced whole.

    Killed at any moment, `load_model` finds the old model or the new one. Of two at once the second waits.
    `encoder` and `input` go into config.json as they are (`encoder` has at least name, digest and dim).
    `network` makes it of kind "net": name and arguments of its builder, and how it was trained.
    `InputError`: the path holds something that is no Sortal model or not its own, an extra file has no plain
    name, the model is larger than `load_model` reads. `StoreError`: the disk refuses.
    """
    folder = Path(os.path.abspath(folder))
    config = _config(head, encoder, input, network)
    card = write_card(head.report, config, trained_on, n_named_by_group)
    files = {
        "config.json": _json(config),
        "labels.json": _json(list(head.labels)),
        "weights.safetensors": safetensors.numpy.save(linear_tensors(head)),
        "CARD.md": card.encode("utf-8", "replace"),
    }
    write_folder(folder, files, extra_files or {})
    return folder


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


def load_model(folder: str | os.PathLike[str]) -> Model:
    """The model in `folder`, after every byte, shape and number has been checked; needs no pile.

    `InputError` where there is no folder, `DataError` (one line, naming the file) for anything wrong inside.
    """
    folder = Path(os.path.abspath(folder))
    while True:
        seen = _standing(folder)
        try:
            return _load(folder, seen[0])
        except (InputError, DataError):
            if _standing(folder) == seen:  # else a new model took its place while it was read
                raise


def _load(folder: Path, source: Path) -> Model:
    if not os.path.isdir(source):
        raise InputError(
            f"a model is a folder made by `sortal train`; {folder} is not a folder. Check the path."
        )
    if not (source / MANIFEST).exists():
        raise DataError(f"{folder}: a model folder holds {MANIFEST}, this one does not; check the path.")
    if kind_of(source) == "encoder":
        raise DataError(
            f"{folder}: it holds an encoder, which knows no names: group a pile with it (sortal organize "
            f"PILE --encoder {folder.name}), name the groups, train."
        )
    contents = read_verified(source, LIMITS)
    config = _parse_json(folder, "config.json", contents["config.json"])
    try:
        labels = _check_config(folder, config, _parse_json(folder, "labels.json", contents["labels.json"]))
        builder, arguments = BUILDERS[_head(config)["name"]], _head(config)["arguments"]
        tensors = _tensors(folder, contents["weights.safetensors"], builder.shapes(arguments))
        head = builder.build(arguments, tensors, labels, HeadReport.from_json(config["report"]))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as e:
        what = f"{type(e).__name__} {e}".replace("\n", " ")[:200]
        raise DataError(f"{folder}: config.json does not describe a model: {what}; train again.") from e
    return Model(source, config, head)


def _config(
    head: Head, encoder: Mapping[str, Any], wanted: Mapping[str, Any], network: Mapping[str, Any] | None
) -> dict[str, Any]:
    if encoder.get("dim") != head.dim:
        raise InputError(f"encoder must have the dim of the head, {head.dim}; got {encoder.get('dim')!r}.")
    packages = ("sortal", "numpy", "scikit-learn", "safetensors", *(("torch",) if network else ()))
    linear = {"name": "linear", "arguments": linear_arguments(head)}
    built = (
        {"kind": "net", "builder": dict(network), "head": linear}
        if network
        else {"kind": "head", "builder": linear}
    )
    return {
        "format": FORMAT,
        **built,
        "input": dict(wanted),
        "encoder": dict(encoder),
        "labels": list(head.labels),
        "report": head.report.to_json(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {package: version(package) for package in packages},
    }


def _head(config: Mapping[str, Any]) -> dict[str, Any]:
    """Name and arguments of the head's builder: the whole model, or the last layer of a network."""
    found: dict[str, Any] = config["head" if config["kind"] == "net" else "builder"]
    return found


def _check_config(folder: Path, config: Any, labels: Any) -> tuple[str, ...]:
    """The labels of a config whose format, kind and builder we know."""
    found = config["format"]
    if type(found) is int and found > FORMAT:
        raise DataError(
            f"{folder}: the model has format {found}, this Sortal reads up to {FORMAT}; update Sortal."
        )
    if found != FORMAT or type(found) is not int:
        raise DataError(f"{folder}: config.json names format {found!r}; Sortal reads {FORMAT}. Train again.")
    kind, name = config["kind"], _head(config)["name"]
    known = ", ".join(f"{builder.kind} by {key}" for key, builder in BUILDERS.items())
    if kind not in ("head", "net") or name not in BUILDERS or BUILDERS[name].kind != "head":
        raise DataError(
            f"{folder}: config.json asks for {str(kind)[:40]!r} built by {str(name)[:40]!r}; "
            f"this Sortal builds {known}. Update Sortal."
        )
    if labels != config["labels"]:
        raise DataError(f"{folder}: labels.json and config.json must hold the same labels; train again.")
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise ValueError("labels must be a list of texts")
    if any(checked_name(label) != label for label in labels):
        raise ValueError("labels must be without space around them and in Unicode form NFC")
    if len(labels) < 2 or len(set(labels)) != len(labels):
        raise ValueError("labels must be at least two different texts")
    if config["encoder"]["dim"] != _head(config)["arguments"]["dim"] or not isinstance(config["input"], dict):
        raise ValueError("encoder, input and builder must agree")
    return tuple(labels)


def _tensors(folder: Path, data: bytes, shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    try:
        tensors: dict[str, np.ndarray] = safetensors.numpy.load(data)
    except (SafetensorError, ValueError, KeyError, TypeError) as e:
        raise DataError(f"{folder}: weights.safetensors cannot be read: {str(e)[:200]}; train again.") from e
    found = {name: tensor.shape for name, tensor in tensors.items()}
    if found != shapes or any(tensor.dtype != np.float32 for tensor in tensors.values()):
        raise DataError(
            f"{folder}: weights.safetensors must hold the float32 tensors that config.json describes, "
            f"{shapes}; it holds {str(found)[:300]}. Train again."
        )
    for name, tensor in tensors.items():
        if not np.isfinite(tensor).all():
            raise DataError(f"{folder}: weights.safetensors: {name} holds NaN or infinity; train again.")
    return tensors


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=True, allow_nan=False) + "\n").encode("ascii")


def _parse_json(folder: Path, name: str, data: bytes) -> Any:
    def finite(text: str) -> float:
        if not math.isfinite(number := float(text)):
            raise ValueError(f"{text[:20]} is no finite number")
        return number

    try:
        return json.loads(data, parse_float=finite, parse_constant=finite)
    except (ValueError, RecursionError) as e:
        raise DataError(
            f"{folder}: {name} is not JSON that Sortal writes: {str(e)[:200]}; train again."
        ) from e


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


def _is_model(folder: Path) -> bool:
    """Sortal's own, perhaps with files missing or changed: a readable manifest and a config of ours."""
    try:
        read_manifest(folder)
    except (OSError, DataError):
        return False
    return kind_of(folder) in KINDS


def kind_of(folder: Path) -> str | None:
    """What the folder's config says it holds, nothing checked; None where it is no config of ours."""
    try:
        with (folder / "config.json").open("rb") as file:
            config = json.loads(file.read(LIMITS["config.json"]))
        return str(config["kind"]) if "format" in config else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _standing(folder: Path) -> tuple[Path, tuple[int, int] | None]:
    """Where the model is now, and which one: between the two renames of `_publish` it is the parked one."""
    parked = _work(folder) / "previous"
    source = folder if os.path.exists(folder) or not os.path.isdir(parked) else parked
    try:
        status = source.stat()
    except OSError:
        return source, None
    return source, (status.st_ino, status.st_mtime_ns)  # the number of a removed folder is soon given again


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
