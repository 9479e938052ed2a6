"""Documents in one SQLite file, shared by the threads and processes of a machine."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from runtime.clock import Clock, SystemClock
from runtime.documents.store import ABSENT, Document
from runtime.sqlite_file import SqliteFile

_encode = json.JSONEncoder(separators=(",", ":")).encode

_MIGRATIONS = (
    """
    CREATE TABLE documents (
        collection TEXT NOT NULL,
        name TEXT NOT NULL,
        version INTEGER NOT NULL,
        value TEXT NOT NULL,
        expires_at INTEGER,
        PRIMARY KEY (collection, name)
    ) WITHOUT ROWID;
    CREATE INDEX documents_by_expiry ON documents (expires_at) WHERE expires_at IS NOT NULL;
    """,
)
"""Never changed once released, only added to."""

_LIVE = "(expires_at IS NULL OR expires_at > ?)"
_GET = f"SELECT name, value, version FROM documents WHERE collection = ? AND name = ? AND {_LIVE}"  # noqa: S608 - a constant
_LIST = f"""
    SELECT name, value, version FROM documents
    WHERE collection = ? AND name > ? AND {_LIVE} ORDER BY name LIMIT ?
"""  # noqa: S608 - a constant
_PUT = "INSERT OR REPLACE INTO documents (collection, name, version, value, expires_at) VALUES (?, ?, ?, ?, ?)"
_DELETE = f"DELETE FROM documents WHERE collection = ? AND name = ? AND {_LIVE}"  # noqa: S608 - a constant
_FORGET = "DELETE FROM documents WHERE expires_at <= ?"


class SqliteDocumentStore:
    """A DocumentStore in the file `path`; expired documents are deleted by the next put."""

    def __init__(self, path: Path, *, clock: Clock | None = None) -> None:
        self._file = SqliteFile(path, _MIGRATIONS, name="document store")
        self._clock = clock or SystemClock()

    def prepare(self) -> None:
        with self._file.connection():
            pass

    def close(self) -> None:
        self._file.close()

    def get(self, collection: str, name: str) -> Document | None:
        with self._file.connection() as connection:
            row = connection.execute(_GET, (collection, name, self._clock.wall())).fetchone()
        return _document(row) if row else None

    def put(
        self,
        collection: str,
        name: str,
        value: Mapping[str, Any],
        *,
        over: int | None = None,
        expires_at: int | None = None,
    ) -> Document | None:
        with self._file.transaction() as connection:
            connection.execute(_FORGET, (self._clock.wall(),))
            row = connection.execute(_GET, (collection, name, self._clock.wall())).fetchone()
            version = _document(row).version if row else ABSENT
            if over is not None and over != version:
                return None
            connection.execute(_PUT, (collection, name, version + 1, _encode(value), expires_at))
        return Document(name=name, value=value, version=version + 1)

    def delete(self, collection: str, name: str) -> bool:
        with self._file.connection() as connection:
            return connection.execute(_DELETE, (collection, name, self._clock.wall())).rowcount > 0

    def list(self, collection: str, *, after: str | None = None, limit: int = 100) -> Sequence[Document]:
        with self._file.connection() as connection:
            rows = connection.execute(_LIST, (collection, after or "", self._clock.wall(), limit)).fetchall()
        return [_document(row) for row in rows]

    def count(self, collection: str, name: str, *, amount: int, at_most: int, expires_at: int) -> int | None:
        with self._file.transaction() as connection:
            row = connection.execute(_GET, (collection, name, self._clock.wall())).fetchone()
            found = _document(row) if row else None
            total = (found.value["count"] if found else 0) + amount
            if total > at_most:
                return None
            ends = found.value["ends"] if found else expires_at
            version = found.version if found else ABSENT
            counted = _encode({"count": total, "ends": ends})
            connection.execute(_PUT, (collection, name, version + 1, counted, ends))
        return int(total)


def _document(row: tuple[str, str, int]) -> Document:
    name, value, version = row
    return Document(name=name, value=json.loads(value), version=version)
