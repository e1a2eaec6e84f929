"""Large piles: memory, second runs, opening; and what starting costs.

python benchmarks/scale.py                 # all claims
python benchmarks/scale.py fifty-thousand  # one: fifty-thousand, million, start
"""

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from measure import Clock, data_folder, extract, in_child, resident_mb, save, spread

ROUNDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    claims = {"start": start, "million": million, "fifty-thousand": fifty_thousand}
    parser.add_argument("claims", nargs="*", help=f"of {', '.join(claims)}; without: all")
    chosen = parser.parse_args().claims or list(claims)
    if unknown := set(chosen) - set(claims):
        parser.error(f"unknown claim {sorted(unknown)[0]}; the claims are {', '.join(claims)}")
    for name in chosen:
        with tempfile.TemporaryDirectory() as folder:
            save("scale", "Memory, second runs, opening, starting", claims[name](Path(folder)), key="claim")


def claim(name: str, found: list[float], at_most: float, unit: str, **more: Any) -> dict[str, Any]:
    """A row; the largest of `found` must not be over `at_most`."""
    return {
        "claim": name, "unit": unit, "median, least, most": spread(found), "at most": at_most,
        "reached": max(found) <= at_most, **more,
    }  # fmt: skip


# ---- 50,000 small JPEGs


def fifty_thousand(folder: Path) -> list[dict[str, Any]]:
    photos = folder / "photos"
    extract(data_folder() / "cifar10-jpeg.zip", photos, lambda i, name: "/train/" in name)
    source, pile = os.fspath(photos), os.fspath(folder / "pile.sortal")
    first = in_child(organize, source, pile)
    again = [in_child(organize, source, pile) for _ in range(ROUNDS)]
    assert first["n_files"] == 50_000
    assert first["n_embedded"] == 50_000
    for one in again:
        assert one["n_embedded"] == 0, "nothing changed, so nothing may be read again"
        assert one["labels"] == first["labels"]
        assert one["n_groupings"] == 1, "groups must be reused"
    cpu_s, wall_s = first["process_cpu_s"], first["process_wall_s"]
    figures = f"{cpu_s:.0f} CPU-s, {wall_s:.0f} s wall, {first['n_groups']} groups"
    return [
        claim(
            "50,000 JPEGs, hog, peak memory with grouping", [first["peak_mb"]], 1200, "MB", note=figures
        ),
        claim("second run, nothing changed, whole process", [one["process_wall_s"] for one in again], 5, "s"),
        claim("second run, peak memory", [one["peak_mb"] for one in again], 1200, "MB"),
    ]  # fmt: skip


def organize(source: str, pile_path: str) -> dict[str, Any]:
    import sortal

    count = _Count()
    with sortal.organize(source, pile_path, encoder="hog", progress=count) as pile:
        return {
            "n_files": sum(map(len, pile.all_paths)),
            "n_embedded": count.embedded,
            "n_groups": int(pile.labels.max()) + 1,
            "n_groupings": pile.grouping.id,
            "labels": hashlib.sha256(pile.labels.tobytes()).hexdigest(),
        }


class _Count:
    embedded = 0

    def start(self, what: str, total: int) -> None:
        self.embedded += total

    def advance(self, n: int) -> None:
        pass

    def say(self, line: str) -> None:
        print(f"  {line}", flush=True)


# ---- a million vectors

N, DIM = 1_000_000, 128


def million(folder: Path) -> list[dict[str, Any]]:
    path = os.fspath(folder / "million.sortal")
    made = in_child(make_million, path)
    found = [in_child(open_million, path) for _ in range(ROUNDS)]
    note = f"made in {made['process_wall_s']:.0f} s; page cache warm"
    return [
        claim("1,000,000 x 128: sortal.open", [one["open_s"] for one in found], 1, "s", note=note),
        claim("open and len(pile)", [one["len_s"] for one in found], 1, "s"),
        claim("resident after opening and len(pile)", [one["opened_mb"] for one in found], 200, "MB"),
        claim("pile.vectors and 1,000 random rows", [one["rows_s"] for one in found], 0.1, "s"),
        claim("1,000 random rows again", [one["rows_again_s"] for one in found], 0.1, "s"),
    ]


