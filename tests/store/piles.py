"""Small piles for the tests of the store."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from sortal.store import Batch, NewFile, NewItem, NewVectors

DIM = 5


def digest(number):
    return hashlib.sha256(b"%d" % number).digest()


def vector(number):
    return np.arange(DIM, dtype=np.float32) + 10 * number


def batch(store, numbers, dim=DIM):
    """Items NUMBERS, one file and one vector each."""
    source = store.source("/photos", "folder")
    encoder = store.encoder("hog", "hog/1", dim, {"kind": "hog"})
    digests = [digest(i) for i in numbers]
    vectors = np.stack([np.resize(vector(i), dim) for i in numbers]).astype(np.float32)
    return Batch(
        source,
        items=[NewItem(d, n_bytes=7) for d in digests],
        files=[NewFile(f"{i}.png", (7, i, i), d) for i, d in zip(numbers, digests)],
        vectors=NewVectors(encoder, digests, vectors),
    )


def fill(store, *parts, command="organize"):
    with store.run(command):
        for numbers in parts:
            store.commit(batch(store, numbers))


def child(code, *arguments, **options):
    """Start `code` in another Python that can import these helpers."""
    root = Path(__file__).parents[2]
    env = {**os.environ, "PYTHONPATH": str(root)}
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env, **options,
    )  # fmt: skip
