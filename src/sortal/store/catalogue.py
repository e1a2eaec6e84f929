"""The pile's catalogue: one SQLite database in WAL mode, every row with a checksum of its own.

SQLite's integrity_check does not see a flipped bit inside a value, so each row ends with a CRC-32 over its
values. All writing goes through `insert`, which adds it; `checked` reads rows and compares it, `records`
makes sense of them. Small tables are always read that way; the large ones (items, files) only when verified.
"""

import json
import os
import re
import sqlite3
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from sortal.errors import StoreError
from sortal.store.failures import one_line, reported

__all__ = ["FORMAT", "TABLES", "Catalogue", "is_sound", "made", "now", "row_crc", "to_json"]

Record = TypeVar("Record")

FORMAT = 1
APPLICATION_ID = 0x536F7274  # "Sort"
BUSY_SECONDS = 30.0
_TRIES = 10  # of a read without locks, while somebody writes

# One line a table, in the order of creation. Times are ISO 8601 in UTC, JSON is text, paths are the bytes
# the file system knows them by, and `items` are int64 item ids, little endian.
TABLES = {
    "meta": "(key TEXT PRIMARY KEY, value TEXT NOT NULL, crc INTEGER NOT NULL)",
    "sources": "(id INTEGER PRIMARY KEY, location BLOB NOT NULL, kind TEXT NOT NULL, names_from TEXT,"
    " added TEXT NOT NULL, crc INTEGER NOT NULL)",
    "items": "(id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, bytes INTEGER NOT NULL,"
    " crc INTEGER NOT NULL)",
    "files": "(source INTEGER NOT NULL REFERENCES sources, path BLOB NOT NULL, size INTEGER NOT NULL,"
    " mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL, item INTEGER NOT NULL REFERENCES items,"
    " crc INTEGER NOT NULL, PRIMARY KEY (source, path)) WITHOUT ROWID",
    "quarantine": "(source INTEGER NOT NULL REFERENCES sources, path BLOB NOT NULL, kind TEXT NOT NULL,"
    " reason TEXT NOT NULL, size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER, since TEXT NOT NULL,"
    " crc INTEGER NOT NULL, PRIMARY KEY (source, path)) WITHOUT ROWID",
    "encoders": "(id INTEGER PRIMARY KEY, name TEXT NOT NULL, digest TEXT NOT NULL, dim INTEGER NOT NULL,"
    " spec TEXT NOT NULL, crc INTEGER NOT NULL)",
    "runs": "(id INTEGER PRIMARY KEY, command TEXT NOT NULL, parameters TEXT NOT NULL,"
    " versions TEXT NOT NULL, started TEXT NOT NULL, ended TEXT, outcome TEXT, crc INTEGER NOT NULL)",
    "segments": "(id INTEGER PRIMARY KEY, kind TEXT NOT NULL, owner INTEGER NOT NULL,"
    " file TEXT NOT NULL UNIQUE, n_rows INTEGER NOT NULL, checksum INTEGER NOT NULL,"
    " items BLOB NOT NULL, crc INTEGER NOT NULL)",
    "groupings": "(id INTEGER PRIMARY KEY, encoder INTEGER NOT NULL REFERENCES encoders,"
    " method TEXT NOT NULL, parameters TEXT NOT NULL, seed INTEGER NOT NULL, evidence TEXT NOT NULL,"
    " created TEXT NOT NULL, run INTEGER NOT NULL REFERENCES runs, crc INTEGER NOT NULL)",
    "journal": "(id INTEGER PRIMARY KEY, time TEXT NOT NULL, kind TEXT NOT NULL, detail TEXT NOT NULL,"
    " items BLOB NOT NULL, crc INTEGER NOT NULL)",
}
SCHEMA = [f"CREATE TABLE {name} {columns}" for name, columns in TABLES.items()] + [
    # The primary key's columns follow in the index: paths of items are read from it alone, already in order.
    "CREATE INDEX files_of_item ON files (item)",
    "CREATE INDEX segments_of_column ON segments (kind, owner)",
]
# SQLite keeps any type in any column, so a stranger's row may hold what its table does not say.
_PYTHON = {"INTEGER": int, "TEXT": str, "BLOB": bytes}
_TYPES = {
    table: [
        (_PYTHON[kind],) if filled else (_PYTHON[kind], type(None))
        for kind, filled in re.findall(r"\w+ (INTEGER|TEXT|BLOB)( NOT NULL| PRIMARY KEY)?", columns)
    ]
    for table, columns in TABLES.items()
}


