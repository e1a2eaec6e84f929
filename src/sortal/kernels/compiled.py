"""numba at the door: compiled at the first call, for the next processes too where a cache can be written.

A kernel module imports `compiled` and decorates plain loops over arrays. It is itself imported by the
function of the door that needs it, so that commands which group nothing never load numba.
"""

import contextlib
import signal
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, overload

import numba
from numba.core import event

from sortal.interrupt import held_interrupt

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


class _InterruptAfterCompiling(event.Listener):
    """Ctrl-C in the main thread waits until numba holds its compiler's lock no more, then is given again.

    LLVM calls Python back through ctypes, which prints what a callback raises and goes on: one Ctrl-C while a
    loop was compiled or loaded from disk was lost, and the fit ran to its end. The lock is held over both.
    """

    def __init__(self) -> None:
        self._depth = 0  # the lock can be taken again by who holds it

    def on_start(self, _: object) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        if self._depth == 0:
            self._hold = contextlib.ExitStack()
            self._interrupted = self._hold.enter_context(held_interrupt())
        self._depth += 1

    def on_end(self, _: object) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        self._depth -= 1
        if self._depth == 0:
            self._hold.close()
            if self._interrupted():
                signal.raise_signal(signal.SIGINT)  # to the handler that was there before


event.register("numba:compiler_lock", _InterruptAfterCompiling())  # type: ignore[no-untyped-call]
