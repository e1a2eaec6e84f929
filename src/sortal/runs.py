"""A finished run of `sortal sequence train` as an encoder of the kind that it read."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from sortal.data import shown
from sortal.embed import OnnxSequence
from sortal.embed.sequence_options import SequencePreprocess, SoundPreprocess, TextPreprocess
from sortal.errors import InputError, MissingExtra

if TYPE_CHECKING:
    from sortal.train.sequence.run import Kept

__all__ = ["encoder_of_run", "is_run"]


def is_run(folder: str | os.PathLike[str]) -> bool:
    return os.path.isfile(Path(folder) / "sequence.json")


def encoder_of_run(folder: str | os.PathLike[str]) -> OnnxSequence:
    """The final states of its network as vectors. Needs the extra `nets`.

    `InputError` for a run that read something else than sounds or names, or not by a recurrent network.
    """
    try:
        from sortal.nets.sequence_classifier import SequenceClassifier
        from sortal.train.sequence.run import open_run
    except ImportError as e:
        raise MissingExtra("A run as an encoder", "nets") from e
    from sortal.embed.recurrent_body import trained_encoder

    kept = open_run(folder)
    want = _as_it_read(kept)
    if want is None or not isinstance(kept.net, SequenceClassifier):
        raise InputError(
            f"{shown(str(folder))} must be a run of fsdd or names to be an encoder, which makes a vector of "
            f"a sound or a text; it is one of {shown(kept.recipe.kind)} ({shown(kept.recipe.name)})."
        )
    encoder = trained_encoder(kept.net, want)
    encoder.name = shown(os.path.basename(os.path.abspath(folder)))
    return encoder


def _as_it_read(kept: "Kept") -> SequencePreprocess | None:
    if kept.recipe.kind == "surnames" and "letters" in kept.symbols:
        return TextPreprocess(letters="".join(kept.symbols["letters"].symbols))
    if kept.recipe.kind == "spoken":
        from sortal.data.spoken_digits import RATE
        from sortal.train.sequence.spoken import N_MELS, QUIETEST

        return SoundPreprocess(rate=RATE, mels=N_MELS, floor=QUIETEST, scale="item")
    return None
