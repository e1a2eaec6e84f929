"""What this installation has: versions, cores, GPU, optional parts, and where data goes."""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from sortal.errors import DataError
from sortal.kernels import n_threads
from sortal.store import Problem, Store
from sortal.train import load_model
from sortal.train.manifest import MANIFEST

__all__ = ["check", "diagnose"]

CORE = (
    "numpy", "scipy", "scikit-learn", "faiss-cpu", "openTSNE", "onnxruntime", "pillow", "safetensors",
    "click", "rich",
)  # fmt: skip
OPTIONAL = {"fast": "simplejpeg", "parquet": "pyarrow", "nets": "torch"}


def diagnose() -> dict[str, dict[str, Any]]:
    """Sections of plain values; nothing heavy is imported and nothing is asked of any network."""
    return {
        "versions": {
            "sortal": version("sortal"),
            "python": platform.python_version(),
            "system": platform.platform(),
        }
        | {name: _version(name) for name in CORE},
        "machine": {"cores": os.cpu_count(), "threads used": n_threads(), "gpu": _gpu()},
        "optional": {extra: _optional(extra, package) for extra, package in OPTIONAL.items()},
        "data": {
            "piles": "beside what they are made from, or where --into says",
            "caches": "none: nothing is downloaded and nothing is compiled",
            "temporary": tempfile.gettempdir(),
            "python": sys.executable,
        },
    }


def check(path: str) -> list[Problem]:
    """Every byte of a pile or a model folder read and compared with its checksum; what is damaged."""
    if not os.path.exists(os.path.join(path, MANIFEST)):
        with Store.open(path) as store:
            return store.verify()
    try:
        load_model(path)
    except DataError as e:
        return [Problem(path, str(e))]
    return []


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _optional(extra: str, package: str) -> str:
    found = _version(package)
    return f"{package} {found}" if found else f'absent: pip install "sortal[{extra}]"'


def _gpu() -> str | None:
    """What nvidia-smi lists; None where there is no such program or no card."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    try:
        found = subprocess.run([program, "-L"], capture_output=True, text=True, timeout=5, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip().splitlines()[0] if found.stdout.strip() else None
