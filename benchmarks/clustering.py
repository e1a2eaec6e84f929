"""Every clusterer beside its peers: same data, same start, equal answers first, then time and memory.

Each contender runs in a process of its own, round after round in turn, so that a noisy minute hits all of
them. CPU and wall seconds are of the fit alone; memory is the rise of the peak above the loaded data,
imported and compiled code apart (each contender runs once on a few rows before). The ratio is the best peer's
CPU seconds by ours.

    python benchmarks/clustering.py                        # all rows on one thread
    python benchmarks/clustering.py lloyd-plane dbscan-plane --threads 2 --rounds 5

Peers are taken where they are installed: pip install scikit-learn-intelex fastkmeans kmedoids dbscan tslearn
scikit-fuzzy
"""

import argparse
import gzip
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from measure import data_folder, resident_mb, save

Data = dict[str, np.ndarray]
Answer = dict[str, np.ndarray]


# ---- the data


def blobs(n: int, d: int, k: int, spread: float) -> Data:
    rng = np.random.default_rng(0)
    centers = rng.standard_normal((k, d)).astype(np.float32)
    x = centers[rng.integers(k, size=n)] + np.float32(spread) * rng.standard_normal((n, d), dtype=np.float32)
    return {"x": x, "start": x[rng.choice(n, k, replace=False)].copy()}


def mnist(k: int) -> Data:
    packed = gzip.decompress((data_folder() / "mnist" / "train-images-idx3-ubyte.gz").read_bytes())
    x = np.frombuffer(packed, np.uint8, offset=16).reshape(-1, 784).astype(np.float32)
    return {"x": x, "start": x[np.random.default_rng(0).choice(len(x), k, replace=False)].copy()}


