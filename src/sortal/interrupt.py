"""Ctrl-C that waits for a safe place."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

__all__ = ["held_interrupt"]


@contextlib.contextmanager
def held_interrupt() -> Iterator[Callable[[], bool]]:
    """While inside, the first Ctrl-C only makes the yielded function answer True; the second raises.

    Signals belong to the main thread; elsewhere nothing is changed.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return

    def on_signal(number: int, frame: object) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    before = signal.signal(signal.SIGINT, on_signal)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)
