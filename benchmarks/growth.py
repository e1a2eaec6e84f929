"""How cost grows: seconds and memory with n, with k and d doubled; one thread, fresh processes.

The exponent is the slope of log CPU seconds over log n (memory: of MB), by least squares from the second size
on: the smallest fits are mostly calls and checks. Data are made in the process that fits; memory is the rise
of the peak above them, imported code apart.

    python benchmarks/growth.py                  # all methods, some minutes
    python benchmarks/growth.py dbscan clara
    python benchmarks/growth.py map              # 10,000,000 x 64 from a memory map: 2.6 GB of disk
    python benchmarks/growth.py --summary
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from clustering_data import blobs
from measure import Rise, limited, save, table

Rows = np.ndarray
MAP_ROWS, MAP_COLUMNS, MAP_GROUPS, MAP_ITERATIONS = 10_000_000, 64, 50, 5
MAP_AT_MOST_MB = 1500


@dataclass(frozen=True)
class Method:
    fit: Callable[[Rows, int], object]  # of rows and k
    k: int
    d: int
    sizes: tuple[int, ...]
    doubled_at: int  # the size at which k and d are doubled
    note: str = ""


def kmeans(x: Rows, k: int) -> object:
    from sortal.cluster import KMeans

    return KMeans(k, init=x[:k].copy(), n_init=1, max_iter=20, tol=0).fit(x)


def kmeans_plusplus(x: Rows, k: int) -> object:
    from sortal.cluster import kmeans_plusplus as seeds

    return seeds(x, k, random_state=0)


def dbscan(x: Rows, k: int) -> object:
    """eps shrinks so that a point has about as many neighbours whatever n."""
    from sortal.cluster import DBSCAN

    return DBSCAN(eps=6 / len(x) ** (1 / x.shape[1]), min_samples=10).fit(x)


def clara(x: Rows, k: int) -> object:
    from sortal.cluster import KMedoids

    return KMedoids(k, method="clara", random_state=0).fit(x)


def fuzzy(x: Rows, k: int) -> object:
    from sortal.cluster import FuzzyCMeans

    return FuzzyCMeans(k, init=x[:k].copy(), max_iter=20, tol=0).fit(x)


def kernel(x: Rows, k: int) -> object:
    from sortal.cluster import KernelKMeans

    return KernelKMeans(k, gamma=0.05, n_init=1, max_iter=20, random_state=0).fit(x)


def shared_neighbors(x: Rows, k: int) -> object:
    from sortal.cluster import SharedNeighborClustering

    return SharedNeighborClustering(k, n_init=1, random_state=0).fit(x)


WIDE = (10_000, 100_000, 1_000_000, 10_000_000)
METHODS = {
    "kmeans": Method(kmeans, 20, 16, WIDE, 1_000_000, "20 iterations"),
    "kmeans_plusplus": Method(kmeans_plusplus, 20, 16, WIDE, 1_000_000, "greedy"),
    "dbscan": Method(dbscan, 20, 2, WIDE, 1_000_000, "k is the number of blobs"),
    "clara": Method(clara, 20, 16, WIDE[:3], 100_000),
    "fuzzy": Method(fuzzy, 20, 16, WIDE[:3], 100_000, "20 iterations"),
    "kernel": Method(kernel, 10, 16, (5_000, 10_000, 20_000, 50_000), 10_000, "20 iterations at most"),
    "shared_neighbors": Method(shared_neighbors, 20, 64, (2_000, 10_000, 100_000), 10_000, "one start"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("methods", nargs="*", help=f"of {', '.join(METHODS)}, map; without: all but map")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--most", type=int, default=10_000_000, help="leave out what has more rows")
    parser.add_argument("--summary", action="store_true", help="measure nothing, write the tables anew")
    wishes = parser.parse_args()
    if unknown := set(wishes.methods) - {*METHODS, "map"}:
        parser.error(f"unknown method {sorted(unknown)[0]}; there are {', '.join(METHODS)} and map")
    for name in [] if wishes.summary else wishes.methods or METHODS:
        found = [from_disk()] if name == "map" else grow(name, wishes.rounds, wishes.most)
        _store(found)
        print(page(found), flush=True)
    if wishes.summary:
        _store([])


def _store(rows: list[dict[str, Any]]) -> None:
    save("growth", "How cost grows, one thread", rows, key="key", page=page, packages=("numba",))


def grow(name: str, rounds: int, most: int) -> list[dict[str, Any]]:
    method = METHODS[name]
    here = min(method.doubled_at, most)
    cases = [(n, method.k, method.d) for n in method.sizes if n <= most]
    cases += [(here, 2 * method.k, method.d), (here, method.k, 2 * method.d)]
    return [_case(name, case, rounds) for case in dict.fromkeys(cases)]


def _case(name: str, case: tuple[int, int, int], rounds: int) -> dict[str, Any]:
    runs: list[dict[str, float]] = []
    while len(runs) < rounds and not (runs and runs[0]["cpu_s"] > 20):
        runs.append(_in_turn([name, *case]))
    n, k, d = case
    return {"key": f"{name} {n} {k} {d}", "method": name, "n": n, "k": k, "d": d} | {
        kind: [round(run[kind], 5) for run in runs] for kind in ("cpu_s", "peak_mb")
    }


def _in_turn(request: list[Any], threads: int = 1) -> Any:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", __file__, "--child", json.dumps(request)],
        capture_output=True,
        text=True,
        check=False,
        **limited(threads),
    )
    assert done.returncode == 0, f"{request}: {done.stderr[-2000:]}"
    return json.loads(done.stdout.splitlines()[-1])


# ---- in a process of its own


def child(name: str, *case: int) -> None:
    if name == "map":
        print(json.dumps(_fit_map(Path(str(case[0])))))
        return
    n, k, d = case
    fit = METHODS[name].fit
    x = blobs(n, d, k, 0.5)
    fit(x[:1000], k)  # imports, compiles
    rise, start = Rise(), time.process_time()
    fit(x, k)
    print(json.dumps({"cpu_s": time.process_time() - start, "peak_mb": rise.mb}))


# ---- 10,000,000 rows that stay on disk


def from_disk() -> dict[str, Any]:
    """k-means over a memory map: anonymous memory must stay under 1.5 GB."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rows.npy")
        _write_rows(path)
        found = _in_turn(["map", os.fspath(path)], threads=os.cpu_count() or 1)
    return {"key": "map", "method": "map", "n": MAP_ROWS, "k": MAP_GROUPS, "d": MAP_COLUMNS} | found


