"""Every clusterer beside its peers: same data, same start, equal answers first, then time and memory.

Each contender runs in processes of its own, round after round in turn, so that a noisy minute hits all of
them: two rounds, and up to `--rounds` while the faster of them still scatter by more than 5 %; peers that
take more than 5 CPU seconds run once. A process first runs its contender on a few rows (imports, compiled
code). A first fit gives the answer and the memory, the rise of the peak above loaded data; fits of another
second give the time, their median. One thread means one core and every limit set to 1.

    python benchmarks/clustering.py                        # all rows, one thread and two: half an hour
    python benchmarks/clustering.py lloyd-plane dbscan-plane --threads 2 --rounds 5
    python benchmarks/clustering.py --summary              # only write the tables anew

Peers are taken where they are installed: pip install scikit-learn-intelex fastkmeans kmedoids dbscan tslearn
scikit-fuzzy
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import clustering_answers as answers
import clustering_data as made
import numpy as np
from clustering_answers import Verdict
from clustering_data import Data
from clustering_table import render
from measure import Rise, limited, outside, save

PEERS = (
    "numba", "torch", "scikit-learn-intelex", "fastkmeans", "kmedoids", "dbscan", "tslearn", "scikit-fuzzy",
)  # fmt: skip
SLOW_S = 5.0  # CPU seconds; longer fits of peers are not repeated
LONG_ENOUGH_S = 1.0  # of repeated fits in a process
MOST_FITS = 200
STEADY = 1.05

Same = Callable[[Data, dict[str, np.ndarray], dict[str, np.ndarray]], Verdict]


@dataclass(frozen=True)
class Row:
    """One line of the table: data, who runs on it, and what the ratio must reach."""

    make: Callable[[], Data]
    method: str
    packages: tuple[str, ...]  # ours first
    same: Same
    goal: dict[str, float] = field(default_factory=dict)  # package, or "best" of all, -> at least this ratio
    beside: tuple[str, ...] = ()  # of the packages: shown, no peers
    note: str = ""


@dataclass(frozen=True)
class Start:
    """A line about what a fresh process pays: code by package, ours first."""

    code: dict[str, str]
    cold: bool = False  # with nothing compiled before
    note: str = ""


LLOYD = ("sortal", "sklearn", "faiss", "intelex", "fastkmeans")
DBSCAN = ("sortal", "sklearn", "wang", "intelex")
TREE, WIDE = DBSCAN[:3], ("sortal", "sklearn", "intelex")
NO_BRUTE = "intelex left out: all pairs of a million points take it a quarter of an hour"


def lloyd(make: Callable[[], Data], **goal: float) -> Row:
    return Row(make, "lloyd", LLOYD, answers.same_centers_found, goal)


def seeding(trials: int, goal: float) -> Row:
    def make() -> Data:
        return made.started(made.blobs(500_000, 64, 1000, 0.5), 1000, 0, trials=trials)

    return Row(make, "seed", ("sortal", "sklearn"), answers.same_potential, {"best": goal})


def medoids(k: int, goal: float) -> Row:
    packages = ("sortal", "rust", "rustparallel")
    return Row(
        partial(made.distances, 10_000, k), "medoids", packages, answers.same_medoid_loss, {"rust": goal}
    )


def density(make: Callable[[], Data], packages: tuple[str, ...], note: str = "", **goal: float) -> Row:
    return Row(make, "dbscan", packages, answers.same_groups, goal, note=note)


def small(make: Callable[[], Data], method: str, packages: tuple[str, ...], same: Same) -> Row:
    return Row(make, method, packages, same, {"each": 1})


def few(**settings: float) -> Data:
    return made.started(made.blobs(300, 2, 3, 0.3), 3, 0, **settings)


def digits(**settings: float) -> Data:
    return made.digits(10, **settings)


FIT = "from {}.cluster import KMeans; KMeans(3, n_init=1).fit(numpy.random.default_rng(0).random((300, 2)))"
FIRST = {
    name: "import numpy; " + FIT.format(package)
    for name, package in (("sortal", "sortal"), ("sklearn", "sklearn"), ("intelex", "sklearnex"))
} | {
    "faiss": "import numpy, faiss; x = numpy.random.default_rng(0).random((300, 2), numpy.float32); "
    "faiss.Kmeans(2, 3).train(x)"
}  # fmt: skip

ROWS: dict[str, Row | Start] = {
    "lloyd-separated": lloyd(made.separated, best=4),
    "lloyd-overlapping": lloyd(lambda: made.lloyd(200_000, 64, 100, 2.0, 100), best=1.5),
    "lloyd-many": lloyd(lambda: made.lloyd(1_000_000, 16, 256, 0.5), faiss=1.6, sklearn=3),
    "lloyd-wide": Row(
        lambda: made.lloyd(100_000, 512, 1000, 1.0, 10), "lloyd", (*LLOYD, "sgemm"),
        answers.same_centers_found, {"best": 1.1}, beside=("sgemm",),
    ),
    "lloyd-plane": lloyd(lambda: made.lloyd(1_000_000, 2, 50, 0.3, 50), best=7),
    "mnist-10": lloyd(lambda: made.mnist(10), best=1.2),
    "mnist-256": lloyd(lambda: made.mnist(256), best=1.2),
    "vectors": Row(
        lambda: made.started(made.vectors(), 50, 0, iterations=20), "lloyd", LLOYD,
        answers.same_centers_found, {"best": 1.2}, note="20,000 CIFAR-10 images by MobileNetV2, d=1280",
    ),
    "seeding-one-trial": seeding(1, 20),
    "seeding-greedy": seeding(0, 5),
    "kernel-5k": Row(
        lambda: made.grouped(5_000, 10), "kernel", ("sortal", "tslearn", "numpy"),
        answers.same_kernel_cost, {"tslearn": 25},
    ),
    "kernel-20k": Row(
        lambda: made.grouped(20_000, 10), "kernel", ("sortal", "numpy", "tslearn"),
        answers.same_kernel_cost, {"numpy": 4}, note="asked: under 100 MB",
    ),
    "medoids-10": medoids(10, 4),
    "medoids-100": medoids(100, 5),
    "clara": Row(
        lambda: made.started(made.blobs(50_000, 64, 20, 1.0), 20, 0), "vectors", ("clara",),
        answers.near_medoid_loss, note="no peer has it",
    ),
    "clara-sample": Row(
        lambda: made.started(made.blobs(10_000, 64, 20, 1.0), 20, 0), "vectors", ("clara", "rust", "sortal"),
        answers.near_medoid_loss, {"rust": 1}, beside=("sortal",),
        note="asked: loss at most 1 % above full FasterPAM (rust; sortal is ours in full)",
    ),
    "dbscan-plane": density(
        lambda: made.density(made.patches(1_000_000, 2), 0.1), TREE, NO_BRUTE, wang=4, sklearn=25
    ),
    "dbscan-space": density(
        lambda: made.density(made.patches(500_000, 3), 0.5), TREE, NO_BRUTE, wang=5, sklearn=25
    ),
    "dbscan-middle": density(
        lambda: made.density(made.patches(100_000, 16), 3.0), DBSCAN, "wang is not exact", best=10, wang=10
    ),
    "dbscan-unclustered": density(lambda: made.density(made.uniform(50_000, 16), 0.6), DBSCAN, best=2),
    "dbscan-wide": density(lambda: made.wide_density("euclidean"), WIDE, best=1.5),
    "dbscan-wide-cosine": density(lambda: made.wide_density("cosine"), WIDE, best=1.5),
    "fuzzy": Row(lambda: made.soft(0.5), "fuzzy", ("sortal", "skfuzzy"), answers.same_places, {"best": 5}),
    "soft": Row(
        lambda: made.soft(0.5), "soft", ("sortal", "numpy", "skfuzzy"), answers.same_places, {"skfuzzy": 5},
        note="no package has soft k-means: numpy is the same with whole arrays, skfuzzy fuzzy c-means",
    ),
    "predict": Row(
        lambda: made.lloyd(1_000_000, 64, 1000, 0.5), "predict", LLOYD, answers.same_labels, {"best": 1.2}
    ),
    "small-lloyd-300": small(lambda: few(iterations=20), "lloyd", LLOYD, answers.same_centers_found),
    "small-lloyd-digits": small(lambda: digits(iterations=20), "lloyd", LLOYD, answers.same_centers_found),
    "small-best-300": small(few, "best", WIDE, answers.no_worse),
    "small-best-digits": small(digits, "best", WIDE, answers.no_worse),
    "small-seeding-300": small(lambda: few(trials=0), "seed", LLOYD[:2], answers.same_potential),
    "small-seeding-digits": small(lambda: digits(trials=0), "seed", LLOYD[:2], answers.same_potential),
    "small-dbscan-300": small(
        lambda: made.density(few()["x"].astype(np.float64), 0.1, 5), "dbscan", DBSCAN, answers.same_groups
    ),
    "small-dbscan-digits": small(
        lambda: made.density(digits()["x"].astype(np.float64), 20.0, 5), "dbscan",
        WIDE, answers.same_groups,
    ),
    "import": Start({
        "sortal": "import sortal.cluster", "sklearn": "import sklearn.cluster", "faiss": "import faiss",
        "intelex": "import sklearnex.cluster", "fastkmeans": "import fastkmeans",
    }),
    "first-fit": Start(FIRST, note="300 x 2, loops compiled before"),
    "first-fit-cold": Start({"sortal": FIRST["sortal"], "sklearn": FIRST["sklearn"]}, cold=True),
    "compile-everything": Start(
        {"sortal": "from sortal.doctor import warm; warm()"}, cold=True, note="sortal doctor --warm"
    ),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rows", nargs="*", help=f"of {', '.join(ROWS)}; without: all")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=4, help="at most")
    parser.add_argument("--summary", action="store_true", help="measure nothing, write the tables anew")
    wishes = parser.parse_args()
    if unknown := set(wishes.rows) - set(ROWS):
        parser.error(f"unknown row {sorted(unknown)[0]}; the rows are {', '.join(ROWS)}")
    page = partial(render, ROWS)
    store = partial(save, "clustering", "Clusterers beside their peers", key="key", page=page, packages=PEERS)
    if wishes.summary:
        store([])
        return
    began = time.perf_counter()
    for name in wishes.rows or ROWS:
        found = list(measure(name, wishes.threads, wishes.rounds))
        store(found)
        print(f"\n{render(ROWS, found)}\n{time.perf_counter() - began:.0f} s since the start", flush=True)


def measure(name: str, threads: list[int], rounds: int) -> Iterator[dict[str, Any]]:
    row = ROWS[name]
    if isinstance(row, Start):
        yield from (record(name, one, 1, *start_up(row, one, rounds)) for one in row.code)
        return
    with tempfile.TemporaryDirectory() as folder:
        data = row.make()
        for key, value in data.items():
            np.save(Path(folder, f"{key}.data.npy"), value)
        for count in threads:
            verdicts, runs = interleave(name, row, data, Path(folder), count, rounds)
            yield from (record(name, one, count, runs[one], verdicts.get(one)) for one in runs)


def record(
    name: str, package: str, threads: int, runs: list[dict[str, float]], verdict: Verdict | None
) -> dict[str, Any]:
    columns = {kind: [round(run[kind], 6) for run in runs] for kind in ("cpu_s", "wall_s", "peak_mb")}
    answer = {} if verdict is None else {"equal": bool(verdict.equal), "answer": verdict.words}
    return {
        "key": f"{name} {package} {threads}", "row": name, "contender": package, "threads": threads,
    } | columns | answer  # fmt: skip


def interleave(
    name: str, row: Row, data: Data, folder: Path, threads: int, rounds: int
) -> tuple[dict[str, Verdict], dict[str, list[dict[str, float]]]]:
    """All contenders in turn until the fast ones are steady; verdicts from the first round."""
    runs: dict[str, list[dict[str, float]]] = {one: [] for one in row.packages}
    verdicts: dict[str, Verdict] = {}
    absent = {"rustparallel"} if threads == 1 else set()
    for turn in range(rounds):
        for one in row.packages:
            if one in absent or (turn and one != row.packages[0] and runs[one][0]["cpu_s"] > SLOW_S):
                continue
            found = run(f"{row.method}_{one}", folder, threads)
            if found is None:
                absent.add(one)
            else:
                runs[one].append(found)
        if turn == 0:
            verdicts = compare(name, row, data, folder, [one for one in row.packages if one not in absent])
        elif steady(runs, "cpu_s" if threads == 1 else "wall_s"):
            break
    return verdicts, {one: each for one, each in runs.items() if each}


def steady(runs: dict[str, list[dict[str, float]]], kind: str) -> bool:
    """Whether the two fastest lie close together in all their rounds but the worst."""
    times = [sorted(run[kind] for run in each) for each in runs.values() if len(each) > 1]
    return all(
        each[max(1, len(each) - 2)] <= STEADY * each[0] for each in sorted(times, key=lambda one: one[0])[:2]
    )


def compare(name: str, row: Row, data: Data, folder: Path, present: list[str]) -> dict[str, Verdict]:
    found = {one: dict(np.load(folder / f"{row.method}_{one}.npz")) for one in present}
    ours = found[row.packages[0]]
    verdicts = {}
    for one in present[1:]:
        if found[one]:  # else it only lends its time
            verdicts[one] = row.same(data, ours, found[one])
            if not verdicts[one].equal:
                print(f"{name}: {one} has ANOTHER ANSWER: {verdicts[one].words}", file=sys.stderr)
    return verdicts


def start_up(row: Start, package: str, rounds: int) -> tuple[list[dict[str, float]], None]:
    runs = []
    for _ in range(1 if row.cold else rounds):
        with tempfile.TemporaryDirectory() as empty:
            cache = {"NUMBA_CACHE_DIR": empty} if row.cold else {}
            found = outside([sys.executable, "-W", "ignore", "-c", row.code[package]], 1, cache)
        if found is not None:
            runs.append(found)
    return runs, None


# ---- in a process of its own


def run(contender: str, folder: Path, threads: int) -> dict[str, float] | None:
    """One process of fits; None where the peer is not installed."""
    request = json.dumps([contender, os.fspath(folder)])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", __file__, "--child", request],
        capture_output=True,
        text=True,
        check=False,
        **limited(threads),
    )
    if done.returncode == 3:
        return None
    assert done.returncode == 0, f"{contender}: {done.stderr[-2000:]}"
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def child(contender: str, folder: str) -> None:
    import clustering_peers

    prepare = getattr(clustering_peers, contender)
    data = {path.name.split(".")[0]: np.load(path) for path in Path(folder).glob("*.data.npy")}
    try:
        prepare(cut(data))()  # imports, compiles
    except ImportError:
        sys.exit(3)
    fit = prepare(data)
    rise = Rise()
    answer, *first = timed(fit)
    peak = rise.mb
    np.savez(Path(folder) / f"{contender}.npz", **answer)
    del answer
    times = [first] if first[0] > SLOW_S else []
    while not times or (sum(wall for _, wall in times) < LONG_ENOUGH_S and len(times) < MOST_FITS):
        times.append(timed(fit)[1:])
    cpu_s, wall_s = np.median(times, axis=0).tolist()
    print(json.dumps({"cpu_s": cpu_s, "wall_s": wall_s, "peak_mb": peak}))


def timed(fit: Callable[[], Any]) -> list[Any]:
    """The answer, CPU and wall seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    answer = fit()
    return [answer, time.process_time() - cpu, time.perf_counter() - wall]


def cut(data: Data) -> Data:
    """Some rows and centers: enough to load the loops that the whole needs.

    Those for few rows, or above 8,192 rows in few dimensions, are others: 25 MB of compiled code then count.
    From 1,000,000 x 16, 20,000 rows were few: 5 MB of loops counted as data.
    """
    n, d = data["x"].shape
    n = min(max(20_000, n // 10), n // 2, max(300, 2**21 // d))
    k = min(50, len(data.get("start", data.get("rows", range(5)))))
    few = dict(data)
    square = data["x"].shape[0] == data["x"].shape[1]
    few["x"] = np.ascontiguousarray(data["x"][:n, :n] if square else data["x"][:n])
    for name, short in {
        "start": lambda: few["x"][:k],
        "rows": lambda: np.arange(k),
        "labels": lambda: data["labels"][:n] % k,
        "k": lambda: np.array(min(k, int(data["k"]))),
    }.items():
        if name in few:
            few[name] = short()
    return few


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(*json.loads(sys.argv[2]))
    else:
        main()