class Catalogue:
    """One connection, safe to share between threads: a lock is held through each read and each transaction.

    `writable` is False on a read-only file system or folder. There SQLite has no locks unless a writer's log
    is at hand; without one each read looks whether the file was written to meanwhile, and then reads again.
    """

    def __init__(self, path: Path, writable: bool) -> None:
        self.path, self.writable = path, writable
        self._lock = threading.RLock()
        self._state = self._state_now()
        self._connection = _connect(path, self._state[0])

    @classmethod
    def create(cls, path: Path) -> None:
        with reported(path):
            path.touch()
            catalogue = cls(path, writable=True)
            try:
                catalogue._connection.execute("PRAGMA journal_mode = WAL")
                catalogue._connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                catalogue._connection.execute(f"PRAGMA user_version = {FORMAT}")
                for statement in SCHEMA:
                    catalogue._connection.execute(statement)
                with catalogue.transaction():
                    catalogue.insert("meta", ("created", now()))
            finally:
                catalogue.close()  # the last connection folds the write-ahead log into the database

    @classmethod
    def open(cls, path: Path) -> "Catalogue":
        writable = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
        with reported(path):
            catalogue = cls(path, writable)
        try:
            _check_format(catalogue)
        except BaseException:
            catalogue.close()
            raise
        return catalogue

    def close(self) -> None:
        with reported(self.path):
            self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; durable when the block has ended. Keep it short: other writers wait."""
        if not self.writable:
            raise StoreError(
                f"{one_line(self.path)}: the pile is read-only here, so nothing can be written to it:"
                " copy it to a place where you may write."
            )
        with self._lock, reported(self.path):
            try:
                self._connection.execute("BEGIN IMMEDIATE")  # inside: Ctrl-C may come when it has just begun
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # a full disk makes SQLite roll back by itself
                    self._connection.execute("ROLLBACK")
                raise

    def insert(self, table: str, values: Sequence[Any], *, replace: bool = False) -> None:
        self.insert_many(table, [values], replace=replace)

    def insert_many(self, table: str, rows: Iterable[Sequence[Any]], *, replace: bool = False) -> None:
        rows = [(*values, row_crc(values)) for values in rows]
        if rows:
            verb = "REPLACE" if replace else "INSERT"
            marks = ", ".join("?" * len(rows[0]))
            self._connection.executemany(f"{verb} INTO {table} VALUES ({marks})", rows)

    def execute_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        with self._lock, reported(self.path):
            self._connection.executemany(sql, rows)

    def next_id(self, table: str) -> int:
        """Ids are 1, 2, 3, ... without a gap; call it inside the transaction that inserts."""
        return int(self.read(f"SELECT coalesce(max(id), 0) + 1 FROM {table}")[0][0])  # noqa: S608

    def read(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        with self._lock, reported(self.path):
            for left in reversed(range(_TRIES)):
                try:
                    rows = self._current().execute(sql, parameters).fetchall()
                except sqlite3.Error:
                    if not left or self._state_now() == self._state:
                        raise
                else:
                    if self._state_now() == self._state:
                        return rows
            raise StoreError(f"{one_line(self.path)}: it is being written to all the time: try again later.")

    def _current(self) -> sqlite3.Connection:
        """The connection; a new one where another process has written under it without its knowing."""
        state = self._state_now()
        if state != self._state:
            fresh = _connect(self.path, state[0])
            self._connection.close()
            self._connection, self._state = fresh, state
        return self._connection

    def _state_now(self) -> tuple[Any, ...]:
        return ("rw",) if self.writable else _unlocked_state(self.path)

    def each(self, sql: str, parameters: Sequence[Any] = ()) -> Iterator[Any]:
        """Rows one after the other, for results too long for a list."""
        if not self.writable:
            yield from self.read(sql, parameters)  # a cursor would not see that the file is written to
            return
        with self._lock, reported(self.path):
            cursor = self._connection.execute(sql, parameters)
        while True:
            with self._lock, reported(self.path):
                rows = cursor.fetchmany(10_000)
            if not rows:
                return
            yield from rows

    def read_in(self, sql: str, keys: Sequence[Any]) -> Iterator[Any]:
        """Rows of `sql`, whose `{keys}` stands for a list of `keys`, in pieces that SQLite accepts."""
        for start in range(0, len(keys), 500):
            piece = keys[start : start + 500]
            yield from self.read(sql.format(keys=", ".join("?" * len(piece))), piece)

    def checked(self, table: str, where: str = "", parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Whole rows without their checksum; StoreError where it or a type differs."""
        rows = self.read(f"SELECT * FROM {table} {where}", parameters)  # noqa: S608
        for row in rows:
            if not is_sound(table, row):
                raise StoreError(
                    f"{one_line(self.path)}: row {_short(row[0])} of table {table} is damaged (its checksum"
                    " or its types differ): restore the pile from a copy."
                )
        return [row[:-1] for row in rows]

    def records(
        self, table: str, make: Callable[..., Record], where: str = "", parameters: Sequence[Any] = ()
    ) -> list[Record]:
        """`make(*row)` of checked rows; StoreError where one is not what a pile holds."""
        return [made(self.path, table, make, row) for row in self.checked(table, where, parameters)]