def _write_rows(path: Path) -> None:
    rows = np.lib.format.open_memmap(path, "w+", np.float32, (MAP_ROWS, MAP_COLUMNS))
    rng, block = np.random.default_rng(0), 100_000
    centers = rng.standard_normal((MAP_GROUPS, MAP_COLUMNS), dtype=np.float32)
    for at in range(0, MAP_ROWS, block):
        noise = rng.standard_normal((block, MAP_COLUMNS), dtype=np.float32)
        rows[at : at + block] = centers[rng.integers(MAP_GROUPS, size=block)] + noise
    rows.flush()


def _fit_map(path: Path) -> dict[str, Any]:
    from sortal.cluster import KMeans

    rows = np.load(path, mmap_mode="r")
    most, done = [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            most[0] = max(most[0], _anonymous_mb())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    cpu, wall = time.process_time(), time.perf_counter()
    made = KMeans(MAP_GROUPS, n_init=1, max_iter=MAP_ITERATIONS, tol=0, random_state=0).fit(rows)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    done.set()
    watcher.join()
    assert len(made.labels_) == len(rows)
    return {"cpu_s": [round(cpu, 1)], "wall_s": [round(wall, 1)], "anonymous_mb": round(most[0])}


def _anonymous_mb() -> float:
    """Of the whole process, code and imports included; pages of the map are not among it."""
    status = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith("RssAnon")).split()[1]) * 1024 / 1e6


# ---- the tables


def page(rows: list[dict[str, Any]]) -> str:
    parts = []
    names = [name for name in METHODS if any(row["method"] == name for row in rows)]
    if names:
        parts = [
            table([_exponents(name, rows) for name in names]),
            table([_line(row) for name in names for row in rows if row["method"] == name]),
        ]
    parts += [_from_disk(row) for row in rows if row["method"] == "map"]
    return "\n\n".join(parts)


def _from_disk(row: dict[str, Any]) -> str:
    verdict = "reached" if row["anonymous_mb"] < MAP_AT_MOST_MB else "NOT reached"
    return (
        f"From a memory map, {row['n']:,} x {row['d']}, k={row['k']}, {MAP_ITERATIONS} iterations: "
        f"{row['cpu_s'][0]:g} CPU-s, {row['wall_s'][0]:g} s wall on all cores. Anonymous memory at the "
        f"peak, code and all: {row['anonymous_mb']} MB (asked: under {MAP_AT_MOST_MB}; {verdict})."
    )


def _exponents(name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    method = METHODS[name]
    mine = {(row["n"], row["k"], row["d"]): row for row in rows if row["method"] == name}
    along = [row for (_, k, d), row in sorted(mine.items()) if (k, d) == (method.k, method.d)]
    doubled = [row for row in mine.values() if (row["k"], row["d"]) != (method.k, method.d)]
    base = mine.get((doubled[0]["n"], method.k, method.d)) if doubled else None
    line = {
        "method": name,
        "k": method.k,
        "d": method.d,
        "n": f"{along[0]['n']:,} to {along[-1]['n']:,}" if along else None,
        "seconds go with n^": _slope(along, "cpu_s"),
        "memory with n^": _slope(along, "peak_mb"),
    }
    for letter in ("k", "d"):
        twice = next((row for row in doubled if row[letter] == 2 * getattr(method, letter)), None)
        line[f"{letter} doubled, seconds x"] = (
            None
            if twice is None or base is None
            else round(_middle(twice, "cpu_s") / _middle(base, "cpu_s"), 2)
        )
    return line | {"note": method.note or None}


def _slope(rows: list[dict[str, Any]], kind: str) -> float | None:
    points = [(row["n"], _middle(row, kind)) for row in rows[1:] if _middle(row, kind) > 0]
    if len(points) < 2:
        return None
    n, cost = np.log(np.array(points)).T
    return round(float(np.polyfit(n, cost, 1)[0]), 2)


def _line(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "method": row["method"], "n": f"{row['n']:,}", "k": row["k"], "d": row["d"],
        "CPU s": f"{_middle(row, 'cpu_s'):.3g}", "peak above data MB": f"{_middle(row, 'peak_mb'):.0f}",
        "data MB": f"{row['n'] * row['d'] * 4 / 1e6:.0f}",
    }  # fmt: skip


def _middle(row: dict[str, Any], kind: str) -> float:
    return float(np.median(row[kind]))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(*json.loads(sys.argv[2]))
    else:
        main()