def row_of(i: np.ndarray) -> np.ndarray:
    """Vectors that anybody can compute again: row i is (i * 128 + column) mod 9973, float32."""
    return ((np.asarray(i)[:, None] * DIM + np.arange(DIM)) % 9973).astype(np.float32)


def make_million(path: str) -> dict[str, Any]:
    """Through the store, as a finished run leaves it: items with files, one segment, a grouping."""
    from sortal.embed import Pixels
    from sortal.store import Batch, NewFile, NewItem, NewVectors, Store

    step = 20_000
    with Store.create(path) as store, store.run("benchmark"):
        source = store.source("/nowhere", "folder")
        encoder = store.encoder("made up", "made up/1", DIM, Pixels().spec)
        for at in range(0, N, step):
            digests = [hashlib.sha256(b"%d" % i).digest() for i in range(at, at + step)]
            items = [NewItem(digest, 1) for digest in digests]
            files = [NewFile(f"{i:07}.png", (1, i, i), digest) for i, digest in enumerate(digests, at)]
            vectors = NewVectors(encoder, digests, row_of(np.arange(at, at + step)))
            store.commit(Batch(source, items, files, (), vectors))
        ids = store.items(encoder)
        store.compact("vectors", encoder, ids)
        labels = (np.arange(N) % 10).astype(np.int32)
        points = np.full((N, 16), 0.25, np.float32)  # unit rows
        store.add_grouping(encoder, "graph", {"k": 10}, 0, {"candidates": []}, ids, labels, points)
    return {}


def open_million(path: str) -> dict[str, Any]:
    import sortal

    clock = Clock()
    pile = sortal.open(path)
    open_s = clock.wall_s
    assert len(pile) == N
    len_s, opened_mb = clock.wall_s, resident_mb()
    wanted = np.random.default_rng(0).integers(0, N, 1_000)
    clock = Clock()
    rows = pile.vectors[wanted]
    rows_s = clock.wall_s
    np.testing.assert_array_equal(rows, row_of(wanted))
    others = np.random.default_rng(1).integers(0, N, 1_000)
    clock = Clock()
    rows = pile.vectors[others]
    rows_again_s = clock.wall_s
    np.testing.assert_array_equal(rows, row_of(others))
    assert isinstance(pile.vectors, np.memmap)
    assert not pile.vectors.flags.writeable
    return {
        "open_s": open_s,
        "len_s": len_s,
        "opened_mb": opened_mb,
        "rows_s": rows_s,
        "rows_again_s": rows_again_s,
    }


# ---- starting


def start(folder: Path) -> list[dict[str, Any]]:
    rows = []
    script = Path(sys.executable).with_name("sortal")
    if script.exists():
        rows.append(
            claim(
                "sortal --help",
                [cpu_seconds([os.fspath(script), "--help"]) for _ in range(ROUNDS)],
                0.5,
                "CPU-s",
            )
        )
    found = in_child(import_sortal)
    assert found["sortal"]
    rows.append(claim("heavy modules that import sortal loads", [float(len(found["heavy"]))], 0, "modules"))
    rows.append(
        claim(
            "python -c 'import sortal'",
            [cpu_seconds([sys.executable, "-c", "import sortal"]) for _ in range(ROUNDS)],
            0.5,
            "CPU-s",
        )
    )
    return rows


def cpu_seconds(command: list[str]) -> float:
    """User and system time of one command that must succeed."""
    before = os.times()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def import_sortal() -> dict[str, Any]:
    code = "import sys, sortal; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    out = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.split()
    heavy = [
        name
        for name in ("torch", "sklearn", "scipy", "onnxruntime", "faiss", "openTSNE", "PIL")
        if name in out
    ]
    return {"sortal": "sortal" in out, "heavy": heavy}


if __name__ == "__main__":
    main()
