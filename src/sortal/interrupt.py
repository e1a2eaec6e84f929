"""Ctrl-C that waits for a safe place."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

__all__ = ["held_interrupt"]


@contextlib.contextmanager
def held_interrupt() -> Iterator[Callable[[], bool]]:
    """While inside, the first Ctrl-C only makes the yielded function answer True; the second raises.

    Signals belong to the main thread; elsewhere, and where another language handles them, nothing is changed.
    """
    asked = False  # no threading.Event: a second signal inside its `set` would wait for its lock for ever

    def on_signal(number: int, frame: object) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGINT) is None:
        yield lambda: False
        return
    before = signal.signal(signal.SIGINT, on_signal)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)
