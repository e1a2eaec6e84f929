"""A model folder at work: files in, names out. Needs no pile."""

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sortal import embed
from sortal.data import KINDS, Found, Reading, Refused, Source, files_source, open_source, shown
from sortal.embed import Encoder
from sortal.errors import InputError
from sortal.progress import Progress
from sortal.train import Model, Prediction, load_model
from sortal.train.encoder_folder import EncoderFolder

__all__ = ["Classifier", "Predictions", "encoder_of", "load", "reading_of"]


@dataclass(frozen=True)
class Predictions:
    """One prediction per readable file, in the order of the scan, and the files that could not be read."""

    predictions: list[Prediction]
    refused: list[Refused]


class Classifier:
    """A model folder, ready to predict; needs no pile."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.encoder = encoder_of(model)

    def predict(
        self,
        source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        progress: Progress | None = None,
    ) -> Predictions:
        """Name every item of a folder, zip, list or file, or of several of them."""
        progress = progress or Progress()
        answers = Predictions([], [])
        for opened in _to_predict(source, reading_of(self.model)):
            self._predict(opened, answers, progress)
        if not answers.predictions and not answers.refused:
            raise InputError(f"source must hold {KINDS[self.encoder.input.kind]}; it holds no file.")
        return answers

    def _predict(self, source: Source, answers: Predictions, progress: Progress) -> None:
        found: list[Found] = []
        for entry in source.scan():
            found.append(entry) if isinstance(entry, Found) else answers.refused.append(entry)
        progress.start("predicting", len(found))
        with contextlib.closing(embed.vectors_of(source, found, self.encoder)) as chunks:
            for entries, vectors, refused in chunks:
                answers.predictions.extend(
                    self.model.head.predict([entry.path for entry in entries], vectors)
                )
                answers.refused.extend(refused)
                progress.advance(len(entries) + len(refused))


def encoder_of(model: Model | EncoderFolder) -> Encoder:
    """What makes the vectors of a model, ready to run. `InputError` where it is another than the head's."""
    files = (model.folder / name for name in ("encoder.onnx", "encoder.safetensors"))
    encoder = embed.rebuild(
        model.encoder.get("spec", {}), next((file for file in files if file.is_file()), None)
    )
    if (encoder.digest, encoder.dim) != (model.encoder["digest"], model.encoder["dim"]):
        raise InputError(
            f"{shown(str(model.folder))}: the head was trained on vectors of another encoder "
            f"({model.encoder['name']} {model.encoder['digest'][:12]}): train again."
        )
    return encoder


def load(path: str | os.PathLike[str]) -> Classifier:
    """The model folder at `path`, every byte of it checked."""
    return Classifier(load_model(path))


def reading_of(model: Model) -> Reading:
    """How the files of the pile were read that the model was trained on."""
    input = model.input
    return Reading.from_json(input.get("read", {"kind": input.get("kind", "image")}))


def _to_predict(
    source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]], reading: Reading
) -> list[Source]:
    """Single files together, in their order; folders, zips and lists each by itself, after them.

    A file that is missing among others is refused by itself: a shell's `*.jpg` must not stop at one.
    """
    given = [source] if isinstance(source, str | os.PathLike) else list(source)
    alone = len(given) == 1 and not os.path.isfile(given[0])
    files = [path for path in given if not (alone or os.path.isdir(path) or _is_listing(path))]
    several = [open_source(path, None, reading) for path in given if path not in files]
    return [*([files_source(files, reading)] if files else []), *several]


def _is_listing(path: str | os.PathLike[str]) -> bool:
    return Path(path).suffix.lower() in (".zip", ".csv", ".parquet")
