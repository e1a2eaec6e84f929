"""Handwritten digits as files, and what tests ask of a pile as a whole."""

import hashlib
import sqlite3
from contextlib import closing

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits


def write_digits(folder, start=0, stop=300):
    """folder/NAME/0007.png: scikit-learn's digits, dark on white."""
    data = load_digits()
    for i in range(start, stop):
        path = folder / str(data.target[i]) / f"{i:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((255 - 15 * data.images[i]).astype(np.uint8)).save(path)
    return folder


def state(pile):
    """A hash of all that the catalogue holds, the record of runs aside, and of all segments."""
    digest = hashlib.sha256()
    with closing(sqlite3.connect(f"file:{pile / 'catalogue.db'}?mode=ro", uri=True)) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        assert len(tables) > 5
        for table in sorted(set(tables) - {"runs"}):
            for row in sorted(map(repr, db.execute(f"SELECT * FROM {table}"))):
                digest.update(f"{table} {row}".encode())
    for segment in sorted((pile / "segments").iterdir()):
        digest.update(segment.name.encode() + segment.read_bytes())
    return digest.hexdigest()
