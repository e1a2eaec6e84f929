"""What every benchmark needs: where the data lies, what machine this is, a process of its own to measure.

A claim is measured in a child process, so that its memory and CPU time are nobody else's.
"""

import ctypes
import importlib
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

# Over about 0.5, others used the cores too: wall times then say little, CPU times and memory still do.
_LOAD_BEFORE = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
PACKAGES = ("numpy", "scipy", "scikit-learn", "onnxruntime", "pillow", "simplejpeg", "faiss-cpu")


def data_folder() -> Path:
    """The real data: SORTAL_DATA, or `shared/data` beside the repository."""
    folder = Path(os.environ.get("SORTAL_DATA", HERE.parent.parent / "shared" / "data"))
    if not folder.is_dir():
        sys.exit(f"{folder}: the benchmarks need real data; set SORTAL_DATA to a folder that holds it.")
    return folder.resolve()


def machine(packages: Sequence[str] = ()) -> dict[str, Any]:
    """Hardware and versions, those of `packages` too, in words that say enough and no more."""
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    vector = next((name for flag, name in (("avx2", "AVX2"), ("neon", "NEON")) if flag in flags), "")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "date": date.today().isoformat(),
        "cores": cores,
        "cpu": f"{platform.machine()} {vector}".strip(),
        "system": platform.system(),
        "load before": round(_LOAD_BEFORE, 1),
        "python": platform.python_version(),
        **{name: _version(name) for name in (*PACKAGES, *packages)},
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


def peak_mb() -> float:
    """The most memory this process has had resident, in MB (1e6 bytes)."""
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss may be that of the parent before exec
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def resident_mb() -> float:
    """The memory resident now, in MB; Linux only."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


class Rise:
    """How far the resident memory has risen above what it was when this was made; Linux and glibc only."""

    def __init__(self) -> None:
        ctypes.CDLL(None).malloc_trim(0)  # what a warm-up left behind would hide as much of the fit
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        self._before = resident_mb()

    @property
    def mb(self) -> float:
        return max(0.0, peak_mb() - self._before)


def limited(threads: int) -> dict[str, Any]:
    """What `subprocess` needs so that a child uses `threads` threads, whatever library it loads.

    Environment variables bind OpenMP, BLAS and torch; those that only count cores (TBB in
    scikit-learn-intelex, the pool in `dbscan`) see as many as `threads`. Bytecode is kept, as an installation
    keeps it: compiling ours anew would add a twentieth to `import sortal.cluster`.
    """
    libraries = ("OMP", "OPENBLAS", "MKL", "NUMBA", "NUMEXPR")
    cores = set(sorted(os.sched_getaffinity(0))[-threads:])  # the first serves the interrupts
    return {
        "env": os.environ
        | {f"{one}_NUM_THREADS": str(threads) for one in libraries}
        | {"PYTHONDONTWRITEBYTECODE": ""},
        "preexec_fn": lambda: os.sched_setaffinity(0, cores),
    }


def outside(command: list[str], threads: int, variables: dict[str, str]) -> dict[str, float] | None:
    """CPU and wall seconds and peak memory of a whole process; None where it fails for want of a module."""
    limits = limited(threads)
    limits["env"] |= variables
    start = time.perf_counter()
    with tempfile.TemporaryFile("w+") as words:
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=words, **limits)
        _, status, used = os.wait4(child.pid, 0)
        wall_s = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        words.seek(0)
        said = words.read()
    if child.returncode and "ModuleNotFoundError" in said:
        return None
    assert child.returncode == 0, f"{command}: {said[-2000:]}"
    return {"cpu_s": used.ru_utime + used.ru_stime, "wall_s": wall_s, "peak_mb": used.ru_maxrss * 1024 / 1e6}


class Clock:
    """Wall and CPU seconds (of all threads) since it was made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    @property
    def wall_s(self) -> float:
        return time.perf_counter() - self._wall

    @property
    def cpu_s(self) -> float:
        return time.process_time() - self._cpu


def in_child(function: Callable[..., dict[str, Any]], *args: Any) -> dict[str, Any]:
    """`function(*args)` in a fresh interpreter; what it returns, with the whole process's wall, CPU and peak.

    The function must live at the top of the benchmark's file; arguments and answer travel as JSON.
    """
    script = Path(sys.modules[function.__module__].__file__ or "").resolve()
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        request = json.dumps([str(script), function.__name__, args, str(answer)])
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        start = time.perf_counter()
        subprocess.run([sys.executable, __file__, request], check=True)
        wall_s = time.perf_counter() - start
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        found: dict[str, Any] = json.loads(answer.read_text())
    return found | {"process_wall_s": round(wall_s, 3), "process_cpu_s": round(cpu_s, 3)}


def _child(script: str, name: str, args: list[Any], answer: str) -> None:
    sys.path.insert(0, str(Path(script).parent))
    found = getattr(importlib.import_module(Path(script).stem), name)(*args)
    Path(answer).write_text(json.dumps(found | {"peak_mb": round(peak_mb(), 1)}))


def extract(archive: Path, into: Path, wanted: Callable[[int, str], bool] = lambda i, name: True) -> Path:
    """The files of a zip for which `wanted(position in sorted order, name)`, below `into`."""
    with zipfile.ZipFile(archive) as zipped:
        names = sorted(name for name in zipped.namelist() if not name.endswith("/"))
        for name in (name for i, name in enumerate(names) if wanted(i, name)):
            zipped.extract(name, into)
    return into


Page = Callable[[list[dict[str, Any]]], str]


def save(
    name: str,
    claim: str,
    rows: list[dict[str, Any]],
    *,
    key: str,
    page: Page | None = None,
    packages: Sequence[str] = (),
) -> None:
    """Write NAME.json and NAME.md; rows of earlier runs stay unless one has the same `key`.

    `page` makes of all rows what the reader sees; without it they are one table.
    """
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    before = json.loads(path.read_text())["rows"] if path.exists() else []
    command = " ".join(["python", f"benchmarks/{name}.py", *sys.argv[1:]])
    fresh = [row | {"command": command, "machine": machine(packages)} for row in rows]
    taken = {row[key] for row in fresh}
    merged = [row for row in before if row[key] not in taken] + fresh
    path.write_text(json.dumps({"claim": claim, "rows": merged}, indent=1) + "\n")
    (RESULTS / f"{name}.md").write_text(_markdown(claim, merged, page or table))
    if page is None:
        print(f"\n{claim}\n\n{table(merged)}\n\n{json.dumps(machine(packages))}\nwritten: {path}")


def _markdown(claim: str, rows: list[dict[str, Any]], page: Page) -> str:
    made = sorted({json.dumps(row["machine"]) for row in rows})
    commands = sorted({row["command"] for row in rows})
    lines = [claim, "", page(rows), ""]
    lines += [
        f"Machine and versions: {', '.join(f'{k} {v}' for k, v in json.loads(one).items())}" for one in made
    ]
    return "\n".join([*lines, "", "Commands: " + "; ".join(f"`{one}`" for one in commands)]) + "\n"


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown; columns in the order in which rows first have them."""
    columns = [
        key for key in dict.fromkeys(k for row in rows for k in row) if key not in ("command", "machine")
    ]
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return "\n".join(lines + ["| " + " | ".join(_cell(row.get(c)) for c in columns) + " |" for row in rows])


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(_cell(one) for one in value)
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def spread(values: list[float]) -> list[float]:
    """Median, least and most: what a reader needs to judge a difference."""
    return [round(float(x), 4) for x in (np.median(values), min(values), max(values))]


if __name__ == "__main__":
    _child(*json.loads(sys.argv[1]))
