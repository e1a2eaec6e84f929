"""One run at a time: a kernel lock, freed when its owner dies, and beside it a file that says who has it."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from sortal.errors import StoreError
from sortal.store.catalogue import now
from sortal.store.failures import one_line, reported

__all__ = ["held"]


@contextmanager
def held(pile: Path, command: str) -> Iterator[None]:
    """Hold the pile's run lock. StoreError at once, naming the owner, where another run has it."""
    # Two Stores of one process must exclude each other too: no instance is shared.
    lock = FileLock(pile / "run.lock", timeout=0, is_singleton=False)
    with reported(pile / "run.lock"):
        try:
            lock.acquire()
        except Timeout as e:
            raise StoreError(
                f"{one_line(pile)}: another run is going on ({_owner(pile)}): wait until it ends, or stop it."
            ) from e
    try:
        _say_who(pile, command)
        yield
    finally:
        with suppress(OSError):  # nobody reads it while the lock is free
            (pile / "run.owner").unlink()
        lock.release()


def _say_who(pile: Path, command: str) -> None:
    owner = {"pid": os.getpid(), "host": socket.gethostname(), "since": now(), "command": command}
    temp = pile / ".run.owner.tmp"
    with reported(pile / "run.owner"):
        temp.write_text(json.dumps(owner))
        os.replace(temp, pile / "run.owner")  # whoever reads it finds all of it


def _owner(pile: Path) -> str:
    try:
        owner = json.loads((pile / "run.owner").read_bytes()[:4096])
        text = f"{owner['command']}, pid {owner['pid']} on {owner['host']}, since {owner['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "its owner has not written down who it is"
    return one_line(text)
