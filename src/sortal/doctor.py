"""What this installation has: versions, cores, GPU, optional parts, and where data goes."""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from sortal import kernels
from sortal.errors import DataError
from sortal.kernels import n_threads
from sortal.store import Problem, Store
from sortal.train.encoder_folder import load_folder
from sortal.train.manifest import MANIFEST

__all__ = ["check", "diagnose", "warm"]

CORE = (
    "numpy", "scipy", "scikit-learn", "numba", "faiss-cpu", "openTSNE", "onnxruntime", "pillow",
    "safetensors", "click", "rich",
)  # fmt: skip
OPTIONAL = {"fast": "simplejpeg", "parquet": "pyarrow", "plot": "matplotlib", "nets": "torch"}


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
            "compiled loops": _compiled_loops(),
            "temporary": tempfile.gettempdir(),
            "python": sys.executable,
        },
    }


def warm() -> float:
    """Compile every loop that grouping needs, so that no later process waits for it; the seconds it took."""
    import numpy as np

    from sortal import cluster

    start = time.perf_counter()
    rng = np.random.default_rng(0)
    estimators = (
        cluster.KMeans(4, n_init=1), cluster.SphericalKMeans(4, n_init=1), cluster.SoftKMeans(4),
        cluster.FuzzyCMeans(4), cluster.KMedoids(4), cluster.KernelKMeans(4), cluster.DBSCAN(1.0),
        cluster.SharedNeighborClustering(4), cluster.VectorQuantizer(4),
    )  # fmt: skip
    for dtype in (np.float32, np.float64):
        for d in (2, 3, 16, 64, 600):  # each range of dimensions has loops of its own
            x = rng.standard_normal((800, d)).astype(dtype)
            for estimator in estimators:
                estimator.fit(x)
            cluster.KernelKMeans(4).fit(x[:300])  # a matrix that is held has a loop of its own
    return time.perf_counter() - start


def check(path: str) -> list[Problem]:
    """Every byte of a pile or a model folder read and compared with its checksum; what is damaged."""
    if not os.path.exists(os.path.join(path, MANIFEST)):
        with Store.open(path) as store:
            own = sorted(Path(path, "models").glob("*.model"))  # networks that the pile taught itself
            return store.verify() + [one for folder in own for one in _damaged(str(folder))]
    return _damaged(path)


def _damaged(folder: str) -> list[Problem]:
    try:
        load_folder(folder)
    except DataError as e:
        return [Problem(folder, str(e))]
    return []


def _compiled_loops() -> str:
    """Where numba keeps what it has compiled: beside the package, else in the user's cache, else nowhere."""
    beside = Path(kernels.__file__).parent
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    for place in (os.environ.get("NUMBA_CACHE_DIR"), beside, home):
        if place and os.access(place, os.W_OK):
            return str(place)
    return "kept nowhere, no folder can be written: each process compiles anew; set NUMBA_CACHE_DIR"


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
