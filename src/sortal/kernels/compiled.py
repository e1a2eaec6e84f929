"""numba at the door: compiled at the first call, for the next processes too where a cache can be written.

A kernel module imports `compiled` and decorates plain loops over arrays. It is itself imported by the
function of the door that needs it, so that commands which group nothing never load numba.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, overload

import numba

__all__ = ["compiled"]

F = TypeVar("F", bound=Callable[..., Any])


@overload
def compiled(function: F, /) -> F: ...
@overload
def compiled(**options: Any) -> Callable[[F], F]: ...
def compiled(function: Any = None, /, **options: Any) -> Any:
    """`numba.njit` without the interpreter's lock, cached on disk.

    Where neither the package's folder nor the user's cache can be written, numba raises when the function is
    made; it is then compiled anew in every process (`sortal doctor` says so).
    """
    if function is None:
        return partial(compiled, **options)
    njit: Any = numba.njit
    options = {"nogil": True, "error_model": "numpy"} | options
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # "no locator available"
        return njit(**options)(function)
