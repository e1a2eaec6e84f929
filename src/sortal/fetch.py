"""A published file, fetched once and checked each time.

The file and its hash lie side by side in the cache: FILE and FILE.sha256. What came of a file that broke off
lies in FILE.part; the next call goes on from there. Two processes wait for each other.
"""

import http.client
import os
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import sleep

from sortal.errors import DataError, FetchError, StoreError
from sortal.progress import Progress
from sortal.published import Published
from sortal.whole import sha256_of

__all__ = ["alone", "cache_folder", "cached", "fetched"]

TRIES = 5  # in a row without a new byte
WAIT_S = 30.0  # for the next bytes
BLOCK = 1 << 20


def cache_folder() -> Path:
    """Where fetched weights lie: $SORTAL_CACHE, or `sortal` in the platform's own cache folder."""
    named = os.environ.get("SORTAL_CACHE")
    if named:
        return Path(named)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "sortal" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "sortal"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sortal"


def cached(weights: Published) -> Path | None:
    """The file where it has been fetched; asks no network and reads no byte of it."""
    path = cache_folder() / weights.file
    return path if path.is_file() else None


def fetched(weights: Published, progress: Progress | None = None) -> Path:
    """The checked file, from the cache or from its publisher; its size is said before the first byte.

    `FetchError` without a network, or where it breaks off for good; what came is kept.
    `DataError` where the hash is not the published or the recorded one. `StoreError` where the disk refuses.
    """
    progress = progress or Progress()
    path = cache_folder() / weights.file
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with alone(path):
            if not path.is_file():
                _fetch(weights, path, progress)
            _check(weights, path)
    except FetchError:
        raise
    except OSError as e:
        raise StoreError(
            f"{path}: {e.strerror or e}; free space there, or name another folder with SORTAL_CACHE."
        ) from e
    return path


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """One process at a time makes `path`; a second one waits."""
    from filelock import FileLock

    with FileLock(path.with_name(path.name + ".lock")):
        yield


def _check(weights: Published, path: Path) -> None:
    """Against the recorded hash, or else against the published beginning, and then record it."""
    record = path.with_name(path.name + ".sha256")
    found = sha256_of(path)
    known = record.read_text("ascii", "replace").split()[:1] if record.is_file() else []
    if not found.startswith(weights.sha256) or (known and found != known[0]):
        wanted = known[0] if known else weights.sha256 + "..."
        raise DataError(
            f"{path}: its SHA-256 must be {wanted}; it is {found}. The file is damaged or another: "
            f"remove it, and it is fetched again."
        )
    if not known:
        record.write_text(f"{found}  {path.name}\n", "ascii")


def _fetch(weights: Published, path: Path, progress: Progress) -> None:
    part = path.with_name(path.name + ".part")
    host = weights.url.split("/")[2]
    progress.say(
        f"{weights.name}: {weights.megabytes} MB from {host} ({weights.publisher}), kept in {path.parent}"
    )
    begun = part.is_file() and part.stat().st_size > 0
    _download(weights, part, progress)
    if begun and not sha256_of(part).startswith(weights.sha256):
        part.unlink()  # the file has changed since the first half came
        _download(weights, part, progress)
    found = sha256_of(part)
    if not found.startswith(weights.sha256):
        part.unlink()
        raise DataError(
            f"{weights.url}: the SHA-256 must begin with {weights.sha256}, as its name says; what came has "
            f"{found}. It was removed; nothing was loaded."
        )
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    part.replace(path)


def _download(weights: Published, part: Path, progress: Progress) -> None:
    """Bring `part` to its full length, going on where it ends as often as new bytes come."""
    tries, total, started = 0, None, False
    while tries < TRIES:
        have = part.stat().st_size if part.is_file() else 0
        if total is not None and have == total:
            return
        try:
            with _opened(weights.url, have) as answer:
                resumed = answer.status == 206
                total = _total(answer, have if resumed else 0, weights)
                _check_room(part, total - have)
                if not started:
                    progress.start(f"fetching {weights.name}", total)
                    progress.advance(have if resumed else 0)
                    started = True
                _copy(answer, part, "ab" if resumed else "wb", total, progress)
            if part.stat().st_size == total:
                return
            reason = "the connection broke off"
        except urllib.error.HTTPError as e:
            if e.code == 416 and have:  # nothing beyond what is there, which may be all of it
                return
            if e.code < 500:
                raise _by_hand(weights, part, f"the server says {e.code} {e.reason}") from e
            reason = f"the server says {e.code} {e.reason}"
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as e:
            reason = str(getattr(e, "reason", None) or e or type(e).__name__)
        now = part.stat().st_size if part.is_file() else 0
        tries = 0 if now > have else tries + 1
        sleep(min(2.0**tries / 10, 2))
    raise _by_hand(weights, part, reason)


def _opened(url: str, have: int) -> http.client.HTTPResponse:
    headers = {"User-Agent": "sortal", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    request = urllib.request.Request(url, headers=headers)  # noqa: S310  # the addresses are our own table's
    answer: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=WAIT_S)  # noqa: S310
    return answer


def _total(answer: http.client.HTTPResponse, have: int, weights: Published) -> int:
    """The whole file's length. An answer twice as long as published is another file."""
    length = answer.headers.get("Content-Length")
    total = have + int(length) if length and length.isdigit() else int(weights.megabytes * 1e6)
    if total > 2e6 * weights.megabytes + 1e6:
        raise DataError(
            f"{weights.url}: the file has {weights.megabytes} MB; the server offers {total / 1e6:.1f} MB. "
            "Nothing was fetched."
        )
    return total


def _copy(answer: http.client.HTTPResponse, part: Path, mode: str, total: int, progress: Progress) -> None:
    with part.open(mode) as file:
        room = total - file.tell()
        # read1 gives what is there: read would wait for a whole block, and lose it when the line stalls.
        while room > 0 and (block := answer.read1(min(BLOCK, room))):
            file.write(block)
            room -= len(block)
            progress.advance(len(block))


def _check_room(part: Path, needed: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if free < needed:
        raise StoreError(
            f"{part.parent}: {needed / 1e6:.0f} MB are needed and {free / 1e6:.0f} MB are free; "
            "free space there, or name another folder with SORTAL_CACHE."
        )


def _by_hand(weights: Published, part: Path, reason: str) -> FetchError:
    have = part.stat().st_size if part.is_file() else 0
    kept = f" {have / 1e6:.1f} MB came and are kept; the next call goes on from there." if have else ""
    return FetchError(
        f"{weights.name} could not be fetched: {reason}.{kept} By hand: fetch {weights.url} where there is a "
        f"network, and put it at {part.with_suffix('')} or give its path."
    )
