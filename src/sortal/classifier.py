"""A model folder at work: files in, names out. Needs no pile."""

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sortal import embed
from sortal.data import Found, Refused, Source, files_source, open_source, shown
from sortal.errors import InputError
from sortal.progress import Progress
from sortal.train import Model, Prediction, load_model

__all__ = ["Classifier", "Predictions", "load"]


@dataclass(frozen=True)
class Predictions:
    """One prediction per readable file, in the order of the scan, and the files that could not be read."""

    predictions: list[Prediction]
    refused: list[Refused]


class Classifier:
    """A model folder, ready to predict; needs no pile."""

    def __init__(self, model: Model) -> None:
        self.model = model
        spec = model.encoder.get("spec", {})
        self.encoder = embed.rebuild(
            spec, model.folder / "encoder.onnx" if spec.get("kind") == "onnx" else None
        )
        if (self.encoder.digest, self.encoder.dim) != (model.encoder["digest"], model.encoder["dim"]):
            raise InputError(
                f"{shown(str(model.folder))}: the head was trained on vectors of another encoder "
                f"({model.encoder['name']} {model.encoder['digest'][:12]}): train again."
            )

    def predict(
        self,
        source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        progress: Progress | None = None,
    ) -> Predictions:
        """Name every image of a folder, zip, list, or of one or several files."""
        progress = progress or Progress()
        opened = _to_predict(source)
        found: list[Found] = []
        refused: list[Refused] = []
        for entry in opened.scan():
            found.append(entry) if isinstance(entry, Found) else refused.append(entry)
        progress.start("predicting", len(found))
        predictions: list[Prediction] = []
        with contextlib.closing(embed.vectors_of(opened, found, self.encoder)) as chunks:
            for entries, vectors, more in chunks:
                predictions += self.model.head.predict([entry.path for entry in entries], vectors)
                refused += more
                progress.advance(len(entries) + len(more))
        if not predictions and not found and not refused:
            raise InputError("source must hold images; it holds no file.")
        return Predictions(predictions, refused)


def load(path: str | os.PathLike[str]) -> Classifier:
    """The model folder at `path`, every byte of it checked."""
    return Classifier(load_model(path))


def _to_predict(source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> Source:
    if isinstance(source, str | os.PathLike):
        listed = Path(source).suffix.lower() in (".zip", ".csv", ".parquet")
        return files_source([source]) if os.path.isfile(source) and not listed else open_source(source)
    paths = list(source)
    return _to_predict(paths[0]) if len(paths) == 1 else files_source(paths)
