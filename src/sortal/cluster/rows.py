"""Rows of numbers, dense or CSR: checked once, then read dense and a few at a time."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral, Real
from typing import Any

import numpy as np
from scipy.sparse import issparse

from sortal.errors import InputError
from sortal.kernels import map_blocks

__all__ = [
    "check_count",
    "check_groups",
    "check_tolerance",
    "checked_rows",
    "dense_rows",
    "fit_rows",
    "n_distinct",
    "near_one",
    "noted_rows",
    "refuse_nonfinite",
    "refuse_overflow",
    "rows_per_block",
    "text_told",
    "validated",
]

TEXT = ("could not convert string", "arrays of bytes/strings")  # what scikit-learn says of it
MOST_SPAN = 1e145  # squares of it, summed over any x that fits a disk, are finite in float64


def checked_rows(name: str, x: Any, *, or_sparse: bool = False) -> Any:
    """`x` as n x d in float32 or float64, not copied where it is that already; integers become float64."""
    if issparse(x) and not or_sparse:
        raise InputError(
            f"{name} must be dense; got a sparse matrix of shape {x.shape}: give {name}.toarray()."
        )
    _refuse_masked(name, x)
    x = x.tocsr() if issparse(x) else np.asarray(x)
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

    with text_told(X):
        return validate_data(estimator, X, **asked)


def noted_rows(estimator: Any, X: Any) -> bool:
    """Whether X is plain rows of float32 or float64, with nothing to convert and no names of columns.

    Then `estimator` knows their number of features, as after `validate_data`, which takes 50 to 200
    microseconds to see it.
    """
    if not (type(X) is np.ndarray and X.ndim == 2 and X.size and X.dtype in (np.float64, np.float32)):
        return False
    estimator.n_features_in_ = X.shape[1]
    if hasattr(estimator, "feature_names_in_"):
        del estimator.feature_names_in_
    return True


def fit_rows(estimator: Any, X: Any, **asked: Any) -> Any:
    """`validated` for `fit`, save NaN; rows that it would hand back as they are cost 2 us and not 65."""
    return X if noted_rows(estimator, X) else validated(estimator, X, ensure_all_finite=False, **asked)


@contextmanager
def text_told(X: Any) -> Iterator[None]:
    """scikit-learn's refusal of text becomes an `InputError` that says where it stands."""
    _refuse_masked("X", X)
    try:
        yield
    except ValueError as e:
        if isinstance(e, InputError) or not any(words in str(e) for words in TEXT):
            raise
        raise InputError(f"X must hold numbers; {_first_text(X)}: leave that out, or make it numbers.") from e


def _refuse_masked(name: str, x: Any) -> None:
    """`InputError` for masked entries, of which NumPy and scikit-learn take the number below the mask."""
    if isinstance(x, np.ma.MaskedArray) and np.ma.is_masked(x):
        row = int(np.argwhere(np.ma.getmaskarray(x))[0][0])
        raise InputError(
            f"{name} must have no masked entries; got one in row {row}: fill it in, or leave the row out."
        )


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


def check_tolerance(tol: Any) -> None:
    """`InputError` unless `tol` is a number of at least 0."""
    if not isinstance(tol, Real) or not float(tol) >= 0:
        raise InputError(f"tol must be a number of at least 0; got {tol!r}.")


def check_groups(name: str, value: Any, n: int, of: str = "samples") -> None:
    """`InputError` unless `value` is an integer and none of so many groups of `n` must be empty."""
    if isinstance(value, bool) or not isinstance(value, Integral) or not 1 <= int(value) <= n:
        raise InputError(
            f"{name} must be an integer between 1 and the number of {of}; got {name}={value!r} for "
            f"n_{of}={n}: ask for at most {n} (n_{of} should be >= {name})."
        )


def n_distinct(x: Any, most: int) -> int:
    """How many rows of `x` differ from one another, counted up to `most`."""
    seen: set[bytes] = set()
    for at in range(0, int(x.shape[0]), rows_per_block(x)):
        for row in dense_rows(x, slice(at, at + rows_per_block(x))):
            seen.add((row + 0).tobytes())  # -0. becomes 0., which it equals
            if len(seen) == most:
                return most
    return len(seen)


def refuse_overflow(name: str, *arrays: Any) -> None:
    """`InputError` unless all numbers are finite and so are sums of squares of their differences."""
    ends = [float(end) for x in arrays for end in (x.min(), x.max())]
    low, high = (math.nan, math.nan) if any(map(math.isnan, ends)) else (min(ends), max(ends))
    if not high - low <= MOST_SPAN:
        raise InputError(
            f"{name} must be finite, and its squared distances too: values may span {MOST_SPAN:g}; "
            f"got {low:g} to {high:g}: divide them, or leave those rows out."
        )


def refuse_nonfinite(name: str, x: Any) -> np.ndarray:
    """`InputError` naming the first row and column of `x` that hold NaN or infinity; its span in one pass.

    The span is the least and the largest number, of which `refuse_overflow` knows what it knows of `x`.
    """
    n, block = int(x.shape[0]), rows_per_block(x)
    # One block is looked at without the cost of threads: a fit of 300 rows takes .3 ms.
    spans = [_span(x)] if n <= block else list(map_blocks(lambda rows: _span(x[rows]), n, block))
    span = np.array([min(low for low, _ in spans), max(high for _, high in spans)])
    for at, found in zip(range(0, n, block), spans):
        if not math.isfinite(found[0]) or not math.isfinite(found[1]):
            rows = dense_rows(x, slice(at, at + block))
            row, column = np.argwhere(~np.isfinite(rows))[0]
            value = "NaN" if np.isnan(rows[row, column]) else "infinity"
            raise InputError(
                f"{name} must be finite; got {value} in row {at + row}, column {column}: fill it in, or "
                "leave the row out."
            )
    return span


def _span(x: Any) -> tuple[float, float]:
    """The least and the largest in place of a mask of n x d bytes; NaN makes both NaN."""
    return float(x.min()), float(x.max())


def dense_rows(x: Any, rows: Any) -> np.ndarray:
    return np.asarray(x[rows].toarray() if issparse(x) else x[rows])


def near_one(x: np.ndarray) -> np.ndarray:
    """The rows times powers of two, their largest numbers from .5 to 1: the same directions, to the last bit.

    For cosines: scikit-learn takes rows shorter than 2e-15 for zero (1e-6 in float32), and squares overflow.
    """
    largest = np.maximum(x.max(axis=1), -x.min(axis=1))
    most = np.finfo(x.dtype).maxexp - 2
    power = np.clip(-np.frexp(largest)[1], -most, most)
    return np.asarray(x * np.ldexp(x.dtype.type(1), power)[:, None])


def rows_per_block(x: Any) -> int:
    return max(16, 2**20 // int(x.shape[1]))
