"""The whole job as a user does it, by the command line: organize, train, predict, on real piles.

Every pile has names (folders, or a column of a list) that only score the groups: ARI, NMI and matched
accuracy with k given. `train` then learns the names of all items; its held-out score is what it prints. At
last the model is shown images of another pile, of which it should say that they are like nothing it saw.

    python benchmarks/journey.py                       # all rows, some minutes
    python benchmarks/journey.py "sign-digits hog"
"""

import argparse
import csv
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
from groups import MOBILENET, after_the_dash, mnist_10k
from measure import data_folder, extract, save

SORTAL = Path(sys.executable).with_name("sortal")


# ---- the piles: each makes what `organize` is given, and its options


def sign_digits(folder: Path) -> list[str]:
    return [str(data_folder() / "photos" / "sign-digits.zip"), "--names-from", "folders"]


def imagenet_160(folder: Path) -> list[str]:
    """One photograph a class; named by what its WordNet number stands for, in a list with a column `name`."""
    photos = sorted(extract(data_folder() / "photos" / "imagenet-samples-160.zip", folder).rglob("*.JPEG"))
    with (folder / "photos.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "name"), *((photo, kind(photo.name)) for photo in photos)])
    return [str(folder / "photos.csv")]


def mnist_in_folders(folder: Path) -> list[str]:
    for image in list(mnist_10k(folder).iterdir()):
        into = folder / after_the_dash(image.name)
        into.mkdir(exist_ok=True)
        image.rename(into / image.name)
    return [str(folder), "--names-from", "folders"]


def kind(name: str) -> str:
    """Animals are WordNet numbers below n02666196 (ImageNet's classes 0 to 397), food starts with n07."""
    number = int(name[1:9])
    return "animal" if number < 2666196 else "food" if 7_000_000 < number < 8_000_000 else "other"


@dataclass(frozen=True)
class Pile:
    make: Callable[[Path], list[str]]
    k: int
    foreign: str  # a pile whose images the model has not seen the like of


PILES = {
    "sign-digits": Pile(sign_digits, 10, "imagenet-160"),
    "imagenet-160": Pile(imagenet_160, 3, "sign-digits"),
    "mnist-10k": Pile(mnist_in_folders, 10, "sign-digits"),
}
ENCODERS = {
    "hog": ["--encoder", "hog"],
    "pixels": ["--encoder", "pixels"],
    "mobilenet": ["--encoder", "MOBILENET", "--preprocess", "range=255,mean=128,std=128"],
}
ROWS = [f"{pile} {encoder}" for pile in PILES for encoder in ENCODERS]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", help=f"of {', '.join(ROWS)}; without: all")
    chosen = parser.parse_args().rows or ROWS
    if unknown := set(chosen) - set(ROWS):
        parser.error(f"unknown row {sorted(unknown)[0]}; the rows are {', '.join(ROWS)}")
    for name in chosen:
        save("journey", "The whole job by the command line, k given", [row(*name.split())], key="row")


def row(pile_name: str, encoder_name: str) -> dict[str, Any]:
    made = PILES[pile_name]
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        (work / "images").mkdir()
        (work / "foreign").mkdir()
        source = made.make(work / "images")
        encoder = [str(data_folder() / MOBILENET) if o == "MOBILENET" else o for o in ENCODERS[encoder_name]]
        pile, model, foreign = work / "a.sortal", work / "a.model", work / "foreign"
        _some_of(made.foreign, foreign)
        organized = sortal("organize", *source, "--into", pile, "-k", made.k, *encoder, "--json")
        again = sortal("organize", pile, "--json")
        exported = work / "names.json"
        sortal("export", pile, exported)
        trained = sortal("train", pile, "--into", model, "--json")
        predicted = sortal("predict", model, foreign, "--json")
        items = json.loads(exported.read_text())["items"]
    report = trained.answer["report"]
    strange = [one["like_nothing_shown"] for one in predicted.answer["predictions"]]
    return {
        "row": f"{pile_name} {encoder_name}",
        "items": organized.answer["items"],
        "k": made.k,
        **score([one["name"] for one in items], np.array([one["group"] for one in items])),
        "organize s": organized.seconds,
        "organize peak MB": organized.peak_mb,
        "organize again s": again.seconds,
        "held-out accuracy": round(report["accuracy"], 4),
        "95 % interval": " to ".join(f"{end:.3f}" for end in report["interval"]),
        "commonest name": round(report["majority_share"], 4),
        "train s": trained.seconds,
        "train peak MB": trained.peak_mb,
        "foreign images": len(strange),
        "foreign called like nothing shown": round(float(np.mean(strange)), 3),
        "known called so": round(report["novelty"]["known"], 3),
        "predict s": predicted.seconds,
    }


def score(names: list[str | None], labels: np.ndarray) -> dict[str, float]:
    from scipy.optimize import linear_sum_assignment
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
    from sklearn.metrics.cluster import contingency_matrix

    kept = [i for i, name in enumerate(names) if name is not None]  # copies in two folders have no name
    truth, labels = [names[i] for i in kept], labels[kept]
    table = contingency_matrix(truth, labels)
    return {
        "ACC": round(float(table[linear_sum_assignment(table, maximize=True)].sum() / len(kept)), 4),
        "NMI": round(float(normalized_mutual_info_score(truth, labels)), 4),
        "ARI": round(float(adjusted_rand_score(truth, labels)), 4),
    }


def _some_of(pile: str, folder: Path) -> None:
    """Every tenth image."""
    archive = data_folder() / "photos" / f"{'imagenet-samples-160' if pile == 'imagenet-160' else pile}.zip"
    extract(archive, folder, lambda i, name: i % 10 == 0)


@dataclass(frozen=True)
class Ran:
    answer: Any
    seconds: float
    peak_mb: float


def sortal(*arguments: Any) -> Ran:
    """One command in a process of its own."""
    start = time.perf_counter()
    process = subprocess.Popen([str(SORTAL), *map(str, arguments)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    out = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = round(time.perf_counter() - start, 2)
    if status:
        sys.exit(f"sortal {' '.join(map(str, arguments))} ended with {os.waitstatus_to_exitcode(status)}")
    answer = json.loads(out) if "--json" in arguments else None
    return Ran(answer, seconds, round(usage.ru_maxrss * 1024 / 1e6, 1))


if __name__ == "__main__":
    main()
