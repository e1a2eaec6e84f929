"""How good the groups are before anybody has named anything, through the same path that a user takes.

Images lie in a folder or zip, `sortal.organize` reads them, and names, which are only in file and folder
names, score what comes out. ACC is accuracy under the best matching of groups to names; an item that was left
out of every group counts as wrong. Mean of 3 seeds.

    python benchmarks/groups.py                  # all rows but those of `ASKED`
    python benchmarks/groups.py mnist-70k digits
    python benchmarks/groups.py cifar-60k-self   # for a GPU; the curve is kept in the model folder
"""

import argparse
import gzip
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from measure import Clock, data_folder, extract, in_child, save

SEEDS = (0, 1, 2)
MOBILENET = "checkpoints/mobilenet_v2_imagenet.onnx"


# ---- the piles: each returns what `organize` is given


def mnist_10k(folder: Path) -> Path:
    return _write_mnist(folder, ("t10k",))


def mnist_70k(folder: Path) -> Path:
    return _write_mnist(folder, ("train", "t10k"))


def digits(folder: Path) -> Path:
    from sklearn.datasets import load_digits

    found = load_digits()
    return _write_png(folder, (found.images * (255 / 16)).round().astype(np.uint8), found.target)


def sign_digits(folder: Path) -> Path:
    return data_folder() / "photos" / "sign-digits.zip"


def cifar_5k(folder: Path) -> Path:
    """Every second test image in sorted path order."""
    tests = [0]

    def every_second(position: int, name: str) -> bool:
        if "/test/" not in name:
            return False
        tests[0] += 1
        return tests[0] % 2 == 1

    return extract(data_folder() / "cifar10-jpeg.zip", folder, every_second)


def cifar_60k(folder: Path) -> Path:
    return data_folder() / "cifar10-jpeg.zip"


