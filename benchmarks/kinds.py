"""How good the groups of sounds, series and texts are before anybody has named anything.

Through the path that a user takes: `sortal.organize` on the files as they lie in the data folder, names only
to score. Every file counts, exact copies too. Mean of 3 seeds. `series` rows need the extra of that name.

    python benchmarks/kinds.py                 # all rows whose libraries are there
    python benchmarks/kinds.py fsdd names
"""

import argparse
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from measure import Clock, data_folder, in_child, save

SEEDS = (0, 1, 2)
SETS = {"ItalyPowerDemand": 2, "GunPoint": 2, "BasicMotions": 4, "JapaneseVowels": 9}


@dataclass(frozen=True)
class Row:
    """`source` below the data folder; `truth` of an item's path, None where the file says it itself."""

    source: str
    k: int
    truth: Callable[[str], str] | None
    read: dict[str, Any] = field(default_factory=dict)


def spoken_digit(path: str) -> str:
    return path.rpartition("/")[2].partition("_")[0]


def file_stem(path: str) -> str:
    return path.rpartition("/")[2].partition(".")[0]


ROWS = {
    "fsdd": Row("fsdd/recordings.zip", 10, spoken_digit),
    "names": Row("names", 18, file_stem, {"by": "line"}),
    "ewt-genres": Row("text/en_ewt-ud-train.conllu.gz", 5, None),
    **{name: Row(f"series/{name}", k, None) for name, k in SETS.items()},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", help=f"of {', '.join(ROWS)}")
    chosen = parser.parse_args().rows or [
        name for name in ROWS if name not in SETS or find_spec("aeon") is not None
    ]
    if unknown := set(chosen) - set(ROWS):
        parser.error(f"unknown row {sorted(unknown)[0]}; the rows are {', '.join(ROWS)}")
    for name in chosen:
        with tempfile.TemporaryDirectory() as folder:
            found = in_child(measure_row, name, folder)
        save(
            "kinds",
            "Sounds, texts and series grouped; names only to score, mean of 3 seeds",
            [found],
            key="row",
        )


def measure_row(name: str, folder: str) -> dict[str, Any]:
    import sortal

    made = ROWS[name]
    source = _source(name, Path(folder))
    truth = _genres() if name == "ewt-genres" else None
    clock = Clock()
    scores, n, said = [], 0, ""
    for seed in SEEDS:
        where = Path(folder, "pile.sortal")
        with sortal.organize(
            source, where, k=made.k, seed=seed, names_from="folders", read=made.read
        ) as pile:
            if seed == SEEDS[0]:
                cpu_s = clock.cpu_s
            said, n = pile.encoder.name, sum(map(len, pile.all_paths))
            scores.append(_score(pile, made, truth))
    acc, nmi, ari = np.mean(scores, axis=0)
    return {
        "row": name, "n": n, "encoder": said, "k": made.k,
        "ACC": round(float(acc), 4), "NMI": round(float(nmi), 4), "ARI": round(float(ari), 4),
        "ACC by seed": [round(float(one[0]), 4) for one in scores],
        "organize CPU-s": round(cpu_s, 1),
    }  # fmt: skip


def _source(name: str, folder: Path) -> str:
    """Train and test of a set of series together, in a folder of their own; all else where it lies."""
    made = ROWS[name]
    if name not in SETS:
        return os.fspath(data_folder() / made.source)
    place = folder / name
    place.mkdir()
    for part in ("TRAIN", "TEST"):
        file = data_folder() / f"{made.source}_{part}.ts.gz"
        (place / file.name).write_bytes(file.read_bytes())
    return os.fspath(place)


def _genres() -> list[str]:
    """Of each sentence of EWT the first word of its id: weblog, newsgroup, email, reviews, answers."""
    import gzip

    with gzip.open(data_folder() / ROWS["ewt-genres"].source, "rt", encoding="utf-8") as lines:
        return [line[12:].partition("-")[0].strip() for line in lines if line.startswith("# sent_id =")]


def _score(pile: Any, made: Row, genres: list[str] | None) -> tuple[float, float, float]:
    from scipy.optimize import linear_sum_assignment
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
    from sklearn.metrics.cluster import contingency_matrix

    def name_of(path: str, given: str | None) -> str | None:
        if genres is not None:
            return genres[int(path.rpartition("#")[2]) - 1]
        return made.truth(path) if made.truth is not None else given

    files = [
        (name_of(path, given), label)
        for paths, given, label in zip(pile.all_paths, pile.names, pile.labels)
        for path in paths
    ]
    known = [(name, label) for name, label in files if name is not None]
    truth, labels = np.array([name for name, _ in known]), np.array([label for _, label in known])
    table = contingency_matrix(truth, labels)
    acc = table[linear_sum_assignment(table, maximize=True)].sum() / len(truth)
    return (
        float(acc),
        float(normalized_mutual_info_score(truth, labels)),
        float(adjusted_rand_score(truth, labels)),
    )


if __name__ == "__main__":
    main()
