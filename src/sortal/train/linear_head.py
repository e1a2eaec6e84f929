"""The linear head of a model folder: its arguments in config.json, its tensors beside it."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from sortal.train.calibration import TEMPERATURES
from sortal.train.head import Head
from sortal.train.novelty import MAX_AXES, MAX_BANK, Novelty
from sortal.train.report import HeadReport

__all__ = ["linear_arguments", "linear_head", "linear_shapes", "linear_tensors"]

Arguments = Mapping[str, Any]
Tensors = dict[str, np.ndarray]


def linear_arguments(head: Head) -> dict[str, Any]:
    """What `config.json` keeps of a linear head beside its tensors."""
    n_bank, n_axes = head.novelty.bank.shape
    return {
        "dim": head.dim,
        "n_answers": len(head.bias),
        "n_axes": n_axes,
        "n_bank": n_bank,
        "n_neighbors": head.novelty.n_neighbors,
        "temperature": head.temperature,
        "near": head.novelty.near,
        "far": head.novelty.far,
    }


def linear_tensors(head: Head) -> Tensors:
    """The tensors of a linear head, all float32."""
    rule = head.novelty
    tensors = {
        "weights": head.weights, "bias": head.bias,
        "mean": rule.mean, "novelty.axes": rule.axes, "novelty.bank": rule.bank,
    }  # fmt: skip
    return {name: np.ascontiguousarray(tensor, dtype=np.float32) for name, tensor in tensors.items()}


def linear_shapes(arguments: Arguments) -> dict[str, tuple[int, ...]]:
    """The float32 tensors that `arguments` ask for; raises KeyError, TypeError or ValueError."""
    d, c = _count(arguments, "dim"), _count(arguments, "n_answers")
    # A larger rule would cost every prediction more than any that was trained here.
    q, m = _count(arguments, "n_axes", MAX_AXES), _count(arguments, "n_bank", MAX_BANK)
    return {"weights": (c, d), "bias": (c,), "mean": (d,), "novelty.axes": (d, q), "novelty.bank": (m, q)}


def linear_head(arguments: Arguments, tensors: Tensors, labels: tuple[str, ...], report: HeadReport) -> Head:
    """The head that they make; raises as `linear_shapes`."""
    if _count(arguments, "n_answers") - len(labels) not in (0, 1):
        raise ValueError("n_answers must be the number of labels, or one more")
    near, far = _number(arguments, "near", 0.0, 1e30), _number(arguments, "far", 0.0, 1e30)
    n_neighbors = _count(arguments, "n_neighbors")
    rule = Novelty(tensors["mean"], tensors["novelty.axes"], tensors["novelty.bank"], n_neighbors, near, far)
    temperature = _number(arguments, "temperature", *TEMPERATURES)
    return Head(labels, tensors["weights"], tensors["bias"], temperature, rule, report)


def _count(arguments: Arguments, key: str, most: int = 2**31 - 1) -> int:
    value = arguments[key]
    if type(value) is not int or not 0 < value <= most:
        raise ValueError(f"{key} must be a whole number from 1 to {most}")
    return value


def _number(arguments: Arguments, key: str, above: float, below: float) -> float:
    value = arguments[key]
    if type(value) not in (int, float) or not above < value < below:
        raise ValueError(f"{key} must be a number above {above:g} and below {below:g}")
    return float(value)
