"""One SQLite file, opened on first use, brought to its newest schema, and shared by threads and processes."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from runtime.errors import StateUnavailable

BUSY_TIMEOUT_S = 10.0
"""How long a call waits for other processes' writes before it gives up."""


class SqliteFile:
    """The file `path`, made with its folder; `migrations` take it from the version that is their place to the next.

    A machine that loses power may lose the last writes, never the file (WAL, synchronous=NORMAL). Not for a network
    share, and not to be carried over a fork. Every call may raise StateUnavailable, which calls it `name`.
    """

    def __init__(self, path: Path, migrations: Sequence[str], *, name: str) -> None:
        self._path = path
        self._name = name
        self._migrations = migrations
        self._lock = threading.Lock()
        self._opened: sqlite3.Connection | None = None

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """The one connection, for one thread at a time."""
        with self._lock:
            try:
                if self._opened is None:
                    self._opened = self._open()
                yield self._opened
            except (sqlite3.Error, OSError) as exc:
                raise StateUnavailable(f"the {self._name} {self._path} cannot be used: {exc}") from exc

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """The connection in a transaction that is undone by an exception."""
        with self.connection() as connection, _transaction(connection):
            yield connection

    def close(self) -> None:
        """Give the file back. The next call opens it again."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()
                self._opened = None

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            self._migrate(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _migrate(self, connection: sqlite3.Connection) -> None:
        newest = len(self._migrations)
        if _version(connection) == newest:
            return
        with _transaction(connection):
            version = _version(connection)
            if version > newest:
                raise StateUnavailable(
                    f"the {self._name} {self._path} has schema version {version}, written by a newer release; "
                    f"this one reads up to {newest}"
                )
            for script in self._migrations[version:]:
                for statement in script.split(";"):
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {newest}")


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite itself rolls back where the disk is full
            connection.execute("ROLLBACK")
        raise