def _write_mnist(folder: Path, parts: tuple[str, ...]) -> Path:
    at = data_folder() / "mnist"
    images = [_idx(at / f"{part}-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28) for part in parts]
    labels = [_idx(at / f"{part}-labels-idx1-ubyte.gz", 8) for part in parts]
    return _write_png(folder, np.concatenate(images), np.concatenate(labels))


def _idx(path: Path, header: int) -> np.ndarray:
    return np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=header)


def _write_png(folder: Path, images: np.ndarray, labels: np.ndarray) -> Path:
    """`NNNNN-LABEL.png`: the number first, so that the order of paths tells nothing about the label."""
    from PIL import Image

    for i, (image, label) in enumerate(zip(images, labels)):
        Image.fromarray(image).save(folder / f"{i:05}-{label}.png", compress_level=1)
    return folder


def after_the_dash(path: str) -> str:
    return Path(path).stem.split("-")[-1]


def parent(path: str) -> str:
    return Path(path).parent.name


# ---- the rows


@dataclass(frozen=True)
class Row:
    pile: Callable[[Path], Path]
    n: int
    truth: Callable[[str], str]
    encoder: str
    acc: float | None = None  # at least
    nmi: float | None = None  # at least
    cpu_s: float | None = (
        None  # at most, embedding after decoding and grouping together; for "self" everything
    )
    method: str = "graph"


ROWS = {
    "mnist-10k": Row(mnist_10k, 10_000, after_the_dash, "hog", 0.975, 0.94, 15),
    "mnist-10k-pixels-kmeans": Row(mnist_10k, 10_000, after_the_dash, "pixels", method="kmeans"),
    "digits": Row(digits, 1_797, after_the_dash, "hog", 0.95, 0.92),
    "sign-digits": Row(sign_digits, 2_062, parent, "hog", 0.67, 0.66),
    "sign-digits-mobilenet": Row(sign_digits, 2_062, parent, MOBILENET, 0.66, 0.64),
    "mnist-10k-self": Row(mnist_10k, 10_000, after_the_dash, "self", 0.985, None, 200),
    "digits-self": Row(digits, 1_797, after_the_dash, "self", 0.955),
    "sign-digits-self": Row(sign_digits, 2_062, parent, "self", 0.73),
    "cifar-5k-mobilenet": Row(cifar_5k, 5_000, parent, MOBILENET, 0.46, 0.37),
    "mnist-70k": Row(mnist_70k, 70_000, after_the_dash, "hog", 0.97, None, 90),
    "cifar-60k-self": Row(cifar_60k, 60_000, parent, "self-photos", 0.88),
}
ASKED = ("mnist-70k", "cifar-60k-self")  # run where they are named


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", help=f"of {', '.join(ROWS)}; without: all but {', '.join(ASKED)}")
    chosen = parser.parse_args().rows or [name for name in ROWS if name not in ASKED]
    if unknown := set(chosen) - set(ROWS):
        parser.error(f"unknown row {sorted(unknown)[0]}; the rows are {', '.join(ROWS)}")
    for name in chosen:
        save(
            "groups", "How good the groups are; names only to score, mean of 3 seeds", [row(name)], key="row"
        )


def row(name: str) -> dict[str, Any]:
    made = ROWS[name]
    with tempfile.TemporaryDirectory() as folder:
        images, work = Path(folder, "images"), Path(folder, "work")
        images.mkdir()
        work.mkdir()
        source = str(made.pile(images))
        measure = measure_taught if made.encoder.startswith("self") else measure_row
        measured = in_child(measure, name, source, str(work / "pile.sortal"))
        decoding = in_child(measure_decoding, name, source)
    scores = np.array(measured["scores"])
    acc, nmi, ari = scores.mean(axis=0)
    after_decoding = max(0.0, measured["embed_cpu_s"] - decoding["cpu_s"])
    cpu_s = after_decoding + float(np.mean(measured["group_cpu_s"]))
    counted = cpu_s + decoding["cpu_s"] if made.encoder.startswith("self") else cpu_s
    wants = [(acc, made.acc, 1), (nmi, made.nmi, 1), (counted, made.cpu_s, -1)]
    return {
        "row": name,
        "n": measured["n"],
        "encoder": Path(made.encoder).stem,
        "method": made.method,
        "ACC": round(float(acc), 4),
        "NMI": round(float(nmi), 4),
        "ARI": round(float(ari), 4),
        "ACC by seed": [round(float(one), 4) for one in scores[:, 0]],
        "at least": " / ".join(f"{goal:g}" for goal in (made.acc, made.nmi) if goal is not None),
        "decode CPU-s": round(decoding["cpu_s"], 2),
        "embed CPU-s after decoding": round(after_decoding, 2),
        "group CPU-s by seed": [round(one, 2) for one in measured["group_cpu_s"]],
        "CPU-s after decoding": round(cpu_s, 2),
        "at most CPU-s": made.cpu_s,
        "organize wall s": round(measured["wall_s"], 2),
        "peak MB": measured["peak_mb"],
        "reached": all(goal is None or sign * got >= sign * goal for got, goal, sign in wants),
    }


# ---- in a process of its own


def measure_row(name: str, source: str, pile_path: str) -> dict[str, Any]:
    import sortal

    made = ROWS[name]
    encoder, preprocess = _encoder(made)
    clock, marks = Clock(), _Marks()
    pile = sortal.organize(
        source, pile_path, encoder=encoder, preprocess=preprocess, k=10, method=made.method, seed=SEEDS[0],
        progress=marks,
    )  # fmt: skip
    wall_s = clock.wall_s
    scores, group_cpu_s = [score(pile, made)], [marks.group_cpu_s]
    for seed in SEEDS[1:]:
        pile.close()
        again = _Marks()
        pile = sortal.organize(pile_path, k=10, method=made.method, seed=seed, progress=again)
        assert not again.embedded, "vectors must be reused over seeds"
        scores.append(score(pile, made))
        group_cpu_s.append(again.group_cpu_s)
    return {
        "n": len(pile), "scores": scores, "group_cpu_s": group_cpu_s,
        "embed_cpu_s": marks.embed_cpu_s, "wall_s": wall_s,
    }  # fmt: skip


def measure_taught(name: str, source: str, pile_path: str) -> dict[str, Any]:
    """A network of its own for each seed, each in a new pile; training and all counts as embedding."""
    import sortal

    made = ROWS[name]
    scores, before_grouping, group_cpu_s, wall_s = [], [], [], []
    for seed in SEEDS:
        clock, marks = Clock(), _Marks()
        with sortal.organize(
            source, f"{pile_path}.{seed}", encoder=made.encoder, k=10, seed=seed, progress=marks
        ) as pile:
            wall_s.append(clock.wall_s)
            scores.append(score(pile, made))
            n = len(pile)
        group_cpu_s.append(marks.group_cpu_s)
        before_grouping.append(marks.before_grouping_cpu_s)
    return {
        "n": n, "scores": scores, "group_cpu_s": group_cpu_s,
        "embed_cpu_s": float(np.mean(before_grouping)), "wall_s": float(np.mean(wall_s)),
    }  # fmt: skip


def measure_decoding(name: str, source: str) -> dict[str, Any]:
    """Read, decode and resize every file on as many threads as `organize` uses, and throw the pixels away."""
    from sortal.data import Found, decode_image, open_source, prepare
    from sortal.embed import named
    from sortal.kernels import n_threads

    encoder, preprocess = _encoder(ROWS[name])
    encoder = "hog" if encoder.startswith("self") else encoder  # which takes images alike
    want = named(encoder, preprocess).input
    opened = open_source(source)
    paths = [found.path for found in opened.scan() if isinstance(found, Found)]
    assert len(paths) == ROWS[name].n

    def decode(path: str) -> int:
        return prepare(decode_image(opened.read(path), want.at_least), want).size

    clock = Clock()
    with ThreadPoolExecutor(n_threads()) as pool:
        for start in range(0, len(paths), 256):
            list(pool.map(decode, paths[start : start + 256]))
    return {"cpu_s": clock.cpu_s, "wall_s": clock.wall_s}


def score(pile: Any, made: Row) -> tuple[float, float, float]:
    """ACC, NMI and ARI of the groups against the names in the paths."""
    from scipy.optimize import linear_sum_assignment
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
    from sklearn.metrics.cluster import contingency_matrix

    assert not pile.quarantine
    # Exact copies are one item with several paths; every file counts.
    files = [(made.truth(path), label) for paths, label in zip(pile.all_paths, pile.labels) for path in paths]
    assert len(files) == made.n
    truth, labels = np.array([one for one, _ in files]), np.array([label for _, label in files])
    grouped = labels >= 0
    table = contingency_matrix(truth[grouped], labels[grouped])
    acc = table[linear_sum_assignment(table, maximize=True)].sum() / len(files)
    return (
        float(acc),
        float(normalized_mutual_info_score(truth, labels)),
        float(adjusted_rand_score(truth, labels)),
    )


def _encoder(made: Row) -> tuple[str, Any]:
    """What `organize` is told; the network's preprocessing is that of its publisher."""
    if made.encoder != MOBILENET:
        return made.encoder, None
    from sortal.embed import Preprocess

    return os.fspath(data_folder() / MOBILENET), Preprocess(
        range=255, mean=(128,) * 3, std=(128,) * 3, crop=0.875
    )


class _Marks:
    """The CPU time at which each phase of `organize` begins and ends, taken from its progress."""

    def __init__(self) -> None:
        self._clock = Clock()
        self._embedding = self._grouping = self._ended = 0.0
        self.embedded = False

    def start(self, what: str, total: int) -> None:
        self._embedding, self.embedded = self._clock.cpu_s, True

    def advance(self, n: int) -> None:
        pass

    def say(self, line: str) -> None:
        if line.startswith("grouping "):
            self._grouping = self._clock.cpu_s
        elif " groups" in line:
            self._ended = self._clock.cpu_s

    @property
    def embed_cpu_s(self) -> float:
        return self._grouping - self._embedding

    @property
    def before_grouping_cpu_s(self) -> float:
        return self._grouping

    @property
    def group_cpu_s(self) -> float:
        assert self._ended > self._grouping > 0
        return self._ended - self._grouping


if __name__ == "__main__":
    main()
