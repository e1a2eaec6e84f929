"""Records as plain JSON values, and how strangers' text is kept short and safe."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["as_json", "json_for_html", "shorten"]


def as_json(record: Any) -> Any:
    """The record as dicts, lists, strings, numbers and None; NaN or infinity is a ValueError.

    Dataclasses become dicts by field name, arrays and tuples lists, keys of mappings strings.
    """
    if dataclasses.is_dataclass(record) and not isinstance(record, type):
        return {field.name: as_json(getattr(record, field.name)) for field in dataclasses.fields(record)}
    if isinstance(record, Mapping):
        return {str(key): as_json(value) for key, value in record.items()}
    if isinstance(record, np.ndarray | np.generic):
        return as_json(record.tolist())
    if isinstance(record, list | tuple):
        return [as_json(value) for value in record]
    if isinstance(record, float) and not np.isfinite(record):
        raise ValueError(f"JSON has no {record}; a record must say None where there is no number.")
    if record is None or isinstance(record, str | int | float):
        return record
    raise TypeError(f"a record holds plain values only; got {type(record).__name__}.")


def json_for_html(value: Any) -> str:
    """`value` as strict JSON that can stand inside a <script> element.

    Pure ASCII: `<`, `>`, `&` are escaped, so no text can close the element or open a comment;
    U+2028 and bytes that are no UTF-8 (surrogates in paths) are escapes already.
    """
    text = json.dumps(as_json(value), allow_nan=False, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def shorten(text: str, most: int = 200) -> str:
    """`text` with its middle left out when it is longer than `most` characters.

    Names may have 10,000 characters and paths 4,096; a page must stay a page. Ends matter most in paths.
    """
    if len(text) <= most:
        return text
    head = (most - 1) // 2
    return f"{text[:head]}…{text[len(text) - (most - 1 - head) :]}"
