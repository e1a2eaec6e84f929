"""A function over fixed blocks of rows, on every core we may use, with the same bits whatever their number.

Blocks are cut by the size of the data alone, and BLAS gets one thread inside them: a product that BLAS
splits over two threads rounds differently from the same product on one.
"""

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from threadpoolctl import LibController, ThreadpoolController

__all__ = ["map_blocks", "n_threads", "one_blas_thread"]

T = TypeVar("T")


def map_blocks(function: Callable[[slice], T], n: int, block: int) -> Iterator[T]:
    """`function(slice)` for each block of `block` rows out of `n`, in the order of the blocks.

    At most 16 results a thread wait to be taken, so memory does not grow with `n`.
    """
    blocks = [slice(at, min(at + block, n)) for at in range(0, n, block)]
    workers = min(n_threads(), len(blocks)) if len(blocks) > 1 else 1
    with one_blas_thread():
        try:
            yield from map(function, blocks) if workers <= 1 else _Crew(function, blocks, workers).results()
        except SystemError as e:
            # Ctrl-C while numba makes Python's arrays of a loop's results: every second one in k-means++.
            behind: BaseException | None = e
            while behind is not None and not isinstance(behind, KeyboardInterrupt):
                behind = behind.__cause__ or behind.__context__
            if behind is not None:
                raise KeyboardInterrupt from e
            raise


class _Crew(Generic[T]):
    # The caller works too, and each takes several blocks at a time. A pool that only the caller feeds wakes a
    # sleeping thread for every block, and a block may take .1 ms: k-means on 200,000 x 64 in 100 groups took
    # .35 s with one thread, .42 s with two, and takes .24 s so.

    def __init__(self, function: Callable[[slice], T], blocks: list[slice], workers: int) -> None:
        self.function, self.blocks, self.n_helpers = function, blocks, workers - 1
        self.run = min(8, max(1, len(blocks) // (8 * workers)))  # blocks that one takes at a time
        self.ahead = 2 * self.run * workers
        self.taken = self.given = 0  # blocks that someone works at; results that the caller has had
        self.done: dict[int, T | BaseException] = {}
        self.over = False
        # A lock of C, taken by itself: Ctrl-C inside Condition's own __enter__ would leave it taken for ever.
        self.lock = threading.Lock()
        self.change = threading.Condition(self.lock)

    def results(self) -> Iterator[T]:
        helpers = [threading.Thread(target=self._help, daemon=True) for _ in range(self.n_helpers)]
        try:
            for helper in helpers:
                helper.start()
            for number in range(len(self.blocks)):
                result = self._result(number)
                if isinstance(result, BaseException):
                    raise result
                yield result
        finally:
            self._dismiss()
            for helper in helpers:
                if helper.is_alive():  # Ctrl-C may have come while one was started: that finds nothing to do
                    helper.join()

    def _result(self, number: int) -> T | BaseException:
        """The result of a block; until it is there, the caller works at others."""
        while True:
            with self.lock:
                if number in self.done:
                    self.given += 1
                    self.change.notify_all()
                    return self.done.pop(number)
                mine = self._take()
                if mine is None:
                    self.change.wait()
                    continue
            self._work(mine, Exception)  # Ctrl-C reaches this thread, and leaves at once

    def _help(self) -> None:
        while True:
            with self.lock:
                while (mine := self._take()) is None:
                    if self.taken >= len(self.blocks):
                        return
                    self.change.wait()
            self._work(mine, BaseException)

    def _take(self) -> range | None:
        if self.taken >= min(len(self.blocks), self.given + self.ahead):
            return None
        mine = range(self.taken, min(self.taken + self.run, len(self.blocks)))
        self.taken = mine.stop
        return mine

    def _work(self, numbers: range, kept: type[BaseException]) -> None:
        """Results for the caller; trouble among them is raised when its block has its turn."""
        results: dict[int, T | BaseException] = {}
        try:
            for number in numbers:
                if self.over:
                    return
                results[number] = self.function(self.blocks[number])
        except kept as trouble:
            results[number] = trouble
        with self.lock:
            self.done |= results
            self.change.notify_all()

    def _dismiss(self) -> None:
        with self.lock:
            self.over, self.taken = True, len(self.blocks)
            self.change.notify_all()


def n_threads() -> int:
    """The cores in our affinity mask, fewer where OMP_NUM_THREADS or a limit of threadpoolctl asks for it."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    most = max(1, min(cores, int(asked) if asked.isdigit() else cores))
    return most if most == 1 else max(1, min(most, _limit.allowed()))


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """BLAS on one thread until the last of those who asked for it has left.

    The limit belongs to the whole process. Were it saved and restored by each user, two that overlap in
    time would leave it set for ever.
    """
    _limit.enter()
    try:
        yield
    finally:
        _limit.leave()


class _SharedLimit:
    # Counts are set here: threadpoolctl's own `limit` looks at each library three times, and with some five
    # calls of 80 us a fit to 300 rows spent as much on it as on all else.

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._held: list[tuple[LibController, int]] = []  # what to give back
        self._blas = sys.maxsize  # threads that BLAS had before we took them
        self._libraries: tuple[int, ThreadpoolController] | None = None

    def enter(self) -> None:
        with self._lock:
            if self._users == 0:
                counts = self._counts("blas")
                self._blas = min((count for _, count in counts), default=sys.maxsize)
                self._held = [(library, count) for library, count in counts if count > 1]
                for library, _ in self._held:
                    _set_threads(library, 1)
            self._users += 1

    def leave(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                for library, count in self._held:
                    _set_threads(library, count)
                self._held = []

    def allowed(self) -> int:
        """The fewest threads that a loaded BLAS or OpenMP may use, our own limit apart."""
        with self._lock:
            blas = self._blas if self._users else self._fewest("blas")
            return min(blas, self._fewest("openmp"))

    def _fewest(self, api: str) -> int:
        return min((count for _, count in self._counts(api)), default=sys.maxsize)

    def _counts(self, api: str) -> list[tuple[LibController, int]]:
        libraries = [one for one in self._controller().lib_controllers if one.user_api == api]
        return [(library, count) for library in libraries if (count := library.num_threads)]

    def _controller(self) -> ThreadpoolController:
        """Finding the libraries takes 3 ms, so it is done again only after an import may have loaded one."""
        n_modules = len(sys.modules)
        if self._libraries is None or self._libraries[0] != n_modules:
            self._libraries = n_modules, ThreadpoolController()
        return self._libraries[1]


def _set_threads(library: LibController, count: int) -> None:
    """Whichever thread asks: since 3.8 threadpoolctl heeds only the first, until that one gives it up."""
    give_up = getattr(library, "clear_controlling_thread", None)
    if give_up:
        give_up(force=True)
    library.set_num_threads(count)
    if give_up:
        give_up(force=True)


_limit = _SharedLimit()
