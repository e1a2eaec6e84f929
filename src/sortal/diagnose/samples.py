"""What a microscope saw of a run, kept beside it: microscope.json, one record a sample."""

import json
import os
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from sortal.diagnose.depth.profile import Activation, Layer, Profile
from sortal.diagnose.microscope import Sample
from sortal.diagnose.time.lags import Reach
from sortal.errors import DataError
from sortal.whole import write_whole

__all__ = ["SAMPLES", "kept_samples", "samples_bytes", "write_samples"]

SAMPLES = "microscope.json"
T = TypeVar("T")
DIGITS = 6  # of each number: a curve shows three


def write_samples(folder: str | os.PathLike[str], samples: Iterable[Sample]) -> None:
    """Put them into the run's folder, in the place of those that lie there."""
    write_whole(Path(folder) / SAMPLES, samples_bytes(samples))


def samples_bytes(samples: Iterable[Sample]) -> bytes:
    """As JSON; numbers that are not finite stand as texts, which JSON has no others for."""
    return (json.dumps([_plain(_record(one)) for one in samples], allow_nan=False) + "\n").encode()


def kept_samples(folder: str | os.PathLike[str]) -> tuple[Sample, ...]:
    """Those of a run that was watched, in the order of steps; () of one that was not."""
    path = Path(folder) / SAMPLES
    try:
        records = json.loads(path.read_bytes())
        if not isinstance(records, list):
            raise ValueError("they are a list")
        return tuple(sorted(map(_sample, records), key=lambda sample: sample.step))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as e:
        raise DataError(
            f"{path} must hold a run's samples: {str(e)[:160]}. Remove it, or train again."
        ) from e


def _record(sample: Sample) -> dict[str, Any]:
    profile = sample.profile
    return {
        "step": sample.step, "epoch": sample.epoch, "loss": profile.loss,
        "layers": [vars(one) for one in profile.layers],
        "activations": [vars(one) for one in profile.activations],
        "reach": [vars(one) for one in sample.reach.values()],
    }  # fmt: skip


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if np.isfinite(value) else str(value)
    return value


def _sample(record: dict[str, Any]) -> Sample:
    layers = tuple(_made(Layer, one) for one in record["layers"])
    activations = tuple(_made(Activation, one) for one in record["activations"])
    reach = {
        one["name"]: Reach(**{**one, "gradient": _grid(one["gradient"]), "idle": float(one["idle"])})
        for one in record["reach"]
    }
    profile = Profile(float(record["loss"]), layers, activations)
    return Sample(int(record["step"]), int(record["epoch"]), profile, reach)


def _made(kind: type[T], record: dict[str, Any]) -> T:
    """Numbers that are no JSON come as texts; what is a name or a yes must be one."""
    found: dict[str, Any] = {}
    for one in fields(kind):  # type: ignore[arg-type]
        value = record[one.name]
        if one.type is not float and not isinstance(value, one.type):  # type: ignore[arg-type]
            raise ValueError(f"{one.name} is no {one.type.__name__}")  # type: ignore[union-attr]
        found[one.name] = float(value) if one.type is float else value
    return kind(**found)


def _grid(rows: list[list[Any]]) -> np.ndarray:
    grid = np.array([[float(x) for x in row] for row in rows])
    if grid.ndim != 2 or not grid.size:
        raise ValueError("a layer's gradient has rows and columns")
    return grid
