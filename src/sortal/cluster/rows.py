"""Rows of numbers, dense or CSR: checked once, then read dense and a few at a time."""

from numbers import Integral
from typing import Any

import numpy as np
from scipy.sparse import issparse

from sortal.errors import InputError
from sortal.kernels import map_blocks

__all__ = [
    "check_count",
    "checked_rows",
    "dense_rows",
    "refuse_nonfinite",
    "refuse_overflow",
    "rows_per_block",
    "validated",
]

TEXT = ("could not convert string", "arrays of bytes/strings")  # what scikit-learn says of it
MOST_SPAN = 1e145  # squares of it, summed over any x that fits a disk, are finite in float64


def checked_rows(name: str, x: Any, *, or_sparse: bool = False) -> Any:
    """`x` as n x d in float32 or float64, not copied where it is that already; integers become float64."""
    x = x.tocsr() if or_sparse and issparse(x) else np.asarray(x)
    if x.ndim != 2 or 0 in x.shape or x.dtype.kind not in "fiub":
        way_out = "a row for each center, as kmeans_plusplus draws them" if name == "start" else "such rows"
        raise InputError(
            f"{name} must hold numbers, in at least one row and one column; got {x.dtype} of shape "
            f"{x.shape}: give {way_out}."
        )
    return x if x.dtype in (np.float32, np.float64) else x.astype(np.float64)


def validated(estimator: Any, X: Any, **asked: Any) -> Any:
    """`validate_data`, with an `InputError` for text that says where it stands."""
    from sklearn.utils.validation import validate_data

    try:
        return validate_data(estimator, X, **asked)
    except ValueError as e:
        if isinstance(e, InputError) or not any(words in str(e) for words in TEXT):
            raise
        raise InputError(f"X must hold numbers; {_first_text(X)}: leave that out, or make it numbers.") from e


def _first_text(X: Any) -> str:
    names = getattr(X, "columns", None)
    for (row, column), value in np.ndenumerate(np.asarray(X, dtype=object)):
        try:
            float(value)
        except (TypeError, ValueError):
            called = "" if names is None else f" ({str(names[column])[:40]!r})"
            return f"got {str(value)[:40]!r} in row {row}, column {column}{called}"
    return "got text"


def check_count(name: str, value: Any) -> None:
    """`InputError` unless `value` is an integer of at least 1."""
    if not isinstance(value, Integral) or int(value) < 1:
        raise InputError(f"{name} must be an integer of at least 1; got {value!r}.")


def refuse_overflow(name: str, *arrays: Any) -> None:
    """`InputError` unless all numbers are finite and so are sums of squares of their differences."""
    low, high = (
        float(np.min([x.min() for x in arrays])),
        float(np.max([x.max() for x in arrays])),
    )
    if not high - low <= MOST_SPAN:
        raise InputError(
            f"{name} must be finite, and its squared distances too: values may span {MOST_SPAN:g}; "
            f"got {low:g} to {high:g}: divide them, or leave those rows out."
        )


def refuse_nonfinite(name: str, x: Any) -> None:
    """`InputError` naming the first row and column of `x` that hold NaN or infinity."""
    for rows in map_blocks(lambda rows: None if _is_finite(x[rows]) else rows, x.shape[0], rows_per_block(x)):
        if rows is not None:
            row, column = np.argwhere(~np.isfinite(dense_rows(x, rows)))[0]
            value = dense_rows(x, rows)[row, column]
            raise InputError(
                f"{name} must be finite; got {'NaN' if np.isnan(value) else 'infinity'} ({value}) in row "
                f"{rows.start + row}, column {column}: fill it in, or leave the row out."
            )


def _is_finite(x: Any) -> bool:
    values = x.data if issparse(x) else x
    # The least and the largest in place of a mask of n x d bytes; NaN makes both NaN.
    return not values.size or bool(np.isfinite(values.min()) and np.isfinite(values.max()))


def dense_rows(x: Any, rows: Any) -> np.ndarray:
    return np.asarray(x[rows].toarray() if issparse(x) else x[rows])


def rows_per_block(x: Any) -> int:
    return max(16, 2**20 // int(x.shape[1]))
