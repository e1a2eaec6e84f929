"""How a network wants its items, said by a person or by a file beside it: every value checked by its rule."""

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from sortal.data import shown
from sortal.errors import InputError

__all__ = [
    "Rules",
    "above_zero",
    "checked_options",
    "first_line",
    "is_number",
    "number",
    "one_of",
    "read_sidecar",
    "require",
    "sidecar_path",
    "text_or_none",
    "whole",
]

Rules = Mapping[str, tuple[str, Callable[[Any], Any]]]
Options = TypeVar("Options")


def checked_options(cls: type[Options], given: Any, rules: Rules, *, where: str) -> Options:
    """`cls` with the values of `given`. `InputError` names `where`, the key and its rule."""
    given = _object(given, where)
    known = [field.name for field in fields(cls)]  # type: ignore[arg-type]  # a dataclass
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise InputError(f"{where}: unknown key {unknown[0][:40]!r}; the keys are {', '.join(known)}.")
    return cls(**{key: _checked(key, value, rules, where) for key, value in given.items()})


def _object(given: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise InputError(f"{where} must be a JSON object; got {type(given).__name__}.")
    return given


def _checked(key: str, value: Any, rules: Rules, where: str) -> Any:
    """One value in its final form, or an `InputError` with its rule."""
    rule, read = rules[key]
    try:
        return read(value)
    except (TypeError, ValueError):
        raise InputError(f"{where}: {key} must be {rule}; got {str(value)[:60]!r}.") from None


def sidecar_path(weights: Path) -> Path:
    """Where the options of `net.onnx` are looked for: `net.onnx.json` beside it."""
    return weights.with_name(weights.name + ".json")


def read_sidecar(weights: Path) -> Mapping[str, Any] | None:
    """What the file beside `weights` says; None where there is none."""
    path = sidecar_path(weights)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as e:
        raise InputError(
            f"{shown(str(path))}: the sidecar must be readable UTF-8 JSON; {first_line(e)}."
        ) from e
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as e:
        raise InputError(f"{shown(str(path))}: the sidecar must be JSON; {first_line(e)}.") from e
    return _object(found, shown(str(path)))


def first_line(error: BaseException) -> str:
    return shown((str(error).strip().splitlines() or [type(error).__name__])[0])


# ---- what a value may be: each gives it in its final form, or raises ValueError or TypeError


def one_of(*choices: Any) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        require(value in choices)
        return value

    return read


def whole(least: int, most: int, *, or_none: bool = False) -> Callable[[Any], int | None]:
    def read(value: Any) -> int | None:
        if value is None:
            require(or_none)
            return None
        require(is_number(value) and value == int(value) and least <= value <= most)
        return int(value)

    return read


def number(value: Any) -> float:
    require(is_number(value))
    return float(value)


def above_zero(value: Any) -> float:
    require(is_number(value) and value > 0)
    return float(value)


def text_or_none(value: Any) -> str | None:
    require(value is None or (isinstance(value, str) and len(value) <= 200))
    return None if value is None else str(value)


def require(holds: bool) -> None:
    if not holds:
        raise ValueError


def is_number(value: Any) -> bool:
    # The bounds also keep out integers that no float can hold, which JSON has.
    return isinstance(value, int | float) and not isinstance(value, bool) and -1e30 < value < 1e30