def is_sound(table: str, row: Sequence[Any]) -> bool:
    """Whether a whole row has the types of its table and the checksum of its values."""
    typed = all(isinstance(value, allowed) for value, allowed in zip(row, _TYPES[table]))
    return typed and row_crc(row[:-1]) == row[-1]


def made(path: Path, table: str, make: Callable[..., Record], row: Sequence[Any]) -> Record:
    """`make(*row)`: a stranger can give any row a right checksum, so it may still make no sense."""
    try:
        return make(*row)
    except (KeyError, OverflowError, RecursionError, TypeError, ValueError) as e:
        raise StoreError(
            f"{one_line(path)}: row {_short(row[0])} of table {table} is not what a pile holds"
            f" ({one_line(str(e), 120)}): restore the pile from a copy."
        ) from e


def row_crc(values: Sequence[Any]) -> int:
    """CRC-32 over a row. `ascii` writes numbers, text and None the same way on every Python."""
    plain = tuple(zlib.crc32(v) if type(v) is bytes else v for v in values)
    return zlib.crc32(ascii(plain).encode())


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def to_json(value: object) -> str:
    """JSON that is the same for the same value; refuses NaN, which is no JSON."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _short(key: object) -> str:
    return one_line(ascii(key), 60)


def _schema_differs(catalogue: Catalogue) -> bool:
    """A trigger that a stranger added, or a flipped bit in a table's definition."""
    query = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY sql"
    return [sql for (sql,) in catalogue.read(query)] != sorted(SCHEMA)


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"file:{quote(os.fsencode(path.absolute()))}?mode={mode}"
    connection = sqlite3.connect(
        uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA trusted_schema = OFF")  # the file may be a stranger's
        if mode == "rw":
            connection.execute("PRAGMA synchronous = FULL")  # reads the file, which only `read` may try again
            connection.execute("PRAGMA foreign_keys = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _unlocked_state(path: Path) -> tuple[Any, ...]:
    """How to open a catalogue that we may not write, and what shows that this must be done again.

    Beside a writer its log is there, and so are SQLite's locks. Without a log SQLite would want to make one;
    told that the file is immutable it does not, and notices no writer either.
    """
    with suppress(FileNotFoundError):
        if path.with_name(path.name + "-wal").stat().st_size:
            return ("ro",)
    found = path.stat()
    return ("ro&immutable=1", found.st_ino, found.st_size, found.st_mtime_ns)


def _check_format(catalogue: Catalogue) -> None:
    path = catalogue.path
    application = catalogue.read("PRAGMA application_id")[0][0]
    version = catalogue.read("PRAGMA user_version")[0][0]
    pile = one_line(path.parent)
    if application != APPLICATION_ID:
        raise StoreError(
            f"{one_line(path)}: not the catalogue of a Sortal pile (or damaged): check the path."
        )
    if version > FORMAT:
        raise StoreError(
            f"{pile}: made by a newer Sortal (format {version}; this one reads {FORMAT}): upgrade Sortal."
        )
    if version < FORMAT:
        raise StoreError(
            f"{pile}: format {version} is unknown (this Sortal reads {FORMAT}): organize the images again."
        )
    if _schema_differs(catalogue):
        raise StoreError(
            f"{one_line(path)}: damaged, its tables are not a pile's: restore the pile from a copy."
        )