def plane(n: int, d: int) -> Data:
    """Clusters of several densities and a tenth of noise."""
    rng = np.random.default_rng(0)
    centers = rng.uniform(0, 100, (50, d))
    width = rng.uniform(0.5, 2.0, 50)
    which = rng.integers(50, size=n - n // 10)
    points = centers[which] + width[which, None] * rng.standard_normal((len(which), d))
    return {"x": np.concatenate([points, rng.uniform(0, 100, (n // 10, d))])}


def uniform(n: int, d: int) -> Data:
    return {"x": np.random.default_rng(0).uniform(0, 1, (n, d))}


def distances(n: int) -> Data:
    from scipy.spatial.distance import cdist

    x = np.random.default_rng(0).standard_normal((n, 16))
    return {"x": cdist(x, x).astype(np.float32)}


# ---- the contenders: data and settings in, an answer out


def _iterations(data: Data) -> int:
    return int(data["iterations"]) if "iterations" in data else 20


def lloyd_sortal(data: Data) -> Answer:
    from sortal.cluster import kmeans

    found = kmeans(data["x"], data["start"], max_iter=_iterations(data), tol=0)
    return {"loss": np.array(found.inertia), "iterations": np.array(found.n_iter)}


def lloyd_sklearn(data: Data, module: str = "sklearn.cluster") -> Answer:
    made = importlib.import_module(module).KMeans(
        len(data["start"]), init=data["start"], n_init=1, max_iter=_iterations(data), tol=0
    )
    made.fit(data["x"])
    return {"loss": np.array(made.inertia_), "iterations": np.array(made.n_iter_)}


def lloyd_intelex(data: Data) -> Answer:
    return lloyd_sklearn(data, "sklearnex.cluster")


def lloyd_faiss(data: Data) -> Answer:
    import faiss

    k, d = data["start"].shape
    made = faiss.Kmeans(
        d, k, niter=_iterations(data), max_points_per_centroid=len(data["x"]), min_points_per_centroid=1
    )
    made.train(data["x"], init_centroids=data["start"])
    return {"loss": np.array(made.index.search(data["x"], 1)[0].sum(dtype=np.float64))}


def seed_sortal(data: Data) -> Answer:
    from sortal.cluster import kmeans_plusplus

    trials = int(data["trials"]) or None
    found = kmeans_plusplus(data["x"], int(data["k"]), random_state=0, n_local_trials=trials)[0]
    return {"loss": _potential(data["x"], found)}


def seed_sklearn(data: Data) -> Answer:
    from sklearn.cluster import kmeans_plusplus

    trials = int(data["trials"]) or None
    found = kmeans_plusplus(data["x"], int(data["k"]), random_state=0, n_local_trials=trials)[0]
    return {"loss": _potential(data["x"], found)}


def _potential(x: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """On a tenth of the points: it stands for all, and costs little of what is timed."""
    from sklearn.metrics import pairwise_distances_argmin_min

    some = x[::100]
    return np.array((pairwise_distances_argmin_min(some, centers)[1] ** 2).sum())


def medoids_sortal(data: Data) -> Answer:
    from sortal.cluster import KMedoids

    made = KMedoids(int(data["k"]), metric="precomputed", init="random", max_iter=100, random_state=0)
    made.fit(data["x"])
    return {"loss": np.array(made.inertia_)}


def medoids_rust(data: Data) -> Answer:
    import kmedoids

    start = np.random.default_rng(0).choice(len(data["x"]), int(data["k"]), replace=False).astype(np.uint64)
    found = kmedoids.fasterpam(data["x"], start, max_iter=100, random_state=0, n_cpu=1)
    return {"loss": np.array(float(found.loss))}


def _density(estimator: Any, data: Data) -> Answer:
    made = estimator(eps=float(data["eps"]), min_samples=int(data["min_samples"]))
    return {"labels": made.fit_predict(data["x"])}


def dbscan_sortal(data: Data) -> Answer:
    from sortal.cluster import DBSCAN

    return {
        "labels": DBSCAN(eps=float(data["eps"]), min_samples=int(data["min_samples"])).fit_predict(data["x"])
    }


def dbscan_sklearn(data: Data) -> Answer:
    from sklearn.cluster import DBSCAN

    return {
        "labels": DBSCAN(eps=float(data["eps"]), min_samples=int(data["min_samples"])).fit_predict(data["x"])
    }


def dbscan_intelex(data: Data) -> Answer:
    from sklearnex.cluster import DBSCAN

    return {
        "labels": DBSCAN(eps=float(data["eps"]), min_samples=int(data["min_samples"])).fit_predict(data["x"])
    }


def dbscan_wang(data: Data) -> Answer:
    import dbscan

    labels, _ = dbscan.DBSCAN(data["x"], eps=float(data["eps"]), min_samples=int(data["min_samples"]))
    return {"partition": labels}


def fuzzy_sortal(data: Data) -> Answer:
    from sortal.cluster import FuzzyCMeans

    made = FuzzyCMeans(len(data["start"]), init=data["start"], max_iter=20, tol=0.0).fit(data["x"])
    return {"centers": np.asarray(made.cluster_centers_)}


def fuzzy_skfuzzy(data: Data) -> Answer:
    from skfuzzy import cmeans

    x, start = data["x"].astype(np.float64), data["start"].astype(np.float64)
    squared = ((x[:, None] - start) ** 2).sum(axis=2).clip(1e-12)
    first = (1 / squared) / (1 / squared).sum(axis=1, keepdims=True)
    centers = cmeans(x.T, len(start), 2.0, error=0.0, maxiter=20, init=first.T)[0]
    return {"centers": centers}


def predict_sortal(data: Data) -> Answer:
    from sortal.kernels import nearest_center

    return {"labels": nearest_center(data["x"], data["start"])[0]}


def predict_sklearn(data: Data) -> Answer:
    from sklearn.metrics import pairwise_distances_argmin

    return {"labels": pairwise_distances_argmin(data["x"], data["start"]).astype(np.int32)}


def predict_faiss(data: Data) -> Answer:
    import faiss

    index = faiss.IndexFlatL2(data["start"].shape[1])
    index.add(data["start"])
    return {"labels": index.search(data["x"], 1)[1].ravel().astype(np.int32)}


# ---- whether two answers are the same


def same_loss(ours: Answer, theirs: Answer) -> None:
    """To 1e-3: from the same start two float32 programs part ways over many iterations."""
    np.testing.assert_allclose(ours["loss"], theirs["loss"], rtol=1e-3)


def near_loss(ours: Answer, theirs: Answer) -> None:
    """To 5 %: other random numbers, so another draw of the same distribution."""
    np.testing.assert_allclose(ours["loss"], theirs["loss"], rtol=0.05)


def same_labels(ours: Answer, theirs: Answer) -> None:
    if "labels" in theirs:
        differ = np.mean(ours["labels"] != theirs["labels"])
        assert differ <= 1e-4, (
            f"{differ:.2%} of the labels differ"
        )  # faiss and scikit-learn round ties otherwise
        return
    from sklearn.metrics import adjusted_rand_score

    assert adjusted_rand_score(ours["labels"], theirs["partition"]) > 0.999


def same_centers(ours: Answer, theirs: Answer) -> None:
    np.testing.assert_allclose(ours["centers"], theirs["centers"], atol=2e-2)


# ---- the rows


@dataclass(frozen=True)
class Row:
    make: Callable[[], Data]
    contenders: tuple[str, ...]  # ours first
    same: Callable[[Answer, Answer], None]
    goal: dict[str, float]  # peer -> at least this ratio; "best" for the best of all


LLOYD = ("lloyd_sortal", "lloyd_sklearn", "lloyd_faiss", "lloyd_intelex")
PREDICT = ("predict_sortal", "predict_sklearn", "predict_faiss")


def _with(data: Data, **numbers: float) -> Data:
    return data | {name: np.array(value) for name, value in numbers.items()}


SEEDING, MEDOIDS = ("seed_sortal", "seed_sklearn"), ("medoids_sortal", "medoids_rust")
DBSCAN = ("dbscan_sortal", "dbscan_sklearn", "dbscan_wang")


def apart(spread: float) -> Data:
    return _with(blobs(200_000, 64, 100, spread), iterations=100)


def seeds(trials: int) -> Data:
    return _with(blobs(500_000, 64, 1000, 0.5), k=1000, trials=trials)


def density(data: Data, eps: float) -> Data:
    return _with(data, eps=eps, min_samples=10)


ROWS = {
    "lloyd-separated": Row(lambda: apart(0.3), LLOYD, same_loss, {"best": 4}),
    "lloyd-overlapping": Row(lambda: apart(2.0), LLOYD, same_loss, {"best": 1.5}),
    "lloyd-many": Row(
        lambda: blobs(1_000_000, 16, 256, 0.5), LLOYD, same_loss, {"lloyd_faiss": 1.6, "lloyd_sklearn": 3}
    ),
    "lloyd-wide": Row(
        lambda: _with(blobs(100_000, 512, 1000, 1.0), iterations=10), LLOYD, same_loss, {"best": 1.1}
    ),
    "lloyd-plane": Row(
        lambda: _with(blobs(1_000_000, 2, 50, 0.3), iterations=50), LLOYD, same_loss, {"best": 7}
    ),
    "mnist-10": Row(lambda: mnist(10), LLOYD, same_loss, {"best": 1.2}),
    "mnist-256": Row(lambda: mnist(256), LLOYD, same_loss, {"best": 1.2}),
    "seeding-one-trial": Row(lambda: seeds(1), SEEDING, near_loss, {"best": 20}),
    "seeding-greedy": Row(lambda: seeds(0), SEEDING, near_loss, {"best": 5}),
    "medoids-10": Row(lambda: _with(distances(10_000), k=10), MEDOIDS, near_loss, {"best": 4}),
    "medoids-100": Row(lambda: _with(distances(10_000), k=100), MEDOIDS, near_loss, {"best": 5}),
    "dbscan-plane": Row(
        lambda: density(plane(1_000_000, 2), 0.1),
        DBSCAN,
        same_labels,
        {"dbscan_wang": 4, "dbscan_sklearn": 25},
    ),
    "dbscan-space": Row(
        lambda: density(plane(500_000, 3), 0.5), DBSCAN, same_labels, {"dbscan_wang": 5, "dbscan_sklearn": 25}
    ),
    "dbscan-middle": Row(lambda: density(plane(100_000, 16), 3.0), DBSCAN[:2], same_labels, {"best": 10}),
    "dbscan-unclustered": Row(
        lambda: density(uniform(50_000, 16), 0.6), DBSCAN[:2], same_labels, {"best": 2}
    ),
    "fuzzy": Row(
        lambda: blobs(100_000, 16, 20, 0.5), ("fuzzy_sortal", "fuzzy_skfuzzy"), same_centers, {"best": 5}
    ),
    "predict": Row(lambda: blobs(1_000_000, 64, 1000, 0.5), PREDICT, same_labels, {"best": 1.2}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", help=f"of {', '.join(ROWS)}; without: all")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    wishes = parser.parse_args()
    if unknown := set(wishes.rows) - set(ROWS):
        parser.error(f"unknown row {sorted(unknown)[0]}; the rows are {', '.join(ROWS)}")
    for name in wishes.rows or ROWS:
        with tempfile.TemporaryDirectory() as folder:
            rows = measure(name, Path(folder), wishes.threads, wishes.rounds)
        save("clustering", "Clusterers beside their peers", rows, key="row and contender")


def measure(name: str, folder: Path, threads: int, rounds: int) -> list[dict[str, Any]]:
    row = ROWS[name]
    np.savez(folder / "data.npz", **row.make())
    runs: dict[str, list[dict[str, Any]]] = {one: [] for one in row.contenders}
    for turn in range(rounds):
        for one in row.contenders:
            found = run(name, one, folder, threads)
            if found is not None:
                runs[one].append(found)
        if turn == 0:
            check(name, row, folder, runs)
    return table(name, row, runs, threads)


def run(name: str, contender: str, folder: Path, threads: int) -> dict[str, Any] | None:
    """One fit in a process of its own; None where the peer is not installed."""
    limits = {f"{library}_NUM_THREADS": str(threads) for library in ("OMP", "OPENBLAS", "MKL", "NUMBA")}
    request = json.dumps([contender, str(folder)])
    child = subprocess.run(
        [sys.executable, __file__, "--child", request],
        env=os.environ | limits,
        capture_output=True,
        text=True,
        check=False,
    )
    if child.returncode == 3:
        return None
    assert child.returncode == 0, f"{name} {contender}: {child.stderr[-2000:]}"
    found: dict[str, Any] = json.loads(child.stdout.splitlines()[-1])
    return found


def check(name: str, row: Row, folder: Path, runs: dict[str, list[dict[str, Any]]]) -> None:
    answers = {one: dict(np.load(folder / f"{one}.npz")) for one in row.contenders if runs[one]}
    for one in row.contenders[1:]:
        if one in answers:
            try:
                row.same(answers[row.contenders[0]], answers[one])
            except AssertionError as e:
                sys.exit(f"{name}: {row.contenders[0]} and {one} do not agree: {e}")


def table(name: str, row: Row, runs: dict[str, list[dict[str, Any]]], threads: int) -> list[dict[str, Any]]:
    cpu = {one: float(np.median([r["cpu_s"] for r in each])) for one, each in runs.items() if each}
    ours = row.contenders[0]
    best = min(value for one, value in cpu.items() if one != ours)
    rows = []
    for one, seconds in cpu.items():
        goal = None if one == ours else row.goal.get(one, row.goal.get("best") if seconds == best else None)
        ratio = seconds / cpu[ours]
        rows.append({
            "row and contender": f"{name} {one.split('_', 1)[1]} {threads} thread{'s' * (threads > 1)}",
            "CPU s (median, least, most)": _spread([r["cpu_s"] for r in runs[one]]),
            "wall s": round(float(np.median([r["wall_s"] for r in runs[one]])), 3),
            "peak above data MB": round(float(np.median([r["peak_mb"] for r in runs[one]]))),
            "their CPU / ours": None if one == ours else round(ratio, 2),
            "at least": goal,
            "reached": None if goal is None else bool(ratio >= goal),
        })  # fmt: skip
    return rows


def _spread(values: list[float]) -> str:
    return f"{np.median(values):.3g} {min(values):.3g} {max(values):.3g}"


# ---- in a process of its own


def child(contender: str, folder: str) -> None:
    function = globals()[contender]
    data = dict(np.load(Path(folder) / "data.npz"))
    few = {name: value[:300] if name == "x" else value for name, value in data.items()}
    if data["x"].shape[0] == data["x"].shape[1]:
        few["x"] = np.ascontiguousarray(few["x"][:, :300])
    few = {name: value[:5] if name == "start" else value for name, value in few.items()}
    if "k" in few:
        few["k"] = np.array(5)
    try:
        function(few)  # imports and compiles
    except ImportError:
        sys.exit(3)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = resident_mb()
    cpu, wall = time.process_time(), time.perf_counter()
    answer = function(data)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    status = Path("/proc/self/status").read_text()
    peak = int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) * 1024 / 1e6
    np.savez(Path(folder) / f"{contender}.npz", **answer)
    print(json.dumps({"cpu_s": cpu, "wall_s": wall, "peak_mb": max(0.0, peak - before)}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(*json.loads(sys.argv[2]))
    else:
        main()
